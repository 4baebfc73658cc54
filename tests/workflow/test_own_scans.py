"""From a folder of DICOM files to the scans of a pipeline: the table of `voxfield cohort` as it is, no hand between."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dicom_files import write_series
from voxfield.artifacts import Image
from voxfield.cli import main
from voxfield.paths import resource_folder

pytest.importorskip("SimpleITK")

SETTINGS = {
    "airway": "phantoms: {count: 0}\n",
    "vessel_flow": "source: cohort\ngrading: {cohort: 0}\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", SETTINGS)
def test_dicom_series_become_the_images_of_a_run(pipeline: str, tmp_path: Path) -> None:
    affine = np.diag([-0.7, -0.7, 2.0, 1])
    data = np.random.default_rng(0).integers(0, 2000, (2, 6, 5, 4))
    for number in (0, 1):  # two series of one patient in one folder
        write_series(tmp_path / "dicom", data[number], affine, prefix=f"{number}-", series=f"1.2.{number}",
                     series_number=str(number + 1), intercept="-1024", slope="1")  # fmt: skip
    assert main(["cohort", str(tmp_path / "dicom"), "--out", str(tmp_path / "cohort.tsv")]) == 0
    with (tmp_path / "cohort.tsv").open(newline="") as stream:
        subjects = [row["subject"] for row in csv.DictReader(stream, delimiter="\t")]
    (tmp_path / "model.safetensors").touch()
    run = tmp_path / "run"
    run.mkdir()
    config = f"cohort: {tmp_path / 'cohort.tsv'}\nmodel: {tmp_path / 'model.safetensors'}\n{SETTINGS[pipeline]}"
    (tmp_path / "own.yaml").write_text(config)
    words = ["-m", "snakemake", "-s", str(resource_folder("pipelines") / pipeline / "Snakefile"), "--cores", "1"]
    words += ["--directory", str(run), "--configfile", str(tmp_path / "own.yaml"), "--"]
    words += [f"sub-{subject}/image.nii.gz" for subject in subjects]
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for subject, expected in zip(sorted(subjects), data, strict=True):
        image = Image.load(run / f"sub-{subject}" / "image.nii.gz")
        np.testing.assert_array_equal(image.data, expected - 1024)
        np.testing.assert_allclose(image.affine, affine, atol=1e-6)
