"""How well a motion explains one image by the other, and the descent to the best.

The fixed image is a smooth function g of the moving one plus noise and outliers: Roche, Malandain, Pennec and Ayache,
"The correlation ratio as a new similarity measure for multimodal image registration" (MICCAI 1998), who estimate g by
means over intensity bins. Here g is a linear spline whose coefficients are unknowns beside the six of the motion, all
of them found by Gauss-Newton steps on sum rho(r / s), r = fixed - g(moving), rho Tukey's biweight (Black and
Rangarajan, IJCV 19, 1996, on weights as outlier processes), s the median absolute deviation. Contrast may thus differ
in any way that keeps it a function, and voxels that it does not explain have no say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfield.fields._robust import MAD, TUKEY, biweight
from voxfield.fields.alignment._levels import Level
from voxfield.fields.alignment._rigid import Rigid

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

KNOTS = 12
SMOOTH = 1e-3
"""Weight of the second differences of g, so that knots without data follow their neighbours."""
LEAST_SCALE = 0.02
"""Least scale of the residuals, in standard deviations of the fixed image."""
LEAST_OVERLAP = 0.3
"""Share of the points that the moving image has to reach, so that no motion flees from what it can not explain."""
MOST_STEPS = 60
HALVINGS = 6


@dataclass(frozen=True)
class Match:
    """A motion and how it fits.

    cost      mean of rho over the points that the moving image reaches, 0 to 1
    ratio     correlation ratio: share of the variance of the fixed image that g explains, outliers left out
    scale     s of the residuals
    outliers  share of the points without weight
    overlap   share of the points that the moving image reaches
    """

    motion: Rigid
    cost: float
    ratio: float
    scale: float
    outliers: float
    overlap: float


@dataclass(frozen=True)
class _Fit:
    """Residuals of one motion: (n,) weight, residual; (n, k) basis; (n, 6) change of g(moving) with the motion."""

    weight: Floats
    residual: Floats
    basis: Floats
    slope: Floats
    within: Mask
    scale: float

    @property
    def cost(self) -> float:
        """Mean of the biweight's rho, 1 for an outlier, and 1 where the moving image reaches no point."""
        u = np.minimum(np.square(self.residual / (TUKEY * self.scale)), 1)
        return float((1 - (1 - u) ** 3)[self.within].mean()) if self.within.any() else 1.0


def descend(level: Level, motion: Rigid) -> Match:
    """Go to the nearest minimum; s follows the residuals from step to step."""
    fit = _fit(level, motion, None)
    for _ in range(MOST_STEPS):
        step = _step(fit)
        for _ in range(HALVINGS):
            tried = motion.then_by(step)
            following = _fit(level, tried, fit.scale)
            if following.cost < fit.cost and following.within.mean() >= LEAST_OVERLAP:
                break
            step = step / 2
        else:
            break
        gain = fit.cost - following.cost
        motion, fit = tried, _fit(level, tried, None)
        if gain < 1e-7 and np.abs(step).max() < 1e-5:
            break
    return _match(level, motion, fit)


def score(level: Level, motion: Rigid, scale: float | None = None) -> Match:
    """How a motion fits, without moving; `scale` fixes s, so that costs can be compared."""
    return _match(level, motion, _fit(level, motion, scale))


def covariance(level: Level, motion: Rigid, block_mm: float) -> Floats:
    """(6, 6) of rotation vector, radians, and shift, mm; residuals are independent between blocks of `block_mm`.

    The sandwich H^-1 (sum over blocks of g g^T) H^-1, with g the gradient of a block, g of the contrast projected out.
    """
    fit = _fit(level, motion, None)
    root = np.sqrt(fit.weight)[:, None]
    known = root * fit.basis
    slope = root * fit.slope
    slope = slope - known @ np.linalg.lstsq(known, slope, rcond=1e-9)[0]
    cells = np.floor((level.points - level.points.min(axis=0)) / block_mm).astype(np.int64)
    _, block = np.unique(cells, axis=0, return_inverse=True)
    gradients = np.zeros((int(block.max()) + 1, 6))
    np.add.at(gradients, block.ravel(), slope * (root * fit.residual[:, None]))
    bread = np.linalg.pinv(slope.T @ slope)
    return np.asarray(bread @ (gradients.T @ gradients) @ bread)


def _fit(level: Level, motion: Rigid, scale: float | None) -> _Fit:
    values, gradient, moved, within = level.read(motion)
    basis, derivative = _spline(values, level.moving)
    weight = within.astype(np.float64)
    coefficients = _contrast(basis, level.values, weight)
    spread = float(level.values.std()) or 1.0
    for _ in range(3):
        residual = level.values - basis @ coefficients
        known = residual[within] if within.any() else residual
        s = scale or max(MAD * float(np.median(np.abs(known))), LEAST_SCALE * spread)
        weight = within * biweight(residual, s)
        coefficients = _contrast(basis, level.values, weight)
    residual = level.values - basis @ coefficients
    rate = derivative @ coefficients
    arm = moved - motion.centre - motion.shift
    slope = rate[:, None] * np.concatenate([np.cross(arm, gradient), gradient], axis=1)
    return _Fit(weight, residual, basis, slope, within, s)


def _step(fit: _Fit) -> Floats:
    """Gauss-Newton step of the motion (6,), the contrast moving along."""
    joint = np.concatenate([fit.basis, fit.slope], axis=1)
    weighted = fit.weight[:, None] * joint
    normal = weighted.T @ joint
    size = np.sqrt(np.maximum(np.diag(normal), 1e-30))
    scaled = normal / np.outer(size, size) + 1e-6 * np.eye(len(normal))
    solution = np.linalg.lstsq(scaled, (weighted.T @ fit.residual) / size, rcond=1e-12)[0] / size
    return np.asarray(solution[-6:])


def _spline(values: Floats, image: Floats) -> tuple[Floats, Floats]:
    """Hat functions (n, KNOTS) over the range of the image, and their derivatives."""
    low, high = float(image.min()), float(image.max())
    width = max(high - low, 1e-12) / (KNOTS - 1)
    place = np.clip((values - low) / width, 0, KNOTS - 1 - 1e-9)
    left = place.astype(np.int64)
    share, row = place - left, np.arange(len(values))
    basis, derivative = np.zeros((len(values), KNOTS)), np.zeros((len(values), KNOTS))
    basis[row, left], basis[row, left + 1] = 1 - share, share
    derivative[row, left], derivative[row, left + 1] = -1 / width, 1 / width
    return basis, derivative


def _contrast(basis: Floats, values: Floats, weight: Floats) -> Floats:
    """Coefficients (KNOTS,) of g."""
    weighted = weight[:, None] * basis
    bend = np.diff(np.eye(KNOTS), 2, axis=0)
    normal = weighted.T @ basis + SMOOTH * max(float(weight.sum()), 1.0) / KNOTS * bend.T @ bend
    return np.asarray(np.linalg.lstsq(normal, weighted.T @ values, rcond=1e-12)[0])


def _match(level: Level, motion: Rigid, fit: _Fit) -> Match:
    kept = fit.weight > 0
    total = float(np.var(level.values[kept])) if kept.any() else 0.0
    ratio = 1 - float(np.mean(np.square(fit.residual[kept]))) / total if total > 0 else 0.0
    outliers = float((fit.within & ~kept).sum() / max(fit.within.sum(), 1))
    return Match(motion, fit.cost, ratio, fit.scale, outliers, float(fit.within.mean()))
