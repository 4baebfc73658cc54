"""The standard deviation of the discretisation error: covers the error of known flows, and shrinks as it should."""

from collections.abc import Callable

import numpy as np
import pytest

from pde.draws import OUTLET, Draw, random_tube, random_wedge
from pde.exact import BLOOD, Tube
from voxfield.pde import LocalFit, Lumen, VoxelDomain, relative_pressure
from voxfield.pde._discretisation import DiscretisationError, Indicators, _accumulated, indicators
from voxfield.pde._way import Way, find_ways

SEED = 7000  # benchmarks/pressure_error.py calibrated on another
Make = Callable[[np.random.Generator, int], Draw]


def judged(draw: Draw) -> tuple[float, float]:
    """Error of the drop and its standard deviation, over the drop."""
    pressure = relative_pressure(draw.lumen, draw.velocity[None, None], BLOOD)
    found = indicators(draw.lumen, draw.velocity[None], pressure, find_ways(draw.lumen), BLOOD)
    error = pressure.planes[OUTLET][0] - draw.drop
    return error / abs(draw.drop), found.planes[OUTLET].sd[0] / abs(draw.drop)


@pytest.fixture(scope="module")
def draws() -> np.ndarray:
    """Errors and standard deviations (kinds, resolutions, draws, 2)."""
    rng = np.random.default_rng(SEED)
    return np.array(
        [
            [[judged(make(rng, across)) for _ in range(10)] for across in (5, 7, 9)]
            for make in (random_tube, random_wedge)
        ]
    )


def test_intervals_cover_the_error_of_known_flows(draws: np.ndarray) -> None:
    """60 draws of tubes and wedges. A coverage of .95 gives 53 or fewer with a chance of 3 %."""
    inside = np.abs(draws[..., 0]) <= 1.96 * draws[..., 1]
    assert inside.size == 60
    assert inside.sum() >= 54
    assert (inside.mean(axis=2) >= 0.7).all(), inside.mean(axis=2)


def test_the_standard_deviation_is_no_more_than_the_error_calls_for(draws: np.ndarray) -> None:
    """Over tubes as over wedges, at every resolution, within a factor of three of the root mean square error."""
    error, sd = np.sqrt((draws**2).mean(axis=2)).transpose(2, 0, 1)
    assert (sd < 3 * error).all(), sd / error
    assert (error < 3 * sd).all(), sd / error


@pytest.mark.parametrize("make", [random_tube, random_wedge])
def test_it_shrinks_with_the_square_of_the_voxel(make: Make) -> None:
    widths = np.array([6, 9, 13])
    sds = [np.median([judged(make(np.random.default_rng(n), across))[1] for n in range(4)]) for across in widths]
    rate = -np.polyfit(np.log(widths), np.log(sds), 1)[0]
    assert 1.6 < rate < 3.0, sds


def test_a_quadratic_is_averaged_over_the_voxel_without_error() -> None:
    """But for the weak prior of the fit, which gives way by 1e-4."""
    spacing = (0.5, 1.0, 2.0)
    domain = VoxelDomain(np.ones((7, 7, 7), dtype=bool), spacing)
    x, y, z = (domain.cells * np.array(spacing)).T
    values = (3 + x - 2 * y + x * x + 2 * y * y - z * z + x * y)[:, None]
    mean = LocalFit(domain).averaged(values)
    # The mean of t^2 over an edge h around 0 is h^2 / 12.
    np.testing.assert_allclose(mean - values, (0.25 + 2 * 1.0 - 4.0) / 12, rtol=1e-3)


def test_every_step_of_the_way_counts_by_the_voxels_across() -> None:
    """Falls of 8 and 18 and a rise of 4 Pa where 2, 3 and 2 voxels lie across: 2, 4 and 5 in all."""
    box = np.array([0.0, -8.0, -26.0, -22.0]).reshape(4, 1, 1, 1)
    way = Way(np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]]), np.array([1.0, 3.0, 3.0, 1.0]))
    np.testing.assert_allclose(_accumulated(box, way)[:, 0], [0, 2, 4, 5])


def test_outside_the_lumen_the_nearest_voxel_counts() -> None:
    mask = np.zeros((5, 1, 1), dtype=bool)
    mask[1:3] = True
    nothing = np.zeros((2, 1))
    error = DiscretisationError(Indicators(np.array([[1.0], [2.0]]), nothing), {})
    first, second = Indicators(np.array([1.0, 2.0]), np.zeros(2)).sd
    found = error.at(VoxelDomain(mask, (1.0, 1.0, 1.0)), np.ones((5, 1, 1), dtype=bool))
    np.testing.assert_allclose(found[0], [first, first, second, second, second])


def test_voxels_share_the_error_of_the_opening_that_they_lie_at() -> None:
    tube = Tube((36, 20, 18), (1e-3,) * 3, 5.4e-3, (1, 0.2, 0.1), 24e-3)
    lumen = Lumen(tube.mask, tube.marks, tube.spacing, 2, tube.speed)
    velocity = tube.sample(lumen.domain.mask)
    pressure = relative_pressure(lumen, velocity[None, None], BLOOD)
    found = indicators(lumen, velocity[None], pressure, find_ways(lumen), BLOOD)
    sd = found.at(lumen.domain, tube.mask)[0]
    along = np.argsort(tube.points[tube.mask][:, 0])
    assert sd[along[:20]].max() < 0.2 * found.planes[OUTLET].sd[0]
    np.testing.assert_allclose(sd[along[-20:]], found.planes[OUTLET].sd[0], rtol=0.2)
    assert found.planes[2].sd[0] == 0
