"""Measurements that are missing, or disagree with their surroundings by more than noise explains.

A median test proposes: the distance of a vector to the median of its neighbours over the median distance of theirs
(Westerweel and Scarano, Exp. Fluids 39, 2005, eq. 2). The model, fitted without what was proposed, decides: in the
block of a proposal, the square of the leave-one-out residual over its variance, from the inverse Q of the covariance,

    z_i^2 = w_i^T (Q_ii)^-1 w_i,   w = Q y   (Sundararajan and Keerthi, Neural Comput. 13, 2001, for one component),

is chi-squared with three degrees of freedom where the measurement is sound. The largest is removed and the test
repeated until none exceeds the quantile that keeps the chance of a single false alarm in all data at ALARM.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import chi2

from voxfield.fields._evidence import BLOCK, Evidence
from voxfield.fields._model import Measured, Model
from voxfield.fields._neighbours import contiguous_blocks, nearest
from voxfield.fields._prior import Int, Real

Flags = NDArray[np.bool_]
NEIGHBOURS = 26
PROPOSED = 3.0
"""Ratio of the median test, about four standard deviations of Gaussian noise."""
ALARM = 0.05


@dataclass(frozen=True)
class Suspects:
    """Measurements by voxel and frame.

    missing   (n, t) not measured
    proposed  (n, t) by the median test
    filled    the measurements with local medians in place of both
    """

    missing: Flags
    proposed: Flags
    filled: Measured

    @property
    def sound(self) -> Measured:
        """What a model is fitted to: voxels that are sound in every frame, or all where frames differ."""
        doubtful: Flags = np.asarray((self.missing | self.proposed).any(axis=1))
        return self.filled if self.missing.shape[1] > 1 else taken(self.filled, ~doubtful)


def present(measured: Measured) -> Measured:
    """The voxels that were measured in at least half of the frames; NaN is missing."""
    missing: Flags = np.asarray(np.isnan(measured.values).any(axis=1))
    kept: Flags = np.asarray(missing.mean(axis=1) <= 0.5)
    return measured if kept.all() else taken(measured, kept)


def suspects(measured: Measured) -> Suspects:
    """The median test; NaN is missing."""
    values = measured.values
    missing: Flags = np.asarray(np.isnan(values).any(axis=1))
    places = measured.voxels.astype(np.float64)
    count = min(NEIGHBOURS + 1, len(places))
    near = nearest(cKDTree(places), places, count)[1][:, 1:]
    proposed, filled = np.zeros_like(missing), values.copy()
    for frame in range(values.shape[2]):
        around = np.where(missing[near, frame][..., None], np.nan, values[near, :, frame])
        middle = _median(around)
        distance = np.abs(values[:, :, frame] - middle)
        spread = _median(np.abs(around - middle[:, None]))
        ratio = distance / (spread + np.nanmedian(spread, axis=0))
        proposed[:, frame] = (ratio > PROPOSED).any(axis=1)
        doubtful = missing[:, frame] | proposed[:, frame]
        filled[doubtful, :, frame] = middle[doubtful]
    return Suspects(missing, proposed, replace(measured, values=np.nan_to_num(filled)))


@dataclass(frozen=True)
class Quality:
    """What was not sound.

    outliers  (k, 4) voxel in the box and frame of those that were left out
    """

    outliers: Int = field(default_factory=lambda: np.empty((0, 4), dtype=np.int64))


def settled(evidence: Evidence, model: Model, variance: float, found: Suspects) -> tuple[Measured, Quality]:
    """What the posterior is conditioned on.

    Of a single frame, what is not sound is left out. Frames share a matrix: there a voxel that is sound in less than
    half of them is left out, and elsewhere predictions from the sound voxels beside it stand in.
    """
    measured = evidence.measured
    if not (found.missing.any() or found.proposed.any()):
        return measured, Quality()
    flags, values = _confirmed(evidence, model, variance, found)
    unsound = found.missing | flags
    kept: Flags = np.asarray(unsound.mean(axis=1) <= 0.5)
    places = np.argwhere(flags)
    listed = np.concatenate([measured.voxels[places[:, 0]], places[:, 1:]], axis=1)
    return taken(replace(measured, values=values), kept), Quality(listed)


def _confirmed(evidence: Evidence, model: Model, variance: float, found: Suspects) -> tuple[Flags, Real]:
    """Those that the model confirms, (n, t), and the values with its predictions in place of them and of what misses.

    evidence  of all voxels, whose values do not matter
    """
    flags, values = np.zeros_like(found.missing), found.filled.values.copy()
    covariance = evidence.covariance(model)
    limit = float(chi2.isf(ALARM / found.missing.size, 3))
    owner = nearest(cKDTree(evidence.places), covariance.points.wall_places, 1)[1][:, 0]
    raw = np.where(found.missing[:, None], values, evidence.measured.values)
    for block in contiguous_blocks(evidence.places, BLOCK):
        doubtful = found.missing[block] | found.proposed[block]
        if not doubtful.any():
            continue
        walls = np.flatnonzero(np.isin(owner, block))
        matrix = covariance.assemble(np.concatenate([walls, block + covariance.points.walls])[None], len(walls))[0]
        inverse = np.linalg.inv(variance * matrix)
        for frame in np.flatnonzero(doubtful.any(axis=0)):
            test = _LeaveOneOut(inverse, len(walls), raw[block, :, frame])
            for place in np.flatnonzero(found.missing[block, frame]):
                test.remove(int(place))
            while (worst := test.worst())[1] > limit:
                test.remove(worst[0])
                flags[block[worst[0]], frame] = True
            values[block, :, frame] = test.values()
    return flags, values


def taken(measured: Measured, kept: Flags) -> Measured:
    """Some of the voxels."""
    signal = None if measured.signal is None else measured.signal[kept]
    return replace(
        measured,
        voxels=measured.voxels[kept],
        values=measured.values[kept],
        fraction=measured.fraction[kept],
        signal=signal,
    )


class _LeaveOneOut:
    """Leave-one-out residuals of a block of vectors whose members can be removed.

    inverse  of the covariance of walls, which observe zero, and values
    values   (n, 3)
    """

    def __init__(self, inverse: Real, walls: int, values: Real) -> None:
        self._whole = inverse
        self._inverse = inverse.copy()
        self._walls = walls
        self._values = values
        self._removed: list[int] = []

    def worst(self) -> tuple[int, float]:
        """The member that disagrees most with the others, and by which z^2."""
        own, weights = self._own()
        square = np.einsum("na,na->n", weights, np.linalg.solve(own, weights[..., None])[..., 0])
        square[self._removed] = 0.0
        place = int(np.argmax(square))
        return place, float(square[place])

    def remove(self, place: int) -> None:
        """Condition on one member less: the inverse of a submatrix by its Schur complement."""
        rows = slice(3 * (self._walls + place), 3 * (self._walls + place) + 3)
        inner, columns = self._inverse[rows, rows].copy(), self._inverse[:, rows].copy()
        self._inverse -= columns @ np.linalg.solve(inner, columns.T)
        self._inverse[rows] = 0.0
        self._inverse[:, rows] = 0.0
        self._inverse[rows, rows] = inner  # so that the member predicts itself from nothing
        self._removed.append(place)

    def values(self) -> Real:
        """The vectors, with predictions from the others where they were removed."""
        filled = self._values.copy()
        filled[self._removed] = 0.0
        if self._removed:
            rows = (3 * (self._walls + np.array(self._removed))[:, None] + np.arange(3)).ravel()
            pull = self._whole[rows, 3 * self._walls :] @ filled.ravel()
            filled[self._removed] = -np.linalg.solve(self._whole[np.ix_(rows, rows)], pull).reshape(-1, 3)
        return filled

    def _own(self) -> tuple[Real, Real]:
        """Diagonal blocks of the inverse, (n, 3, 3), and weights (n, 3) of the members."""
        count = len(self._values)
        kept = self._values.copy()
        kept[self._removed] = 0.0
        flat = self._inverse[3 * self._walls :, 3 * self._walls :]
        weights = (flat @ kept.ravel()).reshape(count, 3)
        own = flat.reshape(count, 3, count, 3)[np.arange(count), :, np.arange(count)]
        return own, weights


def _median(around: Real) -> Real:
    """Median over neighbours (n, k, 3); zero where all are missing."""
    lacking: Flags = np.asarray(np.isnan(around).all(axis=1))
    safe = np.where(lacking[:, None], 0.0, around)
    return np.asarray(np.nanmedian(safe, axis=1))
