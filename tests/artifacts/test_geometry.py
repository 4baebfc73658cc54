"""Grids, faces and fluxes: hand-worked cases and properties."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies import affines, shapes
from voxfield.artifacts import FaceFlux, FieldSamples, Grid, Image, LabelMap, check_pair, face_labels
from voxfield.errors import InputError
from voxfield.findings import Findings


@settings(max_examples=60, deadline=None)
@given(shape=shapes(), affine=affines())
def test_world_and_index_undo_each_other(shape: tuple[int, int, int], affine: NDArray[np.float64]) -> None:
    grid = Grid(shape, affine)
    corners = np.array([[0, 0, 0], np.array(shape) - 1, [0.5, 1.25, 2]])
    np.testing.assert_allclose(grid.index(grid.world(corners)), corners, atol=1e-9)
    assert grid.is_orthogonal()
    np.testing.assert_allclose(grid.axes.T @ grid.axes, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(grid.spacing.prod(), grid.voxel_volume_mm3, rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(shape=shapes(), affine=affines(), axis=st.integers(0, 2), shift=st.sampled_from([5e-4, 2e-3]))
def test_two_grids_are_one_up_to_a_thousandth_of_a_voxel(
    shape: tuple[int, int, int], affine: NDArray[np.float64], axis: int, shift: float
) -> None:
    moved = affine.copy()
    moved[:3, 3] += affine[:3, axis] * shift
    assert Grid(shape, affine).same_as(Grid(shape, moved)) == (shift < 1e-3)


@settings(max_examples=60, deadline=None)
@given(shape=shapes(), affine=affines(), axis=st.integers(0, 2))
def test_a_flipped_grid_is_another(shape: tuple[int, int, int], affine: NDArray[np.float64], axis: int) -> None:
    flipped = affine.copy()
    flipped[:3, axis] *= -1
    assert not Grid(shape, affine).same_as(Grid(shape, flipped))


@settings(max_examples=60, deadline=None)
@given(shape=shapes(), affine=affines(), other=affines())
def test_the_pair_check_follows_the_grids(
    shape: tuple[int, int, int], affine: NDArray[np.float64], other: NDArray[np.float64]
) -> None:
    image, mask = Image(np.ones(shape), affine), LabelMap(np.ones(shape, int), affine)
    check_pair(image, mask)
    assume(not Grid(shape, affine).same_as(Grid(shape, other)))
    with pytest.raises(InputError, match=r"affines .* disagree by up to"):
        check_pair(image, LabelMap(np.ones(shape, int), other))


def test_a_mask_a_slice_short_and_an_image_as_its_own_mask(tmp_path: Path) -> None:
    affine, path = np.eye(4), tmp_path / "a.nii.gz"
    Image(np.arange(60).reshape(3, 4, 5), affine).save(path)
    with pytest.raises(InputError, match=r"has shape \(3, 4, 4\), its image.* \(3, 4, 5\)"):
        check_pair(Image.load(path), LabelMap(np.ones((3, 4, 4), int), affine))
    with pytest.raises(InputError, match=r"a\.nii\.gz: is given as image and as mask .*the same file"):
        check_pair(Image.load(path), LabelMap.load(path))


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [((0, 3), np.inf, "NaN or infinite"), ((2, 2), 0.0, "singular"), ((3, 0), 1.0, "last row")],
)
def test_an_unusable_affine_is_refused(entry: tuple[int, int], value: float, message: str) -> None:
    affine = np.eye(4)
    affine[entry] = value
    with pytest.raises(InputError, match=message):
        Image(np.ones((3, 4, 5)), affine)


def test_faces_of_a_tube_worked_by_hand() -> None:
    # A row of four cells along x in a 6 x 3 x 3 grid. Beyond its low end lies the cap of opening 2, beyond
    # its high end plain outside; the marks of wall voxels (1) make no opening.
    lumen = np.zeros((6, 3, 3), dtype=bool)
    lumen[1:5, 1, 1] = True
    openings = np.zeros((6, 3, 3), dtype=np.uint8)
    openings[0, 1, 1] = 2
    openings[5, 1, 1] = 1
    x, y, z = face_labels(lumen, openings)
    assert x.shape == (7, 3, 3)
    assert x[:, 1, 1].tolist() == [0, 2, -1, -1, -1, 1, 0]
    assert y[2, :, 1].tolist() == [0, 1, 1, 0]
    assert z[2, 1, :].tolist() == [0, 1, 1, 0]
    assert (x == 2).sum() == 1
    assert sum(int((faces == 1).sum()) for faces in (x, y, z)) == 1 + 4 * 2 + 4 * 2


def test_a_face_on_the_field_of_view_takes_the_label_of_the_lumen_voxel() -> None:
    lumen = np.zeros((3, 3, 2), dtype=bool)
    lumen[:, 1, :] = True
    openings = np.zeros((3, 3, 2), dtype=np.int16)
    openings[0, 1, :] = 3  # at the low end of x; the other sides of these voxels follow their neighbours
    x, y, z = face_labels(lumen, openings)
    assert x[:, 1, 0].tolist() == [3, -1, -1, 1]
    assert y[0, :, 0].tolist() == [0, 1, 1, 0]
    assert z[0, 1, :].tolist() == [3, -1, 3]  # on the field of view as well
    assert z[1, 1, :].tolist() == [1, -1, 1]


@settings(max_examples=60, deadline=None)
@given(shape=shapes(6), seed=st.integers(0, 999))
def test_faces_agree_with_a_slow_reference(shape: tuple[int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    lumen, openings = rng.random(shape) < 0.5, rng.integers(0, 5, shape)
    found = face_labels(lumen, openings)
    for axis, faces in enumerate(found):
        for place in np.ndindex(faces.shape):
            low = tuple(place[a] - (a == axis) for a in range(3))
            cells = [cell for cell in (low, place) if all(0 <= c < n for c, n in zip(cell, shape, strict=True))]
            inside = [cell for cell in cells if lumen[cell]]
            outside = [cell for cell in cells if not lumen[cell]]
            if not inside:
                expected = 0
            elif len(inside) == 2:
                expected = -1
            else:
                mark = openings[outside[0]] if outside else openings[inside[0]]
                expected = mark if mark >= 2 else 1
            assert faces[place] == expected


def test_divergence_of_a_linear_field() -> None:
    # u = 2 x, v = -1 y, w = 0.5 z in mm: divergence 1.5 per mm whatever the spacing.
    spacing, shape = np.array([0.5, 0.8, 2.0]), (4, 3, 5)
    u, v, w = (
        np.arange(n + 1).reshape([-1 if a == axis else 1 for a in range(3)]) * spacing[axis] * slope
        + np.zeros([m + (a == axis) for a, m in enumerate(shape)])
        for axis, (n, slope) in enumerate(zip(shape, (2, -1, 0.5), strict=True))
    )
    mask = np.ones(shape, dtype=bool)
    mask[0] = False
    flux = FaceFlux(u, v, w, mask, np.diag([*spacing, 1]), unit="m/s")
    np.testing.assert_allclose(flux.divergence()[1:], 1.5, rtol=1e-13)
    assert (flux.divergence()[0] == 0).all()


def test_a_flux_on_a_sheared_grid_is_refused() -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.3
    flux = FaceFlux(np.zeros((3, 2, 2)), np.zeros((2, 3, 2)), np.zeros((2, 2, 3)), np.ones((2, 2, 2)), affine)
    with pytest.raises(InputError, match="not orthogonal"):
        flux.check(Findings())


def test_a_flux_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"its v has shape \(2, 2, 2\)"):
        FaceFlux(np.zeros((3, 2, 2)), np.zeros((2, 2, 2)), np.zeros((2, 2, 3)), np.ones((2, 2, 2)), np.eye(4))


def test_samples_on_the_whole_grid() -> None:
    mask = np.zeros((2, 2, 2), dtype=bool)
    mask[0, 1, 0] = mask[1, 0, 1] = mask[1, 1, 1] = True
    values = np.arange(16 * 2 * 3 * 3, dtype=np.float32).reshape(16, 2, 3, 3)
    inside = np.ones((16, 3), dtype=bool)
    inside[4, 1] = False
    samples = FieldSamples(values, mask, np.eye(4), inside=inside, unit="m/s")
    dense = samples.dense(4)
    assert dense.shape == (2, 2, 2, 2, 3)
    np.testing.assert_array_equal(dense[0, 1, 0], values[4, :, 0])
    np.testing.assert_array_equal(dense[1, 0, 1], 0)  # outside the lumen of this sample
    np.testing.assert_array_equal(dense[1, 1, 1], values[4, :, 2])
    assert samples.lumen(4).sum() == 2
    assert samples.lumen(5).sum() == 3
    assert len(samples) == 16


def test_fewer_than_sixteen_samples_are_refused() -> None:
    few = FieldSamples(np.zeros((15, 1, 8, 1)), np.ones((2, 2, 2)), np.eye(4))
    with pytest.raises(InputError, match="holds 15 samples; expected at least 16"):
        few.check(Findings())
    with pytest.raises(InputError, match="as its mask has that many voxels"):
        FieldSamples(np.zeros((16, 1, 7, 1)), np.ones((2, 2, 2)), np.eye(4))
