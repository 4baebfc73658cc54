"""Weights of few, unequal sets of sources against the algebra of each set by itself."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voxfield.fields._conditional import gains


@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 6), targets=st.integers(1, 3))
def test_absent_sources_change_nothing(seed: int, width: int, targets: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 2, (4, width + targets))
    covariance = np.exp(-0.5 * np.square(places[:, :, None] - places[:, None]))
    noise, absent = rng.uniform(0.1, 1, (4, width)), rng.random((4, width)) < 0.4
    within, cross = covariance[:, :width, :width], covariance[:, width:, :width]
    found = gains(within.copy(), cross.copy(), noise, absent)
    for row in range(4):
        held = ~absent[row]
        system = within[row][np.ix_(held, held)] + np.diag(noise[row][held])
        np.testing.assert_allclose(found[row][:, held], np.linalg.solve(system, cross[row][:, held].T).T, atol=1e-10)
        assert not found[row][:, ~held].any()
