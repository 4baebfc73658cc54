"""Other settings are another run: it begins with what the old one has, and never changes that."""

import json
import re
from pathlib import Path

import pytest
from runs import make_cohort, voxfield

from voxfield.artifacts import Cohort
from voxfield.records import hash_file

MINI = Path(__file__).parent / "mini"
BATCHED = Path(__file__).parent / "batched"


def contents(run: Path) -> dict[str, tuple[str, int]]:
    """Hash and time of everything in a folder."""
    found = sorted(path for path in run.rglob("*") if path.is_file())
    return {path.relative_to(run).as_posix(): (hash_file(path)[0], path.stat().st_mtime_ns) for path in found}


def without_lock(found: dict[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    """Whoever links from a run holds it for that time."""
    return {name: told for name, told in found.items() if name != "voxfield-run.lock"}


@pytest.mark.slow
def test_a_new_run_computes_what_follows_from_the_change_alone(tmp_path: Path) -> None:
    run, new = tmp_path / "run", tmp_path / "run-2"
    table = make_cohort(tmp_path / "scans", "abc")
    assert voxfield(BATCHED, table, run).returncode == 0
    before = contents(run)

    change = ("--set", "stages.io.cohort.annotation=sparse")
    dry = voxfield(BATCHED, table, run, "-n", *change)
    assert dry.returncode == 0, dry.stderr
    assert re.search(r"gather\s+1\n", dry.stdout)
    assert "annotate" not in dry.stdout.partition("Reasons")[0]
    assert contents(run) == before
    assert not new.exists(), "a dry run changes nothing on disk"

    ended = voxfield(BATCHED, table, run, *change)
    assert ended.returncode == 0, ended.stderr
    assert 'stages.io.cohort.annotation: unset -> "sparse"' in ended.stderr
    assert without_lock(contents(run)) == without_lock(before)
    for name in ("sub-a/annotation.nii.gz", "sub-b/again.nii.gz", "sub-c/again.json"):
        assert (new / name).samefile(run / name)
    assert Cohort.load(new / "cohort.tsv").column("annotation") == ["sparse"] * 3
    assert Cohort.load(run / "cohort.tsv").column("annotation") == ["dense"] * 3

    for settings in ((), change):  # each finds its own run again, and nothing to do there
        again = voxfield(BATCHED, table, run, *settings)
        assert "Nothing to be done" in again.stdout + again.stderr
    assert not (tmp_path / "run-3").exists()


@pytest.mark.slow
def test_everything_may_follow_from_a_change_and_the_old_run_stays(tmp_path: Path) -> None:
    run, new = tmp_path / "run", tmp_path / "run-2"
    table = make_cohort(tmp_path / "scans", "ab")
    assert voxfield(BATCHED, table, run).returncode == 0
    before = contents(run)
    ended = voxfield(BATCHED, table, run, "--set", "stages.segmentation.annotate.every=3")
    assert ended.returncode == 0, ended.stderr
    assert without_lock(contents(run)) == without_lock(before)
    for name in ("sub-a/annotation.nii.gz", "sub-b/again.nii.gz"):
        assert hash_file(new / name) != hash_file(run / name)
        record = json.loads((new / name.replace(".nii.gz", ".json")).read_text())["voxfield"]
        assert record["settings"]["every"] == 3


@pytest.mark.slow
def test_a_job_with_the_same_inputs_takes_the_result_of_the_old_run(tmp_path: Path) -> None:
    run, new = tmp_path / "run", tmp_path / "run-2"
    table = make_cohort(tmp_path / "scans", "ab")
    assert voxfield(MINI, table, run).returncode == 0
    moved = make_cohort(tmp_path / "moved", "abc")  # the same scans in another place, and one more
    ended = voxfield(MINI, moved, run)
    assert ended.returncode == 0, ended.stderr
    for subject in "ab":
        old, made = (
            json.loads((folder / f"sub-{subject}" / "annotation.json").read_text())["voxfield"] for folder in (run, new)
        )
        assert made == old, "the record of the computation that made it, its time included"
        volumes = [folder / f"sub-{subject}" / "annotation.nii.gz" for folder in (run, new)]
        assert hash_file(volumes[0]) == hash_file(volumes[1])
        assert not volumes[0].samefile(volumes[1]), "Snakemake sets the time of what a job made"
    assert Cohort.load(new / "cohort.tsv").column("subject") == ["a", "b", "c"]


@pytest.mark.slow
def test_another_table_with_one_more_scan_computes_one_scan(tmp_path: Path) -> None:
    run = tmp_path / "run"
    table = make_cohort(tmp_path / "scans", "ab")
    assert voxfield(BATCHED, table, run).returncode == 0
    grown = make_cohort(tmp_path / "scans", "abc").rename(tmp_path / "scans" / "grown.tsv")
    dry = voxfield(BATCHED, grown, run, "-n")
    for rule, count in (("annotate", 1), ("again", 1), ("gather", 1), ("total", 4)):
        assert re.search(rf"{rule}\s+{count}\n", dry.stdout), dry.stdout
