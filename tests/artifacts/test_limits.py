"""Limits of size: one rule for every kind, judged before anything is allocated, and raised by one flag."""

import time
from pathlib import Path

import numpy as np
import pytest

from artifacts.kinds import SOUND, save_sound
from voxfield.artifacts import Centerline, Cohort, Limits, Metrics, Polyline, Table
from voxfield.artifacts._base import TEXT_ALWAYS
from voxfield.errors import InputError
from voxfield.io import read_array

TEXT = ("Table", "Cohort", "Metrics", "Centerline", "Polyline", "Graph", "Mesh")
COUNTED = [name for name, sound in SOUND.items() if sound.suffix in (".nii.gz", ".safetensors", ".png", ".surf.gii")]


@pytest.mark.parametrize("name", COUNTED)
def test_values_are_counted_before_they_are_read(name: str, tmp_path: Path) -> None:
    path = save_sound(name, tmp_path)
    kind = type(SOUND[name])
    with pytest.raises(InputError, match=r"over the limit of 2; raise --max-voxels if that is meant") as told:
        kind.load(path, limits=Limits(max_voxels=2))
    assert told.value.file == path
    kind.load(path, limits=Limits(max_voxels=20_000))


def test_arrays_are_counted(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6.0))
    with pytest.raises(InputError, match="holds 6 values, over the limit of 5; raise --max-voxels"):
        read_array(tmp_path / "a.npy", limits=Limits(max_voxels=5))


@pytest.mark.parametrize("name", TEXT)
def test_text_is_weighed_before_it_is_read(name: str, tmp_path: Path) -> None:
    path = save_sound(name, tmp_path)
    with path.open("ab") as stream:
        stream.truncate(TEXT_ALWAYS + 1)  # a hole: no disk is used
    kind = type(SOUND[name])
    with pytest.raises(InputError, match=r"has 1,048,577 bytes, over the limit of 1,048,576 .* raise --max-voxels"):
        kind.load(path, limits=Limits(max_voxels=1))
    assert Limits(max_voxels=40 * TEXT_ALWAYS).max_text_bytes == 10 * TEXT_ALWAYS


def test_a_raised_limit_lets_long_tables_in(tmp_path: Path) -> None:
    table = Table({"x": list(range(200_000))})
    table.save(tmp_path / "a.tsv")
    size = (tmp_path / "a.tsv").stat().st_size
    with pytest.raises(InputError, match="over the limit"):
        Table.load(tmp_path / "a.tsv", limits=Limits(max_voxels=4 * size - 4))
    assert len(Table.load(tmp_path / "a.tsv", limits=Limits(max_voxels=4 * size))) == 200_000


def test_many_columns_take_no_quadratic_time(tmp_path: Path) -> None:
    names = "\t".join(f"c{number}" for number in range(60_000))
    (tmp_path / "a.tsv").write_text(f"{names}\n")
    started = time.process_time()
    assert len(Table.load(tmp_path / "a.tsv").columns) == 60_000
    assert (
        time.process_time() - started < 10
    )  # seconds; a second where names are compared once, minutes where all pairs


def test_a_line_that_was_not_ended_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cohort.tsv"
    Cohort({"subject": ["01", "02"], "grade": [1, 12 % 5]}).save(path)
    assert Cohort.load(path).findings.codes() == []
    path.write_text(path.read_text()[:-1])
    cohort = Cohort.load(path)
    assert cohort.findings.codes() == ["unended-line"]
    (found,) = cohort.findings
    assert found.value == "2"
    assert "a file that was cut there looks the same" in found.message


def test_deep_and_odd_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text, cause in (
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "nested more than 50 deep"),
        ('{"a": [1, 9007199254740993]}', "'a' = 9007199254740993, out of the range"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"\\udfff": 1}', "half of a surrogate pair"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=cause):
            Metrics.load(path)
    path.write_text('{"a": ' + "[" * 40 + "]" * 40 + ', "b": "\\ud83d\\ude00", "c": 9007199254740992}')
    assert Metrics.load(path).values["b"] == "\U0001f600"


@pytest.mark.parametrize("digits", ["9" * 16, "9" * 25, "9" * 400, "-" + "9" * 25])
def test_integers_that_no_array_holds(digits: str, tmp_path: Path) -> None:
    """Found by the fuzzer: an integer beyond 64 bits is damage, not a bug."""
    line = tmp_path / "a.swc"
    for text in (f"1 {digits} 0 0 0 1 -1", f"{digits} 0 0 0 0 1 -1", f"1 0 {digits} 0 0 1 -1", f"1 0 0 0 0 1 {digits}"):
        line.write_text(text + "\n")
        with pytest.raises(InputError, match="expected number, kind, x, y, z, radius, parent"):
            Centerline.load(line)
    curve = save_sound("Polyline", tmp_path)
    curve.write_text(curve.read_text().replace(">0 1 2 3 4<", f">0 1 {digits} 3 4<"))
    with pytest.raises(InputError, match="is no VTK PolyData"):
        Polyline.load(curve)


def test_a_header_of_numpy_that_never_ends(tmp_path: Path) -> None:
    """Found by the fuzzer: numpy takes an old header apart with a tokenizer, which has errors of its own."""
    path = tmp_path / "a.npy"
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, (\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes(8))
    with pytest.raises(InputError, match=r"is no \.npy array"):
        read_array(path)


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["e5", "e6"], ["e5", "e6"]),  # found by the fuzzer: names of subjects that look like exponents
        (["-e5"], ["-e5"]),
        (["."], ["."]),
        (["007", "1"], ["007", "1"]),
        (["9" * 5000], ["9" * 5000]),
        (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        (["12345678901234567890", "1.5"], ["12345678901234567890", "1.5"]),
        (["9223372036854775807", "-1"], [9223372036854775807, -1]),
        (["1", "1.5", ".5", "2.", "1e-05", "-3E+2"], [1.0, 1.5, 0.5, 2.0, 1e-05, -300.0]),
        (["1e5"], [1e5]),
        (["1e"], ["1e"]),
        (["1.5.2"], ["1.5.2"]),
    ],
)
def test_what_is_a_number_in_a_table(texts: list[str], values: list[object], tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("\n".join(["x", *texts]) + "\n")
    found = Table.load(path).columns["x"]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]
