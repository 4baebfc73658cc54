"""Darcy problems for tests of operators."""

from functools import cache
from typing import Any

import numpy as np

from voxfield.artifacts import GridField, Problem
from voxfield.pde import operator_pairs
from voxfield.pde.operators._problem import DarcyProblem, darcy_problem

STATEMENT: dict[str, Any] = {
    "title": "Darcy flow", "unit": "m", "box": {"x": [0, 1], "y": [0, 1]}, "length_unit": "km",
    "operator": {"div(a grad u)": "given"}, "forcing": -1, "boundary": {"all": {"dirichlet": 0}},
}  # fmt: skip


def problem(**changes: Any) -> Problem:
    return Problem({**STATEMENT, **changes})


def darcy(**changes: Any) -> DarcyProblem:
    return darcy_problem(problem(**changes))


@cache
def pairs(samples: int = 6, points: int = 9) -> tuple[GridField, GridField]:
    """Inputs and solutions, both faces among the points."""
    made = operator_pairs(problem(), samples=samples, points=(points, points), refine=2)
    return made.inputs, made.solutions


def layouts(n: int) -> dict[str, np.ndarray[Any, Any]]:
    """Points of [0, 1] about 1 / n apart: on both faces, in cells, and without the last face or without either."""
    return {
        "faces": np.linspace(0, 1, n + 1), "cells": (np.arange(n) + 0.5) / n, "open": np.arange(n) / n,
        "inside": np.arange(1, n) / n,
    }  # fmt: skip
