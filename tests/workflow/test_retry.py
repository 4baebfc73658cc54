"""Runs of which a part fails: how much that is, what is tried again, and what is left alone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runs import make_cohort, voxfield

from voxfield.artifacts import Cohort
from voxfield.errors import CohortError, FewFinishedError
from voxfield.runs.share import Share, judge, note_cohort, share_of

GATHERED = Path(__file__).parent / "gathered"


def about(command: str, run: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """A command about a run."""
    words = [sys.executable, "-m", "voxfield", command, str(run), *more]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def results(run: Path) -> dict[str, int]:
    """When each result of a run was written."""
    found = [*run.rglob("*.nii.gz"), *run.glob("*.tsv")]
    return {path.relative_to(run).as_posix(): path.stat().st_mtime_ns for path in found}


def test_a_scan_has_finished_when_all_that_it_needs_is_there(tmp_path: Path) -> None:
    assert share_of(tmp_path) is None, "not every pipeline speaks of scans"
    note_cohort("abcd", "{subject}.page", optional=["pressure"], run=tmp_path)
    for subject in "abc":
        (tmp_path / f"{subject}.page").touch()
    (tmp_path / "failures").mkdir()
    for name in ("a.pressure", "b.segment"):  # a can do without; b's page is of an earlier run
        note = {"subject": name[0], "stage": "s.s", "reason": "bad", "log": "logs/s.log"}
        (tmp_path / "failures" / f"{name}.json").write_text(json.dumps(note))
    assert share_of(tmp_path) == Share(2, 4, "scans", 0.9)
    with pytest.raises(FewFinishedError) as few:
        judge(tmp_path)
    assert str(few.value).startswith(
        "the run failed: 2 of 4 scans finished, at least 90% are needed (min_success); 2 jobs failed"
    )
    assert "b: s.s: bad (log: logs/s.log)" in str(few.value)
    (tmp_path / "config.yaml").write_text("min_success: 0.5\n")
    with pytest.raises(CohortError, match=r"^2 of 4 scans finished; 2 jobs failed") as some:
        judge(tmp_path)
    assert (few.value.exit_code, some.value.exit_code) == (4, 3)


@pytest.mark.parametrize(("finished", "enough"), [(9, True), (8, False), (10, True)])
def test_the_share_itself_is_enough(finished: int, enough: bool) -> None:
    assert Share(finished, 10, "scans", 0.9).enough is enough


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of four scans of which one is broken, with a cohort's file that is broken too; what the run said."""
    home = tmp_path_factory.mktemp("failed")
    pipeline = shutil.copytree(GATHERED, home / "gathered")
    table = make_cohort(home / "scans", "abcd")
    sound = (home / "scans" / "b.nii.gz").read_bytes()
    (home / "sound").write_bytes(sound)
    (home / "scans" / "b.nii.gz").write_bytes(b"broken")
    (home / "shared.nii.gz").write_bytes(b"broken")
    ended = voxfield(pipeline, table, home / "run", "--set", f"shared={home / 'shared.nii.gz'}")
    assert ended.returncode == 4, ended.stderr
    return home, ended.stderr


@pytest.mark.slow
def test_below_the_share_the_run_fails_and_all_that_can_is_finished(failed: tuple[Path, str]) -> None:
    home, told = failed
    words = "the run failed: 3 of 4 scans finished, at least 90% are needed (min_success); 2 jobs failed"
    assert words in told
    assert "b: segmentation.annotate: " in told
    assert "cohort: segmentation.annotate: " in told
    assert Cohort.load(home / "run" / "cohort.tsv").column("subject") == ["a", "c", "d"]
    report = about("report", home / "run")
    assert (report.returncode, words in report.stderr) == (4, True)


@pytest.mark.slow
def test_a_retry_repeats_what_failed_and_what_did_without_it(failed: tuple[Path, str]) -> None:
    home, _ = failed
    run, pipeline = home / "run", home / "gathered"
    before = results(run)

    # The package changes meanwhile, its settings too: neither is a reason to touch what is finished.
    rules = (pipeline / "Snakefile").read_text()
    (pipeline / "Snakefile").write_text(rules.replace('release="1"', 'release="2"'))
    (pipeline / "config.yaml").write_text((pipeline / "config.yaml").read_text().replace("every: 2", "every: 3"))
    (home / "shared.nii.gz").write_bytes((home / "sound").read_bytes())
    dry = about("retry", run, "-n")
    assert dry.returncode == 0, dry.stderr
    assert results(run) == before
    ended = about("retry", run, "--cores", "2")
    assert ended.returncode == 4, "the scan is still broken"
    after = results(run)
    assert {name for name in after if after[name] != before.get(name)} == {"shared.nii.gz", "cohort.tsv"}

    (home / "scans" / "b.nii.gz").write_bytes((home / "sound").read_bytes())
    ended = about("retry", run, "--cores", "2")
    assert ended.returncode == 0, ended.stderr
    last = results(run)
    made = {name for name in last if last[name] != after.get(name)}
    assert made == {"sub-b/annotation.nii.gz", "listed.tsv", "cohort.tsv"}
    for table in ("listed.tsv", "cohort.tsv"):
        assert Cohort.load(run / table).column("subject") == ["a", "b", "c", "d"]
    record = json.loads((run / "sub-b" / "annotation.json").read_text())["voxfield"]
    assert record["settings"]["every"] == 2, "with the settings that were saved with the run"
    assert not list((run / "failures").rglob("*.json"))
    assert about("verify", run).returncode == 0
