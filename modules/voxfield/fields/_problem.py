"""What is to be reconstructed: a measurement in a window around its lumen, and what is wished of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxfield.artifacts import Image, LabelMap, PartialVectorImage
from voxfield.fields._choice import Wishes
from voxfield.fields._data import take_measured
from voxfield.fields._levels import lowest_cut
from voxfield.fields._model import Measured
from voxfield.fields._observation import Alignment, Observation, Operator
from voxfield.fields._setting import Window, checked_levels, make_observation, make_window


@dataclass(frozen=True)
class Scan:
    """A measured velocity and what is known of its lumen, as the stage `fields.reconstruct` takes them."""

    velocity: PartialVectorImage
    probability: Image
    lumen: LabelMap | None = None
    openings: LabelMap | None = None
    magnitude: Image | None = None


@dataclass(frozen=True)
class Viewing:
    """How voxels see the velocity, see `_observation`.

    refine          fine cells to a voxel along an axis
    least_fraction  voxels that the lumen fills less are left out
    """

    refine: int = 1
    observation: Operator = "cell-average"
    alignment: Alignment = "cell"
    least_fraction: float = 0.5


@dataclass(frozen=True)
class Problem:
    """What is to be reconstructed, in the window.

    measured  the voxels, with the values of all frames
    noise_sd  standard deviation of the noise of a component, or None where the evidence estimates it
    joined    frames cover one cycle evenly and may be told together
    """

    window: Window
    observation: Observation
    measured: Measured
    wishes: Wishes
    noise_sd: float | None
    joined: bool = True


def make_problem(
    scan: Scan,
    viewing: Viewing,
    wishes: Wishes,
    rng: np.random.Generator,
    *,
    noise_sd: float | None = None,
    joined: bool = True,
) -> Problem:
    """Cut out what holds the lumen, and take the voxels in it, in random order."""
    lowest = lowest_cut(checked_levels(tuple(wishes.levels)))
    alignment: Alignment = "corner" if viewing.observation == "corner-aligned" else viewing.alignment
    window = make_window(
        scan.velocity, scan.probability, scan.lumen, scan.openings,
        refine=viewing.refine, alignment=alignment, lowest=lowest,
    )  # fmt: skip
    seen = make_observation(window, viewing.refine, viewing.observation, alignment)
    measured = take_measured(scan.velocity, scan.magnitude, window, seen, viewing.least_fraction, rng)
    return Problem(window, seen, measured, wishes, noise_sd, joined)
