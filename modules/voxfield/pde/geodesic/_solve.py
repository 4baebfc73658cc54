"""Both methods on one problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from voxfield.pde.geodesic._eikonal import arrival_times
from voxfield.pde.geodesic._heat import heat_times

if TYPE_CHECKING:
    from voxfield.pde.geodesic._eikonal import Arrival
    from voxfield.pde.geodesic._heat import Heat
    from voxfield.pde.geodesic._problem import DistanceProblem


class Distances(NamedTuple):
    """What was asked for; the other is None."""

    eikonal: Arrival | None
    heat: Heat | None


def solved(problem: DistanceProblem, method: Literal["eikonal", "heat", "both"]) -> Distances:
    """Distances by the method, or by both."""
    arguments = problem.stencil, problem.sources, problem.slowness
    return Distances(
        arrival_times(*arguments) if method != "heat" else None,
        heat_times(*arguments) if method != "eikonal" else None,
    )
