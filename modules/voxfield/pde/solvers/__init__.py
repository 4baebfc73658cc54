"""Solvers by name; an installed package adds one through the entry points `voxfield.pde.solvers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from voxfield.plugins import find

if TYPE_CHECKING:
    from voxfield.pde.solvers._protocol import Solver

SOLVERS = {
    "chebyshev": "voxfield.pde.solvers.chebyshev:SOLVER",
    "etd": "voxfield.pde.solvers.etd:SOLVER",
    "finite_volume": "voxfield.pde.solvers.finite_volume:SOLVER",
    "fourier": "voxfield.pde.solvers.fourier:SOLVER",
    "gp_hm": "voxfield.pde.solvers.gp_hm:SOLVER",
    "radau": "voxfield.pde.solvers.radau:SOLVER",
}


def solver(name: str) -> Solver:
    """The solver of that name. Raises SettingsError for an unknown one, with the nearest known."""
    return cast("Solver", find("voxfield.pde.solvers", SOLVERS, name))
