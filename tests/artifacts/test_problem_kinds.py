"""Problem files and fields on grids: round trips, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest

from voxfield.artifacts import GridField, Problem
from voxfield.checking import judge
from voxfield.errors import InputError, SettingsError
from voxfield.findings import Findings
from voxfield.records import hash_file

UNITS = {"x": "mm", "t": "s"}
POISSON = {"unit": "1", "box": {"x": [0, "2*pi"]}, "operator": "poisson", "boundary": {"all": {"dirichlet": 0}}}


def grid_field(**changed: object) -> GridField:
    values = np.arange(12.0).reshape(4, 3)
    given = {"values": values, "sd": values / 10, **changed}
    axes = {"x": [0.0, 1.0, 2.0, 4.0], "t": [0.0, 0.5, 1.0]}
    return GridField(axes, given["values"], given["sd"], name="u", unit="Pa", units=UNITS)


def test_a_field_comes_back_bit_for_bit(tmp_path: Path) -> None:
    grid_field().save(tmp_path / "a.safetensors")
    back = GridField.load(tmp_path / "a.safetensors")
    back.check(Findings())
    assert (back.name, back.unit, back.units, list(back.axes)) == ("u", "Pa", UNITS, ["x", "t"])
    np.testing.assert_array_equal(back.axes["x"], [0, 1, 2, 4])
    np.testing.assert_array_equal(back.values, grid_field().values)
    np.testing.assert_array_equal(back.sd, grid_field().sd)
    back.save(tmp_path / "b.safetensors")
    assert hash_file(tmp_path / "a.safetensors") == hash_file(tmp_path / "b.safetensors")
    (verdict,) = judge([tmp_path / "a.safetensors"])
    assert verdict.lines() == [f"{tmp_path / 'a.safetensors'}: a sound GridField"]


def test_a_complex_field_comes_back(tmp_path: Path) -> None:
    values = np.exp(1j * np.arange(12.0)).reshape(4, 3)
    grid_field(values=values, sd=None).save(tmp_path / "a.safetensors")
    back = GridField.load(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(back.values, values)
    assert back.sd is None


def test_fields_that_are_none() -> None:
    with pytest.raises(InputError, match=r"its values have shape \(3, 4\), float64; expected \(4, 3\) float64"):
        grid_field(values=np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"its sd have shape"):
        grid_field(sd=np.zeros(4))
    with pytest.raises(InputError, match="axis x do not increase"):
        GridField({"x": [0, 0, 1]}, np.zeros(3), name="u", unit="1", units={"x": "1"})
    with pytest.raises(InputError, match="expected a unit an axis"):
        GridField({"x": [0, 1]}, np.zeros(2), name="u", unit="1", units={})
    broken = grid_field(values=np.full((4, 3), np.nan))
    with pytest.raises(InputError, match="12 of 12 values of 'values' are not finite"):
        broken.check(Findings())


def test_a_problem_comes_back(tmp_path: Path) -> None:
    Problem(POISSON).save(tmp_path / "a.yaml")
    back = Problem.load(tmp_path / "a.yaml")
    back.check(Findings())
    assert back.statement == Problem(POISSON).statement
    back.save(tmp_path / "b.yaml")
    assert hash_file(tmp_path / "a.yaml") == hash_file(tmp_path / "b.yaml")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"unit": None}, "states no unit of the unknown"),
        ({"unit": " "}, "states no unit of the unknown"),
        ({"operator": None}, "states no operator"),
        ({"opertor": "poisson"}, "'opertor' is unknown; the nearest known one is 'operator'"),
        ({"box": {"x": [0]}}, "box.x"),
        ({"forcing": True}, "forcing"),
        ({"time": [0, 1, 2]}, "time"),
    ],
)
def test_what_a_problem_can_not_say(changed: dict[str, object], told: str) -> None:
    statement = {key: value for key, value in {**POISSON, **changed}.items() if value is not None}
    with pytest.raises(SettingsError, match=told):
        Problem(statement)


@pytest.mark.parametrize(
    "text",
    [
        "unit: !!python/object/apply:os.system ['true']\noperator: poisson\n",
        "unit: &a x\noperator: *a\n",
        "unit: '1'\nunit: '2'\noperator: poisson\n",
        "unit: '1'\noperator: " + "{a: " * 200 + "1" + "}" * 200 + "\n",
        "unit: '1'\noperator: poisson\nforcing: .nan\n",
        "- 1\n",
        "unit: '1'\noperator: poisson\ntitle: " + "x" * 200_000,
    ],
)
def test_hostile_files_are_refused_by_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(InputError, match=r"bad\.yaml"):
        Problem.load(tmp_path / "bad.yaml")
