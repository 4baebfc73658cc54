"""Gaussian-process fields on a domain: fit, predict, sample.

    v(x) = T(x) T(x)^T [ sum_j c_j phi_j(x) + g(x) ],    c_j ~ N(0, S_j),    data y = v + noise

The first part is RVGP (arXiv 2309.16746): modes of the connection Laplacian with a spectral density; the second is
ambient, a stationary field g in R^d seen through the tangent planes, but told by neighbours along the domain only.
Evidence weighs the two. What we do differently from RVGP, and why:

- weight space instead of a dense Cholesky factor in 3 n unknowns: the same prior, a cost of O(n k^2);
- the local part carries what the truncated spectrum leaves out, which RVGP's intervals lack (they cover .5 to .8);
- smooth fields are smooth in space, which an intrinsic kernel does not know: ambient kriging is far more accurate where
  neighbours are dense. Neighbours along the domain keep close sheets apart, where ambient methods mix them;
- nothing is dense or global in n but the k modes: no sparse precision is solved either, since the local part reaches
  10^5 points at a cost of O(n), with standard deviations at once;
- prediction anywhere near the domain: only frames and modes are interpolated, the local part is exact there;
- intervals include the frames' error, scaled to the normal part of what was observed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import solve_triangular
from scipy.sparse.linalg import spsolve_triangular

from voxfield.fields.manifold._calibrated import calibrated
from voxfield.fields.manifold._domain import Domain
from voxfield.fields.manifold._frame_error import draw_tilts, normal_sd
from voxfield.fields.manifold._kriging import Weights, krige
from voxfield.fields.manifold._modes import Modes
from voxfield.fields.manifold._neighbourhoods import Cells, closest, companions
from voxfield.fields.manifold._patches import Int, Real
from voxfield.fields.manifold._places import Places, attach
from voxfield.fields.manifold._settings import NEIGHBOURS, Observed, Settings, whiten

SOURCES = 128
"""Observations that a cell of nodes learns from."""
MEMBERS = 16
"""Nodes of a cell."""
COMPANIONS = 16
"""Earlier places that a place of a sample is conditioned on."""
PART = 8192
"""Places that are predicted together; bounds memory."""
LEFT_OUT = 300
"""Observations that are left out, one by one, to see whether the intervals hold them."""


@dataclass(frozen=True)
class Prediction:
    """A field at places.

    mean   (p, a) along the axes of the points, or a = 1 for a scalar
    sd     (p, a) of the field itself, without noise; the error of the frames is in it
    """

    mean: Real
    sd: Real


class FieldGP:
    """Posterior of a field on a domain, given its settings. Made by `fit`, or from settings chosen before."""

    def __init__(
        self,
        nodes: Places,
        modes: Modes,
        domain: Domain,
        observed: Observed,
        cell: Cells,
        settings: Settings,
        tilt: float,
        seed: int,
    ) -> None:
        self.domain = domain
        self.nodes = nodes
        self.modes = modes
        self.observed = observed
        self.settings = settings
        self.tilt = tilt
        self.seed = seed
        self._cells = cell
        self._density = np.zeros(0) if settings.intrinsic is None else settings.intrinsic.density
        self._root, self._mean = np.zeros((0, 0)), np.zeros(0)
        if settings.intrinsic is not None:
            self._condition()
        self.inflation = self._calibrate()

    def _condition(self) -> None:
        """Posterior of the weights of the modes."""
        observed, settings = self.observed, self.settings
        everyone = np.arange(len(observed.places))
        weights, points = None, observed.places.points
        if settings.local is not None:
            noise = np.full(len(points), settings.noise_ratio)
            weights = krige(settings.local, points, noise, observed.earlier(everyone), everyone[:, None], points)
        data = whiten(observed, weights, settings.noise_ratio, everyone)
        root = np.sqrt(np.maximum(self._density, 1e-300))
        factor = np.linalg.cholesky(root[:, None] * data.gram * root + np.eye(len(root)))
        # Posterior covariance of the weights, over the variance: root_ root_^T with root_ = R L^-T.
        self._root = root[:, None] * solve_triangular(factor, np.eye(len(root)), lower=True).T
        self._mean = self._root @ (self._root.T @ data.cross)

    def predict(self, places: Places | None = None) -> Prediction:
        """Mean and standard deviation at places, by default at the nodes."""
        places = self.nodes if places is None else places
        parts = [self._predict(places.take(part)) for part in self._parts(places)]
        order = np.argsort(np.concatenate(self._parts(places)), kind="stable")
        return Prediction(*(np.concatenate([getattr(p, name) for p in parts])[order] for name in ("mean", "sd")))

    def sample(self, count: int, rng: np.random.Generator, places: Places | None = None) -> Real:
        """Joint draws of the field, (count, p, a)."""
        places = self.nodes if places is None else places
        order = rng.permutation(len(places))
        shuffled = places.take(order)
        mean = self.predict(shuffled)
        axes = places.bases.shape[1]
        scale = np.sqrt(self.settings.variance)
        local = self._local_deviations(shuffled, rng.standard_normal((len(places), axes * count)))
        coefficients = self._root @ rng.standard_normal((self._root.shape[1], count))
        draws = np.empty((count, len(places), axes))
        for start in range(0, len(places), PART):
            part = slice(start, start + PART)
            here = shuffled.take(part)
            left = self._feature_innovation(here, self._local(here)) @ coefficients
            both = left + local[part].reshape(-1, axes, count)
            draws[:, order[part]] = np.moveaxis(scale * here.project(both), 2, 0) + mean.mean[part]
        draws[:, order] += draw_tilts(shuffled, mean.mean, self.tilt, rng.standard_normal((count, len(places), axes)))
        return draws

    def attach(self, points: Real) -> Places:
        """Places anywhere near the domain, (p, d)."""
        return attach(points, self.nodes, self.domain)

    @property
    def frame_error(self) -> Real:
        """(n,) estimated angle between the frames and the tangent planes, radian, scaled to the data."""
        return self.tilt * self.nodes.error

    def _parts(self, places: Places) -> list[Int]:
        """Places in parts of bounded size, cell by cell, so that a part shares neighbourhoods."""
        order = np.argsort(self._cells.cell[places.nodes], kind="stable")
        return [order[start : start + PART] for start in range(0, len(order), PART)]

    def _predict(self, places: Places) -> Prediction:
        weights = self._local(places)
        source = self.observed
        left = source.values - source.places.features @ self._mean
        mean = places.features @ self._mean + weights.matrix @ left
        mean = places.project(mean)
        spread = places.project(self._feature_innovation(places, weights)) @ self._root
        inside = np.square(places.bases).sum(axis=2)
        variance = np.square(spread).sum(axis=2) + (self.inflation**2 * weights.variance + self._tail)[:, None] * inside
        total = self.settings.variance * variance + np.square(normal_sd(places, mean, self.tilt))[:, None] * (
            1 - inside
        )
        return Prediction(mean, np.sqrt(total))

    @property
    def _tail(self) -> float:
        """Variance beyond the kept modes, which in a sum of kernels the local part carries."""
        settings = self.settings
        return settings.intrinsic.tail if settings.local is None and settings.intrinsic is not None else 0.0

    def _calibrate(self) -> float:
        """Factor of the local standard deviation under which leaving one out holds what it should.

        A stationary kernel fitted to all scales at once may be too sure, or not sure enough, at the finest one.
        """
        local, source = self.settings.local, self.observed
        if local is None:
            return 1.0
        chosen = np.unique(np.linspace(0, len(source.places) - 1, LEFT_OUT).astype(np.int64))
        sets = source.candidates[chosen]
        others = np.where(sets == chosen[:, None], -1, sets)[:, : 2 * NEIGHBOURS]
        noise = np.full(len(source.places), self.settings.noise_ratio)
        here = source.places.take(chosen)
        weights = krige(local, source.places.points, noise, others, np.arange(len(chosen))[:, None], here.points)
        innovation = here.project(self._feature_innovation(here, weights))
        predicted = here.project(weights.matrix @ source.values) + innovation @ self._mean
        square = np.square(here.bases.transpose(0, 2, 1) @ (source.values[chosen] - predicted)[:, :, None])[:, :, 0]
        known = np.square(here.bases.transpose(0, 2, 1) @ (innovation @ self._root)).sum(axis=2)
        spread = np.broadcast_to(weights.variance[:, None], square.shape)
        rest = known + self.settings.noise_ratio
        scale = self.settings.variance
        return calibrated(square.ravel() / scale, spread.ravel(), rest.ravel(), (0.3, 10.0))

    def _local(self, places: Places) -> Weights:
        """Kriging weights of places on the observations of their cells."""
        source = self.observed.places
        if self.settings.local is None:
            return Weights(sparse.csr_array((len(places), len(source))), np.zeros(len(places)))
        rows, targets = _grouped(self._cells.cell[places.nodes], MEMBERS)
        noise = np.full(len(source), self.settings.noise_ratio)
        return krige(self.settings.local, source.points, noise, self._cells.sets[rows], targets, places.points)

    def _feature_innovation(self, places: Places, weights: Weights) -> Real:
        """(p, a, k) what the local part does not take over from the features of the observations."""
        known = self.observed.places.features
        taken = weights.matrix @ known.reshape(len(known), -1)
        innovation: Real = places.features - taken.reshape(places.features.shape)
        return innovation

    def _local_deviations(self, places: Places, noise: Real) -> Real:
        """Draws (p, q) of the local part given zeros at the observations, each place after the ones before it.

        Sequential simulation: a place is conditioned on its nearest observations and its nearest earlier places.
        """
        local, source = self.settings.local, self.observed.places
        if local is None:
            own: Real = np.sqrt(self._tail) * noise
            return own
        beside = companions(self.domain, places.nodes, places.points, COMPANIONS)
        near = closest(source.points, self._cells.sets[self._cells.cell[places.nodes]], places.points, NEIGHBOURS)
        sets = np.concatenate([near, np.where(beside < 0, -1, beside + len(source))], axis=1)
        points = np.concatenate([source.points, places.points])
        errors = np.concatenate([np.full(len(source), self.settings.noise_ratio), np.full(len(places), 1e-8)])
        weights = krige(local, points, errors, sets, np.arange(len(places))[:, None], places.points)
        among = weights.matrix[:, len(source) :]
        white = self.inflation * np.sqrt(weights.variance)[:, None] * noise
        return np.asarray(spsolve_triangular((sparse.eye_array(len(places)) - among).tocsr(), white, lower=True))


def _grouped(cell: Int, width: int) -> tuple[Int, Int]:
    """Rows of up to `width` targets that share a cell: the cells (r,) and the targets (r, width), -1 for none."""
    order = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[order], cell[order])
    rank = np.arange(len(cell)) - first
    key = cell[order] * (len(cell) // width + 1) + rank // width
    _, row = np.unique(key, return_inverse=True)
    targets = np.full((int(row.max(initial=-1)) + 1, width), -1, dtype=np.int64)
    targets[row, rank % width] = order
    cells_of_rows = np.zeros(len(targets), dtype=np.int64)
    cells_of_rows[row] = cell[order]
    return cells_of_rows, targets
