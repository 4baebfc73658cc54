"""Tests between methods that were judged on the same patients.

Under the null hypothesis the sign of every patient's difference is a coin toss (Fisher 1935; Pitman 1937): the p-value
of a mean difference is the share of sign patterns whose mean is at least as far from 0. Several comparisons are held
together by Holm's step-down rule (Scand. J. Stat. 1979).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EXACT = 14  # patients up to which all sign patterns are counted


def sign_flip_p(differences: NDArray[np.float64], rng: np.random.Generator, draws: int = 20_000) -> float:
    """Two-sided p-value that the mean of paired differences (n,), one a patient, is 0.

    Exact up to 14 patients; from `draws` random sign patterns, the observed one included, beyond.
    """
    n = len(differences)
    if n <= EXACT:
        signs = 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    else:
        signs = rng.choice([-1.0, 1.0], size=(draws, n))
        signs[0] = 1.0
    means = np.abs(signs @ differences)
    # Equal by arithmetic, not by rounding: patterns that mirror the observed one count as well.
    return float(np.mean(means >= means[0] * (1 - 1e-12)))


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for their number."""
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted
