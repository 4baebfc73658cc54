"""What an export holds, and that a run can be repeated from it."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from runs import make_cohort, voxfield
from written import write_metrics, write_run

from voxfield.cli import main
from voxfield.removed import let_go
from voxfield.runs.contents import contents_of_run
from voxfield.runs.differences import differences
from voxfield.runs.exported import contents_of_export
from voxfield.runs.pseudonyms import pseudonymised

MINI = Path(__file__).parent / "mini"
SCANS = {str(n): f"{n:064x}" for n in range(1, 7)}
VALUES = {subject: {"dice": int(subject) / 10} for subject in SCANS}
PATIENTS = {subject: f"mueller-{subject}" for subject in SCANS}


def unpacked(run: Path, *words: str) -> Path:
    """The folder of an export."""
    out = run.parent / f"export-of-{run.name}{''.join(words)}.tar.gz"
    assert main(["export", str(run), "--out", str(out), *words]) == 0
    with tarfile.open(out) as archive:
        archive.extractall(run.parent, filter="data")
    return run.parent / out.name.removesuffix(".tar.gz")


def people(folder: Path, name: str = "run", **more: Any) -> Path:
    """A run of six scans from outside."""
    given = {"scans": SCANS, "patients": PATIENTS, **more}
    return write_run(folder / name, given.pop("metrics", VALUES), **given)


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    outs = []
    for name in ("one", "two"):
        run = people(tmp_path / name)
        os.utime(run / "config.yaml", (0, 0))
        outs.append(tmp_path / f"{name}.tar.gz")
        assert main(["export", str(run), "--out", str(tmp_path / name / "same.tar.gz")]) == 0
        (tmp_path / name / "same.tar.gz").rename(outs[-1])
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_the_manifest_is_checked_by_common_tools_and_by_us(tmp_path: Path) -> None:
    folder = unpacked(people(tmp_path))
    checked = subprocess.run(
        ["sha256sum", "-c", "manifest-sha256.txt"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    listed = {line.split("  ")[1] for line in (folder / "manifest-sha256.txt").read_text().splitlines()}
    assert listed == {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {
        "manifest-sha256.txt"
    }
    (folder / "summary.jsonl").write_text("")
    assert main(["diff", str(folder), str(people(tmp_path, "other"))]) == 2


def test_by_default_there_is_no_number_of_a_patient_and_no_name(tmp_path: Path) -> None:
    folder = unpacked(people(tmp_path, model={"steps": 3}))
    numbers = [json.loads(line) for line in (folder / "numbers.jsonl").read_text().splitlines()]
    assert [entry["path"] for entry in numbers] == ["models/training.json"]
    (summary,) = [json.loads(line) for line in (folder / "summary.jsonl").read_text().splitlines()]
    assert (summary["mean"], summary["patients"]) == (pytest.approx(0.35), 6)
    assert not any(b"mueller" in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert "/" not in json.dumps((folder / "config.yaml").read_text())


def test_of_few_patients_no_mean_is_told(tmp_path: Path) -> None:
    few = {subject: VALUES[subject] for subject in list(VALUES)[:4]}
    assert (unpacked(people(tmp_path, metrics=few)) / "summary.jsonl").read_text() == ""


def test_an_export_compares_with_its_own_run_and_finds_the_scans_under_other_ids(tmp_path: Path) -> None:
    first = people(tmp_path)
    names = {subject: f"new{subject}" for subject in SCANS}
    again = people(
        tmp_path, "again", metrics={names[s]: v for s, v in VALUES.items()},
        scans={names[s]: sha for s, sha in SCANS.items()}, patients={names[s]: p for s, p in PATIENTS.items()},
    )  # fmt: skip
    for amount in ("records", "results"):
        export = contents_of_export(unpacked(first, "--with", amount))
        for run in (first, again):
            found = differences(export, contents_of_run(run))
            assert (found.both, found.only_a, found.only_b) == (6, (), ())
            assert all(outputs.differ == 0 for outputs in found.outputs)
            assert [number.difference for number in found.numbers] == [0.0]
            assert found.paired == (amount == "results")
            assert found.settings == ()


def test_pseudonyms_keep_the_scans_of_a_patient_together(tmp_path: Path) -> None:
    found = pseudonymised(contents_of_run(people(tmp_path, patients={**PATIENTS, "2": PATIENTS["1"]})))
    assert len(found.subjects) == 6
    assert len(set(found.patients.values())) == 5
    assert not {*found.subjects} & {*SCANS}


def test_subjects_that_the_run_made_itself_keep_their_names(tmp_path: Path) -> None:
    folder = unpacked(write_run(tmp_path / "run", VALUES))
    about = json.loads((folder / "export.json").read_text())
    assert not about["pseudonyms"]
    found = contents_of_export(folder)
    assert found.subjects == sorted(VALUES)
    assert all(record.more["seed"] == 7 for record in found.records.values())


def test_settings_that_name_subjects_or_files_are_withheld(tmp_path: Path) -> None:
    config = {
        "seed": 0, "title": "Our 3 scans", "scans": {"1": {"image": "mueller/a.nii.gz"}}, "case": {"file": "m/x.vtk"},
        "stages": {"io.cohort": {"subjects": ["1", "2"]}},
    }  # fmt: skip
    found = pseudonymised(contents_of_run(people(tmp_path, config=config)))
    assert found.config["title"] == "Our 3 scans"
    assert found.withheld == ("scans", "case.file")
    assert set(found.config["stages"]["io.cohort"]["subjects"]) <= set(found.subjects)


def test_files_go_along_only_under_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = people(tmp_path)
    assert main(["export", str(run), "--out", str(tmp_path / "x.tar.gz"), "--with", "all"]) == 2
    assert "--keep-ids" in capsys.readouterr().err
    folder = unpacked(run, "--with", "all", "--keep-ids")
    assert (folder / "artifacts/sub-1/metrics.json").read_bytes() == (run / "sub-1/metrics.json").read_bytes()
    (run / "sub-1" / "metrics.json").write_text('{"dice": 1.0}')
    assert main(["export", str(run), "--out", str(tmp_path / "x.tar.gz"), "--with", "all", "--keep-ids"]) == 2
    assert not (tmp_path / "x.tar.gz").exists()


def test_files_that_were_let_go_have_their_hashes_alone(tmp_path: Path) -> None:
    run = people(tmp_path)
    write_metrics(run, "sub-1/samples.json", {"x": 1}, {}, stage="fields.reconstruct")
    let_go(run / "sub-1" / "samples.json")
    found = differences(contents_of_run(run), contents_of_run(people(tmp_path, "other")))
    assert found.both == 6
    assert "sub-1/samples.json" in contents_of_run(run).records
    folder = unpacked(run, "--with", "all", "--keep-ids")
    assert (folder / "artifacts" / "sub-1" / "metrics.json").is_file()
    assert not (folder / "artifacts" / "sub-1" / "samples.json").exists()


def test_an_export_that_lacks_its_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "export.json").write_text('{"schema": 1}')
    (tmp_path / "bad" / "manifest-sha256.txt").write_text("")
    assert main(["diff", str(tmp_path / "bad"), str(people(tmp_path))]) == 2


def test_another_site_repeats_a_run_and_finds_no_difference(tmp_path: Path) -> None:
    table = make_cohort(tmp_path / "scans", ["anna", "bert"])
    run = tmp_path / "run"
    assert voxfield(MINI, table, run).returncode == 0
    folder = unpacked(run)
    command = next(
        line.split() for line in (folder / "README.md").read_text().splitlines() if line.startswith("    voxfield run")
    )
    site = tmp_path / "site"
    shutil.move(folder, site)
    words = [*command[1:], "--set", f"cohort={table}", "--cores", "2"]
    repeated = subprocess.run(
        [sys.executable, "-m", "voxfield", *words], cwd=site, capture_output=True, text=True, check=False
    )
    assert repeated.returncode == 0, repeated.stderr
    found = differences(contents_of_export(site), contents_of_run(site / "repeat"))
    assert (found.both, found.only_a, found.only_b, found.settings, found.versions) == (2, (), (), (), ())
    assert {outputs.stage: outputs.differ for outputs in found.outputs} == {"segmentation.annotate": 0, "io.cohort": 0}
