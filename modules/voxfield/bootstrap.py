"""Bootstrap over patients.

Rows of one patient are dependent, so a draw takes patients with replacement, all their rows with them
(Davison and Hinkley 1997, section 3.8). A draw is a vector of row weights; two methods that share the weights
are paired.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def patient_weights(patients: Sequence[Hashable], draws: int, rng: np.random.Generator) -> Floats:
    """How often each row occurs in each draw.

    patients  (n,) the patient of each row
    returns   (draws, n)
    """
    codes: dict[Hashable, int] = {}
    owner = np.array([codes.setdefault(p, len(codes)) for p in patients], dtype=np.int64)
    count = len(codes)
    times = rng.multinomial(count, np.full(count, 1.0 / count), size=draws)
    return times[:, owner].astype(np.float64)


def interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval over the draws in which the score exists; (nan, nan) where it never does."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
