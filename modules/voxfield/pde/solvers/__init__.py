"""Solvers by name; an installed package adds one through the entry points `voxfield.pde.solvers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from voxfield.errors import SettingsError
from voxfield.plugins import find

if TYPE_CHECKING:
    from voxfield.artifacts import Model
    from voxfield.pde.solvers._protocol import Solver

SOLVERS = {
    "chebyshev": "voxfield.pde.solvers.chebyshev:SOLVER",
    "etd": "voxfield.pde.solvers.etd:SOLVER",
    "finite_volume": "voxfield.pde.solvers.finite_volume:SOLVER",
    "fourier": "voxfield.pde.solvers.fourier:SOLVER",
    "gp_hm": "voxfield.pde.solvers.gp_hm:SOLVER",
    "learned": "voxfield.pde.solvers.learned:SOLVER",
    "radau": "voxfield.pde.solvers.radau:SOLVER",
}


def solver(name: str, model: Model | None = None) -> Solver:
    """The solver of that name, with the trained model that it works by, if it does.

    Raises SettingsError for an unknown name, with the nearest known, and for a model that the solver has no use for.
    """
    found = find("voxfield.pde.solvers", SOLVERS, name)
    if model is None:
        return cast("Solver", found)
    if not hasattr(found, "trained"):
        raise SettingsError(f"solver {name} works without a model; drop the input `model`, or take solver learned")
    return cast("Solver", found.trained(model))
