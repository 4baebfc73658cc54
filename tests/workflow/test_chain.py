"""Chains of stages: a bad scan fails alone, growth and retry compute what is missing, and what is let go stays made."""

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runs import make_cohort, voxfield

from voxfield.artifacts import Cohort, Image, LabelMap, Table
from voxfield.batches import Batches
from voxfield.errors import CohortError, DamagedError, InputError, SettingsError
from voxfield.failure import write_notes
from voxfield.paths import RUN_MARKER
from voxfield.records import hash_file, read_record
from voxfield.removed import let_go, removed_place
from voxfield.runs.failures import failures
from voxfield.runs.keep import dropped, prune, words_of
from voxfield.settings_yaml import load_yaml
from voxfield.steps import run_steps, steps_of
from voxfield.workflow import Stages

CHAINED = Path(__file__).parent / "chained"
ANNOTATE = "segmentation.annotate --image {image} --set every=1"


def chain(threshold: float = 0.5) -> str:
    """Two steps: above a threshold, and a copy of that."""
    first = f"-- mark {ANNOTATE} --set threshold={threshold} --out-annotation sub-{{subject}}/a.nii.gz"
    return f"{first} -- copy {ANNOTATE} --dense sub-{{subject}}/a.nii.gz --out-annotation sub-{{subject}}/c.nii.gz"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with the table of two scans."""
    make_cohort(tmp_path / "scans", "xy")
    run = tmp_path / "run"
    run.mkdir()
    (run / RUN_MARKER).write_text("{}")
    rows = {"subject": ["x", "y"], "image": [f"{tmp_path}/scans/{s}.nii.gz" for s in "xy"], "lost": [None, None]}
    monkeypatch.chdir(run)
    Table(rows).save("rows.tsv")
    return run


def go(words: str, table: str = "rows.tsv", manifest: str | None = None) -> dict[str, int]:
    """Take the rows of a table through the steps."""
    return run_steps(steps_of(shlex.split(words)), Path(table), manifest and Path(manifest), seed=0)


def written(folder: Path) -> dict[str, int]:
    """When each volume was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.nii.gz")}


def test_current_steps_are_left_out_and_others_follow(folder: Path) -> None:
    assert go(chain(), manifest="done.tsv") == {"done": 4}
    lines = Table.load(folder / "done.tsv").rows()
    assert [(line["subject"], line["step"]) for line in lines] == [(s, n) for s in "xy" for n in ("mark", "copy")]
    before = written(folder)
    assert go(chain()) == {"skipped": 4}
    assert written(folder) == before
    assert go(chain(0.6)) == {"done": 4}, "what follows from a changed step is made anew"
    np.testing.assert_array_equal(LabelMap.load("sub-x/c.nii.gz").data, LabelMap.load("sub-x/a.nii.gz").data)


def test_a_failed_step_takes_what_needs_it_and_nothing_else(folder: Path) -> None:
    go(chain())
    with pytest.raises(CohortError, match="x: mark: "):
        go(chain().replace("threshold=0.5", "threshold=5"), manifest="done.tsv")
    lines = Table.load(folder / "done.tsv").rows()
    assert [line["outcome"] for line in lines] == ["failed", "left out", "failed", "left out"]
    assert not written(folder), "what was made with other settings is not taken for this"
    rows = Table.load("rows.tsv").columns
    Table({**rows, "lost": ["copy", None], "image": [rows["image"][0], None]}).save("lost.tsv")
    assert go(chain(), "lost.tsv") == {"done": 1, "lost": 1, "left out": 2}


def test_notes_of_a_chain_name_the_step(folder: Path) -> None:
    Path("done.rows").write_text(
        "row\tsubject\tstep\toutcome\tmessage\n1\tx\tmark\tfailed\tbroken\n1\tx\tcopy\tleft out\tn/a\n"
    )
    Path("log").write_text("error: a bug\n")
    job = ["--steps", "rows.tsv", "done.rows", "log", "mark=segmentation.annotate", "copy=segmentation.annotate"]
    write_notes(job, 137)
    assert {(n["subject"], n["reason"][:13]) for n in failures(folder)} == {("x", "broken"), ("y", "killed by SIG")}
    assert sorted(path.name for path in (folder / "failures").glob("*.json")) == ["x.mark.json", "y.mark.json"]


def test_steps_need_a_name_and_a_stage() -> None:
    for words in ("", "-- mark"):
        with pytest.raises(InputError, match="expected `-- NAME STAGE"):
            steps_of(shlex.split(words))


def test_what_was_let_go_counts_as_made_and_comes_back_when_it_is_needed(folder: Path) -> None:
    go(chain())
    before = hash_file(Path("sub-x/a.nii.gz"))
    size = sum(path.stat().st_size for path in folder.rglob("a.nii.gz"))
    assert prune(["x", "y"], ["keep", "c.nii.gz"]) == (2, size)
    assert not Path("sub-x/a.nii.gz").exists()
    assert go(chain()) == {"skipped": 4}
    changed = chain().replace("--set every=1 --dense", "--set every=2 --dense")
    assert go(changed) == {"done": 2, "skipped": 2}
    assert hash_file(Path("sub-x/a.nii.gz")) == before, "made anew for the step that needs it"
    assert not removed_place(Path("sub-x/a.nii.gz")).exists()


def test_what_another_batch_made_is_asked_for(folder: Path) -> None:
    go(chain())
    let_go(Path("sub-x/a.nii.gz"))
    copy = chain().partition(" -- copy")[2]
    with pytest.raises(CohortError, match=r"sub-x/a\.nii\.gz: is damaged: `keep` let it go"):
        go("-- copy" + copy.replace("--set every=1 --dense", "--set every=2 --dense"))
    assert not removed_place(Path("sub-x/a.nii.gz")).exists()
    assert DamagedError.exit_code == 2


def test_what_a_scan_that_failed_needs_stays(folder: Path) -> None:
    go(chain())
    (folder / "failures").mkdir()
    (folder / "failures" / "x.page.json").write_text("{}")
    prune(["x", "y"], ["drop", "a.nii.gz"])
    assert Path("sub-x/a.nii.gz").exists()
    assert not Path("sub-y/a.nii.gz").exists()
    assert read_record(Path("sub-y/c.nii.gz")) is not None


def test_a_kill_while_a_file_is_let_go_is_made_good(folder: Path) -> None:
    go(chain())
    Path("sub-x/a.json").rename("sub-x/a.nii.gz.removed")
    assert prune(["x"], ["drop", "a.nii.gz"])[0] == 1
    assert sorted(path.name for path in Path("sub-x").iterdir()) == ["a.nii.gz.removed", "c.json", "c.nii.gz"]


def test_names_decide_what_stays() -> None:
    assert words_of("all", ["p*"]) == []
    assert not dropped([], "p.nii.gz")
    results = words_of("results", ["p*"])
    assert [dropped(results, name) for name in ("p.nii.gz", "q.nii.gz", "p.json", "p.tsv")] == [
        True,
        False,
        False,
        False,
    ]
    listed = words_of(["q*"], ["p*"])
    assert [dropped(listed, name) for name in ("p.nii.gz", "q.nii.gz", "r.swc", "r.tsv")] == [True, False, True, False]
    with pytest.raises(SettingsError, match="expected all, results or a list"):
        words_of("nothing", [])


def test_batches_of_few_scans_are_small_and_jobs_take_them_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sizes(count: int, folder: str) -> set[int]:
        rows: dict[str, dict[str, str]] = {f"s{number}": {} for number in range(count)}
        made = Batches("r", rows, "{subject}.x", size=4, spread=3, run=tmp_path / folder)
        return {len(made.members(Path(made.manifest(s)).name.removesuffix(".done.tsv"))) for s in rows}

    assert sizes(5, "a") == {1}
    assert sizes(6, "b") == {2}
    assert sizes(24, "c") == {4}
    monkeypatch.setattr(sys, "argv", ["snakemake", "--mode", "remote"])
    rows: dict[str, dict[str, str]] = {f"s{number}": {} for number in range(9)}
    taken = Batches("r", rows, "{subject}.x", size=4, spread=3, lost={"s0"}, run=tmp_path / "b")
    assert taken.members("001") == ["s0", "s1"], "a job changes nothing about the batches of its run"


@pytest.mark.slow
def test_a_run_of_chains_fails_grows_and_lets_go(tmp_path: Path) -> None:
    run, scans = tmp_path / "run", tmp_path / "scans"
    table = make_cohort(scans, "abc")
    sound = (scans / "b.nii.gz").read_bytes()
    (scans / "b.nii.gz").write_bytes(b"broken")
    even = np.zeros((6, 6, 6), "f4")
    even[..., ::2] = 1.0  # nothing on the slices that `thin` keeps
    Image(even, np.eye(4)).save(scans / "c.nii.gz")
    more = ("--set", "keep=results", "--set", "min_success=0.1")
    ended = voxfield(CHAINED, table, run, *more)
    assert ended.returncode == 3, ended.stderr
    assert {(note["subject"], note["stage"]) for note in failures(run)} == {(s, "segmentation.annotate") for s in "bc"}
    assert Cohort.load(run / "cohort.tsv").column("subject") == ["a", "c"]
    assert (run / "sub-c" / "a.nii.gz").exists(), "a scan with a failure keeps what another try needs"
    assert not (run / "sub-a" / "a.nii.gz").exists()

    before = written(run)
    (scans / "b.nii.gz").write_bytes(sound)
    make_cohort(tmp_path / "new", "abc")
    (scans / "c.nii.gz").write_bytes((tmp_path / "new" / "c.nii.gz").read_bytes())
    ended = voxfield(CHAINED, make_cohort(scans, "abcd"), run, *more)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    after = written(run)
    assert {name: after[name] for name in before if "sub-a" in name} == {
        n: t for n, t in before.items() if "sub-a" in n
    }
    assert len(after) == 8, "b and the annotation of each of four scans"
    grown = voxfield(CHAINED, make_cohort(scans, "abcde"), run, *more, "-n")
    assert {"scans": "1", "gather": "1", "total": "3"}.items() <= counts(grown.stdout).items()
    verify = [sys.executable, "-m", "voxfield", "verify", str(run)]
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0


def counts(plan: str) -> dict[str, str]:
    """Jobs by rule, as a dry run prints them."""
    pairs = (line.split() for line in plan.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def test_settings_that_are_too_long_for_a_command_go_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stages = Stages({})
    assert stages.flags({"subjects": ["a"]}) == "--set 'subjects=[\"a\"]' --device auto"
    subjects = [f"s{number:05}" for number in range(10_000)]
    flag, place, *rest = shlex.split(stages.flags({"subjects": subjects, "annotation": "sparse"}))
    assert (flag, rest) == ("--settings", ["--device", "auto"])
    assert load_yaml(Path(place)) == {"subjects": subjects, "annotation": "sparse"}
    assert stages.flags({"subjects": subjects[1:]}).split()[1] != place, "a change is seen in the command"
