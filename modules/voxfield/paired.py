"""Tests between methods that were judged on the same patients.

Under the null hypothesis the sign of every patient's difference is a coin toss (Fisher 1935; Pitman 1937): the p-value
of a mean difference is the share of sign patterns whose mean is at least as far from 0. Several comparisons are held
together by Holm's step-down rule (Scand. J. Stat. 1979).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EXACT = 14  # patients up to which all sign patterns are counted
BLOCK = 1 << 24  # signs that are held at once


def sign_flip_p(differences: NDArray[np.float64], rng: np.random.Generator, draws: int = 20_000) -> float:
    """Two-sided p-value that the mean of paired differences (n,), one a patient, is 0.

    Exact up to 14 patients; from `draws` random sign patterns, the observed one included, beyond.
    """
    return float(sign_flip_ps(differences[:, None], rng, draws)[0])


def sign_flip_ps(
    differences: NDArray[np.float64], rng: np.random.Generator, draws: int = 20_000
) -> NDArray[np.float64]:
    """The same for every column of differences (n, m), by shared sign patterns; a patient without a value has 0."""
    n = len(differences)
    observed = np.abs(differences.sum(axis=0))
    if n <= EXACT:
        return np.asarray(_as_far(_patterns(n), differences, observed) / 2**n)
    rows, far = max(1, BLOCK // n), np.ones(differences.shape[1])
    for start in range(1, draws, rows):
        signs = rng.choice([-1.0, 1.0], size=(min(rows, draws - start), n))
        far += _as_far(signs, differences, observed)
    return far / draws


def _patterns(n: int) -> NDArray[np.float64]:
    """All sign patterns of n patients, (2^n, n)."""
    return np.asarray(1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1))


def _as_far(
    signs: NDArray[np.float64], differences: NDArray[np.float64], observed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How many sign patterns (k, n) bring each sum (m,) at least as far from 0 as it is."""
    # Equal by arithmetic, not by rounding: patterns that mirror the observed one count as well.
    return np.asarray((np.abs(signs @ differences) >= observed * (1 - 1e-12)).sum(axis=0), dtype=np.float64)


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for their number."""
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted
