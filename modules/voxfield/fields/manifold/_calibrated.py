"""A factor of a standard deviation under which 95 % intervals hold 95 % of what was observed."""

from __future__ import annotations

import numpy as np

from voxfield.fields.manifold._patches import Real

LEVEL = 0.95
QUANTILE_SQUARE = 3.841458820694124


def calibrated(square: Real, variance: Real, rest: Real, bounds: tuple[float, float]) -> float:
    """The factor f for which 95 % of `square` lie below 3.84 (f^2 variance + rest).

    square    (n,) squared residuals
    variance  (n,) whose scale is in question
    rest      (n,) variance that is beyond question, such as noise
    returns   1 where the data agree with 1 within two standard errors, or where `rest` hides the answer
    """
    doubt = 2 * np.sqrt(LEVEL * (1 - LEVEL) / len(square))
    tried = np.geomspace(*bounds, 80)
    held = np.array([(square <= QUANTILE_SQUARE * (f**2 * variance + rest)).mean() for f in (1.0, *tried)])
    if abs(held[0] - LEVEL) <= doubt or held[1] > LEVEL - doubt:
        return 1.0
    return float(tried[min(int(np.searchsorted(held[1:], LEVEL)), len(tried) - 1)])
