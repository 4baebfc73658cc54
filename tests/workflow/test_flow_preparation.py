"""Raw 4D flow in the pipeline vessel_flow: what its tables plan, what they refuse, and the rules on a small scan."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fields.anatomies import anatomy, centred_grid, picture
from voxfield.artifacts import Image, PartialVectorImage
from voxfield.runs.configuration import merged_config
from voxfield.settings_yaml import dump_yaml

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "align: true\nstages: {fields.prepare: {venc_m_per_s: [1.5], directions: [R, A, S], background: false}}\n"


def run(folder: Path, table: Path, *more: str) -> subprocess.CompletedProcess[str]:
    config = folder / "own.yaml"
    config.write_text("source: cohort\nmodel: model.safetensors\ngrading: {cohort: 0}\n" + SETTINGS)
    words = ["-m", "voxfield", "run", "vessel_flow", "--cores", "1", "--directory", str(folder / "run")]
    words += ["--config", str(config), "--set", f"cohort={table}", *more]
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=folder)


def plan(folder: Path, table: Path, *more: str) -> dict[str, int]:
    ended = run(folder, table, "-n", *more)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", ended.stdout, re.MULTILINE)}


def cohort(folder: Path, columns: str) -> Path:
    """The table of one subject with these columns, whose files are empty."""
    for name in columns.split():
        (folder / f"{name}.nii.gz").touch()
    (folder / "model.safetensors").touch()
    table = folder / "cohort.tsv"
    files = [f"{name}.nii.gz" for name in columns.split()]
    table.write_text("\t".join(["subject", *columns.split()]) + "\n" + "\t".join(["mine", *files]) + "\n")
    return table


PHASES = "phase_1 phase_2 phase_3"


@pytest.mark.slow
def test_what_a_table_brings_decides_what_is_done(tmp_path: Path) -> None:
    jobs = plan(tmp_path, cohort(tmp_path, f"image {PHASES} magnitude"))
    assert jobs["velocities"] == jobs["flow"] == 1
    jobs = plan(tmp_path, cohort(tmp_path, f"image {PHASES}"), "--set", "align=false")
    assert jobs["velocities"] == jobs["flow"] == 1
    jobs = plan(tmp_path, cohort(tmp_path, "image velocity"), "--set", "align=false")
    assert "velocities" not in jobs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("image phase_1 phase_2", "subject mine has phase_1, phase_2; expected phase_1, phase_2 and phase_3, or"),
        ("image velocity", "subject mine has a velocity and no magnitude; `align: true` needs one"),
    ],
)
def test_a_table_that_lacks_something_is_refused(columns: str, words: str, tmp_path: Path) -> None:
    ended = run(tmp_path, cohort(tmp_path, columns), "-n")
    assert ended.returncode != 0
    assert words in ended.stdout + ended.stderr


@pytest.mark.slow
def test_phases_become_a_velocity_on_the_angiogram(tmp_path: Path) -> None:
    shift, side = np.array([1.5, -1.0, 0.5]), 20
    seen, grid = anatomy(2, blobs=30, extent=14.0), centred_grid((side,) * 3, 1.4)
    table = cohort(tmp_path, f"image {PHASES} magnitude")
    angiogram = picture(seen, grid, noise=0.01, seed=1)
    angiogram.save(tmp_path / "image.nii.gz")
    moved = picture(lambda x: seen(x + shift), grid, noise=0.01, seed=2)
    Image(np.maximum(moved.data, 0.01), grid.affine).save(tmp_path / "magnitude.nii.gz")
    velocity = np.array([0.3, -0.2, 0.6])  # m/s towards R, A, S
    air = np.random.default_rng(3).uniform(-np.pi, np.pi, (3, side, side, side)).astype(np.float32)
    for number, part in enumerate(velocity, start=1):
        phase = np.where(moved.data > 0.3, np.float32(part / 1.5 * np.pi), air[number - 1])
        Image(phase, grid.affine).save(tmp_path / f"phase_{number}.nii.gz")
    folder = tmp_path / "run" / "sub-mine"
    folder.parent.mkdir()
    (tmp_path / "own.yaml").write_text("source: cohort\ngrading: {cohort: 0}\n" + SETTINGS)
    own = [f"cohort={table}", f"model={tmp_path / 'model.safetensors'}"]
    settings = merged_config(ROOT / "pipelines" / "vessel_flow", tmp_path / "own.yaml", own)
    (folder.parent / "config.yaml").write_text(dump_yaml(settings))
    words = ["-m", "snakemake", "batches/velocities/001.done.tsv", "--cores", "1", "--directory", str(folder.parent)]
    words += ["--snakefile", str(ROOT / "pipelines" / "vessel_flow" / "Snakefile")]
    words += ["--configfile", str(folder.parent / "config.yaml")]
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    carried = PartialVectorImage.load(folder / "velocity_aligned.nii.gz")
    assert carried.unit == "m/s"
    assert carried.grid.same_as(grid)
    brightest = np.unravel_index(np.argmax(angiogram.data), angiogram.data.shape)
    turned = json.loads((folder / "alignment.json").read_text())
    assert np.abs(np.abs(turned["shift_mm"]) - np.abs(shift)).max() < 0.7
    np.testing.assert_allclose(carried.data[(*brightest, 0)], velocity, atol=0.1)
