"""What a plan says of costs: worked by hand from invented records, and from a run of one scan."""

import json
from pathlib import Path

import pytest
from runs import make_cohort

from voxfield.errors import InputError
from voxfield.runs.costs import Costs, Job, costs_of
from voxfield.runs.measure import plan_run
from voxfield.runs.plan import Range, Sizes, frame, planned, suggestions
from voxfield.runs.plan_text import plan_text

CHAINED = Path(__file__).parent / "chained"


def job(stage: str, subject: str, cpu_s: float, names: str = "a.nii.gz", size: int = 100) -> Job:
    """A call that took twice its CPU seconds and 1000 MB, and made files of one size."""
    files = names.split()
    return Job(stage, subject, cpu_s, 2 * cpu_s, 1000.0, files, [size] * len(files), 2 * len(files))


def costs(*jobs: Job, frame_cpu_s: float | None = None) -> Costs:
    return Costs(list(jobs), sorted({j.subject for j in jobs if j.subject}), frame_cpu_s, 0, 0)


def kept(name: str) -> bool:
    return name.startswith("a")


def test_one_scan_is_scaled_by_voxels_and_trainings_are_paid_once() -> None:
    measured = costs(job("f.solve", "x", 10.0, "a.nii.gz b.nii.gz"), job("f.train", "", 50.0))
    solve, train = planned(measured, Sizes([1.0, 4.0]), kept)
    # In proportion 1 + 4 scans; not at all 2; by the power 1.5 1 + 8. One scan alone: half to double.
    assert solve.cpu_s == Range(10.0 / 2 * 2, 10.0 * 5, 10.0 * 2 * 9)
    assert solve.wall_s.middle == 100.0
    assert solve.memory_mb == 4000.0
    assert solve.largest_s == 20.0 * 8
    assert (solve.bytes.middle, solve.kept.middle) == (1000.0, 500.0)
    assert solve.files == 8
    assert train.once
    assert train.cpu_s == Range(50.0, 50.0, 50.0)
    assert train.kept == train.bytes, "what is not about a scan is never let go"


def test_several_scans_give_the_cheapest_and_the_dearest() -> None:
    measured = costs(job("f.solve", "x", 10.0), job("f.solve", "y", 30.0), job("f.judge", "y", 1.0))
    solve, judge = planned(measured, Sizes([1.0] * 100), kept)
    assert solve.cpu_s == Range(1000.0, 2000.0, 3000.0)
    assert judge.cpu_s.middle == 50.0, "one of two scans had it"
    assert judge.files == 100


def test_frame_is_shared_by_a_batch() -> None:
    measured = costs(job("f.solve", "x", 1.0), frame_cpu_s=4.0)
    assert frame(measured, 100, batch=8) == Range(50.0, 200.0, 400.0)
    assert frame(costs(job("f.solve", "x", 1.0)), 100) == Range(0.0, 0.0, 0.0)


def test_resources_are_suggested_where_they_are_too_small() -> None:
    plans = planned(costs(job("f.solve", "x", 600.0)), Sizes([1.0, 2.0]), kept)
    needs = {"f.solve": {"mem_mb": 2000, "runtime": 30}}
    # 2 x 1000 MB x 1.25 is 2500; 1200 s x 2^1.5 x 1.25 is 70.7 minutes.
    assert suggestions(plans, needs) == {"f.solve": {"mem_mb": 2500, "runtime": 71}}
    assert suggestions(plans, {"f.solve": {"mem_mb": 2500, "runtime": 71}}) == {}


def test_text_tells_the_range_and_what_it_is_worth() -> None:
    measured = costs(job("f.solve", "x", 3600.0), job("f.train", "", 7200.0))
    plans = planned(measured, Sizes([1.0] * 10), kept)
    given = {"f.solve": {"mem_mb": 9000}}
    told = plan_text(plans, Range(0, 0, 0), given, costs=measured, count=10, sized=False, cores=4, run=Path("r"))
    assert "10 scans, from the records of 1 scan in r" in told
    assert "f.solve     10 (5-20)" in told
    assert "CPU            12 (7-22) h" in told
    assert "time           9 (6.5-14) h with 4 jobs at a time" in told  # 20 h / 4, and 4 h of the training
    assert "one scan was measured: the range is half of it to its double" in told
    assert "  f.solve: {mem_mb: 9000}" in told


def test_records_of_a_run_are_read_with_those_of_files_that_were_let_go(tmp_path: Path) -> None:
    (tmp_path / "voxfield-run.json").write_text(json.dumps({"seconds": {"wall": 9.0, "cpu": 7.0}}))
    (tmp_path / "batches").mkdir()
    (tmp_path / "batches" / "cohort.json").write_text(json.dumps({"subjects": ["x"]}))
    for place, name in (("sub-x/a.json", "sub-x/a.nii.gz"), ("sub-x/b.nii.gz.removed", "sub-x/b.nii.gz")):
        record = {
            "stage": "f.solve", "key": "1", "seconds": {"cpu": 2.0, "wall": 3.0}, "peak_memory_mb": {"host": 50.0},
            "output": {"path": name, "bytes": 10},
        }  # fmt: skip
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(json.dumps({"voxfield": record}))
    found = costs_of(tmp_path)
    assert found.scans == ["x"]
    (solve,) = found.jobs
    assert (solve.cpu_s, sorted(solve.names), sum(solve.sizes)) == (2.0, ["a.nii.gz", "b.nii.gz"], 20)
    assert found.frame_cpu_s == 5.0


@pytest.mark.slow
def test_one_scan_is_run_and_then_its_records_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table = make_cohort(tmp_path / "scans", [f"s{number}" for number in range(5)])
    assert plan_run(str(CHAINED), assignments=[f"cohort={table}"], cores=2) == 0
    first = capfd.readouterr().out
    assert "5 scans, from the records of 1 scan in chained-plan" in first
    assert "segmentation.annotate" in first
    run = Path("runs/chained-plan")
    assert len(list(run.glob("sub-*"))) == 1
    made = {path: path.stat().st_mtime_ns for path in run.rglob("*.nii.gz")}
    assert plan_run(str(CHAINED), assignments=[f"cohort={table}"], directory=run, subjects=20) == 0
    assert "20 scans, from the records of 1 scan" in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in made} == made
    empty = tmp_path / "empty"
    with pytest.raises(InputError, match="cohort table not found"):
        plan_run(str(CHAINED), assignments=["cohort=nowhere.tsv"], directory=empty)
