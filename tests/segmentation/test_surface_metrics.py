"""Surface distances: MONAI as oracle, spheres and boxes with known answers, any grid, images."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from voxfield.segmentation.metrics._cells import mixed_cells, surface_elements
from voxfield.segmentation.metrics._foreground import foreground
from voxfield.segmentation.metrics._surface import FAR, MANY, surface_dice, surface_distances

SPACING = np.array([0.5, 0.7, 1.2])
GRIDS = [np.ones(3), np.array([1.0, 1.0, 2.5]), SPACING]


def blobs(seed: int) -> np.ndarray:
    return gaussian_filter(np.random.default_rng(seed).normal(size=(24, 20, 16)), 2) > 0.02


def distances(ours: np.ndarray, theirs: np.ndarray, spacing: np.ndarray) -> dict[str, float | None]:
    return surface_distances(foreground(ours), foreground(theirs), spacing)


def nsd(ours: np.ndarray, theirs: np.ndarray, spacing: np.ndarray, tolerance: float) -> float:
    pair = [(places, mixed_cells(places)) for places in (foreground(ours), foreground(theirs))]
    return surface_dice(pair[0], pair[1], spacing, tolerance)


def ball(radius: float, spacing: np.ndarray, centre: float = 0.2) -> np.ndarray:
    axes = np.ogrid[tuple(slice(-n, n + 1) for n in np.ceil(16 / spacing).astype(int))]
    return np.asarray(sum((a * s - centre) ** 2 for a, s in zip(axes, spacing, strict=True)) <= radius**2)


def area(mask: np.ndarray, spacing: np.ndarray) -> float:
    places = foreground(mask)
    return float(surface_elements(places, mixed_cells(places), spacing)[1].sum())


def test_as_in_monai() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

        for seed in range(3):
            ours, theirs = np.pad(blobs(seed), 2), np.pad(blobs(seed + 10), 2)
            found = distances(ours, theirs, SPACING)
            pair = [torch.tensor(np.stack([~m, m])[None].astype(np.float32)) for m in (ours, theirs)]
            spacing = SPACING.tolist()
            hd95 = compute_hausdorff_distance(*pair, percentile=95, spacing=spacing).item()
            assd = compute_average_surface_distance(*pair, symmetric=True, spacing=spacing).item()
            dice = compute_surface_dice(*pair, class_thresholds=[1.0], spacing=spacing, use_subvoxels=True).item()
            # MONAI computes in single precision.
            assert found["hd95_mm"] == pytest.approx(hd95, rel=1e-4)
            assert found["assd_mm"] == pytest.approx(assd, rel=1e-4)
            # The same elements; theirs have the areas of marching cubes.
            assert nsd(ours, theirs, SPACING, 1.0) == pytest.approx(dice, abs=0.01)


@pytest.mark.parametrize("spacing", GRIDS, ids=str)
def test_area_of_a_sphere(spacing: np.ndarray) -> None:
    # A digital ball has no normals: its area errs by 6 % on cubes and by 11 % on this grid's bricks.
    assert area(ball(12, spacing), spacing) == pytest.approx(4 * np.pi * 12**2, rel=0.12)


def test_area_of_a_plane_is_exact() -> None:
    """Within the box from `low` to `high` mm: across x, and along the diagonal of x and y."""
    across = np.zeros((40, 40, 12), bool)
    across[10:] = True
    diagonal = np.add.outer(np.arange(40), np.arange(40))[..., None] < np.full(12, 40)
    low, high = np.array([4, 0, 2]), np.array([36, 39, 10])
    for mask, true in ((across, 39 * 8), (diagonal, 32 * 2**0.5 * 8)):
        places = foreground(mask)
        points, areas = surface_elements(places, mixed_cells(places), np.ones(3))
        inside = ((points > low) & (points < high)).all(axis=1)
        assert areas[inside].sum() == pytest.approx(true)


@pytest.mark.parametrize("spacing", GRIDS, ids=str)
def test_concentric_spheres(spacing: np.ndarray) -> None:
    ours, theirs, coarse = ball(14, spacing), ball(8, spacing), float(spacing.max())
    found = distances(ours, theirs, spacing)
    assert found["hd95_mm"] == pytest.approx(6, abs=coarse)
    assert found["assd_mm"] == pytest.approx(6, abs=coarse / 2)
    assert nsd(ours, theirs, spacing, 6 + coarse) == 1
    assert nsd(ours, theirs, spacing, 6 - 1.5 * coarse) == 0


@pytest.mark.parametrize("spacing", GRIDS, ids=str)
def test_a_shifted_box(spacing: np.ndarray) -> None:
    """Two boxes of 30 x 30 x 40 mm, 10 mm apart along z: sides agree where they face each other, ends do not."""
    shape = np.ceil(70 / spacing).astype(int)
    x, y, z = (np.arange(n) * s for n, s in zip(shape, spacing, strict=True))
    across = ((x > 10) & (x <= 40))[:, None, None] & ((y > 10) & (y <= 40))[None, :, None]
    ours, theirs = across & ((z > 10) & (z <= 50)), across & ((z > 20) & (z <= 60))
    tolerance, wide, long, shift = 2.6, 30, 40, 10
    # Within the tolerance lie the sides but for what sticks out by more, and a rim of one end, inside the other box.
    within = 4 * wide * (long - (shift - tolerance)) + wide**2 - (wide - 2 * tolerance) ** 2
    whole = 4 * wide * long + 2 * wide**2
    assert nsd(ours, theirs, spacing, tolerance) == pytest.approx(within / whole, abs=0.03)


def test_two_slabs_have_the_distance_between_them() -> None:
    ours, theirs = np.zeros((2, 12, 10, 10), bool)
    ours[2], theirs[7] = True, True
    assert distances(ours, theirs, SPACING) == pytest.approx({"hd95_mm": 2.5, "assd_mm": 2.5})
    # The facing sides of the slabs are 4 voxels apart, the others 6.
    assert nsd(ours, theirs, SPACING, 1.99) == pytest.approx(0.0)
    assert nsd(ours, theirs, SPACING, 2.5) == pytest.approx(1.0)


def test_an_image_has_outlines() -> None:
    spacing = np.array([0.1, 0.1, 9.0])
    x, y = np.ogrid[:400, :400]
    ours, theirs = (((x - c) ** 2 + (y - 200) ** 2 <= 150**2)[..., None] for c in (200, 230))
    found = distances(ours, theirs, spacing)
    assert found["hd95_mm"] == pytest.approx(3, abs=0.1)
    outline = area(ours, spacing)
    assert outline == pytest.approx(2 * np.pi * 15, rel=0.1)
    assert area(np.pad(ours, ((0, 0), (0, 0), (1, 1))), spacing) > 2 * np.pi * 15**2
    # Of two circles 3 mm apart the parts at angle a to the shift are 3 |cos a| apart: half of them within 2.12 mm.
    assert nsd(ours, theirs, spacing, 3 * np.cos(np.pi / 4)) == pytest.approx(0.5, abs=0.05)


@settings(max_examples=30, deadline=None)
@given(arrays(bool, (5, 4, 6)), arrays(bool, (5, 4, 6)))
def test_symmetry_and_bounds(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert distances(ours, theirs, SPACING) == pytest.approx(distances(theirs, ours, SPACING))
    share = nsd(ours, theirs, SPACING, 0.8)
    assert share == pytest.approx(nsd(theirs, ours, SPACING, 0.8))
    assert 0 <= share <= 1
    assert nsd(ours, ours, SPACING, 0.8) == pytest.approx(1)


def test_empty_masks() -> None:
    full, empty = np.ones((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
    assert distances(empty, empty, SPACING) == {"hd95_mm": 0.0, "assd_mm": 0.0}
    assert distances(full, empty, SPACING) == {"hd95_mm": None, "assd_mm": None}
    assert (nsd(empty, empty, SPACING, 1), nsd(full, empty, SPACING, 1)) == (1.0, 0.0)


def test_surfaces_far_from_each_other_have_their_true_distances() -> None:
    """Beyond what the tree is asked for, a distance transform answers: one distance, whoever found it."""
    rng = np.random.default_rng(4)
    ours, theirs = np.zeros((2, 90, 40, 20), bool)
    ours[rng.integers(0, 30, 900), rng.integers(0, 40, 900), rng.integers(0, 20, 900)] = True
    theirs[rng.integers(60, 90, 300), rng.integers(0, 40, 300), rng.integers(0, 20, 300)] = True
    theirs[28, 20, 10] = True  # some points of ours are near
    sets = [np.argwhere(mask) * SPACING for mask in (ours, theirs)]  # nothing is inside: every voxel is surface
    between = cdist(*sets)
    forth, back = between.min(axis=1), between.min(axis=0)
    assert (forth > FAR * max(SPACING)).sum() > MANY
    assert distances(ours, theirs, SPACING) == pytest.approx({
        "hd95_mm": max(np.percentile(forth, 95), np.percentile(back, 95)),
        "assd_mm": np.concatenate([forth, back]).mean(),
    })  # fmt: skip
