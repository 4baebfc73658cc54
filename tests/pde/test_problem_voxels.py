"""Problems on voxels: exact linear profiles, second order on aligned walls with its estimate, and what is refused."""

from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import LabelMap, Problem
from voxfield.errors import InputError, SettingsError
from voxfield.findings import Findings
from voxfield.pde import solve

TURNED = np.array([[0.0, -1.5, 0.0, 20.0], [1.0, 0.0, 0.0, -7.0], [0.0, 0.0, 2.0, 3.0], [0.0, 0.0, 0.0, 1.0]])


def statement(**changed: Any) -> dict[str, Any]:
    return {"unit": "K", "voxels": True, "operator": "poisson", "boundary": {"1": {"neumann": 0}}, **changed}


def brick(shape: tuple[int, int, int], affine: np.ndarray = TURNED) -> tuple[LabelMap, LabelMap]:
    """A brick in a shell of walls 1, whose ends along the first voxel axis are 2 and 3."""
    mask = np.zeros(shape, dtype=np.uint8)
    mask[1:-1, 1:-1, 1:-1] = 1
    walls = 1 - mask
    walls[0], walls[-1] = 2, 3
    return LabelMap(mask, affine), LabelMap(walls, affine)


def test_a_linear_profile_between_two_ends_is_exact() -> None:
    """The first voxel axis runs along world y from -6.5 to 1.5 mm: u = y - 2 from end to end, insulated sides."""
    mask, walls = brick((10, 5, 6))
    conditions = {"1": {"neumann": 0}, "2": {"dirichlet": "y - 2"}, "3": {"neumann": 1}}
    made = solve(Problem(statement(boundary=conditions)), mask, walls)
    assert made.field is None
    assert made.volume is not None
    made.volume.check(Findings())
    made.picture.check(Findings())
    i, _, _ = np.nonzero(mask.data)
    np.testing.assert_allclose(made.volume.data[mask.data > 0], i - 7 - 2, atol=1e-5)
    assert np.isnan(made.volume.data[0, 0, 0])
    assert made.metrics.values["error_estimate"] < 1e-6


@pytest.mark.parametrize(
    "operator", ["poisson", {"div(a grad u)": "2 + sin(x/10)"}, {"u_xx": 1, "u_yy": 1, "u_zz": 1, "u": -0.1}]
)
def test_errors_fall_with_the_square_of_the_spacing_and_are_told(operator: Any) -> None:
    """u = sin(x/5) cos(y/4) + z/10 in a brick of 12 x 12 x 12 mm, with its values on all walls."""
    everywhere = dict.fromkeys("123", "dirichlet")
    problem = Problem(statement(operator=operator, manufactured="sin(x/5)*cos(y/4) + z/10", boundary=everywhere))
    told = []
    for cells in (8, 16):
        affine = np.diag([12 / cells, 12 / cells, 12 / cells, 1.0])
        affine[:3, 3] = -12 / cells / 2
        told.append(solve(problem, *brick((cells + 2,) * 3, affine)).metrics.values)
    assert np.log2(told[0]["error_l2"] / told[1]["error_l2"]) == pytest.approx(2, abs=0.15)
    assert 0.5 < told[1]["error_estimate"] / told[1]["error_largest"] < 2


def test_a_wall_without_a_condition_is_refused() -> None:
    mask, walls = brick((6, 5, 5))
    with pytest.raises(InputError, match="touches walls of label 2, 3, which has no boundary condition"):
        solve(Problem(statement()), mask, walls)
    everywhere = {label: {"neumann": 0} for label in "1234"}
    with pytest.raises(InputError, match="no face of the mask carries the label 4"):
        solve(Problem(statement(boundary=everywhere)), mask, walls)


def test_neumann_data_that_do_not_balance_are_refused() -> None:
    mask, walls = brick((6, 5, 5))
    closed = {"1": {"neumann": 0}, "2": {"neumann": 1}, "3": {"neumann": 0}}
    with pytest.raises(InputError, match="balance"):
        solve(Problem(statement(boundary=closed)), mask, walls)


def test_what_voxels_can_not_take_is_said() -> None:
    mask, walls = brick((6, 5, 5))
    with pytest.raises(SettingsError, match=r"on voxels it takes c lap u or div\(a grad u\)"):
        solve(Problem(statement(operator="allen_cahn")), mask, walls)
    with pytest.raises(SettingsError, match="on voxels there is finite_volume alone"):
        solve(Problem(statement()), mask, walls, solver="chebyshev")
    manufactured = statement(manufactured="x", boundary={"1": "neumann"})
    with pytest.raises(SettingsError, match="gives Dirichlet values only"):
        solve(Problem(manufactured), mask, walls)
    with pytest.raises(InputError, match="no mask was given"):
        solve(Problem(statement()))
