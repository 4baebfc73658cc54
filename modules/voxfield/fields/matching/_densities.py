"""Transport of a density on one surface to a density on another, along a map between the two."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from voxfield.errors import InputError
from voxfield.fields.manifold._domain import Domain
from voxfield.fields.matching._transport import Plan, transport

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
LARGEST = 25_000_000  # entries of a plan


def masses(density: Floats, area: Floats, file: Path | None) -> tuple[Integers, Floats]:
    """Vertices with mass, and their shares, of a density (n, 1) per area at vertices with areas (n,)."""
    if density.shape != (len(area), 1):
        raise InputError(f"its values have shape {density.shape}; expected ({len(area)}, 1), one a vertex", file=file)
    if density.min() < 0 or not density.any():
        raise InputError("its values are negative or all 0; a density is 0 or more, somewhere more", file=file)
    mass = density[:, 0] * area
    held = np.flatnonzero(mass)
    return held, mass[held] / mass.sum()


def carry(
    domain: Domain, points: Integers, here: tuple[Integers, Floats], there: tuple[Integers, Floats], blur: float
) -> tuple[Plan, Floats]:
    """The plan between masses at vertices of the source and of the target, and its cost matrix, mm^2.

    domain  the source, along whose edges distances run
    points  source vertex of each target vertex
    """
    if len(here[0]) * len(there[0]) > LARGEST:
        raise InputError(
            f"densities live on {len(here[0])} and {len(there[0])} vertices; expected at most {LARGEST:,} pairs, use a "
            "coarser mesh"
        )
    way = dijkstra(domain.lengths, directed=False, indices=here[0])
    cost: Floats = np.square(way[:, points[there[0]]])
    if not np.isfinite(cost).all():
        raise InputError("the densities lie on different parts of the surface; no way leads from one to the other")
    return transport(cost, here[1], there[1], 2 * blur**2), cost
