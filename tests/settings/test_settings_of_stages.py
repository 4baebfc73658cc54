"""The settings of every stage under values that nobody meant: a line a mistake, and never another exception."""

import json
import math
import random
from typing import Any

import pytest

from voxfield.errors import SettingsError
from voxfield.findings import Findings
from voxfield.registry import load_all, names
from voxfield.settings import SettingsModel

STAGES = load_all(Findings())
NOT_FINITE = (math.nan, math.inf, -math.inf)
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, -(2**63), 2**64, 10**400, 0.5, -0.5, 1e308, 5e-324, "", "x", "1", "nan",
    "\ud800",
    "a" * 5000, "../../x", [], [[]], [None], ["x", 1], [1, 2, 3], [-1] * 40, {}, {"a": 1}, {"": None}, (1, 2), b"x",
)  # fmt: skip


def lines_of(model: SettingsModel, values: dict[str, Any]) -> list[str]:
    """What is said of the values; nothing where they are taken."""
    try:
        taken = model.validate(values)
    except SettingsError as error:
        return error.message.splitlines()
    json.dumps(model.dump(taken), allow_nan=False)  # what is taken can be recorded
    assert set(taken) == set(model.fields)
    return []


def test_every_stage_is_here() -> None:
    assert set(STAGES) == set(names())


@pytest.mark.parametrize("name", STAGES)
def test_defaults_are_taken(name: str) -> None:
    assert lines_of(STAGES[name].settings, {}) == []


@pytest.mark.parametrize("name", STAGES)
def test_odd_values_are_taken_or_told_in_a_line(name: str) -> None:
    model = STAGES[name].settings
    for key in model.fields:
        for value in ODD:
            for line in lines_of(model, {key: value}):
                assert line.startswith(f"{name}: "), line
                assert key in line or "settings are plain" in line, line
                assert len(line) < 600, line


@pytest.mark.parametrize("name", STAGES)
def test_numbers_that_are_not_finite_are_refused(name: str) -> None:
    model = STAGES[name].settings
    for key in model.fields:
        for value in NOT_FINITE:
            for given in (value, [value], {"a": value}):
                assert lines_of(model, {key: given}), (key, given)


@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if stage.settings.fields])
def test_a_slip_of_the_pen_gets_the_nearest_key(name: str) -> None:
    model = STAGES[name].settings
    rng = random.Random(name)
    for key in model.fields:
        if len(key) < 4:
            continue  # too short for a nearest one
        place = rng.randrange(1, len(key) - 1)
        slip = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
        if slip in model.fields or slip == key:
            continue
        (line,) = lines_of(model, {slip: 1})
        assert f"setting {slip!r} is unknown; the nearest known one is {key!r}" in line, line


@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if len(stage.settings.fields) > 1])
def test_several_mistakes_have_several_lines(name: str) -> None:
    model = STAGES[name].settings
    lines = lines_of(model, {"no_such_setting": 1, "neither_this": [1]})
    assert len(lines) == 2
