"""First arrival of a front that moves with a given speed: |grad T| = 1 / F, first order, whatever the mask.

The upwind equations of Rouy and Tourin (SIAM J. Numer. Anal. 29, 1992, eq. 2.5): at every voxel, with a the lower
of the two neighbours along an axis,

    sum over the axes of max((T - a) / h, 0)^2 = 1 / F^2.

Fast marching (Sethian, PNAS 93, 1996) solves them one voxel at a time, in the order of T. Here a whole slab of the
front, all that arrives within the time in which it crosses about a voxel, is settled at once, which is what arrays
are fast at; a voxel whose value falls later comes back into the front, so that the result is the same solution,
to rounding. The front goes round corners by itself: the cost follows the voxels, not the turns of the mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxfield.pde.geodesic._grid import upwind

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Ints
    from voxfield.pde.geodesic._grid import Stencil

SETTLED = 1e-13  # relative fall of an arrival time below which it counts as unchanged


def first_arrival(stencil: Stencil, sources: Ints, slowness: Floats) -> Floats:
    """Arrival times (n,), first order; inf where no path leads.

    sources   (m,)  voxels at time 0
    slowness  (n,)  1 / speed, s/mm
    """
    size = stencil.domain.size
    times = np.full(size + 1, np.inf)
    times[sources] = 0
    waiting = np.zeros(size + 1, dtype=bool)
    waiting[sources] = True
    place = np.empty(size + 1, dtype=np.intp)
    front = np.asarray(sources)
    step = min(stencil.domain.spacing)
    while front.size:
        arrivals = times[front]
        due = arrivals <= arrivals.min() + step * slowness[front].min()
        group, front = front[due], front[~due]
        waiting[group] = False
        touched = _above(stencil.neighbours, group, times, place)
        fallen = _lower(stencil, touched, times, slowness)
        new = fallen[~waiting[fallen]]
        waiting[new] = True
        front = np.concatenate([front, new])
    return times[:size]


def _above(neighbours: Ints, group: Ints, times: Floats, place: Ints) -> Ints:
    """Neighbours of a group that arrive later than the member beside them, each once; `place` is scratch (n + 1,)."""
    beside = neighbours[:, :, group]
    beside = beside[(times[beside] > times[group]) & (beside < len(times) - 1)]
    order = np.arange(len(beside))
    place[beside] = order
    return np.asarray(beside[place[beside] == order])


def _lower(stencil: Stencil, voxels: Ints, times: Floats, slowness: Floats) -> Ints:
    """Put the upwind solution where it is lower than the time so far; returns those voxels."""
    beside = times[stencil.neighbours[:, :, voxels]]
    ahead = np.minimum(beside[:, 0], beside[:, 1])
    weights = np.broadcast_to(stencil.weights[:, None], ahead.shape)
    found = upwind(ahead, weights, slowness[voxels])
    fell = found < times[voxels] * (1 - SETTLED)
    times[voxels[fell]] = found[fell]
    return voxels[fell]
