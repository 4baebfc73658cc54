"""Temperature: one number that makes confidence honest, in a form that respects the order of grades.

Guo et al. (2017) divide the logits of the classes by T. Here the *cumulative* logits are divided,

    P_T(y > j) = sigmoid(logit P(y > j) / T)

which stays a distribution over grades for every T > 0 (the map is increasing, so the order in j is kept), is
the same for two grades, leaves the median grade where it is, and for a proportional-odds head means a wider
or narrower latent noise; dividing class logits would give such a head mass far from its mode. T minimises the
mean negative log-likelihood of labelled validation patients, each of weight 1 however many rows it has. With
few patients the likelihood is flat, so log T has a normal prior of mean 0 and standard deviation `prior_sd`:
no data, no change.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
LEAST = 1e-12  # tails below this are a matter of round-off


def fit_temperature(
    probability: ArrayLike, truth: ArrayLike, patients: Sequence[Hashable], prior_sd: float = 1.0
) -> float:
    """The temperature from validation rows.

    probability  (n, k)
    truth        (n,) integers
    patients     (n,) the patient of each row
    """
    from scipy.optimize import minimize_scalar

    p, y = np.asarray(probability, dtype=np.float64), np.asarray(truth, dtype=np.int64)
    if y.size == 0:
        return 1.0
    rows = Counter(patients)
    weight = np.array([1.0 / rows[patient] for patient in patients])

    def objective(log_t: float) -> float:
        chosen = apply_temperature(p, float(np.exp(log_t)))[np.arange(y.size), y]
        return float(-(weight * np.log(np.maximum(chosen, LEAST))).sum() + 0.5 * (log_t / prior_sd) ** 2)

    found = minimize_scalar(objective, bounds=(np.log(0.1), np.log(10.0)), method="bounded")
    return float(np.exp(found.x))


def apply_temperature(probability: ArrayLike, temperature: float) -> Floats:
    """Calibrated probabilities, (n, k) from (n, k)."""
    p = np.asarray(probability, dtype=np.float64)
    # Both tails are summed from their own end, so that neither loses its digits to the other.
    below = np.maximum(np.cumsum(p, axis=1)[:, :-1], LEAST)
    above = np.maximum(np.cumsum(p[:, ::-1], axis=1)[:, -2::-1], LEAST)
    share = 1.0 / (1.0 + np.exp((np.log(above) - np.log(below)) / temperature))
    padded = np.pad(share, ((0, 0), (1, 1)), constant_values=((0, 0), (0.0, 1.0)))
    return np.asarray(np.maximum(np.diff(padded, axis=1), 0.0))
