"""`voxfield verify --rerun`: what is made again, by which rule it is judged, and what can not be judged."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from runs import make_cohort, voxfield

from voxfield.artifacts import Image, LabelMap, Metrics, Table
from voxfield.cpu import instruction_set, name_of
from voxfield.errors import InputError
from voxfield.records import hash_file, record_path
from voxfield.registry import names
from voxfield.runs.originals import Originals
from voxfield.runs.rerun import drawn, rerun_subjects
from voxfield.runs.tolerance import Tolerance, tolerance_for
from voxfield.settings_yaml import load_yaml

INTACT = Path(__file__).parent / "intact"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rerun")
    ended = voxfield(INTACT, make_cohort(folder / "scans", "abc"), folder / "run")
    assert ended.returncode == 0, ended.stderr
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run", copy_function=shutil.copy2))


def edit(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change a record."""
    place = record_path(path)
    content = json.loads(place.read_text())
    change(content["voxfield"])
    place.write_text(json.dumps(content))


@pytest.mark.slow
def test_the_same_surroundings_give_the_same_bytes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert rerun_subjects(run, ["2"]) == 0
    told = capsys.readouterr().out
    assert told.count(": same (equal bytes)") == 6
    assert "6 files of " in told
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before, "nothing of the run is touched"


@pytest.mark.slow
def test_other_surroundings_are_judged_by_a_rule_and_other_results_by_none(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mask that the record calls its own, one voxel off: a difference here, and within no rule elsewhere."""
    path = run / "sub-a/third.nii.gz"
    old = LabelMap.load(path)
    data = np.asarray(old.data).copy()
    data[tuple(np.argwhere(data != 0)[0])] = 0
    LabelMap(data, old.affine, labels=old.labels, unannotated=old.unannotated).save(path)
    edit(path, lambda record: record["output"].update(sha256=hash_file(path)[0]))  # type: ignore[attr-defined]
    with pytest.raises(InputError):
        rerun_subjects(run, ["a"])
    assert "sub-a/third.nii.gz: differs (other bytes, with packages, cpu" in capsys.readouterr().out
    edit(path, lambda record: record.update(cpu="x86-64-v1 Another"))
    with pytest.raises(InputError):
        rerun_subjects(run, ["a"])
    told = capsys.readouterr().out
    assert "sub-a/third.nii.gz: differs (voxels differs by up to" in told
    assert "other cpu" in told


@pytest.mark.slow
def test_what_can_not_be_repeated_is_left_out(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(run / "sub-b/first.nii.gz", lambda record: record.update(code="0" * 16))
    edit(
        run / "sub-b/second.nii.gz",
        lambda record: record["inputs"]["image"].update(sha256="0" * 64),  # type: ignore[index]
    )
    assert rerun_subjects(run, ["b"]) == 0
    told = capsys.readouterr().out
    assert "sub-b/first.nii.gz: left out (the code of segmentation.annotate is not that of the record" in told
    assert "sub-b/second.nii.gz: left out (input b.nii.gz with sha256 000000000000 was not found)" in told
    assert "2 left out, 1 same" in told


def test_subjects_are_drawn_by_seed_or_named() -> None:
    subjects = [f"s{n}" for n in range(20)]
    assert drawn(subjects, ["3"], 1) == drawn(subjects, ["3"], 1)
    assert drawn(subjects, ["3"], 1) != drawn(subjects, ["3"], 2)
    assert len(drawn(subjects, ["50"], 0)) == 20
    assert drawn(subjects, ["s3", "sub-s4"], 0) == ["s3", "s4"]
    assert drawn(["01", "02"], ["01"], 0) == ["01"], "a name comes before a number"
    with pytest.raises(InputError, match="subject 's99' is unknown"):
        drawn(subjects, ["s99"], 0)


def test_inputs_from_outside_are_found_by_name_and_hash(tmp_path: Path) -> None:
    table = make_cohort(tmp_path / "scans", "a")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(f"cohort: {table}\n")
    sha256 = hash_file(tmp_path / "scans" / "a.nii.gz")[0]
    found = Originals(tmp_path / "run").find({"path": "a.nii.gz", "sha256": sha256})
    assert found.samefile(tmp_path / "scans" / "a.nii.gz")
    with pytest.raises(InputError, match=r"input a\.nii\.gz with sha256 000000000000 was not found"):
        Originals(tmp_path / "run").find({"path": "a.nii.gz", "sha256": "0" * 64})


def test_bounds_are_relative_to_the_largest_value(tmp_path: Path) -> None:
    data = np.linspace(-1, 1, 1000, dtype="f4").reshape(10, 10, 10)
    one, other = tmp_path / "one.nii.gz", tmp_path / "other.nii.gz"
    Image(data, np.eye(4)).save(one)
    near = data.copy()
    near[0, 0, 0] += 1e-3
    Image(near, np.eye(4)).save(other)
    assert Tolerance("t", relative=2e-3).fault(one, other) is None
    assert Tolerance("t", absolute=2e-3).fault(one, other) is None
    assert Tolerance("t", share=0.001).fault(one, other) is None
    fault = Tolerance("t", relative=5e-4).fault(one, other)
    assert fault is not None
    assert fault.startswith("voxels differs by up to 0.001, 0.100% of the values")
    Image(data[:9], np.eye(4)).save(other)
    assert "has shape (10, 10, 10), recorded is (9, 10, 10)" in str(Tolerance("t", share=1).fault(one, other))


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ({"a": 1.0, "n": [1.0, 2.0]}, {"a": 1.0 + 1e-9, "n": [1.0, 2.0]}, None),
        ({"a": 1.0}, {"a": 1.1}, "a differs by up to 0.1"),
        ({"a": "x"}, {"a": "y"}, "a has other texts"),
        ({"a": 1.0}, {"b": 1.0}, "holds a in one of the two only"),
        ({"a": None}, {"a": 1.0}, "a has other texts"),
    ],
)
def test_metrics_are_compared_entry_by_entry(
    tmp_path: Path, ours: dict[str, object], theirs: dict[str, object], words: str | None
) -> None:
    Metrics(ours).save(tmp_path / "one.json")
    Metrics(theirs).save(tmp_path / "other.json")
    fault = Tolerance("t", relative=1e-6).fault(tmp_path / "one.json", tmp_path / "other.json")
    assert fault is None if words is None else words in str(fault)


def test_columns_are_compared_one_by_one(tmp_path: Path) -> None:
    Table({"name": ["a", "b"], "large": [1e6, 2e6], "small": [1.0, None]}).save(tmp_path / "one.tsv")
    Table({"name": ["a", "b"], "large": [1e6, 2e6], "small": [1.1, None]}).save(tmp_path / "other.tsv")
    fault = Tolerance("t", relative=1e-3).fault(tmp_path / "one.tsv", tmp_path / "other.tsv")
    assert fault is not None
    assert fault.startswith("small differs by up to 0.1")


def test_a_picture_is_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    assert "no numbers" in str(Tolerance("t", relative=1).fault(tmp_path / "a.png", tmp_path / "a.png"))


def test_the_table_of_tolerances_speaks_of_stages_that_are_there() -> None:
    table = load_yaml(ROOT / "configs" / "tolerances.yaml")
    for stage, kinds in table.items():
        assert stage == "default" or stage in names() or stage.removesuffix(".*") in {n.split(".")[0] for n in names()}
        for kind in kinds:
            rule = tolerance_for(stage.replace(".*", ".any"), kind)
            assert rule.reason
            assert rule.none or rule.relative or rule.absolute or rule.share


def test_instruction_sets_are_named_without_the_machine() -> None:
    v2 = "cx16 popcnt sse4_1 sse4_2 ssse3"
    v3 = f"{v2} avx2 bmi1 bmi2 f16c fma movbe"
    v4 = f"{v3} avx512f avx512bw avx512cd avx512dq avx512vl"
    for flags, level in (("sse2", "x86-64"), (v2, "x86-64-v2"), (v3, "x86-64-v3"), (v4, "x86-64-v4")):
        assert name_of("x86_64", {"flags": flags, "vendor_id": "GenuineIntel"}) == f"{level} GenuineIntel"
    assert name_of("aarch64", {"Features": "fp asimd sve"}) == "aarch64 sve"
    assert name_of("arm64", {}) == "arm64"
    assert os.uname().nodename not in instruction_set()
