"""Contiguous conformal sets of grades.

Split conformal prediction (Vovk et al. 2005; Lei et al. 2018): with scores s_1..s_n of calibration patients
and q = the ceil((n + 1)(1 - alpha))-th smallest of them, {y : s(y) <= q} holds the true grade of a new
patient with probability at least 1 - alpha, and at most 1 - alpha + 1/(n + 1) without ties, if the patients
are exchangeable.

Both scores here are unimodal in y with their least value at the median grade, so the set is an interval by
construction (F is the cumulative distribution):

    ranked  s(y) = sum_j (F_j - 1[y <= j])^2, the ranked probability score: s(y+1) - s(y) = 2 F_y - 1 grows
            with y, so s is convex (compare arXiv 2606.24959)
    cdf     s(y) = max(1/2 - F_y, F_{y-1} - 1/2): the set is the central part of the distribution

Rows of one patient are dependent. Calibration therefore uses one score a patient: by default that of one row
drawn at random, which keeps the guarantee for "one image of a new patient", the thing that is predicted; the
largest score instead covers all images of a patient at once, with wider sets.

The guarantee is marginal: rare grades may be covered less often. Scores of the patients of one grade alone give a
threshold q_y of its own (Mondrian, Vovk et al. 2005, chapter 4), and {y : s(y) <= q_y} covers each grade as often as
stated. That set may have gaps; they are filled, which only adds coverage.

Over calibration draws the realised coverage is Beta(n + 1 - l, l), l = floor((n + 1) alpha); with m test
patients the observed one is beta-binomial (Vovk 2012; Angelopoulos and Bates 2023, section 3.2).
"""

import math
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxfield.grading.metrics.scores import median_grade

Floats = NDArray[np.float64]
Score = Literal["ranked", "cdf"]
Rule = Literal["random", "largest"]


def needed_patients(alpha: float) -> int:
    """The least number of calibration patients at which a set at level 1 - alpha can be certified."""
    return math.ceil(round(1.0 / alpha, 9)) - 1


def grade_scores(probabilities: ArrayLike, score: Score = "ranked") -> Floats:
    """Nonconformity of every grade, (n, k) from probabilities (n, k); convex or unimodal along k."""
    p = np.asarray(probabilities, dtype=np.float64)
    k = p.shape[1]
    cumulative = np.cumsum(p, axis=1)
    if score == "cdf":
        before = np.concatenate([np.zeros((len(p), 1)), cumulative[:, :-1]], axis=1)
        return np.maximum(0.5 - cumulative, before - 0.5)
    reached = np.arange(k - 1)[None, :] >= np.arange(k)[:, None]
    return np.asarray(((cumulative[:, None, :-1] - reached[None]) ** 2).sum(2))


def patient_scores(
    row_scores: ArrayLike,
    patients: Sequence[Hashable],
    rng: np.random.Generator,
    rule: Rule = "random",
) -> Floats:
    """One score a patient, in the order in which patients first occur; row_scores (n,)."""
    values = np.asarray(row_scores, dtype=np.float64)
    return np.asarray(values[patient_rows(values, patients, rng, rule)])


def patient_rows(
    row_scores: Floats, patients: Sequence[Hashable], rng: np.random.Generator, rule: Rule = "random"
) -> NDArray[np.int64]:
    """The row whose score stands for each patient, in the order in which patients first occur; row_scores (n,)."""
    rows: dict[Hashable, list[int]] = {}
    for row, patient in enumerate(patients):
        rows.setdefault(patient, []).append(row)
    if rule == "largest":
        return np.array([r[int(row_scores[r].argmax())] for r in rows.values()], dtype=np.int64)
    return np.array([r[int(rng.integers(len(r)))] for r in rows.values()], dtype=np.int64)


def threshold(scores: ArrayLike, alpha: float) -> float | None:
    """The conformal quantile of (n,) patient scores, or None where n can not certify 1 - alpha."""
    values = np.sort(np.asarray(scores, dtype=np.float64))
    rank = math.ceil(round((values.size + 1) * (1.0 - alpha), 9))
    if values.size < needed_patients(alpha) or rank > values.size:
        return None
    return float(values[rank - 1])


def grade_sets(
    probabilities: ArrayLike, quantile: ArrayLike, score: Score = "ranked"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lowest and highest grade of each set, (n,) each.

    quantile  one threshold for all, one for each grade (k,), or one for each row (n, 1)

    The set reaches from the lowest grade within its threshold to the highest. One that would be empty holds the
    median grade.
    """
    scores = grade_scores(probabilities, score)
    inside = scores <= np.asarray(quantile, dtype=np.float64)
    inside[np.arange(len(scores)), median_grade(probabilities)] = True
    k = scores.shape[1]
    return inside.argmax(1), k - 1 - inside[:, ::-1].argmax(1)


def coverage_range(
    patients: int, alpha: float, test_patients: int | None = None, level: float = 0.9
) -> tuple[float, float]:
    """The central range, 5 to 95 % by default, of the coverage to expect after one calibration draw.

    patients       calibration patients, n
    test_patients  m: the range of the share seen among m patients; None: of the long-run share
    """
    from scipy import stats

    low = math.floor(round((patients + 1) * alpha, 9))
    if low < 1:
        return 1.0, 1.0
    tails = [(1 - level) / 2, (1 + level) / 2]
    a, b = patients + 1 - low, low
    if test_patients is None:
        ends = np.asarray(stats.beta.ppf(tails, a, b))
    else:
        ends = np.asarray(stats.betabinom.ppf(tails, test_patients, a, b)) / test_patients
    return float(ends[0]), float(ends[1])
