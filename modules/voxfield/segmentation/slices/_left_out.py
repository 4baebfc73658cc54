"""How far a shape can be trusted: fields that never saw some planes, asked about those planes.

The fit on drawn voxels says little, a field fits almost any drawing. Agreement on planes that were left out is the
honest figure, and a pessimistic one: each such field has wider gaps to fill than the one that is used.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from voxfield.segmentation.slices._annotated import Annotated, Ints
from voxfield.segmentation.slices._fit import Fitted

FEWEST_PLANES = 3  # of two planes, a field that lacks one has nothing to interpolate


def folds_of(planes: Sequence[int], folds: int) -> list[list[int]]:
    """Planes to leave out of each fit: every n-th, so that neighbours stay; none where there are too few."""
    if folds == 0 or len(planes) < FEWEST_PLANES:
        return []
    count = min(folds, len(planes))
    return [list(planes[k::count]) for k in range(count)]


def predicted(fitted: Fitted | None, annotated: Annotated) -> Ints:
    """Classes (n,) that a field gives to annotated points; background where there was nothing to fit."""
    if fitted is None:
        return np.zeros_like(annotated.classes)
    probability = fitted.probabilities(annotated.points)
    return np.where(probability[:, 0] < 0.5, 1 + probability[:, 1:].argmax(axis=1), 0)


def overlap(found: Ints, drawn: Ints, names: Sequence[str]) -> dict[str, float | None]:
    """Dice of every label; None where neither has it."""
    result: dict[str, float | None] = {}
    for label, name in enumerate(names, 1):
        one, other = found == label, drawn == label
        total = int(one.sum() + other.sum())
        result[name] = 2 * int((one & other).sum()) / total if total else None
    return result


def agreement(
    annotated: Annotated, folds: Sequence[Sequence[int]], fits: Sequence[Fitted | None], names: Sequence[str]
) -> dict[str, Any]:
    """Dice on planes that were left out, pooled over all of them and plane by plane."""
    rows: dict[int, dict[str, float | None]] = {}
    found, drawn = [], []
    for planes, fitted in zip(folds, fits, strict=True):
        for plane in planes:
            own = annotated.keep(annotated.planes == plane)
            classes = predicted(fitted, own)
            found.append(classes)
            drawn.append(own.classes)
            rows[plane] = overlap(classes, own.classes, names)
    pooled = overlap(np.concatenate(found), np.concatenate(drawn), names)
    return {"dice": pooled, "planes": [rows[plane] for plane in sorted(rows)]}
