"""Sets of grades beside ours: adaptive ones, MAPIE's where it is installed, and whether sets have gaps."""

import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Members = NDArray[np.bool_]


def members(low: Ints, high: Ints, grades: int) -> Members:
    """Membership (n, k) of the intervals low..high, (n,) each."""
    every = np.arange(grades)
    return (low[:, None] <= every) & (every <= high[:, None])


def with_gaps(inside: Members) -> Members:
    """Which sets (n, k) are not one run of neighbouring grades, (n,)."""
    begins = np.diff(np.pad(inside, ((0, 0), (1, 0))).astype(int), axis=1) == 1
    return np.asarray(begins.sum(1) > 1)


def adaptive_scores(p: Floats, less: ArrayLike) -> Floats:
    """APS (Romano et al. 2020), (n, k): the mass of likelier grades and of the grade itself.

    less  share of the grade's own mass that is taken off: uniform numbers (n, 1), or 0 without randomisation
    """
    order = np.argsort(-p, axis=1)
    ranked = np.take_along_axis(p, order, axis=1)
    found = np.empty_like(p)
    np.put_along_axis(found, order, np.cumsum(ranked, axis=1) - np.asarray(less) * ranked, axis=1)
    return found


def mapie_sets(p: Floats, truth: Ints, tests: Floats, coverage: float, seed: int) -> dict[str, Members]:
    """The sets that MAPIE makes of distributions `tests` (m, k), by the name of its score; none without MAPIE.

    p, truth  (n, k) and (n,), rows that calibrate, one a patient
    """
    if find_spec("mapie") is None:
        return {}
    from mapie.classification import SplitConformalClassifier

    found = {}
    for score in ("lac", "aps"):
        made = SplitConformalClassifier(
            _given(p.shape[1]), confidence_level=coverage, conformity_score=score, prefit=True, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a rare grade may be absent from those who calibrate
            _, sets = made.conformalize(p, truth).predict_set(tests)
        found[f"{score.upper()}, MAPIE"] = np.asarray(sets[:, :, 0], dtype=bool)
    return found


def _given(grades: int) -> Any:
    """A classifier whose inputs are its distributions already."""
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        classes_ = np.arange(grades)

        def fit(self, x: Floats, y: Ints) -> "Given":
            return self

        def predict(self, x: Floats) -> Ints:
            return np.asarray(x.argmax(1))

        def predict_proba(self, x: Floats) -> Floats:
            return x

    return Given()
