"""Temperature: one number that makes a network's confidence honest (Guo et al. 2017).

p_T = softmax(log p / T), T the minimiser of the mean negative log-likelihood of labelled validation patients.
Each patient weighs 1, however many rows it has. With few patients the likelihood is flat, so log T has a
normal prior of mean 0 and standard deviation `prior_sd`: no data, no change.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def fit_temperature(
    log_probability: ArrayLike, truth: ArrayLike, patients: Sequence[Hashable], prior_sd: float = 1.0
) -> float:
    """The temperature from validation rows.

    log_probability  (n, k)
    truth            (n,) integers
    patients         (n,) the patient of each row
    """
    from scipy.optimize import minimize_scalar

    logits, y = np.asarray(log_probability, dtype=np.float64), np.asarray(truth, dtype=np.int64)
    if y.size == 0:
        return 1.0
    rows = Counter(patients)
    weight = np.array([1.0 / rows[p] for p in patients])

    def objective(log_t: float) -> float:
        chosen = np.log(np.maximum(apply_temperature(logits, np.exp(log_t)), 1e-300))[np.arange(y.size), y]
        return float(-(weight * chosen).sum() + 0.5 * (log_t / prior_sd) ** 2)

    found = minimize_scalar(objective, bounds=(np.log(0.1), np.log(10.0)), method="bounded")
    return float(np.exp(found.x))


def apply_temperature(log_probability: ArrayLike, temperature: float) -> Floats:
    """Calibrated probabilities, (n, k) from log-probabilities (n, k)."""
    logits = np.asarray(log_probability, dtype=np.float64) / temperature
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shifted / shifted.sum(1, keepdims=True))
