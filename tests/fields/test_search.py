"""The search for settings: the optimum is found from any start, also from one beyond the bounds."""

import warnings

import numpy as np
import pytest

from voxfield.fields._model import Model
from voxfield.fields._score import Score
from voxfield.fields._search import Bounds, fit

BEST = Model(length_mm=4.0, smoothness=2.5, noise_ratio=0.05, partial=2.0)
BOUNDS = Bounds((1.0, 10.0))


def paraboloid(model: Model) -> Score:
    """An evidence whose largest value is at BEST."""
    away = np.log(model.length_mm / BEST.length_mm), np.log(model.noise_ratio / BEST.noise_ratio)
    return Score(-100 * float(np.square([*away, model.partial - BEST.partial]).sum()), 1.0)


@pytest.mark.parametrize("length", [0.1, 1.0, 5.0, 10.0, 50.0])
@pytest.mark.parametrize("partial", [0.0, 3.8, 4.0])
def test_the_optimum_is_found_from_any_start(length: float, partial: float) -> None:
    start = Model(length_mm=length, smoothness=2.5, noise_ratio=1.0, partial=partial)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit(paraboloid, start, BOUNDS, evaluations=300)
    assert found.length_mm == pytest.approx(BEST.length_mm, rel=0.1)
    assert found.noise_ratio == pytest.approx(BEST.noise_ratio, rel=0.1)
    assert found.partial == pytest.approx(BEST.partial, abs=0.1)
    assert found.smoothness == start.smoothness
