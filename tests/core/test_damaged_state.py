"""What a run writes beside its results, damaged: records, markers, notes of failures and tables of cohorts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxfield.errors import InputError, VoxfieldError
from voxfield.paths import RUN_MARKER
from voxfield.records import read_record, sidecar_sha256
from voxfield.runs.failures import failures
from voxfield.runs.folder import read_marker
from voxfield.runs.share import share_of
from voxfield.workflow import cohort_rows

RECORD = {
    "schema": 1, "stage": "a.b", "settings": {"x": [1, 2.5, None]}, "output": {"path": "a.tsv", "sha256": "0" * 64},
}  # fmt: skip
NOTE = {"subject": "01", "stage": "a.b", "reason": "no file", "log": "logs/a.log"}
COHORT = {"subjects": ["01", "02"], "product": "sub-{subject}/a.tsv", "optional": [], "called": "scans"}
TABLE = "subject\timage\tpatient\n01\ta.nii.gz\tp1\nsub-02\tb é.nii.gz\tn/a\n"
# file -> what it holds, and who reads it
STATE: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a.tsv.json": (json.dumps({"voxfield": RECORD}), lambda run: read_record(run / "a.tsv")),
    RUN_MARKER: (json.dumps({"pipeline": "airway", "schema": 1, "seconds": {"wall": 1.5}}), read_marker),
    "failures/01.segment.json": (json.dumps(NOTE), failures),
    "batches/cohort.json": (json.dumps(COHORT), share_of),
    "cohort.tsv": (TABLE, lambda run: cohort_rows(str(run / "cohort.tsv"))),
}


def written(run: Path, name: str, content: bytes) -> Path:
    place = run / name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    (run / "config.yaml").write_text("min_success: 0.9\n")
    return place


@pytest.mark.parametrize("name", STATE)
def test_random_damage_is_read_or_told_with_the_file(name: str, tmp_path: Path) -> None:
    text, read = STATE[name]
    raw = text.encode()
    written(tmp_path, name, raw)
    assert read(tmp_path)
    rng = np.random.default_rng(0)
    told: list[VoxfieldError] = []
    for trial in range(300):
        spoilt = bytearray(raw)
        if trial % 3 == 0:
            spoilt[rng.integers(len(raw))] ^= rng.integers(1, 256)
        elif trial % 3 == 1:
            del spoilt[rng.integers(len(raw)) :]
        else:
            start = rng.integers(len(raw))
            spoilt[start : start + 9] = bytes(len(spoilt[start : start + 9]))
        place = written(tmp_path, name, bytes(spoilt))
        try:
            read(tmp_path)
        except VoxfieldError as error:
            told.append(error)
    assert told
    for error in told:
        assert "\n" not in error.message
        assert error.file == place or name == "cohort.tsv", error  # a bad id is told of the cohort, not of its table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"voxfield": {"schema": 2, "output": {"sha256": "%s"}}}' % ("0" * 64),
            "record schema '2'; this release reads",
        ),
        ('{"voxfield": {"schema": true, "output": {"sha256": "%s"}}}' % ("0" * 64), "record schema 'True'"),
        ('{"voxfield": {"schema": 1}}', "does not say the sha256"),
        ('{"voxfield": {"schema": 1, "output": {"sha256": 5}}}', "does not say the sha256"),
        ('{"voxfield": {"schema": 1, "output": {"sha256": "%s"}}}' % ("g" * 64), "does not say the sha256"),
        ('{"voxfield": [1]}', "record schema 'None'"),
        ('{"voxfield": {"schema": 1, "schema": 1}}', "twice"),
        ('{"voxfield": {"schema": 1, "seed": 9007199254740993}}', "out of the range"),
        ('{"voxfield": {"schema": 1, "x": NaN}}', "NaN"),
        ('{"voxfield": {"schema": 1, "x": "\\ud800"}}', "surrogate"),
        ('{"voxfield": {"schema": 1, "x": ' + "[" * 200 + "]" * 200 + "}}", "nested"),
        ('{"voxfield": {"x": ' + "[" * 99999 + "]" * 99999 + "}}", "unreadable"),
        ('{"voxfield": ' + "1" * 5000 + "}", "unreadable"),
        ('{"voxfield": "\udce9"}', "unreadable"),
        ("\0" * 40, "unreadable"),
    ],
)
def test_records_that_can_not_be_used(text: str, message: str, tmp_path: Path) -> None:
    place = tmp_path / "a.tsv.json"
    place.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=message) as told:
        read_record(tmp_path / "a.tsv")
    assert told.value.file == place


def test_sidecars_of_others_are_left_alone(tmp_path: Path) -> None:
    for text in ('{"RepetitionTime": NaN, "a": 1, "a": 2}', "[1, 2]", "3", '{"voxfield": null}', '{"sha256": "short"}'):
        (tmp_path / "a.tsv.json").write_text(text)
        assert read_record(tmp_path / "a.tsv") is None
        assert sidecar_sha256(tmp_path / "a.tsv") is None
