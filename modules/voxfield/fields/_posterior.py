"""The posterior of the velocity: mean, draws and pointwise variance.

Matheron's rule (Journel and Huijbregts 1978; Wilson et al. 2021, JMLR 22:105): with a draw v of the prior, its noisy
observations G v + e and the data y, the field v + K G^T (G K G^T + R)^-1 (y - G v - e) is an exact draw of the
posterior; v = e = 0 gives the mean. Both terms are discrete curls, so every result is divergence-free by construction.

The system is solved by conjugate gradients: covariances are applied by FFT on the box, and Vecchia's factor (see
`_vecchia`) preconditions. The pointwise variance is that of kriging from the nearest observations, scaled so that its
mean over the lumen is that of the draws: kriging knows how it varies, the draws know how large it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft, sparse
from scipy.linalg import lapack

from voxfield.fields._blocks import Covariance
from voxfield.fields._evidence import Evidence, Model
from voxfield.fields._prior import Complex, Int, Prior, Real, centred
from voxfield.fields._vecchia import conditionals, earlier_neighbours, nearest

NEIGHBOURS = 40
"""Voxels that a voxel is conditioned on, in the preconditioner and in the pointwise variance."""
WALL_NEIGHBOURS = 16
SMALL = 600
"""Observations up to which the pointwise variance is conditioned on all of them."""


class ObservationMap:
    """G and its transpose on fields of the box, and G K G^T + R."""

    def __init__(self, covariance: Covariance) -> None:
        self.covariance = covariance
        self.points = covariance.points
        self.observation = covariance.tables.observation
        self.prior: Prior = covariance.tables.prior

    def observe(self, centres: Real) -> Real:
        """Observations of a field at cell centres (3, *fine): (blocks, 3)."""
        if self.observation.is_identity:
            return self._read(centres, centres)
        seen = np.stack([self._inverse(self.observation.apply(fft.rfftn(c))) for c in centres])
        return self._read(seen, centres)

    def spread(self, values: Real) -> Real:
        """The transpose of `observe`: (blocks, 3) to (3, *fine)."""
        seen, direct = self._write(values)
        if self.observation.is_identity:
            return seen + direct
        back = self.observation.symbol.conj()
        return direct + np.stack([self._inverse(fft.rfftn(s) * back) for s in seen])

    def apply(self, values: Real) -> Real:
        """(G K G^T + R) values, (blocks, 3)."""
        noise: Real = np.einsum("nij,nj->ni", self.covariance.noise, values)
        return noise + (self._apply_voxels(values) if not self.points.walls else self._apply_all(values))

    def _apply_voxels(self, values: Real) -> Real:
        """Without a wall everything happens on the lattice of the voxels."""
        shape, voxels = self.prior.box.coarse, tuple(self.points.voxels.T)
        spectra = []
        for component in values.T:
            field = np.zeros(shape)
            field[voxels] = component
            spectra.append(fft.rfftn(field))
        mixed = _mix(self._voxel_spectra, spectra)
        return np.stack([fft.irfftn(m, shape)[voxels] for m in mixed], axis=1)

    def _apply_all(self, values: Real) -> Real:
        seen, direct = self._write(values)
        if self.observation.is_identity:
            mixed = _mix(self._spectra, [fft.rfftn(f) for f in seen + direct])
            field = np.stack([self._inverse(m) for m in mixed])
            return self._read(field, field)
        symbol = self.observation.symbol
        spectra = [fft.rfftn(d) + symbol.conj() * fft.rfftn(s) for s, d in zip(seen, direct, strict=True)]
        mixed = _mix(self._spectra, spectra)
        centres = np.stack([self._inverse(m) for m in mixed])
        return self._read(np.stack([self._inverse(symbol * m) for m in mixed]), centres)

    def _read(self, seen: Real, centres: Real) -> Real:
        points, refine = self.points, self.prior.box.refine
        voxels = seen[(slice(None), *(refine * points.voxels.T))].T
        if not points.walls:
            return voxels
        share = points.share
        inside = centres[(slice(None), *points.inside.T)]
        outside = centres[(slice(None), *points.outside.T)]
        return np.concatenate([((1 - share) * inside + share * outside).T, voxels])

    def _write(self, values: Real) -> tuple[Real, Real]:
        """The transpose of `_read`: fields of voxel values and of values at centres."""
        points, refine = self.points, self.prior.box.refine
        seen = np.zeros((3, *self.prior.box.shape))
        direct = np.zeros_like(seen) if points.walls else seen
        seen[(slice(None), *(refine * points.voxels.T))] = values[points.walls :].T
        if not points.walls:
            return seen, np.zeros_like(seen)
        for axis, bound in enumerate(values[: points.walls].T):
            np.add.at(direct[axis], tuple(points.inside.T), (1 - points.share) * bound)
            np.add.at(direct[axis], tuple(points.outside.T), points.share * bound)
        return seen, direct

    def _inverse(self, spectrum: Complex) -> Real:
        field: Real = fft.irfftn(spectrum, self.prior.box.shape)
        return field

    @cached_property
    def _spectra(self) -> dict[tuple[int, int], Real]:
        return {(a, b): self.prior.spectrum(a, b) for a in range(3) for b in range(a, 3)}

    @cached_property
    def _voxel_spectra(self) -> dict[tuple[int, int], Real]:
        table = self.covariance.tables.voxel.reshape(*self.prior.box.coarse, 3, 3)
        return {(a, b): fft.rfftn(table[..., a, b]).real for a in range(3) for b in range(a, 3)}


@dataclass(frozen=True)
class Solution:
    """Weights of the observations, and how they were found."""

    weights: Real
    iterations: int
    residual: float


class Directions:
    """Conjugate directions of earlier solves with one matrix, as many as fit into the memory set aside."""

    def __init__(self, most_bytes: float = 6e8) -> None:
        self._directions: list[Real] = []
        self._images: list[Real] = []
        self._curvatures: list[float] = []
        self._room = most_bytes

    def add(self, direction: Real, image: Real, curvature: float) -> None:
        """Keep a direction, its image under the matrix, and their product."""
        self._room -= 2 * direction.nbytes
        if self._room > 0:
            self._directions.append(direction.copy())
            self._images.append(image.copy())
            self._curvatures.append(curvature)

    def start(self, wanted: Real) -> tuple[Real, Real]:
        """Weights in the span of the directions, and what they leave of `wanted`."""
        weights, residual = np.zeros_like(wanted), wanted.copy()
        for direction, image, curvature in zip(self._directions, self._images, self._curvatures, strict=True):
            step = float(np.vdot(direction, residual)) / curvature
            weights += step * direction
            residual -= step * image
        return weights, residual


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
        self._factor, self._factor_transposed = self._preconditioner()
        self._noise_root = np.linalg.cholesky(self.map.covariance.noise)
        self._known = Directions()

    def mean(self, values: Real, tolerance: float = 1e-7) -> tuple[Real, Solution]:
        """Face velocities of the posterior mean, (3, *fine), for data (n, 3)."""
        solution = self.solve(self._padded(values), tolerance, remember=True)
        return self.prior.smooth(self.map.spread(solution.weights)), solution

    def draw(self, values: Real, rng: np.random.Generator, tolerance: float = 1e-4) -> tuple[Real, Solution]:
        """Face velocities of one draw, (3, *fine), for data (n, 3)."""
        scale = np.sqrt(self.variance)
        field = self.prior.draw(rng)
        noise = np.einsum("nij,nj->ni", self._noise_root, rng.standard_normal((len(self._noise_root), 3)))
        wanted = self._padded(values) / scale - self.map.observe(centred(field)) - noise
        solution = self.solve(wanted, tolerance)
        return scale * (field + self.prior.smooth(self.map.spread(solution.weights))), solution

    def solve(self, wanted: Real, tolerance: float, most: int = 1000, *, remember: bool = False) -> Solution:
        """Preconditioned conjugate gradients for (G K G^T + R) weights = wanted.

        All right-hand sides share the matrix: with `remember` the search directions are kept, and later solves start
        from the best weights in their span (Erhel & Guyomarc'h, SIAM J. Matrix Anal. 21, 2000), which leaves out the
        few directions that cost most of the iterations.
        """
        first = float(np.vdot(wanted, self._precondition(wanted)))
        weights, residual = self._known.start(wanted)
        steered = self._precondition(residual)
        direction, slope = steered.copy(), float(np.vdot(residual, steered))
        count = 0
        while slope > tolerance**2 * first and count < most:
            image = self.map.apply(direction)
            curvature = float(np.vdot(direction, image))
            step = slope / curvature
            if remember:
                self._known.add(direction, image, curvature)
            weights += step * direction
            residual -= step * image
            steered = self._precondition(residual)
            slope, previous = float(np.vdot(residual, steered)), slope
            direction = steered + slope / previous * direction
            count += 1
        return Solution(weights, count, float(np.sqrt(max(slope, 0.0) / first)) if first > 0 else 0.0)

    @property
    def is_small(self) -> bool:
        """Whether every cell is conditioned on all observations, so that its variance is exact."""
        return len(self.map.points) <= SMALL

    def kriging_variance(self, cells: Int) -> Real:
        """Posterior variance of the components at the centres of fine cells (n, 3), from the nearest observations.

        Conditioning on fewer observations than there are, it is a little too large; see `is_small`.
        """
        box, points = self.prior.box, self.map.points
        if self.is_small:
            parent, member = np.zeros((1, 3), dtype=np.int64), np.zeros(len(cells), dtype=np.int64)
        else:
            place = np.rint((cells - self.map.observation.offset) / box.refine).astype(np.int64)
            parent, member = np.unique(place, axis=0, return_inverse=True)
        order = np.argsort(member.ravel(), kind="stable")
        ends = np.searchsorted(member.ravel()[order], np.arange(len(parent) + 1))
        centre: Real = parent.astype(np.float64) * box.refine + self.map.observation.offset
        walls = points.walls if self.is_small else min(WALL_NEIGHBOURS, points.walls)
        near_walls = nearest(points.wall_places, centre, walls)
        near = nearest(self._places, centre, len(self._places) if self.is_small else NEIGHBOURS)
        sets = np.concatenate([near_walls, _numbered_from(near, points.walls)], axis=1)
        variance = np.empty((len(cells), 3))
        for start in range(0, len(parent), 128):
            for row, matrix in enumerate(self.map.covariance.assemble(sets[start : start + 128], walls), start):
                group = order[ends[row] : ends[row + 1]]
                variance[group] = self._conditional(matrix, sets[row], cells[group], walls)
        return variance * self.variance

    def _cross(self, blocks: Int, cells: Int, walls: int) -> Real:
        """Covariance of observations (m,) with the centres of cells (g, 3), as (3 m, 3 g)."""
        covariance, points = self.map.covariance, self.map.points
        parts = [covariance.voxel_centre(points.voxels[blocks[walls:] - points.walls][None], cells[None])[0]]
        if walls:
            parts.insert(0, covariance.wall_centre(blocks[:walls][None], cells[None])[0])
        joined = np.concatenate(parts)
        crossed: Real = joined.transpose(0, 2, 1, 3).reshape(3 * len(blocks), 3 * len(cells))
        return crossed

    def _conditional(self, matrix: Real, blocks: Int, cells: Int, walls: int) -> Real:
        """Variance of cells (g, 3) given blocks (m,) with the covariance `matrix`, prior variance 1."""
        factor, _ = lapack.dpotrf(matrix, lower=1, clean=0)
        own = np.array([self.map.covariance.tables.centre[0, a, a] for a in range(3)])
        variance = np.empty((len(cells), 3))
        for start in range(0, len(cells), 512):
            part = cells[start : start + 512]
            explained, _ = lapack.dtrtrs(factor, self._cross(blocks, part, walls), lower=1)
            left = np.tile(own, len(part)) - np.einsum("ij,ij->j", explained, explained)
            variance[start : start + 512] = np.maximum(left, 0.0).reshape(len(part), 3)
        return variance

    def _padded(self, values: Real) -> Real:
        """Data behind the zeros that the wall observes."""
        return np.concatenate([np.zeros((self.map.points.walls, 3)), values])

    def _precondition(self, residual: Real) -> Real:
        white = self._factor @ residual.ravel()
        steered: Real = (self._factor_transposed @ white).reshape(residual.shape)
        return steered

    def _preconditioner(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        covariance, points = self.map.covariance, self.map.points
        walls = min(WALL_NEIGHBOURS, points.walls)
        near = nearest(points.wall_places, self._places, walls)
        earlier = _numbered(earlier_neighbours(self._places, NEIGHBOURS), points.walls)
        factors = [conditionals(lambda part: covariance.assemble(part, walls), np.concatenate([near, earlier], axis=1))]
        if points.walls:
            sets = _numbered(earlier_neighbours(points.wall_places, walls), 0)
            factors.insert(0, conditionals(lambda part: covariance.assemble(part, part.shape[1]), sets))
        whole = sparse.vstack([f.sparse(len(points)) for f in factors]).tocsr()
        return whole, whole.T.tocsr()


def _numbered_from(sets: Int, first: int) -> Int:
    return np.where(sets < 0, -1, sets + first)


def _numbered(earlier: Int, first: int) -> Int:
    """Neighbours (n, m) and the blocks themselves, (n, m + 1), numbered from `first`."""
    sets = np.concatenate([earlier, np.arange(len(earlier))[:, None]], axis=1)
    return _numbered_from(sets, first)


def _mix(spectra: dict[tuple[int, int], Real], fields: list[Complex]) -> list[Complex]:
    """The matrix of spectra applied to the three components."""
    rows = [[spectra[min(a, b), max(a, b)] * fields[b] for b in range(3)] for a in range(3)]
    return [x + y + z for x, y, z in rows]
