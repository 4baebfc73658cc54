"""The six neighbours of every voxel, and what upwind differences ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Ints, VoxelDomain


@dataclass(frozen=True)
class Stencil:
    """Neighbours of the n voxels of a domain along the three axes.

    domain  its spacing is in mm here
    """

    domain: VoxelDomain

    @cached_property
    def neighbours(self) -> Ints:
        """(3, 2, n) voxel below and above along each axis; n where it is outside."""
        return np.stack([
            np.stack([self.domain.neighbour((-x, -y, -z)), self.domain.neighbour((x, y, z))])
            for x, y, z in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
        ])  # fmt: skip

    @cached_property
    def weights(self) -> Floats:
        """(3,) 1 / spacing^2, per mm^2."""
        return 1 / np.square(self.domain.spacing)

    @cached_property
    def centres(self) -> Floats:
        """(n, 3) centres of the voxels along the voxel axes, mm from that of voxel (0, 0, 0)."""
        return np.asarray(self.domain.cells * np.array(self.domain.spacing))

    def gradient(self, values: Floats) -> Floats:
        """(3, n) central differences per mm; one-sided at a wall, 0 between two walls."""
        padded = np.append(values, np.nan)
        gradient = np.zeros((3, len(values)))
        for axis, (below, above) in enumerate(self.neighbours):
            ends = [np.where(side < len(values), padded[side], values) for side in (below, above)]
            reach = (below < len(values)).astype(float) + (above < len(values))
            gradient[axis] = (ends[1] - ends[0]) / (np.maximum(reach, 1) * self.domain.spacing[axis])
        return gradient


def upwind(values: Floats, weights: Floats, slowness: Floats) -> Floats:
    """The T (m,) with sum over the axes of w max(T - a, 0)^2 = s^2, which grows with T, so that there is one.

    values    (3, m)  a: arrival time upwind along each axis; inf where there is none, finite along one axis at least
    weights   (3, m)  w: 1 / step^2
    slowness  (m,)    s
    """
    order = np.argsort(values, axis=0)
    a, w = np.take_along_axis(values, order, 0), np.take_along_axis(weights, order, 0)
    time = slowness / np.sqrt(w[0])  # above a[0] from here on: the differences are small, the times need not be
    for used in (2, 3):  # another axis takes part where the front arrives after its value
        more = np.flatnonzero(a[used - 1] - a[0] < time)
        time[more] = _larger_root(w[:used, more], a[1:used, more] - a[0, more], slowness[more])
    return np.asarray(a[0] + time)


def _larger_root(w: Floats, later: Floats, slowness: Floats) -> Floats:
    """Root x of w0 x^2 + sum of w_k (x - later_k)^2 = s^2."""
    total, first, rest = w[0], 0.0, -(slowness**2)
    for weight, start in zip(w[1:], later, strict=True):
        total = total + weight
        first = first + weight * start
        rest = rest + weight * start**2
    return np.asarray((first + np.sqrt(first**2 - total * rest)) / total)
