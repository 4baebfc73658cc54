"""Is this scan like those that trained the model?

The distance of a scan is the mean Euclidean distance to its `k` nearest training scans in standardised
coordinates (Ramaswamy et al. 2000). Training scans have their own, leaving each out; a new scan is called
unfamiliar when it lies farther than `margin` times the largest of those. Two coordinates are looked at: the
summary of the scan before normalisation (size, spacing, intensity: a wrong unit, a cropped field, another
scanner), and the network's embedding (a picture unlike any seen). It is a screen for gross change, not a test
at a stated level: the network saw its training scans and not the others, so that the margin is a rule of thumb, and
a shift of the whole population (see `covariate_shift`) may leave every scan within it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BLOCK = 512  # points whose distances to the whole bank are held at once


@dataclass(frozen=True)
class Bank:
    """Standardised training scans and the distance beyond which a scan is unlike them.

    points  (n, d)   mean, sd  (d,)   limit  in units of standard deviations times sqrt(d)
    """

    points: Floats
    mean: Floats
    sd: Floats
    limit: float
    neighbours: int

    @classmethod
    def fit(cls, values: Floats, *, neighbours: int = 3, margin: float = 1.5, floor: float = 0.02) -> "Bank":
        """From training scans (n, d).

        floor  least standard deviation, relative to the largest entry: where all training scans agree, a
               difference of one part in a million is none
        """
        mean = values.mean(0)
        sd = np.maximum(values.std(0), floor * np.maximum(np.abs(values).max(0), 1.0))
        points = (values - mean) / sd
        k = min(neighbours, max(len(points) - 1, 1))
        own = _nearest(points, points, k, skip_self=True) if len(points) > 1 else np.zeros(1)
        least = 0.25 * np.sqrt(points.shape[1])  # a quarter of an sd in every coordinate is never unfamiliar
        return cls(points, mean, sd, float(max(margin * own.max(), least)), k)

    def distance(self, values: Floats) -> Floats:
        """Distance of scans (m, d) from the bank over the limit, (m,): above 1 is unlike the training."""
        return _nearest((values - self.mean) / self.sd, self.points, self.neighbours) / self.limit

    def farthest(self, value: Floats) -> int:
        """The coordinate in which a scan (d,) differs most from the nearest training scan."""
        point = (value - self.mean) / self.sd
        nearest = self.points[((self.points - point) ** 2).sum(1).argmin()]
        return int(np.abs(point - nearest).argmax())


def _nearest(points: Floats, bank: Floats, k: int, *, skip_self: bool = False) -> Floats:
    """Mean distance to the k nearest of the bank, a block of points at a time."""
    blocks = np.array_split(points, -(-len(points) // BLOCK))
    return np.concatenate([_nearest_block(block, bank, k, int(skip_self)) for block in blocks])


def _nearest_block(points: Floats, bank: Floats, k: int, skip: int) -> Floats:
    square = (points**2).sum(1)[:, None] + (bank**2).sum(1)[None] - 2 * points @ bank.T
    least = np.partition(np.maximum(square, 0.0), min(k + skip, len(bank)) - 1, axis=1)[:, : k + skip]
    return np.asarray(np.sqrt(np.sort(least, axis=1)[:, skip:]).mean(1))
