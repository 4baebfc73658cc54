"""The posterior of the velocity: mean, draws and pointwise variance.

Matheron's rule (Journel and Huijbregts 1978; Wilson et al. 2021, JMLR 22:105): with a draw v of the prior, its noisy
observations G v + e and the data y, the field v + K G^T (G K G^T + R)^-1 (y - G v - e) is an exact draw of the
posterior; v = e = 0 gives the mean. Both terms are discrete curls, so every result is divergence-free by construction.

The system is solved by conjugate gradients: covariances are applied by FFT on the box (`_system`), and Vecchia's factor
(`_vecchia`) preconditions. The pointwise variance is that of kriging from the nearest observations, scaled so that its
mean over the lumen is that of the draws: kriging knows how it varies, the draws know how large it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from voxfield.fields._evidence import Evidence
from voxfield.fields._kriging import Kriging
from voxfield.fields._model import Model
from voxfield.fields._neighbours import earlier_neighbours, grouped, nearest
from voxfield.fields._prior import Int, Real, centred
from voxfield.fields._solver import Directions, Solution, conjugate_gradients
from voxfield.fields._system import ObservationMap
from voxfield.fields._vecchia import Factor, rows
from voxfield.fields._walls import THINNING

NEIGHBOURS = 40
"""Voxels that a group of voxels is conditioned on, in the preconditioner."""
WALL_NEIGHBOURS = 16
GROUP = 2
"""Voxels a side of a group; points of the wall lie THINNING times as far apart."""
DRAW_BYTES = 2e8
"""Memory for the fields of the draws that are solved for at once."""


class Posterior:
    """Posterior of a model, scaled so that the prior has the variance given.

    evidence  holds the data
    variance  of a component of the velocity under the prior, unit of the data squared
    """

    def __init__(self, evidence: Evidence, model: Model, variance: float) -> None:
        self.model = model
        self.variance = variance
        self.map = ObservationMap(evidence.covariance(model))
        self.prior = self.map.prior
        self._places = evidence.places
        self._kriging = Kriging(self.map.covariance, evidence.places)
        self._factor = self._preconditioner()
        self._noise_root = np.linalg.cholesky(self.map.covariance.noise)
        self._known = Directions()

    def mean(self, values: Real, tolerance: float = 1e-4) -> tuple[Real, Solution]:
        """Face velocities of the posterior mean, (3, *fine), for data (n, 3)."""
        (solution,) = self._solve(self._padded(values)[..., None], tolerance, remember=True)
        return self.prior.smooth(self.map.spread(solution.weights)), solution

    def draws(
        self, values: Real, count: int, rng: np.random.Generator, tolerance: float = 3e-4
    ) -> Iterator[tuple[Real, Solution]]:
        """Face velocities of draws, (3, *fine) each, for data (n, 3)."""
        scale = np.sqrt(self.variance)
        most = max(1, int(DRAW_BYTES / (24 * np.prod(self.prior.box.shape))))
        for start in range(0, count, most):
            fields = [self.prior.draw(rng) for _ in range(min(most, count - start))]
            wanted = [self._padded(values) / scale - self.map.observe(centred(f)) - self._noise(rng) for f in fields]
            for field, solution in zip(fields, self._solve(np.stack(wanted, axis=-1), tolerance), strict=True):
                yield scale * (field + self.prior.smooth(self.map.spread(solution.weights))), solution

    @property
    def is_small(self) -> bool:
        """Whether the pointwise variance is exact."""
        return self._kriging.is_small

    def kriging_variance(self, cells: Int) -> Real:
        """Posterior variance of the components at the centres of fine cells (n, 3), from the nearest observations."""
        return self._kriging.variance(cells) * self.variance

    def _noise(self, rng: np.random.Generator) -> Real:
        noise: Real = np.einsum("nij,nj->ni", self._noise_root, rng.standard_normal((len(self._noise_root), 3)))
        return noise

    def _solve(self, wanted: Real, tolerance: float, *, remember: bool = False) -> list[Solution]:
        precondition = self._factor.precondition
        return conjugate_gradients(self._apply, precondition, wanted, tolerance, self._known, remember=remember)

    def _apply(self, vectors: Real) -> Real:
        """G K G^T + R on vectors (blocks, 3, k)."""
        return np.stack([self.map.apply(vectors[..., k]) for k in range(vectors.shape[2])], axis=-1)

    def _padded(self, values: Real) -> Real:
        """Data behind the zeros that the wall observes."""
        return np.concatenate([np.zeros((self.map.points.walls, 3)), values])

    def _preconditioner(self) -> Factor:
        covariance, points = self.map.covariance, self.map.points
        refine, parts = self.prior.box.refine, []
        walls = min(WALL_NEIGHBOURS, points.walls)
        if points.walls:
            bound = grouped(points.inside // (GROUP * THINNING * refine))
            sets = np.concatenate([earlier_neighbours(points.wall_places, bound, walls), bound], axis=1)
            parts.append(rows(lambda part: covariance.assemble(part, part.shape[1]), sets, bound.shape[1]))
        free = grouped(points.voxels // GROUP)
        middle = np.stack([self._places[group[group >= 0]].mean(axis=0) for group in free])
        near = np.concatenate([earlier_neighbours(self._places, free, NEIGHBOURS), free], axis=1)
        bound = nearest(cKDTree(points.wall_places), middle, walls)[1]
        sets = np.concatenate([bound, np.where(near < 0, -1, near + points.walls)], axis=1)
        parts.append(rows(lambda part: covariance.assemble(part, walls), sets, free.shape[1]))
        return Factor(parts, len(points))
