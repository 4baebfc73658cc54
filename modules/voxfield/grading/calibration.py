"""Temperature: one number that makes confidence honest, in a form that respects the order of grades.

Guo et al. (2017) divide the logits of the classes by T. Here the *cumulative* logits are divided first of all,

    P_T(y > j) = sigmoid(logit P(y > j) / T)

which stays a distribution over grades for every T > 0 (the map is increasing, so the order in j is kept), is
the same for two grades, leaves the median grade where it is, and for a proportional-odds head means a wider
or narrower latent noise; dividing class logits would give such a head mass far from its mode. A head of free class
logits errs in those, though (on knees, benchmarks/conformal.py, .072 of calibration error is left by the tails where
the classes leave .023): both forms are fitted, and the likelier one is taken, which may move the median grade.

T minimises the mean negative log-likelihood of labelled validation patients, each of weight 1 however many rows it
has. With few patients the likelihood is flat, so log T has a normal prior of mean 0 and standard deviation `prior_sd`:
no data, no change.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

Floats = NDArray[np.float64]
Of = Literal["tails", "classes"]
FORMS: tuple[Of, ...] = ("tails", "classes")
LEAST = 1e-12  # tails below this are a matter of round-off


@dataclass(frozen=True)
class Temperature:
    """A temperature and what it divides: the logits of the `tails` P(y > j) or those of the `classes`."""

    value: float = 1.0
    of: Of = "tails"

    def apply(self, probability: ArrayLike) -> Floats:
        """Calibrated probabilities, (n, k) from (n, k)."""
        return apply_temperature(probability, self.value, self.of)


def fit_temperature(
    probability: ArrayLike, truth: ArrayLike, patients: Sequence[Hashable], prior_sd: float = 1.0
) -> Temperature:
    """The temperature from validation rows.

    probability  (n, k)
    truth        (n,) integers
    patients     (n,) the patient of each row
    """
    from scipy.optimize import minimize_scalar

    p, y = np.asarray(probability, dtype=np.float64), np.asarray(truth, dtype=np.int64)
    if y.size == 0:
        return Temperature()
    rows = Counter(patients)
    weight = np.array([1.0 / rows[patient] for patient in patients])

    def objective(log_t: float, of: Of) -> float:
        chosen = apply_temperature(p, float(np.exp(log_t)), of)[np.arange(y.size), y]
        return float(-(weight * np.log(np.maximum(chosen, LEAST))).sum() + 0.5 * (log_t / prior_sd) ** 2)

    bounds = (np.log(0.1), np.log(10.0))
    found = {of: minimize_scalar(objective, bounds=bounds, args=(of,), method="bounded") for of in FORMS}
    best = min(FORMS, key=lambda of: found[of].fun)
    return Temperature(float(np.exp(found[best].x)), best)


def apply_temperature(probability: ArrayLike, temperature: float, of: Of = "tails") -> Floats:
    """Calibrated probabilities, (n, k) from (n, k)."""
    p = np.asarray(probability, dtype=np.float64)
    if of == "classes":
        return np.asarray(softmax(np.log(np.maximum(p, LEAST)) / temperature, axis=1))
    # Both tails are summed from their own end, so that neither loses its digits to the other.
    below = np.maximum(np.cumsum(p, axis=1)[:, :-1], LEAST)
    above = np.maximum(np.cumsum(p[:, ::-1], axis=1)[:, -2::-1], LEAST)
    share = 1.0 / (1.0 + np.exp((np.log(above) - np.log(below)) / temperature))
    padded = np.pad(share, ((0, 0), (1, 1)), constant_values=((0, 0), (0.0, 1.0)))
    return np.asarray(np.maximum(np.diff(padded, axis=1), 0.0))
