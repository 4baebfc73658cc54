"""Conformal thresholds for another site, from its unlabelled scans.

Likelihood-ratio regularized quantile regression (Joshi, Kiyani, Pappas, Dobriban and Hassani, arXiv 2502.13030). The
target differs from the source by a covariate shift: P(score | scan) is the same, the scans are not, r(x) is their
unknown likelihood ratio. The threshold is h(x) = w . f(x) with features f of the network's embedding, and minimises

    E_source[pinball_alpha(h, score)] + lambda min over b of (E_source[b^2 h^2] - 2 E_target[b h]).

The second term is E_source[(b h - r)^2] up to a constant, without r. At the minimum (Proposition 4.1)
E_source[r_H 1{score <= h}] >= 1 - alpha, where r_H is the projection of r onto the span of f: if r lies in it, that is
coverage on the target. Otherwise up to E_source[(r - r_H)+] is lost.

What we do differently. f is (1, leading principal coordinates of source and target together), because calibration
patients are few. The calibration patients also stand for the unlabelled source scans. The inner minimum is put in:
-lambda E_target[h]^2 / E_source[h^2]. Scores are in units of their quantile, so that lambda has none. The level is that
of split conformal prediction, (1 - alpha)(n + 1) / n, which with f = 1 gives its quantile; with more features coverage
is asymptotic. lambda is chosen as in section 5.1: on a grid up to n_source^(-1/3) (1/n_target + 1/n_source)^(-1/3)
(eq. 3), by the norm of the gradient on held-out patients.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Floats = NDArray[np.float64]
FOLDS, STRENGTHS = 3, 10
SOFTNESS = (0.3, 0.1, 0.03, 0.01)  # of the corner of the pinball loss, in units of the scores; annealed


@dataclass(frozen=True)
class Shift:
    """A threshold that depends on the scan.

    mean (d,), axes (d, q)  the features of an embedding e are (1, (e - mean) @ axes)
    weights (1 + q,)        of the features; their sum is the threshold
    coverage                on the target
    strength                lambda
    divergence              E_source[r_H^2] - 1 (chi-square), the part of the shift that the features see
    source_patients, target_patients
    """

    mean: Floats
    axes: Floats
    weights: Floats
    coverage: float
    strength: float
    divergence: float
    source_patients: int
    target_patients: int

    def threshold(self, embedding: Floats) -> Floats:
        """Thresholds (n,) for embeddings (n, d)."""
        return np.asarray(features(embedding, self.mean, self.axes) @ self.weights)

    @property
    def meaning(self) -> str:
        """What is claimed, and what is assumed, in words."""
        return (
            f"asymptotic marginal coverage at the other site ({self.target_patients} unlabelled patients), if it "
            "differs by a covariate shift alone (the same grade for the same scan), its scans lie among those of the "
            f"training, and the likelihood ratio is linear in {self.axes.shape[1]} principal coordinates of the "
            "network's embedding"
        )


@dataclass(frozen=True)
class Sample:
    """What the regression sees.

    source (n, p), score (n,)   features and scores of calibration patients, one row each
    target (m, p), weight (m,)  features of the other site's scans; the weights sum to 1
    """

    source: Floats
    score: Floats
    target: Floats
    weight: Floats

    def part(self, source: NDArray[np.bool_], target: NDArray[np.bool_]) -> "Sample":
        """Some of the rows."""
        weight = self.weight[target]
        return Sample(self.source[source], self.score[source], self.target[target], weight / weight.sum())


def features(embedding: Floats, mean: Floats, axes: Floats) -> Floats:
    """(n, 1 + q) from embeddings (n, d)."""
    return np.concatenate([np.ones((len(embedding), 1)), (embedding - mean) @ axes], axis=1)


def fit_shift(
    source: Floats,
    scores: Floats,
    target: Floats,
    weight: Floats,
    *,
    coverage: float,
    directions: int,
    target_patients: int,
    rng: np.random.Generator,
) -> Shift:
    """The threshold for the target.

    source  (n, d) embeddings of calibration patients, with their scores (n,)
    target  (m, d) embeddings at the other site, with weights (m,), equal in sum for every patient
    """
    mean, axes = principal_axes(source, target, weight, directions)
    level = min(coverage * (len(scores) + 1) / len(scores), 1.0)
    unit = max(float(np.quantile(scores, level)), 1e-12)
    sample = Sample(features(source, mean, axes), scores / unit, features(target, mean, axes), weight / weight.sum())
    strength = choose_strength(sample, level, target_patients, rng)
    moment, shifted = _moments(sample)
    divergence = float(shifted @ np.linalg.solve(moment, shifted) - 1.0)
    weights = unit * regress(sample, level, strength)
    return Shift(mean, axes, weights, coverage, strength, divergence, len(scores), target_patients)


def principal_axes(source: Floats, target: Floats, weight: Floats, directions: int) -> tuple[Floats, Floats]:
    """Mean (d,) and at most `directions` axes (d, q) of source and target, each half of the mass; unit variance."""
    points = np.concatenate([source, target])
    mass = np.concatenate([np.full(len(source), 0.5 / len(source)), 0.5 * weight / weight.sum()])
    mean = mass @ points
    _, length, axes = np.linalg.svd(np.sqrt(mass)[:, None] * (points - mean), full_matrices=False)
    kept = np.flatnonzero(length > 1e-4 * max(length[0], 1e-12))[:directions]
    return mean, axes[kept].T / length[kept]


def choose_strength(sample: Sample, level: float, target_patients: int, rng: np.random.Generator) -> float:
    """lambda of the grid whose minimum is flattest on held-out rows."""
    n, m = len(sample.score), target_patients
    largest = (n * (1.0 / m + 1.0 / n)) ** (-1 / 3)
    grid = largest * np.arange(1, STRENGTHS + 1) / STRENGTHS
    folds = [rng.permutation(size) % FOLDS for size in (n, len(sample.target))]
    steepness = np.zeros(STRENGTHS)
    for fold in range(FOLDS):
        held = [labels == fold for labels in folds]
        learnt, judged = sample.part(~held[0], ~held[1]), sample.part(*held)
        start = None
        for i, strength in enumerate(grid):
            start = regress(learnt, level, strength, start)
            steepness[i] += np.linalg.norm(_slope(start, learnt, judged, level, strength))
    return float(grid[steepness.argmin()])


def regress(sample: Sample, level: float, strength: float, start: Floats | None = None) -> Floats:
    """Weights (p,) of the threshold, by quasi-Newton steps on an ever sharper pinball loss."""
    moment, shifted = _moments(sample)
    weights = np.eye(sample.source.shape[1])[0] if start is None else start

    def objective(w: Floats, soft: float) -> tuple[float, Floats]:
        below = (sample.source @ w - sample.score) / soft
        loss = soft * np.logaddexp(0.0, below).mean() - level * (sample.source @ w).mean()
        slope = sample.source.T @ (expit(below) - level) / len(below)
        ratio, spread = (shifted @ w) / (w @ moment @ w), moment @ w
        value = loss - strength * ratio * (shifted @ w)
        return float(value), slope - 2 * strength * ratio * (shifted - ratio * spread)

    for soft in SOFTNESS:
        weights = minimize(objective, weights, args=(soft,), jac=True, method="L-BFGS-B").x
    return np.asarray(weights)


def _slope(w: Floats, learnt: Sample, judged: Sample, level: float, strength: float) -> Floats:
    """Gradient of the objective on other rows than it was minimised on, at the b of the latter."""
    moment, shifted = _moments(learnt)
    b = (shifted @ w) / (w @ moment @ w)
    moment, shifted = _moments(judged)
    covered = judged.source @ w >= judged.score
    pinball = judged.source.T @ (covered - level) / len(covered)
    return np.asarray(pinball + 2 * strength * (b**2 * moment @ w - b * shifted))


def _moments(sample: Sample) -> tuple[Floats, Floats]:
    """E_source[f f'] (p, p) and E_target[f] (p,)."""
    return sample.source.T @ sample.source / len(sample.source), sample.weight @ sample.target
