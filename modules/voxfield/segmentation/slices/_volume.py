"""Fields on a grid, one layer of voxels at a time, so that memory does not grow with labels or fields."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Grid
from voxfield.segmentation.slices._fit import Fitted


class Dense(NamedTuple):
    """A shape on a grid, all (x, y, z).

    probability   that a voxel is of any label
    classes       0 for background, c for the c-th label
    disagreement  root mean square difference of the other fields' probability from it; None without others
    """

    probability: NDArray[np.float32]
    classes: NDArray[np.int16]
    disagreement: NDArray[np.float32] | None


def evaluate(
    fitted: Fitted, others: Sequence[Fitted | None], grid: Grid, progress: Callable[[range], Iterable[Any]] = iter
) -> Dense:
    """The shape of a field, and how far others differ from it; None among them is a field of background."""
    probability = np.zeros(grid.shape, dtype=np.float32)
    classes = np.zeros(grid.shape, dtype=np.int16)
    disagreement = np.zeros(grid.shape, dtype=np.float32) if others else None
    layer = np.stack(np.meshgrid([0], *(np.arange(n) for n in grid.shape[1:]), indexing="ij"), axis=-1).reshape(-1, 3)
    for x in progress(range(grid.shape[0])):
        points = grid.world(layer + np.array([x, 0, 0]))
        found = fitted.probabilities(points)
        inside = 1 - found[:, 0]
        probability[x] = inside.reshape(grid.shape[1:])
        classes[x] = np.where(inside > 0.5, 1 + found[:, 1:].argmax(axis=1), 0).reshape(grid.shape[1:])
        if disagreement is not None:
            differences = [inside - (0 if other is None else 1 - other.probabilities(points)[:, 0]) for other in others]
            disagreement[x] = np.sqrt(np.mean(np.square(differences), axis=0)).reshape(grid.shape[1:])
    return Dense(probability, classes, disagreement)
