"""The stage phantoms.chest_ct: HU as drawn, walls of the stated thickness, noise of the stated spectrum."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from voxfield.artifacts import LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.phantoms import airway, chest_ct
from voxfield.phantoms._airway import Airway
from voxfield.phantoms._scanner import FWHM, add_noise, blur, mean_over_voxels
from voxfield.phantoms._tubes import draw_tube
from voxfield.phantoms._walls import PI10_RADIUS_MM, Wall, axis_of, build_wall, thickness_mm
from voxfield.testing import StageContract

QUIET: dict[str, Any] = {"noise_hu": (0.0, 0.0), "texture_hu": (0.0, 0.0)}


def small(seed: int = 0) -> Airway:
    return airway(size_mm=(80.0, 64.0, 80.0), trachea_mm=7.0, generations=5, tilt_deg=0.0, ctx=Context(seed=seed))


class TestChestCTContract(StageContract):
    name = "phantoms.chest_ct"

    def make_inputs(self) -> Mapping[str, Any]:
        made = airway(size_mm=(60.0, 50.0, 60.0), generations=3, trachea_mm=6.0, ctx=Context(seed=1))
        return {"airway": made.airway, "lung": [made.lung]}


@pytest.fixture(scope="module")
def body() -> Airway:
    return small()


def tube(radius_mm: float, spacing: np.ndarray, direction: tuple[float, float, float]) -> tuple[np.ndarray, float]:
    """A straight tube through a volume of 40 mm, and its length in it."""
    shape = tuple(int(40 / s) for s in spacing)
    mask = np.zeros(shape, dtype=bool)
    along = np.array(direction) / np.linalg.norm(direction)
    ends = np.array([20.0, 20.0, 20.0]) + np.outer([-14, 14], along)
    draw_tube(mask, ends, np.array([radius_mm, radius_mm]), spacing)
    return mask, 28.0


def wall_of(mask: np.ndarray, spacing: np.ndarray, seed: int = 0, gap_share: float = 0.0) -> Wall:
    rng, axis = np.random.default_rng(seed), axis_of(mask, spacing)
    return build_wall(mask, axis, spacing, at_pi10_mm=0.44, gap_share=gap_share, gap_radius_mm=1.5, rng=rng)


def test_thickness_at_an_inner_perimeter_of_ten_millimetres() -> None:
    radii = np.array([0.5, PI10_RADIUS_MM, 9.0])
    assert 2 * np.pi * PI10_RADIUS_MM == pytest.approx(10)
    found = thickness_mm(radii, 0.44)
    assert found[1] == pytest.approx(0.44)
    assert 0.15 < found[0] < 0.22
    assert 1.3 < found[2] < 1.8


@pytest.mark.parametrize("direction", [(0, 0, 1), (0, 1, 1), (1, 2, 3)])
@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (0.6, 0.6, 0.9)])
def test_wall_has_the_volume_of_a_tube_of_its_thickness(
    direction: tuple[float, float, float], spacing: tuple[float, float, float]
) -> None:
    edges, radius = np.array(spacing), 3.0
    mask, length = tube(radius, edges, direction)
    wall = wall_of(mask, edges)
    thickness = 0.44 * (radius / PI10_RADIUS_MM) ** 0.75
    outer = radius + thickness
    exact = np.pi * (outer**2 - radius**2) * length + 4 / 3 * np.pi * (outer**3 - radius**3)
    assert wall.wall.sum() * edges.prod() == pytest.approx(exact, rel=0.15)
    assert ((wall.lumen >= 0.5) == mask[wall.box]).all(), "a voxel is lumen where the label says so"
    assert (wall.lumen + wall.wall).max() <= 1 + 1e-6


def test_walls_break_more_where_airways_are_small() -> None:
    spacing, shares = np.array([0.5, 0.5, 0.5]), []
    for radius in (0.8, 1.6, 3.2):
        mask, _ = tube(radius, spacing, (1, 2, 3))
        whole = wall_of(mask, spacing).wall.sum()
        drawn = [wall_of(mask, spacing, seed, gap_share=0.6) for seed in range(6)]
        assert not any((wall.wall[wall.broken] > 0).any() for wall in drawn)
        shares.append(np.mean([1 - wall.wall.sum() / whole for wall in drawn]))
        assert shares[-1] == pytest.approx(0.6 * np.exp(-radius / 1.5), abs=0.08)
    assert shares[0] > shares[1] > shares[2]


def test_mean_over_voxels_keeps_lines_and_halves_edges() -> None:
    ramp = np.broadcast_to(np.arange(12, dtype=np.float32)[:, None, None], (12, 5, 5)).copy()
    mean_over_voxels(ramp)
    assert np.allclose(ramp[1:-1, 2, 2], np.arange(1, 11))
    point = np.zeros((7, 7, 7), np.float32)
    point[3, 3, 3] = 1
    mean_over_voxels(point)
    assert point[3, 3, 3] == pytest.approx(0.75**3)
    assert point[2, 3, 3] == pytest.approx(0.125 * 0.75**2)


def test_point_spread_has_the_stated_width() -> None:
    point, spacing = np.zeros((41, 41, 41), np.float32), np.array([0.7, 0.4, 0.5])
    point[20, 20, 20] = 1
    blur(point, spacing, in_plane_mm=2.0, across_mm=3.0)
    for axis, width in enumerate((3.0, 2.0, 2.0)):
        profile = point.sum(axis=tuple(a for a in range(3) if a != axis))
        place = (np.arange(41) - 20) * spacing[axis]
        assert FWHM * np.sqrt(profile @ place**2 / profile.sum()) == pytest.approx(width, rel=0.03)


def test_noise_has_the_spectrum_of_filtered_backprojection() -> None:
    """NPS(f) / f falls as the squared transfer function of the blur, and little is left at the lowest frequencies."""
    volume, spacing, width = np.zeros((160, 96, 120), np.float32), np.array([1.0, 0.6, 0.6]), 1.2
    add_noise(volume, spacing, width, 0.2, 25.0, np.random.default_rng(3))
    assert volume.std() == pytest.approx(25, rel=0.02)
    power = np.mean(np.abs(np.fft.fft2(volume)) ** 2, axis=0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(96, 0.6), np.fft.fftfreq(120, 0.6), indexing="ij"))
    near = [power[np.abs(frequency - f) < 0.02].mean() for f in (0.1, 0.2, 0.4)]
    transfer = [f * np.exp(-4 * (np.pi * width / FWHM * f) ** 2) for f in (0.1, 0.2, 0.4)]
    assert near[1] / near[0] == pytest.approx(transfer[1] / transfer[0], rel=0.15)
    assert near[2] / near[0] == pytest.approx(transfer[2] / transfer[0], rel=0.2)
    assert power[0, 0] < 0.05 * near[0]


def test_noise_is_correlated_across_slices_by_the_slice_profile() -> None:
    volume = np.zeros((200, 40, 40), np.float32)
    sd = 1.5
    add_noise(volume, np.array([1.0, 1.0, 1.0]), 1.0, FWHM * sd, 1.0, np.random.default_rng(4))
    assert volume.std() == pytest.approx(1, rel=0.05)
    for lag in (1, 2, 4):
        found = np.mean(volume[lag:] * volume[:-lag]) / np.mean(volume**2)
        assert found == pytest.approx(np.exp(-(lag**2) / (4 * sd**2)), abs=0.05)


def test_tissues_have_the_drawn_attenuation(body: Airway) -> None:
    made = chest_ct(body.airway, lung=[body.lung], **QUIET, gravity_hu_per_cm=(0.0, 0.0), ctx=Context(seed=2))
    image, drawn = made.image.data, made.truth.values
    around = ndimage.binary_dilation((body.airway.data > 0) | (made.arteries.data > 0), iterations=4)
    lung = ndimage.binary_erosion(body.lung.data > 0, iterations=4)
    assert np.median(image[lung & ~around]) == pytest.approx(drawn["lung_hu"], abs=1)
    trachea = ndimage.binary_erosion(body.airway.data > 0, iterations=2)
    assert np.median(image[trachea]) == -1000
    assert np.percentile(image[made.arteries.data > 0], 95) == pytest.approx(drawn["vessel_hu"], abs=20)
    assert image.dtype == np.int16
    corners = image[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.median(corners) == -1000


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
def test_gravity_points_to_the_back_however_the_scan_is_stored(body: Airway, order: tuple[int, int, int]) -> None:
    affine = body.airway.affine[:, [*order, 3]]
    stored = LabelMap(body.airway.data.transpose(order), affine)
    lung = LabelMap(body.lung.data.transpose(order), affine)
    made = chest_ct(stored, lung=[lung], **QUIET, gravity_hu_per_cm=(4.0, 4.0), ctx=Context(seed=3))
    other = (lung.data == 0) | (made.arteries.data > 0) | (made.wall.data > 0) | (stored.data > 0)
    voxels = np.argwhere(~ndimage.binary_dilation(other, iterations=3))
    front_cm = made.image.grid.world(voxels)[:, 1] / 10
    slope, _ = np.polyfit(front_cm, made.image.data[tuple(voxels.T)], 1)
    assert slope == pytest.approx(-4.0, abs=0.1)


def test_small_airways_lose_contrast(body: Airway) -> None:
    """The wall of the trachea is seen; that of the thinnest airways is below half of it."""
    made = chest_ct(
        body.airway, lung=[body.lung], **QUIET, blur_mm=(0.8, 0.8), gap_share=(0.0, 0.0), ctx=Context(seed=4)
    )
    wall, image = made.wall.data == 1, made.image.data
    line = body.centerline
    place = body.airway.grid.index(line.points)
    voxels = np.argwhere(wall & (body.lung.data > 0) & (made.arteries.data == 0))
    _, nearest = cKDTree(place).query(voxels)
    radius, value = line.radii[nearest], image[tuple(voxels.T)]
    wide, thin = np.percentile(value[radius > 1.8], 75), np.percentile(value[radius < 1.1], 75)
    assert thin < wide - 50


def test_lungs_and_vessels_are_made_where_none_are_given(body: Airway) -> None:
    ctx = Context(seed=5)
    made = chest_ct(body.airway, ctx=ctx)
    assert set(ctx.findings.codes()) >= {"lung-made", "vessels-made"}
    lungs, grid = made.lungs.data > 0, body.airway.grid
    rows = body.branches.rows()
    ends = np.array([[r[f"end_{a}_mm"] for a in "xyz"] for r in rows if r["generation"] >= 3])
    assert lungs[tuple(np.rint(grid.index(ends)).astype(int).T)].mean() > 0.95
    middle = np.array([[(rows[0][f"start_{a}_mm"] + rows[0][f"end_{a}_mm"]) / 2 for a in "xyz"]])
    assert not lungs[tuple(np.rint(grid.index(middle)).astype(int).T)].any()
    assert (made.arteries.data > 0)[lungs].mean() > 0.01
    assert not (made.arteries.data > 0)[~lungs].any()


def test_given_vessels_and_lobes_are_painted_as_given(body: Airway) -> None:
    lobes = [LabelMap((body.lung.data == side).astype(np.uint8), body.lung.affine) for side in (1, 2)]
    vessels = np.zeros(body.lung.shape, np.uint8)
    vessels[20:24, 20:24] = 1
    made = chest_ct(body.airway, LabelMap(vessels, body.lung.affine), lobes, ctx=Context(seed=6))
    assert np.array_equal(made.lungs.data > 0, body.lung.data > 0)
    assert np.array_equal(made.arteries.data, vessels)
    assert not {"lung-made", "vessels-made"} & set(made.truth.values)


def test_refusals(body: Airway) -> None:
    shifted = body.lung.affine
    shifted[0, 3] += 5
    with pytest.raises(InputError, match="affines"):
        chest_ct(body.airway, lung=[LabelMap(body.lung.data, shifted)])
    with pytest.raises(InputError):
        chest_ct(LabelMap(np.zeros((8, 8, 8), np.uint8), np.eye(4)))
    with pytest.raises(SettingsError, match="noise_hu is a range"):
        chest_ct(body.airway, noise_hu=(30.0, 10.0))
