"""Which measured voxels are data, and how full of lumen they are."""

from __future__ import annotations

import numpy as np

from voxfield.artifacts import Image, PartialVectorImage, require_grid
from voxfield.errors import InputError
from voxfield.fields._model import Measured
from voxfield.fields._observation import Observation
from voxfield.fields._prior import Int, Real
from voxfield.fields._setting import Window

FEWEST_VOXELS = 8


def take_measured(
    velocity: PartialVectorImage,
    magnitude: Image | None,
    window: Window,
    observation: Observation,
    least_fraction: float,
    rng: np.random.Generator,
) -> Measured:
    """The voxels in the lumen, in random order. Under caps are none: what a mask holds beyond an end may not flow.

    Vectors that are NaN were not measured, and stay NaN.
    """
    refine = observation.box.refine
    occupancy = np.zeros(observation.box.shape)
    part = tuple(slice(0, n) for n in window.probability.shape)
    occupancy[part] = np.where(window.caps, 0.0, window.probability)
    voxels = np.argwhere(observation.fraction(occupancy) >= least_fraction)
    extent = np.array(window.probability.shape) // refine
    voxels = voxels[(voxels < extent).all(axis=1)]
    place = tuple((voxels + window.start // refine).T)
    measured = ~np.isnan(velocity.data[place]).any(axis=-1)
    if measured.any(axis=-1).sum() < FEWEST_VOXELS:
        raise InputError(
            f"{measured.any(axis=-1).sum()} voxels of the velocity lie in the lumen and were measured; at least "
            f"{FEWEST_VOXELS} are needed",
            file=velocity.file,
        )
    voxels = voxels[rng.permutation(len(voxels))]
    fill = observation.fraction(occupancy) if refine > 1 else _blurred(occupancy)
    place = tuple((voxels + window.start // refine).T)
    data = velocity.data[place].astype(np.float64)
    if np.isinf(data).any():
        raise InputError("holds infinite velocities in the lumen; NaN marks what was not measured", file=velocity.file)
    axes = velocity.grid.axes
    signal = None if magnitude is None else _signal(magnitude, velocity, place)
    return Measured(voxels, np.moveaxis(data @ axes, 1, 2), fill[tuple(voxels.T)], axes, signal)


def _signal(magnitude: Image, velocity: PartialVectorImage, place: tuple[Int, ...]) -> Real:
    """Magnitude over its median in the voxels, averaged over frames."""
    require_grid(magnitude, velocity.grid, "the velocity")
    values = np.asarray(magnitude.data, dtype=np.float64)[place]
    values = values.mean(axis=-1) if values.ndim == 2 else values
    if not np.isfinite(values).all() or values.min() < 0 or np.median(values) == 0:
        raise InputError(
            f"holds magnitudes from {values.min():.4g} to {values.max():.4g} in the lumen; expected none below 0, most "
            "of them above",
            file=magnitude.file,
        )
    return values / np.median(values)


def _blurred(occupancy: Real) -> Real:
    """Fill of voxels that are not refined, where the cell itself can not tell what lies beside it: 1-2-1."""
    for axis in range(3):
        occupancy = 0.5 * occupancy + 0.25 * (np.roll(occupancy, 1, axis) + np.roll(occupancy, -1, axis))
    return occupancy
