"""Which measured voxels are data, and how full of lumen they are."""

from __future__ import annotations

import numpy as np

from voxfield.artifacts import VectorImage
from voxfield.errors import InputError
from voxfield.fields._evidence import Measured
from voxfield.fields._observation import Observation
from voxfield.fields._prior import Real
from voxfield.fields._setting import Window

FEWEST_VOXELS = 8


def take_measured(
    velocity: VectorImage, window: Window, observation: Observation, least_fraction: float, rng: np.random.Generator
) -> Measured:
    """The voxels in the lumen, in random order. Under caps are none: what a mask holds beyond an end may not flow."""
    refine = observation.box.refine
    occupancy = np.zeros(observation.box.shape)
    part = tuple(slice(0, n) for n in window.probability.shape)
    occupancy[part] = np.where(window.caps, 0.0, window.probability)
    voxels = np.argwhere(observation.fraction(occupancy) >= least_fraction)
    extent = np.array(window.probability.shape) // refine
    voxels = voxels[(voxels < extent).all(axis=1)]
    if len(voxels) < FEWEST_VOXELS:
        raise InputError(
            f"{len(voxels)} voxels of the velocity lie in the lumen; at least {FEWEST_VOXELS} are needed",
            file=velocity.file,
        )
    voxels = voxels[rng.permutation(len(voxels))]
    fill = observation.fraction(occupancy) if refine > 1 else _blurred(occupancy)
    data = velocity.data[tuple((voxels + window.start // refine).T)].astype(np.float64)
    axes = velocity.grid.axes
    return Measured(voxels, np.moveaxis(data @ axes, 1, 2), fill[tuple(voxels.T)], axes)


def _blurred(occupancy: Real) -> Real:
    """Fill of voxels that are not refined, where the cell itself can not tell what lies beside it: 1-2-1."""
    for axis in range(3):
        occupancy = 0.5 * occupancy + 0.25 * (np.roll(occupancy, 1, axis) + np.roll(occupancy, -1, axis))
    return occupancy
