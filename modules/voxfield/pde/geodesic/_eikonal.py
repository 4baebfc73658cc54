"""Arrival times of second order: one pass over the voxels in the order in which the front reaches them.

The first-order solution says on which side of a voxel the front comes from, along each axis. With the sides known,
the upwind equations with three-point differences (Sethian, SIAM Review 41, 1999, section 4.2),

    (3 T_i - 4 T_(i-1) + T_(i-2)) / 2h    where voxel i-2 is further upwind, else (T_i - T_(i-1)) / h,

are triangular: each voxel is solved once, after those that it depends on, and all that are ready are solved together.
Where the speed varies, the pass is repeated once: the first order mistakes the side where the front runs along a grid
line.

Differences are poor near a source, where T has a kink, and fast marching carries that error everywhere. So each
voxel keeps its origin, the place that its front came from, and is told the error that the difference makes on
s |x - origin|, which is known, where the voxels upwind have the same origin. That is the additive factoring of Luo and
Qian (J. Comput. Phys. 230, 2011), with an origin that travels with the front, so that any set of sources will do, and
a front from a whole plane of sources is not taken for round. Distances straight from a single source are exact.

At uniform speed a shortest path is a string pulled tight, straight but for bends at edges of the mask. Behind a bend
the front is round again, about a place that the differences do not know; they err by half a voxel there, and the stairs
of a curved wall are many. So a voxel may also be reached straight: past an edge, from two faces away, or from the last
bend of a neighbour's path where that is in sight, the idea of Theta* (Nash, Daniel, Koenig and Felner, AAAI 2007). Both
are paths inside the mask, and the bend becomes the origin of what lies behind it. No voxel is reached sooner than
straight from its origin.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxfield.pde.geodesic._grid import upwind
from voxfield.pde.geodesic._marching import first_arrival
from voxfield.pde.geodesic._sight import in_sight

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Ints, Mask
    from voxfield.pde.geodesic._grid import Stencil


PASSES = 2  # where the speed varies
GAIN = 1e-6  # of the smallest step, below which a path is no shorter


class Arrival(NamedTuple):
    """When the front arrives, and from where.

    times        (n,)  s, or mm at unit speed; inf where no path leads
    first_order  (n,)  the same by first-order differences
    source       (n,)  source voxel that the front came from; n where no path leads
    """

    times: Floats
    first_order: Floats
    source: Ints


def arrival_times(stencil: Stencil, sources: Ints, slowness: Floats) -> Arrival:
    """Solve |grad T| = slowness, T = 0 at the centres of the source voxels.

    sources   (m,)  numbers of the source voxels
    slowness  (n,)  1 / speed, s/mm; ones for a distance
    """
    first = times = first_arrival(stencil, sources, slowness)
    for _ in range(1 if _uniform(slowness) else PASSES):
        front = _Front(stencil, times, sources, slowness)
        ready = np.asarray(sources)
        while ready.size:
            ready = front.next_after(ready)
            front.solve(ready)
        times = front.times[:-1]
    return Arrival(times, first, front.source[:-1])


class _Front:
    """Voxels that the front has passed, and what the others still wait for. Index n stands for outside."""

    def __init__(self, stencil: Stencil, first: Floats, sources: Ints, slowness: Floats) -> None:
        size = stencil.domain.size
        self.stencil = stencil
        self.slowness = slowness
        self.centres = np.concatenate([stencil.centres, np.zeros((1, 3))])
        self.first = np.append(first, np.inf)
        self.times = np.full(size + 1, np.inf)
        self.times[sources] = 0
        self.origin = np.full(size + 1, size, dtype=np.intp)
        self.origin[sources] = sources
        self.source = self.origin.copy()
        self.uniform = _uniform(slowness)
        beside = self.first[stencil.neighbours]
        self.side = (beside[:, 1] < beside[:, 0]).astype(np.intp)  # (3, n): 0 where the front comes from below, else 1
        self.used = np.minimum(beside[:, 0], beside[:, 1]) < first  # (3, n): whether it comes along the axis at all
        self.used[:, sources] = False
        self.missing = self.used.sum(axis=0)

    def next_after(self, done: Ints) -> Ints:
        """Voxels that waited for nothing else than these."""
        free = [np.zeros(0, dtype=np.intp)]
        for axis in range(3):
            for side in (0, 1):
                beside = self.stencil.neighbours[axis, 1 - side, done]
                beside = beside[beside < len(self.missing)]
                waited = beside[self.used[axis, beside] & (self.side[axis, beside] == side)]
                self.missing[waited] -= 1
                free.append(waited[self.missing[waited] == 0])
        return np.concatenate(free)

    def solve(self, voxels: Ints) -> None:
        """Arrival times of voxels (m,) whose upwind neighbours are solved."""
        axes = np.arange(3)[:, None]
        side, used = self.side[:, voxels], self.used[:, voxels]
        one = self.stencil.neighbours[axes, side, voxels]
        one[~used] = len(self.missing)
        inner = np.minimum(one, len(self.missing) - 1)
        two = np.where(used, self.stencil.neighbours[axes, side, inner], one)
        second = self.first[two] < self.first[one]
        near = self.times[one]
        self.origin[voxels] = origin = self._likeliest_origin(voxels, one, near)
        common = (self.origin[one] == origin) & (~second | (self.origin[two] == origin))
        far = np.where(second, self.times[two], 0)
        scale = np.where(second, 1.5, 1.0)
        behind = np.where(second, (4 * near - far) / 3, near)
        behind += np.where(common, self.slowness[voxels] * self._known_error(voxels, side, second) / scale, 0)
        weights, slowness = self.stencil.weights[:, None], self.slowness[voxels]
        times = upwind(behind, weights * scale**2, slowness)
        earliest = near.min(axis=0)
        early = np.flatnonzero(times <= earliest)  # a speed that jumps: there the first order has to do
        times[early] = upwind(near[:, early], np.broadcast_to(weights, near[:, early].shape), slowness[early])
        self.times[voxels] = times
        if self.uniform:
            self.times[voxels] = np.maximum(times, self._straight(voxels, origin))
            self._pull_tight(voxels, one, earliest)
        self.source[voxels] = self.source[self.origin[voxels]]

    def _straight(self, voxels: Ints, origin: Ints) -> Floats:
        """Times (m,) at which voxels would be reached straight from an origin each, whatever lies between."""
        return self.times[origin] + self.slowness[voxels] * _length(self.centres[voxels] - self.centres[origin])

    def _pull_tight(self, voxels: Ints, one: Ints, earliest: Floats) -> None:
        """Reach voxels (m,) by ways that are shorter than through their neighbours upwind (3, m)."""
        outside = len(self.missing)
        for first, second in permutations(range(3), 2):
            inner = np.minimum(one[first], outside - 1)
            past_edge = self.stencil.neighbours[second, self.side[second, inner], inner]
            past_edge[~self.used[second, inner] | (one[first] == outside)] = outside
            self._shorten(voxels, past_edge, earliest)
        for behind in one:
            self._shorten(voxels, self.origin[behind], earliest, look=True)

    def _shorten(self, voxels: Ints, origin: Ints, earliest: Floats, *, look: bool = False) -> None:
        """Reach voxels (m,) straight from an origin each, n for none, where that is sooner and after a neighbour."""
        times = self._straight(voxels, origin)
        gain = GAIN * min(self.stencil.domain.spacing) * self.slowness[voxels]
        at = np.flatnonzero((times < self.times[voxels] - gain) & (times > earliest))
        if look:
            at = at[in_sight(self.stencil.domain, voxels[at], origin[at])]
        self.times[voxels[at]], self.origin[voxels[at]] = times[at], origin[at]

    def _likeliest_origin(self, voxels: Ints, one: Ints, near: Floats) -> Ints:
        """Of the origins of the neighbours upwind, (3, m), that by which the front is here first, straight on."""
        best = np.full(len(voxels), np.inf)
        origin = np.empty(len(voxels), dtype=np.intp)
        for behind, time in zip(one, near, strict=True):
            candidate = self.origin[behind]
            way = _length(self.centres[voxels] - self.centres[candidate])
            way -= _length(self.centres[behind] - self.centres[candidate])
            arrival = np.where(np.isfinite(time), time + self.slowness[voxels] * way, np.inf)
            better = arrival < best
            best[better], origin[better] = arrival[better], candidate[better]
        return origin

    def _known_error(self, voxels: Ints, side: Ints, second: Mask) -> Floats:
        """What the difference makes of the distance to the origin, over what it is: (3, m), times the step."""
        steps = np.array(self.stencil.domain.spacing)[:, None]
        away = (self.centres[voxels] - self.centres[self.origin[voxels]]).T
        distance = _length(away.T)
        move = np.where(side == 1, steps, -steps)
        aside = away[[1, 2, 0]] ** 2 + away[[2, 0, 1]] ** 2
        one, two = (np.sqrt(aside + (away + k * move) ** 2) for k in (1, 2))
        difference = np.where(second, (3 * distance - 4 * one + two) / 2, distance - one)
        return np.asarray(difference + move * away / distance)


def _uniform(slowness: Floats) -> bool:
    return bool(slowness.min() == slowness.max())


def _length(vectors: Floats) -> Floats:
    x, y, z = vectors.T
    return np.asarray(np.sqrt(x * x + y * y + z * z))
