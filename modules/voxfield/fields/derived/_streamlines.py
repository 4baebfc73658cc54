"""Streamlines of the mean velocity, and how far those of the samples stray from them.

Lines are followed by arc length, dx/ds = u / |u|, from each seed with and against the flow, by the embedded Runge-Kutta
pair of orders 5 and 4 of Dormand and Prince (J. Computational and Applied Mathematics 6, 1980), each line with steps of
its own. The velocity between voxels is trilinear over the voxels of the lumen alone: voxels beyond the wall do not
count, rather than being at rest, so that directions hold up to the wall. The line of a sample starts at the same seed;
its distance from the mean line at the same arc length, root mean square over samples, is the spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfield.fields.derived._samples import Velocities

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Slope = Callable[[Floats, Ints], Floats]

TOLERANCE = 0.01
"""Error of a step, voxels."""
SLOWEST = 1e-3
"""Share of the highest speed below which a line ends."""
SAFETY, SHRINK, GROW = 0.9, 0.2, 4.0
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""Fifth order minus fourth; the last stage lies at the end of the step."""


@dataclass(frozen=True)
class Streamlines:
    """Lines of the mean velocity.

    points  per line (k, 3) voxel indices with fractions, along the flow
    spread  per line (k,) mm, NaN where fewer than half of the samples got there
    speed   per line (k,) m/s
    """

    points: list[Floats]
    spread: list[Floats]
    speed: list[Floats]


class Flow:
    """The velocities of one frame, of the mean (number 0) and of the samples (1 and up), anywhere in the box."""

    def __init__(self, velocities: Velocities, frame: int) -> None:
        values = np.concatenate([velocities.mean[None, frame], velocities.values[:, frame]])
        held = np.concatenate([velocities.most[None], velocities.inside])
        self._held = np.pad(held, ((0, 0), (0, 1)))
        self._values = np.pad(values, ((0, 0), (0, 1), (0, 0)))
        self._index = np.pad(velocities.index, 1, constant_values=len(velocities.voxels))
        self.slowest = SLOWEST * float(np.linalg.norm(values[0], axis=-1).max())
        self.to_index = np.linalg.inv(velocities.grid.affine[:3, :3])

    def velocity(self, places: Floats, which: Ints) -> tuple[Floats, Mask]:
        """(m, 3) m/s at voxel indices (m, 3), and whether the nearest voxel belongs to the lumen."""
        shape = np.array(self._index.shape)
        padded = np.clip(places + 1, 0, shape - 1.001)
        corner = padded.astype(np.int64)
        share = padded - corner
        total, weight = np.zeros(places.shape), np.zeros(len(places))
        for step in np.ndindex(2, 2, 2):
            voxel = self._index[tuple((corner + step).T)]
            part = np.where(np.array(step) == 1, share, 1 - share).prod(axis=1) * self._held[which, voxel]
            total += part[:, None] * self._values[which, voxel]
            weight += part
        nearest = self._index[tuple(np.rint(padded).astype(np.int64).T)]
        return total / np.maximum(weight, 1e-12)[:, None], self._held[which, nearest]

    def direction(self, places: Floats, which: Ints) -> Floats:
        """Change of the voxel indices (m, 3) by mm of arc length; 0 where the fluid hardly moves."""
        velocity, _ = self.velocity(places, which)
        speed = np.linalg.norm(velocity, axis=1, keepdims=True)
        unit = np.where(speed > self.slowest, velocity / np.maximum(speed, 1e-30), 0.0)
        return np.asarray(unit @ self.to_index.T)


def draw_streamlines(velocities: Velocities, frame: int, seeds: Floats, length_mm: float) -> Streamlines:
    """Lines through seeds (m, 3), voxel indices, up to `length_mm` to either side."""
    flow, samples = Flow(velocities, frame), len(velocities.inside)
    spacing = float(velocities.grid.spacing.min())
    which = np.repeat(np.arange(samples + 1), len(seeds))
    start = np.tile(seeds, (samples + 1, 1))
    ways = [_follow(flow, start, which, sign, spacing, length_mm) for sign in (-1.0, 1.0)]
    both = np.concatenate([ways[0][:0:-1], ways[1]])
    paths = both.reshape(len(both), samples + 1, len(seeds), 3)
    points, spread, speed = [], [], []
    for line in range(len(seeds)):
        known = np.isfinite(paths[:, 0, line, 0])
        path, others = paths[known, 0, line], paths[known, 1:, line]
        velocity, _ = flow.velocity(path, np.zeros(len(path), dtype=np.int64))
        points.append(path)
        spread.append(_stray(path, others, velocities.grid.affine[:3, :3]))
        speed.append(np.linalg.norm(velocity, axis=1))
    return Streamlines(points, spread, speed)


def _stray(path: Floats, others: Floats, matrix: Floats) -> Floats:
    """Root mean square distance (k,), mm, of the samples (k, s, 3) that are still there."""
    square = np.square((others - path[:, None]) @ matrix.T).sum(axis=-1)
    there = np.isfinite(square)
    count = there.sum(axis=1)
    mean = np.where(there, square, 0.0).sum(axis=1) / np.maximum(count, 1)
    return np.where(2 * count >= others.shape[1], np.sqrt(mean), np.nan)


def _follow(flow: Flow, start: Floats, which: Ints, sign: float, spacing: float, length_mm: float) -> Floats:
    """Places (k, m, 3) at every voxel of arc length; NaN after a line has left the lumen or come to rest."""
    places, step = start.copy(), np.full(len(start), spacing)
    alive = flow.velocity(places, which)[1]
    found = [np.where(alive[:, None], places, np.nan)]
    for _ in range(int(length_mm / spacing)):
        left = np.where(alive, spacing, 0.0)
        while (moving := np.flatnonzero(left > 1e-9 * spacing)).size:
            tried = np.minimum(step[moving], left[moving])
            ends, error = _step(flow, places[moving], which[moving], sign * tried)
            good = error <= TOLERANCE
            places[moving[good]] = ends[good]
            left[moving[good]] -= tried[good]
            factor = SAFETY * (TOLERANCE / np.maximum(error, 1e-12)) ** 0.2
            smallest = 1e-3 * spacing  # trilinear velocities have kinks, at which no step is short enough
            step[moving] = np.clip(tried * np.clip(factor, SHRINK, GROW), smallest, spacing)
            stuck = ~good & (tried <= smallest * 1.01)
            left[moving[stuck]] = 0.0
        velocity, held = flow.velocity(places, which)
        alive &= held & (np.linalg.norm(velocity, axis=1) > flow.slowest)
        if not alive.any():
            break
        found.append(np.where(alive[:, None], places, np.nan))
    return np.stack(found)


def _step(flow: Flow, places: Floats, which: Ints, step: Floats) -> tuple[Floats, Floats]:
    """Ends (m, 3) of one step each, and its error (m,), voxels."""
    slopes = [flow.direction(places, which)]
    for row in STAGES:
        end = places + step[:, None] * sum(a * k for a, k in zip(row, slopes, strict=True))
        slopes.append(flow.direction(end, which))
    error = step[:, None] * sum(a * k for a, k in zip(ERROR, slopes, strict=True))
    return end, np.linalg.norm(error, axis=1)
