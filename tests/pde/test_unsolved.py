"""A linear system that was not solved is told by whoever needed it, and never goes on as a result."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import LabelMap, Problem
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.pde import solve
from voxfield.pde._domain import VoxelDomain
from voxfield.pde._openings import BoundaryFaces
from voxfield.pde._work_energy import virtual_fields
from voxfield.pde.evolution._growth import Growth
from voxfield.pde.geodesic._grid import Stencil
from voxfield.pde.geodesic._heat import heat_times
from voxfield.pde.operators._certified import certify
from voxfield.pde.operators._darcy import DarcyGrid, LineLayout
from voxfield.pde.problem import pose
from voxfield.pde.solvers import solver
from voxfield.pde.voxels._solver import NetworkSolver, Solution

MASK = np.ones((6, 5, 4), dtype=bool)
STEPS = (1.0, 1.0, 1.0)


def on_voxels() -> None:
    mask = np.pad(MASK, 1).astype(np.uint8)
    given = {"unit": "K", "voxels": True, "operator": "poisson", "forcing": 1, "boundary": {"1": {"dirichlet": 0}}}
    solve(Problem(given), LabelMap(mask, np.eye(4)), LabelMap(1 - mask, np.eye(4)))


def on_a_box() -> None:
    box = {"x": [0, 1], "y": [0, 1]}
    given = {"unit": "K", "box": box, "length_unit": "m", "operator": "poisson", "forcing": 1}
    posed = pose(Problem({**given, "boundary": {"all": {"dirichlet": 0}}}))
    solver("finite_volume").solve(posed, (16, 16), [np.linspace(0, 1, 5)] * 2, Context())


def distance() -> None:
    heat_times(Stencil(VoxelDomain(MASK, STEPS)), np.array([0]), np.ones(MASK.size))


def evolution() -> None:
    growth = Growth(MASK, STEPS, np.ones(MASK.size), 0.0)
    growth.step(np.arange(MASK.size) / MASK.size, 1.0)


def pressure() -> None:
    domain = VoxelDomain(MASK, STEPS)
    ends = [np.flatnonzero(domain.cells[:, 0] == end) for end in (0, 5)]
    faces = {
        label: BoundaryFaces(cells, np.zeros(len(cells), dtype=int), np.full(len(cells), sign))
        for label, cells, sign in ((1, ends[0], -1), (2, ends[1], 1))
    }
    virtual_fields(domain, faces, np.ones(MASK.size))


def learned() -> None:
    certify(DarcyGrid((LineLayout(12, 1 / 11, (0, 0)),) * 2), np.ones((12, 12)), np.ones((12, 12)), np.zeros((12, 12)))


@pytest.mark.parametrize("caller", [on_voxels, on_a_box, distance, evolution, pressure, learned])
def test_the_caller_tells_it(caller: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    caller()

    def given_up(self: Any, g: Any, x: Any, aims: Any) -> tuple[Any, int]:
        return 0 * x, 7

    monkeypatch.setattr(NetworkSolver, "_iterate", given_up)
    with pytest.raises(InputError, match=r"left a relative residual of .* after 7 iterations; .* is wanted"):
        caller()


def test_round_off_above_the_tolerance_is_no_failure() -> None:
    found = Solution(np.zeros((3, 2)), np.array([1e-8, 2e-8]), 9)
    assert found.require(1e-10) is found
    with pytest.raises(InputError):
        found._replace(residual=np.array([0.0, np.nan])).require(1e-10)
