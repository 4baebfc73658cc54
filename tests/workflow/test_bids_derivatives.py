"""voxfield derivatives: a BIDS tree of a run's results, each file whole under a name that the rules know."""

import errno
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfield.artifacts import LabelMap
from voxfield.cli import main
from voxfield.paths import resource_folder
from voxfield.records import hash_file, read_record
from voxfield.runs import derivatives
from voxfield.runs.derivative_names import ELSEWHERE, IN_FOLDERS, STANDARD, file_name, ignored, named
from voxfield.runs.derivative_scans import scans_of

Said = pytest.CaptureFixture[str]
# BIDS 1.10, derivatives: the order of the entities that we write
BIDS = re.compile(
    r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?(_acq-[A-Za-z0-9]+)?(_run-[0-9]+)?(_label-[A-Za-z0-9]+)?_desc-[A-Za-z0-9]+"
    r"_[A-Za-z0-9]+(\.[a-z0-9]+)+"
)


def add_scan(run: Path, subject: str) -> None:
    """A scan's segmentation and its repaired lumen, made by stages from a file outside of the run."""
    folder = run / f"sub-{subject}"
    source = run.parent / "Doe_Jane.nii.gz"
    if not source.exists():
        LabelMap(np.arange(60).reshape(3, 4, 5) % 3, np.diag([1, 1, 30, 1]), labels={1: "a", 2: "b"}).save(source)
    for place, name in ((source, "segmentation"), (folder / "segmentation.nii.gz", "lumen")):
        words = [
            "io.relabel",
            "--source",
            str(place),
            "--set",
            'mapping={"1": 1, "2": 2}',
            "--set",
            'names={"1": "lumen"}',
        ]
        assert main([*words, "--out-labels", str(folder / f"{name}.nii.gz")]) == 0


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of two sessions of a patient and one of another."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "voxfield-run.json").write_text('{"pipeline": "airway", "schema": 1}')
    table = tmp_path / "cohort.tsv"
    table.write_text("subject\tpatient\tsession\tsite\timage\n01-a\t01\ta\tLeeds\tx.nii.gz\n01-b-run-2\t01\tb\tLeeds\t"
                     "y.nii.gz\n02\t02\tn/a\tn/a\tz.nii.gz\n")  # fmt: skip
    (run / "config.yaml").write_text(f"cohort: {table}\n")
    for subject in ("01-a", "01-b-run-2", "02"):
        add_scan(run, subject)
    return run


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_tree(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "derived"
    assert main(["derivatives", str(run), str(folder)]) == 0
    found = files(folder)
    scans = ("sub-01/ses-a/anat/sub-01_ses-a", "sub-01/ses-b/anat/sub-01_ses-b_run-2", "sub-02/anat/sub-02")
    made = [f"{scan}_desc-{what}_dseg" for scan in scans for what in ("lumen", "predicted")]
    top = {"README", "dataset_description.json", "participants.tsv"}
    assert set(found) == top | {f"{name}{ending}" for name in made for ending in (".nii.gz", ".json", ".tsv")}
    lumen = folder / f"{scans[0]}_desc-lumen_dseg.nii.gz"
    assert lumen.samefile(run / "sub-01-a" / "lumen.nii.gz")
    said = json.loads(found[f"{scans[0]}_desc-lumen_dseg.json"])
    assert said["Description"].startswith("Repaired lumen")
    assert said["Sources"] == [f"bids::{scans[0]}_desc-predicted_dseg.nii.gz"]
    record = read_record(lumen)
    assert record is not None
    assert record["output"]["sha256"] == hash_file(lumen)[0]
    assert record["settings"]["mapping"] == {"1": 1, "2": 2}
    assert record["findings"] == [{"code": "anisotropic", "level": "warning", "value": 30}]
    assert found[f"{scans[0]}_desc-lumen_dseg.tsv"] == b"index\tname\n1\tlumen\n2\tb\n"
    assert found["participants.tsv"] == b"participant_id\tsite\nsub-01\tLeeds\nsub-02\tn/a\n"
    assert not any(b"Doe" in content or str(tmp_path).encode() in content for content in found.values())


def test_the_description(run: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "DatasetDOI": "10.1/abc"}')
    main(["derivatives", str(run), str(tmp_path / "derived")])
    said = json.loads((tmp_path / "derived" / "dataset_description.json").read_text())
    assert said["DatasetType"] == "derivative"
    assert said["GeneratedBy"][0]["Name"] == "voxfield"
    assert said["SourceDatasets"][0]["DOI"] == "10.1/abc"
    assert hash_file(tmp_path / "cohort.tsv")[0] in said["SourceDatasets"][0]["Version"]


def test_it_goes_on_after_a_kill_at_any_file(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    whole = tmp_path / "whole"
    main(["derivatives", str(run), str(whole)])
    for stop in range(6):
        folder = tmp_path / f"part{stop}"
        with monkeypatch.context() as patch:
            left = iter(range(stop))

            def describe(*words: object, left: object = left) -> None:
                if next(left, None) is None:  # type: ignore[call-overload]
                    raise KeyboardInterrupt

            patch.setattr(derivatives, "describe", describe)
            assert main(["derivatives", str(run), str(folder)]) == 130
        (folder / ".vf99-1").write_bytes(b"half")
        assert main(["derivatives", str(run), str(folder)]) == 0
        assert files(folder) == files(whole)
    capsys.readouterr()
    main(["derivatives", str(run), str(whole)])
    assert capsys.readouterr().out == "6 files of 3 scans: 6 there already\n"


def test_without_links_files_are_copied_once(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    def refuse(*places: object) -> None:
        raise OSError(errno.EXDEV, "other file system")

    monkeypatch.setattr(os, "link", refuse)
    folder = tmp_path / "derived"
    for word in ("copied", "there already"):
        assert main(["derivatives", str(run), str(folder)]) == 0
        assert f"6 files of 3 scans: 6 {word}" in capsys.readouterr().out
    add_scan(run, "03")
    changed = folder / "sub-02" / "anat" / "sub-02_desc-lumen_dseg.nii.gz"
    changed.write_bytes(b"cut")
    main(["derivatives", str(run), str(folder)])
    assert "8 files of 4 scans: 5 there already, 3 copied" in capsys.readouterr().out
    assert changed.read_bytes() == (run / "sub-02" / "lumen.nii.gz").read_bytes()


def test_a_damaged_result_is_left_out_and_named(run: Path, tmp_path: Path, capsys: Said) -> None:
    place = run / "sub-02" / "lumen.nii.gz"
    place.write_bytes(place.read_bytes()[:-1])
    assert main(["derivatives", str(run), str(tmp_path / "d")]) == 2
    assert "sub-02/lumen.nii.gz" in capsys.readouterr().err
    assert not list((tmp_path / "d" / "sub-02").rglob("*lumen*"))
    assert len(list((tmp_path / "d").rglob("*_dseg.nii.gz"))) == 5


def test_folders_of_somebody_else_stay_as_they_are(run: Path, tmp_path: Path, capsys: Said) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "dataset_description.json").write_text('{"Name": "x", "GeneratedBy": [{"Name": "fmriprep"}]}')
    full = tmp_path / "full"
    full.mkdir()
    (full / "a").touch()
    for folder, words in (
        (theirs, "did not write"),
        (full, "is not empty"),
        (run / "derived", "lies in the run folder"),
    ):
        before = files(run), files(tmp_path)
        assert main(["derivatives", str(run), str(folder)]) == 2
        assert words in capsys.readouterr().err
        assert (files(run), files(tmp_path)) == before
    (run / "voxfield-run.json").write_text('{"pipeline": "pde_atlas", "schema": 1}')
    assert main(["derivatives", str(run), str(tmp_path / "d")]) == 2
    assert "whose subjects are no scans" in capsys.readouterr().err


def test_two_at_once(run: Path, tmp_path: Path, capsys: Said) -> None:
    folder = tmp_path / "d"
    main(["derivatives", str(run), str(folder)])
    with derivatives._alone(folder):
        assert main(["derivatives", str(run), str(folder)]) == 3
    assert "another `voxfield derivatives`" in capsys.readouterr().err
    assert main(["derivatives", str(run), str(folder)]) == 0


PROBLEMS = {"agreement.json", "agreement.png", "pairs.tsv"}  # of pipelines whose subjects are equations


def test_every_output_of_a_scan_has_a_name() -> None:
    """What the rules write into the folder of a subject, and what is listed here, are the same."""
    text = "".join(file.read_text() for file in resource_folder("workflow").glob("rules/*.smk"))
    written = set(re.findall(r'(?<!logs/)sub-\{subject\}/([A-Za-z0-9_]+(?:\.[a-z0-9]+)+)"', text)) - PROBLEMS
    assert written <= set(IN_FOLDERS), f"without a name in BIDS: {written - set(IN_FOLDERS)}"


def test_names_are_bids_and_differ() -> None:
    made = {file_name("sub-01_ses-a", name, file) for file, name in IN_FOLDERS.items()}
    assert len(made) == len(IN_FOLDERS)
    assert all(BIDS.fullmatch(name) for name in made)
    own = {line.removeprefix("*_").removesuffix(".*") for line in ignored()}
    for name in (*IN_FOLDERS.values(), *ELSEWHERE.values()):
        assert (name.suffix in STANDARD) != (name.suffix in own)
    subject, name = named("predictions/grader-0/k1-left.json") or ("", IN_FOLDERS["grade.json"])
    assert file_name(f"sub-{subject}", name, "x.json") == "sub-k1-left_desc-grader0_grade.json"
    assert named("models/segmentation.safetensors") is None


ID = st.from_regex(r"[A-Za-z0-9-]{1,5}", fullmatch=True)


@given(rows=st.dictionaries(ID, st.tuples(ID, st.sampled_from(["", "a", "1"])), min_size=1, max_size=8))
def test_no_two_scans_have_one_name(
    rows: Mapping[str, tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = tmp_path_factory.mktemp("t") / "cohort.tsv"
    lines = [f"{subject}\t{patient}\t{session or 'n/a'}" for subject, (patient, session) in rows.items()]
    table.write_text("\n".join(["subject\tpatient\tsession", *lines, ""]))
    scans = scans_of(list(rows), table)
    entities = [scan.entities.lower() for scan in scans.values()]
    assert len(set(entities)) == len(entities)
    for subject, scan in scans.items():
        assert BIDS.fullmatch(f"{scan.entities}_desc-x_mask.nii.gz")
        for other, theirs in scans.items():
            assert (scan.participant == theirs.participant) == (rows[subject][0] == rows[other][0])
