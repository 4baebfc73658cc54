"""`voxfield check` on settings, configurations and outputs."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from voxfield.artifacts import Image
from voxfield.cli import main

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"site": {"type": "string"}, "train": {"$ref": "#/$defs/train"}},
    "$defs": {"train": {"type": "object", "properties": {"rate": {"type": "number"}}, "additionalProperties": False}},
}


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit code and the lines of the output."""
    code = main(words)
    said = capsys.readouterr()
    return code, (said.out + said.err).splitlines()


@pytest.mark.parametrize(
    ("schema", "text", "line"),
    [
        ("segmentation.predict", "overlap: 0.25", None),
        ("segmentation.predict", "overlab: 0.25", "setting 'overlab' is unknown; the nearest known one is 'overlap'"),
        ("segmentation.predict", "overlap: 2", "setting 'overlap' is 2: input should be less than"),
        ("airway", "seed: 3", None),
        ("airway", "sead: 3", "'sead' is unknown; the nearest known one is 'seed'"),
        ("airway", "seed: many", "setting 'seed' is 'many'; expected a whole number"),
        ("airway", "lungs: 1", "setting 'lungs' is '1'; expected true or false"),
        ("airway", "phantoms: {count: 2.5}", "setting 'phantoms.count' is '2.5'; expected a whole number"),
        ("airway", "phantoms: 3", "setting 'phantoms' is '3'; expected a mapping"),
        ("airway", "max_voxels: much", "setting 'max_voxels' is 'much'; expected a number of voxels"),
        ("airway", "max_voxels: 1.0e+9\nphantoms: null", None),
        ("airway", "stages: {segmentation.predict: {overlap: wide}}", "'overlap' is 'wide'"),
        ("airway", "stages: {segmentation.predikt: {}}", "the nearest known one is 'segmentation.predict'"),
        ("SCHEMA", "site: Ulm\ntrain: {rate: 1}", None),
        ("SCHEMA", "cite: Ulm", "setting 'cite' is unknown; the nearest known one is 'site'"),
        ("SCHEMA", "train: {rat: 1}", "setting 'rat' is unknown; the nearest known one is 'rate' (under 'train')"),
        ("SCHEMA", "train: {rate: fast}", "setting 'train.rate': 'fast' is not of type 'number'"),
    ],
)  # fmt: skip
def test_settings_are_judged_by_what_they_are_for(
    schema: str, text: str, line: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    path = tmp_path / "a.yaml"
    path.write_text(text)
    chosen = str(tmp_path / "schema.json") if schema == "SCHEMA" else schema
    code, lines = told(["check", str(path), "--schema", chosen], capsys)
    assert (code, len(lines)) == (0 if line is None else 2, 1), lines
    assert str(path) in lines[0]
    assert (line or "a sound") in lines[0]


def test_every_mistake_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("overlab: 1\noverlap: 7\n")
    code, lines = told(["check", str(path), "--schema", "segmentation.predict"], capsys)
    assert code == 2
    assert [line.startswith(f"error: {path}: ") for line in lines] == [True, True]


@pytest.mark.parametrize(
    ("schema", "cause"),
    [
        ('{"type": "objekt"}', "is no JSON Schema"),
        ('{"$ref": "http://example.org/x.json"}', "refers to what is not in it"),
        ('{"$ref": "#"}', "refers to itself without end"),
        ("{", "is not JSON"),
    ],
)
def test_a_schema_that_can_not_be_used(
    schema: str, cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.json").write_text(schema)
    (tmp_path / "a.yaml").write_text("a: 1")
    code, lines = told(["check", str(tmp_path / "a.yaml"), "--schema", str(tmp_path / "s.json")], capsys)
    assert code == 2
    assert len(lines) == 1
    assert "s.json" in lines[0]
    assert cause in lines[0]


class TestOutput:
    @pytest.fixture
    def output(self, tmp_path: Path) -> Path:
        path = tmp_path / "x[1].nii.gz"
        Image(np.arange(60.0).reshape(3, 4, 5), np.eye(4)).save(path)
        return path

    def record(self, path: Path, sha256: str) -> None:
        content = {"voxfield": {"schema": 1, "output": {"sha256": sha256}}}
        path.with_name("x[1].json").write_text(json.dumps(content))

    def test_its_record_agrees(self, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.record(output, hashlib.sha256(output.read_bytes()).hexdigest())
        for words in ([], ["--as", "output"]):
            assert told(["check", str(output), *words], capsys)[0] == 0

    def test_it_was_changed(self, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.record(output, "0" * 64)
        for words in ([], ["--as", "output"]):
            code, lines = told(["check", str(output), *words], capsys)
            assert code == 2
            assert "sha256 mismatch" in lines[0]

    def test_nothing_was_recorded(self, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert told(["check", str(output)], capsys)[0] == 0
        code, lines = told(["check", str(output), "--as", "output"], capsys)
        assert code == 2
        assert "its record is missing" in lines[0]

    def test_something_was_left_beside_it(self, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
        output.with_name(".x[1].nii.gz.1a2b").write_bytes(b"half")
        output.with_name(".x1.nii.gz.1a2b").write_bytes(b"of another file")
        code, lines = told(["check", str(output)], capsys)
        assert code == 0
        assert len(lines) == 1
        assert ".x[1].nii.gz.1a2b" in lines[0]
