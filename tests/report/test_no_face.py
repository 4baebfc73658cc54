"""No page shows a face: what lies far from the structure reaches no byte of a page."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voxfield.artifacts import Image, LabelMap, Report
from voxfield.grading.overlay import AROUND_MM, overlay
from voxfield.report import subject
from voxfield.report._graded import picture
from voxfield.report._surroundings import around

SHAPE, SPACING_MM, REACH_MM = (40, 56, 48), 4.0, 10.0
AFFINE = np.diag([SPACING_MM] * 3 + [1.0])
Floats = NDArray[np.float64]


def head() -> tuple[Floats, NDArray[np.bool_]]:
    """A round head with a nose at its front, and the voxels of its face: the skin of its front half and the nose."""
    place = np.indices(SHAPE) * SPACING_MM
    x, y, z = place - np.array([80, 96, 96]).reshape(3, 1, 1, 1)
    depth = np.sqrt((x / 70) ** 2 + (y / 85) ** 2 + (z / 88) ** 2)
    nose = (np.abs(x) < 10) & (np.abs(z + 20) < 18) & (y > 70) & (y < 105)
    face = nose | ((depth > 0.85) & (depth < 1.0) & (y > 0))
    return np.where(face, 900.0, np.where(depth < 1.0, 400.0, 0.0)), face


def vessel() -> NDArray[np.bool_]:
    """A vessel that goes up through the middle of the head and then forward, to some way behind the face."""
    found = np.zeros(SHAPE, dtype=bool)
    found[19:21, 23:25, 10:26] = True
    found[19:21, 23:34, 24:26] = True
    return found


def page(scan: Floats, mask: NDArray[np.bool_] | None, **settings: Any) -> Report:
    labels = None if mask is None else LabelMap(mask.astype(np.uint8), AFFINE)
    return subject(Image(scan, AFFINE), labels, **settings).page


def test_a_face_changes_no_byte_of_a_page() -> None:
    scan, face = head()
    other = np.where(face, np.random.default_rng(0).uniform(0, 2000, SHAPE), scan)
    assert page(scan, vessel()).pages == page(other, vessel()).pages


def test_what_lies_around_the_vessel_is_shown() -> None:
    scan, _ = head()
    other = scan.copy()
    other[22, 24, 14] = 800.0  # two voxels, 8 mm, beside the vessel
    assert page(scan, vessel()).pages != page(other, vessel()).pages


def test_the_whole_scan_is_shown_where_that_is_asked_for() -> None:
    scan, face = head()
    other = np.where(face, 0.0, scan)
    assert page(scan, vessel(), around_mm=None).pages != page(other, vessel(), around_mm=None).pages


@pytest.mark.parametrize("mask", [None, np.zeros(SHAPE, dtype=bool)])
def test_without_a_structure_nothing_of_a_scan_is_shown(mask: NDArray[np.bool_] | None) -> None:
    scan, _ = head()
    shown = page(scan, mask)
    assert shown.pages == page(np.zeros(SHAPE) + 7.0 * np.arange(SHAPE[0])[:, None, None], mask).pages
    assert b"a picture of a whole head shows a face" in shown.pages["index.html"]


@pytest.mark.parametrize("spacing", [0.7, 1.0, 3.0])
def test_the_neighbourhood_ends_at_the_margin(spacing: float) -> None:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    image = Image(np.zeros((41, 41, 41)), affine)
    structure = np.zeros(image.grid.shape, dtype=bool)
    structure[20, 20, 20] = True
    near = np.argwhere(around(structure, image.grid, image.grid, REACH_MM))
    assert np.abs(near - 20).max() == int(REACH_MM / spacing)
    assert len(near) == (2 * int(REACH_MM / spacing) + 1) ** 3


def test_the_neighbourhood_is_the_same_place_on_another_grid() -> None:
    fine = Image(np.zeros((60, 60, 60)), np.diag([1.0, 1.0, 1.0, 1.0]))
    turned = np.array([[0, -2.0, 0, 50], [2.0, 0, 0, 4], [0, 0, -2.0, 58], [0, 0, 0, 1]])
    coarse = Image(np.zeros((25, 24, 26)), turned)
    structure = np.zeros(fine.grid.shape, dtype=bool)
    structure[30:33, 20:24, 40] = True
    near = around(structure, fine.grid, coarse.grid, REACH_MM)
    found = coarse.grid.world(np.argwhere(near))
    assert found.min(axis=0) == pytest.approx([20, 10, 30], abs=2)
    assert found.max(axis=0) == pytest.approx([42, 33, 50], abs=2)


def test_explained_volumes_end_around_the_place_that_matters() -> None:
    scan, face = head()
    marks = np.zeros(SHAPE)
    marks[20, 24, 24] = 1.0
    far = np.abs(np.argwhere(face) - [20, 24, 24]).max(axis=1) * SPACING_MM > AROUND_MM
    assert far.all()
    other = np.where(face, 2000.0, scan)
    assert np.array_equal(overlay(scan, marks, AFFINE, 0.0), overlay(other, marks, AFFINE, 0.0))


def test_cases_of_a_grader_are_shown_in_an_axial_slice() -> None:
    scan, _ = head()
    thin = scan[10:30]  # the shortest side is from left to right: its middle slice would be a profile
    assert picture(Image(thin, AFFINE)).shape == (SHAPE[1], 20)
