"""Ways through a lumen and the voxels across it."""

import numpy as np
import pytest

from pde.exact import Tube
from voxfield.pde import Lumen
from voxfield.pde._way import Way, find_ways, wall_distance

INLET, OUTLET = 2, 3


def duct(widths: list[int], size: int = 15) -> Lumen:
    """A square duct along axis 0 with the given width at each step, open at both ends."""
    mask = np.zeros((len(widths), size, size), dtype=bool)
    for place, width in enumerate(widths):
        low = (size - width) // 2
        mask[place, low : low + width, low : low + width] = True
    marks = np.where(mask, 0, 1).astype(np.int16)
    marks[0][mask[0]], marks[-1][mask[-1]] = INLET, OUTLET
    mask[[0, -1]] = False
    return Lumen(mask, marks, (1e-3,) * 3, INLET)


def round_tube(radius: float, direction: tuple[float, float, float], steps: int = 48) -> Lumen:
    """A tube in voxels of a millimetre; radius in millimetres."""
    tube = Tube((steps,) * 3, (1e-3,) * 3, radius * 1e-3, direction, 36e-3)
    return Lumen(tube.mask, tube.marks, tube.spacing, INLET)


def way(lumen: Lumen) -> Way:
    return find_ways(lumen)[OUTLET]


@pytest.mark.parametrize("width", [1, 3, 4, 6, 9])
def test_a_square_duct_counts_as_the_disk_of_its_area(width: int) -> None:
    found = way(duct([width] * 30))
    np.testing.assert_allclose(found.across[15], np.sqrt(4 / np.pi) * width)
    assert found.throat == pytest.approx(np.sqrt(4 / np.pi) * width, rel=0.01)


@pytest.mark.parametrize("throat", [1, 3, 5])
def test_the_narrowest_place_counts(throat: int) -> None:
    found = way(duct([9] * 16 + [throat] * 3 + [11] * 16))
    assert found.throat == pytest.approx(np.sqrt(4 / np.pi) * throat, rel=0.01)


def test_a_throat_at_an_opening_counts() -> None:
    assert way(duct([9] * 16 + [3] * 2)).throat < 5.2


@pytest.mark.parametrize("direction", [(1, 0, 0), (1, 0.4, 0), (1, 1, 0), (1, 1, 1), (0.3, -0.5, 1)])
@pytest.mark.parametrize("diameter", [5.0, 8.0])
def test_a_tube_is_as_wide_as_its_voxels_in_any_direction(
    direction: tuple[float, float, float], diameter: float
) -> None:
    lumen = round_tube(diameter / 2, direction)
    found = way(lumen)
    middle = found.across[len(found.across) // 4 : -(len(found.across) // 4)]
    assert middle.mean() == pytest.approx(np.sqrt(4 / np.pi * lumen.domain.size / 36), rel=0.04)
    assert found.throat > 0.88 * diameter


def test_a_way_goes_through_the_middle_from_opening_to_opening() -> None:
    lumen = round_tube(4.0, (1, 0.5, 0.3))
    found = way(lumen)
    assert (np.abs(np.diff(found.voxels, axis=0)).sum(axis=1) == 1).all()
    assert lumen.domain.mask[tuple(found.voxels.T)].all()
    distance = wall_distance(lumen.domain.mask, lumen.marks)[tuple(found.voxels.T)]
    assert distance.min() > 2.9
    for end, label in ((found.voxels[0], INLET), (found.voxels[-1], OUTLET)):
        cells = lumen.domain.cells[lumen.openings[label].faces.cells]
        assert (cells == end).all(axis=1).any()


def test_openings_are_no_wall() -> None:
    lumen = duct([9] * 6)
    distance = wall_distance(lumen.domain.mask, lumen.marks)
    np.testing.assert_array_equal(distance[1], distance[2])


def test_an_opening_that_is_not_reached_has_no_way() -> None:
    assert find_ways(duct([9] * 5 + [0] + [9] * 5)) == {}
