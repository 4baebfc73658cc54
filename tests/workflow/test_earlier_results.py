"""A result of the run before is taken by its key and its hash, or not at all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import Image, Report
from voxfield.records import hash_file, record_path
from voxfield.runner import Call, run
from voxfield.runs.earlier import made_earlier
from voxfield.runs.folder import write_marker
from voxfield.segmentation import annotate

SETTINGS = {"threshold": 0.5, "every": 2}


def edit(path: Path, **entries: Any) -> None:
    """Change entries of a record."""
    place = record_path(path)
    record = json.loads(place.read_text())["voxfield"]
    place.write_text(json.dumps({"voxfield": {**record, **entries}}))


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path, Call]:
    """A volume in a run, an empty run that began with it, and the call that would make it there."""
    old, new = tmp_path / "run", tmp_path / "run-2"
    for folder, origin in ((old, None), (new, "run")):
        folder.mkdir()
        write_marker(folder, pipeline="mini", origin=origin)
    Image(np.random.default_rng(0).random((6, 6, 6)).astype("f4"), np.eye(4)).save(tmp_path / "scan.nii.gz")
    calls = [
        Call(
            annotate,
            {"image": tmp_path / "scan.nii.gz"},
            {"annotation": folder / "sub-a" / "annotation.nii.gz"},
            SETTINGS,
        )
        for folder in (old, new)
    ]
    run(calls[0])
    return calls[0].outputs["annotation"], calls[1].outputs["annotation"], calls[1]


def test_the_same_call_takes_the_result_and_its_record(runs: tuple[Path, Path, Call]) -> None:
    old, new, call = runs
    edit(old, seconds={"wall": 1234.5})
    findings = run(call)
    assert json.loads(record_path(new).read_text()) == json.loads(record_path(old).read_text())
    assert hash_file(new) == hash_file(old)
    assert not new.samefile(old)
    assert len(findings) == len(json.loads(record_path(old).read_text())["voxfield"]["findings"])


def test_another_setting_computes(runs: tuple[Path, Path, Call]) -> None:
    old, new, call = runs
    edit(old, seconds={"wall": 1234.5})
    run(Call(call.stage, call.inputs, call.outputs, {**SETTINGS, "every": 3}))
    assert json.loads(record_path(new).read_text())["voxfield"]["seconds"]["wall"] != 1234.5


@pytest.mark.parametrize("harm", ["changed", "gone", "unrecorded"])
def test_a_harmed_result_is_not_taken(harm: str, runs: tuple[Path, Path, Call]) -> None:
    old, new, _ = runs
    key = json.loads(record_path(old).read_text())["voxfield"]["key"]
    assert made_earlier({"annotation": new}, key, "auto")
    if harm == "changed":
        old.write_bytes(old.read_bytes()[:-1] + b"x")
    elif harm == "gone":
        old.unlink()
    else:
        record_path(old).write_text("{")
    assert made_earlier({"annotation": new}, key, "auto") is None


def test_what_a_key_does_not_say_decides_too(runs: tuple[Path, Path, Call]) -> None:
    old, new, _ = runs
    record = json.loads(record_path(old).read_text())["voxfield"]
    outputs = {"annotation": new}
    assert made_earlier(outputs, record["key"], "cpu")
    assert made_earlier(outputs, record["key"], "cuda:1") is None, "a device that is named has to compute"
    edit(old, output={**record["output"], "kind": Report.kind})
    assert made_earlier(outputs, record["key"], "auto") is None, "pages follow from templates as well"


def test_all_outputs_of_a_call_or_none(runs: tuple[Path, Path, Call]) -> None:
    old, new, _ = runs
    key = json.loads(record_path(old).read_text())["voxfield"]["key"]
    assert made_earlier({"annotation": new, "other": new.with_name("other.nii.gz")}, key, "auto") is None
    assert made_earlier({"annotation": old}, key, "auto") is None, "a run that began with no other"
