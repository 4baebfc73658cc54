"""Darcy flows that were observed, for tests of inversion."""

import numpy as np

from voxfield.artifacts import Table
from voxfield.pde.inverse._darcy import Floats, Observations, sampling_matrix, solve_darcy
from voxfield.pde.inverse._level_set import LevelSetPrior

PRIOR = LevelSetPrior(5.0, 10.0, 13, waves=5)


def seen(seed: int, count: int, noise: float) -> tuple[Floats, Observations]:
    """A permeability of PRIOR and observations of its pressure, with a noise relative to their root mean square."""
    rng = np.random.default_rng(seed)
    a = PRIOR.field(rng.standard_normal(PRIOR.size))
    points = rng.uniform(0.05, 0.95, (count, 2))
    clean = sampling_matrix(points, PRIOR.cells) @ solve_darcy(a, 10.0).pressure.ravel()
    sd = noise * float(np.sqrt(np.mean(clean**2)))
    return a, Observations(points, clean + sd * rng.standard_normal(count), np.full(count, sd))


def as_table(observations: Observations) -> Table:
    """What `pde.invert` reads."""
    x, y = observations.points.T.tolist()
    return Table({"x": x, "y": y, "value": observations.values.tolist(), "sd": observations.sd.tolist()})
