"""Pairs of input fields and solutions on one grid, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxfield.errors import InputError

if TYPE_CHECKING:
    from voxfield.artifacts import GridField
    from voxfield.pde.problem import Box
    from voxfield.pde.problem.operator import Array

SAMPLE = "sample"  # name of the first axis of a field of several samples


@dataclass(frozen=True)
class Pairs:
    """n samples on one grid.

    axes       coordinates along each axis of space
    inputs     (n, *grid)
    solutions  (n, *grid)
    """

    axes: tuple[Array, ...]
    inputs: Array
    solutions: Array

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.inputs)

    def take(self, rows: Array) -> Pairs:
        """Some of the samples."""
        return Pairs(self.axes, self.inputs[rows], self.solutions[rows])

    def split(self, share: float, seed: int) -> tuple[Pairs, Pairs]:
        """What trains, and what is held out: a share of the samples, at least one of each, drawn by seed."""
        if len(self) < 2:
            raise InputError(f"there is {len(self)} pair; expected at least two, one to train on and one to hold out")
        order = np.random.default_rng(seed).permutation(len(self))
        held = min(max(round(share * len(self)), 1), len(self) - 1)
        return self.take(np.sort(order[held:])), self.take(np.sort(order[:held]))


def read_samples(field: GridField, box: Box) -> tuple[tuple[Array, ...], Array]:
    """Axes of space, and samples (n, *grid) of a field with or without the axis `sample`, on the axes of a box.

    Raises InputError for other axes, values that are complex or not finite, and points off the box.
    """
    names = tuple(field.axes)
    several = names[0] == SAMPLE
    if names[several:] != box.names:
        expected = f"{SAMPLE}, {', '.join(box.names)}"
        raise InputError(f"has the axes {', '.join(names)}; expected {expected}", file=field.file)
    if np.iscomplexobj(field.values):
        raise InputError("has complex values; networks map real fields", file=field.file)
    bad = int(np.count_nonzero(~np.isfinite(field.values)))
    if bad:
        raise InputError(f"has {bad:,} values that are not finite (NaN); expected numbers everywhere", file=field.file)
    axes = tuple(field.axes.values())[several:]
    for axis, points in zip(box.axes, axes, strict=True):
        slack = 1e-6 * axis.length
        if len(points) < 2 or points[0] < axis.low - slack or points[-1] > axis.high + slack:
            raise InputError(
                f"has {len(points)} points on {axis.name} from {points[0]:g} to {points[-1]:g}; expected two or more "
                f"on [{axis.low:g}, {axis.high:g}]",
                file=field.file,
            )
    return axes, field.values if several else field.values[None]


def read_pairs(inputs: GridField, solutions: GridField, box: Box) -> Pairs:
    """Two fields of as many samples on one grid. Raises InputError where they are not."""
    axes, given = read_samples(inputs, box)
    theirs, known = read_samples(solutions, box)
    if given.shape != known.shape:
        raise InputError(
            f"has shape {known.shape}, its inputs {given.shape}; expected one solution on the grid of each input",
            file=solutions.file,
        )
    if not _same(axes, theirs):
        raise InputError("lies at other points than its inputs; expected one grid", file=solutions.file)
    if not (known != 0).any(axis=tuple(range(1, known.ndim))).all():
        raise InputError("has a solution that is zero everywhere; relative errors need another", file=solutions.file)
    return Pairs(axes, given, known)


def relative_l2(found: Array, known: Array) -> Array:
    """|found - known| / |known| of every sample (n,)."""
    axes = tuple(range(1, known.ndim))
    return np.asarray(np.sqrt(np.square(found - known).sum(axes) / np.square(known).sum(axes)))


def _same(axes: Sequence[Array], others: Sequence[Array]) -> bool:
    return all(np.allclose(a, b, rtol=0, atol=1e-9 * (a[-1] - a[0])) for a, b in zip(axes, others, strict=True))
