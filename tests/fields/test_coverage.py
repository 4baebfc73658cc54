"""The 95 % interval holds what it says, over independent draws of field and noise; see `_calibration`."""

import numpy as np
import pytest

from voxfield.fields._calibration import Trial, coverage
from voxfield.fields._model import Model

TRIAL = Trial(Model(length_mm=4.0, smoothness=2.5, noise_ratio=0.04, partial=0.0, correlation=0.5), length=4)


@pytest.mark.parametrize(("learn", "draws"), [(False, 60), (True, 50)])
def test_interval_covers(learn: bool, draws: int) -> None:
    found = coverage(TRIAL, draws, np.random.default_rng(0), learn=learn)
    assert 0.92 < found.latent < 0.98
    assert 0.92 < found.observed < 0.98
    assert found.latent_error < 0.01
