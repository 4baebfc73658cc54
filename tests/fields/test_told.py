"""Where the field is told, and what from: beyond a wall that is not shown, and under caps.

The flow is plug flow: one velocity everywhere, also beyond the wall that was drawn, so that the right answer is known
in every cell, and no condition holds at any wall.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from voxfield.artifacts import Image, LabelMap, VectorImage
from voxfield.fields import reconstruct
from voxfield.fields._reconstruct import Reconstruction
from voxfield.fields._setting import make_window

SHAPE = (11, 11, 14)
PLUG = np.array([0.2, -0.1, 0.6])
RADIUS = 3.0
CAP = 11
"""First slice of the cap: lumen beyond it is cut off by the cap."""


@pytest.fixture
def velocity() -> VectorImage:
    noise = 0.02 * np.random.default_rng(0).standard_normal((*SHAPE, 1, 3))
    return VectorImage(PLUG + noise, np.eye(4), unit="m/s")


def tube(radius: float) -> NDArray[np.bool_]:
    """A tube along the last axis that leaves the view below and ends in slice 12."""
    x, y, z = np.indices(SHAPE)
    return (np.hypot(x - 5, y - 5) < radius) & (z < 13)


def capped(lumen: NDArray[np.bool_]) -> LabelMap:
    openings = np.zeros(SHAPE, dtype=np.uint8)
    openings[..., 0] = np.where(lumen[..., 0], 2, 0)
    openings[..., CAP:13] = 3
    return LabelMap(openings, np.eye(4), labels={2: "inlet", 3: "outlet"})


def solved(velocity: VectorImage, lumen: NDArray[np.bool_], openings: LabelMap | None, wall: str) -> Reconstruction:
    return reconstruct(
        velocity, Image(lumen.astype(np.float32), np.eye(4)), None, openings,
        wall=wall, wall_levels=(0.5,), smoothness=2.5, noise_correlation=0.0, length_mm=12.0,
    )  # fmt: skip


def relative_error(found: Reconstruction, where: NDArray[np.bool_]) -> float:
    """Relative L2 of the vector against the plug flow."""
    error = found.mean.data[..., 0, :][where] - PLUG
    return float(np.sqrt(np.square(error).sum(axis=-1).mean()) / np.linalg.norm(PLUG))


def test_without_a_wall_the_field_is_told_a_measured_voxel_beyond_the_lumen(velocity: VectorImage) -> None:
    lumen = tube(RADIUS)
    found = solved(velocity, lumen, None, "none")
    told = (found.sd.data[..., 0, :] > 0).all(axis=-1)
    np.testing.assert_array_equal(told, binary_dilation(lumen))
    assert relative_error(found, told) < 0.1
    np.testing.assert_array_equal(found.domain.data > 0, lumen)
    assert not found.samples.dense(0)[~lumen].any()


def test_a_measured_voxel_is_as_many_cells_as_the_grid_is_refined(velocity: VectorImage) -> None:
    chance = Image(tube(RADIUS).astype(np.float32), np.eye(4))
    window = make_window(velocity, chance, None, None, refine=3, alignment="cell", lowest=0.5)
    beyond = binary_dilation(window.lumen(0.5), iterations=3)
    np.testing.assert_array_equal(window.told(0.5, 3), beyond)


def test_with_a_wall_nothing_is_told_beyond_it(velocity: VectorImage) -> None:
    lumen = tube(RADIUS)
    found = solved(velocity, lumen, None, "no-penetration")
    assert not found.mean.data[~lumen].any()
    assert not found.sd.data[~lumen].any()


def test_caps_cut_the_flux_but_not_the_field(velocity: VectorImage) -> None:
    lumen = tube(RADIUS)
    found = solved(velocity, lumen, capped(lumen), "none")
    under = lumen & (np.arange(SHAPE[2]) >= CAP)
    assert relative_error(found, under) < 0.2  # continued from before the cap
    assert not (found.domain.data > 0)[under].any()
    assert not found.flux.mask[under].any()
    section = int(lumen[..., 5].sum())
    assert found.metrics.values["openings"]["3"]["outflow"] == pytest.approx(PLUG[2] * section, rel=0.05)


def test_voxels_under_caps_are_no_data(velocity: VectorImage) -> None:
    """What a mask holds beyond the end of a vessel may not flow."""
    lumen, openings = tube(RADIUS), capped(tube(RADIUS))
    under = openings.data == 3
    spoilt = VectorImage(np.where(under[..., None, None], 99, velocity.data), np.eye(4), unit="m/s")
    expected = solved(velocity, lumen, openings, "none").mean.data
    np.testing.assert_array_equal(solved(spoilt, lumen, openings, "none").mean.data, expected)


def test_the_window_holds_all_that_lies_beyond_a_cap(velocity: VectorImage) -> None:
    lumen = tube(RADIUS)
    openings = np.where(np.arange(SHAPE[2]) >= 4, 3 * lumen, 0).astype(np.uint8)
    chance = Image(lumen.astype(np.float32), np.eye(4))
    caps = LabelMap(openings, np.eye(4), labels={3: "outlet"})
    window = make_window(velocity, chance, None, caps, refine=1, alignment="cell", lowest=0.5)
    assert (window.probability > 0).sum() == lumen.sum()
