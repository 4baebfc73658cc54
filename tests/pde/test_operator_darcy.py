"""The classical side of operators: discretisation, fitted contrast, symmetries, certificates, resampling."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pde.darcy import darcy, layouts
from voxfield.errors import InputError
from voxfield.pde.inverse._darcy import solve_darcy
from voxfield.pde.operators._certified import certify
from voxfield.pde.operators._contrast import fit_contrast
from voxfield.pde.operators._draw import draw_labels, draw_pairs
from voxfield.pde.operators._pairs import Pairs, relative_l2
from voxfield.pde.operators._resample import resample, resample_solutions
from voxfield.pde.operators._symmetry import symmetries
from voxfield.pde.voxels import VoxelPoisson


@pytest.mark.parametrize("layout", ["faces", "cells", "open", "inside"])
def test_second_order_in_the_spacing(layout: str) -> None:
    """-div(a grad u) = f with u = sin(pi x) sin(2 pi y) and a = 2 + x y."""
    pi, errors = np.pi, []
    for n in (12, 24, 48):
        points = layouts(n)[layout]
        x, y = np.ix_(points, points)
        u = np.sin(pi * x) * np.sin(2 * pi * y)
        slope = y * pi * np.cos(pi * x) * np.sin(2 * pi * y) + x * 2 * pi * np.sin(pi * x) * np.cos(2 * pi * y)
        a = 2 + x * y
        found = darcy().grid((points, points)).solve(a, 5 * pi**2 * a * u - slope)
        errors.append(np.abs(found - u).max())
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(rates[-1], 2, atol=0.1)


def test_cells_are_those_of_the_other_solvers() -> None:
    """One layer of voxels with Dirichlet walls on its four sides; the banded solver that Markov chains take."""
    a = np.exp(np.random.default_rng(0).standard_normal((9, 9)))
    mask, walls = np.zeros((11, 11, 3), dtype=bool), np.zeros((11, 11, 3), dtype=int)
    walls[:, :, 1], mask[1:-1, 1:-1, 1] = 1, True
    voxels = VoxelPoisson(
        mask, (1 / 9, 1 / 9, 1.0), walls=walls, conditions={1: "dirichlet"}, coefficient=a.ravel(), rtol=1e-12
    )
    points = layouts(9)["cells"]
    found = darcy().grid((points, points)).solve(a, np.ones((9, 9)))
    np.testing.assert_allclose(voxels.solve(1.0, {1: 0.0}).values, found.ravel(), rtol=1e-9)
    np.testing.assert_allclose(solve_darcy(a, 1.0).pressure, found, rtol=1e-11)


@pytest.mark.parametrize("layout", ["faces", "cells", "open", "inside"])
def test_the_smallest_eigenvalue(layout: str) -> None:
    grid = darcy().grid((layouts(7)[layout], layouts(6)[layout]))
    matrix = grid.network(np.ones(grid.shape)).matrix.toarray()
    assert grid.smallest_eigenvalue == pytest.approx(np.linalg.eigvalsh(matrix)[0], rel=1e-10)


def test_points_elsewhere_are_refused() -> None:
    points = np.arange(8) / 8
    with pytest.raises(InputError, match="expected four or more at one distance"):
        darcy().grid((points**2, points))
    with pytest.raises(InputError, match="half or one spacing inside"):
        darcy().grid((points, 0.3 * points))


@pytest.mark.parametrize("materials", [(3.0, 12.0), (0.5, 0.02)])
def test_contrast_and_scale_are_found(materials: tuple[float, float]) -> None:
    """Pairs of this very discretisation, told by labels: the fit finds both conductivities."""
    made = draw_pairs(darcy(), (9, 9), 4, np.random.default_rng(1), materials=materials, refine=1)
    labels = (made.inputs == materials[1]).astype(float)
    problem = darcy()
    grid, source = problem.grid(made.axes), problem.source(made.axes)
    found = fit_contrast(Pairs(made.axes, labels, made.solutions), grid, source)
    assert (found.low, found.low + found.slope) == pytest.approx(materials, rel=2e-3)
    as_given = fit_contrast(made, grid, source)
    assert (as_given.low, as_given.slope) == pytest.approx((0, 1), abs=2e-3)
    with pytest.raises(InputError, match="far from those of training"):
        found(np.array([[-1e3, 1e3]]))


def test_inputs_that_do_not_vary_are_refused() -> None:
    made = draw_pairs(darcy(), (9, 9), 2, np.random.default_rng(1), materials=(1.0, 2.0), refine=1)
    problem = darcy()
    with pytest.raises(InputError, match="1 everywhere; there is nothing to learn from"):
        fit_contrast(
            Pairs(made.axes, np.ones_like(made.inputs), made.solutions), problem.grid(made.axes),
            problem.source(made.axes),
        )  # fmt: skip


@pytest.mark.parametrize(("layout", "count"), [("faces", 8), ("cells", 8), ("inside", 8), ("open", 2)])
def test_symmetries_take_solutions_to_solutions(layout: str, count: int) -> None:
    problem, points = darcy(), layouts(8)[layout]
    axes = (points, points)
    source, grid = problem.source(axes), problem.grid(axes)
    found = symmetries(axes, problem.box, source)
    assert len(found) == count
    a = 1 + 5 * draw_labels(axes, problem.box, 1, np.random.default_rng(0))[0]
    u = torch.from_numpy(grid.solve(a, source))
    for symmetry in found:
        moved = symmetry(torch.from_numpy(a)).numpy()
        np.testing.assert_allclose(symmetry(u), grid.solve(moved, source), atol=1e-12)


def test_a_forcing_breaks_symmetries() -> None:
    points = layouts(8)["faces"]
    problem = darcy(forcing="-x")
    kept = symmetries((points, points), problem.box, problem.source((points, points)))
    assert [(one.order, one.reflected) for one in kept] == [((0, 1), ()), ((0, 1), (1,))]
    longer = darcy(box={"x": [0, 2], "y": [0, 1]})
    axes = (np.linspace(0, 2, 9), points)
    assert len(symmetries(axes, longer.box, longer.source(axes))) == 4


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6), layout=st.sampled_from(["faces", "open"]), size=st.sampled_from([0.0, 1e-3, 1.0, 1e3])
)
def test_any_guess_is_certified(seed: int, layout: str, size: float) -> None:
    """Whatever the guess: the answer solves to the tolerance, and both bounds hold."""
    rng = np.random.default_rng(seed)
    points = layouts(9)[layout]
    problem = darcy()
    grid, source = problem.grid((points, points)), problem.source((points, points))
    a = np.exp(rng.standard_normal(grid.shape))
    guess = grid.dense(size * rng.standard_normal(int(grid.unknown.sum())))
    exact = grid.solve(a, source)
    found = certify(grid, a, source, guess)
    assert found.residual < 1e-7

    def error(values: Any) -> float:
        return float(np.sqrt(np.mean(np.square(values - exact)[grid.unknown])))

    assert error(found.values) <= found.bound + 1e-12
    assert error(guess) <= found.guess_bound
    assert found.guess_error == pytest.approx(error(guess), rel=1e-6, abs=1e-9)


def test_a_good_guess_saves_iterations_and_a_bad_one_costs_none() -> None:
    problem, points = darcy(), np.linspace(0, 1, 65)
    grid, source = problem.grid((points, points)), problem.source((points, points))
    a = 3 + 9 * draw_labels((points, points), problem.box, 1, np.random.default_rng(0))[0]
    exact = grid.solve(a, source)
    close = certify(grid, a, source, exact * (1 + 1e-5 * np.sin(7 * points)))
    assert close.iterations < close.from_zero
    assert certify(grid, a, source, 3 * exact).iterations == 0  # the factor in the energy norm puts it right
    assert certify(grid, a, source, -1e6 * exact[::-1]).iterations <= close.from_zero + 1


def test_resampling() -> None:
    """Exact for what it is exact for; solutions are known to vanish on the faces that no point lies on."""
    coarse, fine = layouts(16)["open"], layouts(32)["open"]
    x, y = np.ix_(coarse, coarse)
    np.testing.assert_allclose(
        resample((2 * x + y)[None], (coarse, coarse), (fine[:-1], fine[:-1]))[0, ::2, ::2], 2 * x + y
    )
    known = np.sin(np.pi * fine)[:, None] * np.sin(np.pi * fine)
    box = darcy().box
    found = resample_solutions(known[None, ::2, ::2], (coarse, coarse), (fine, fine), box)
    assert relative_l2(found, known[None])[0] < 1e-4
    np.testing.assert_allclose(found[0, ::2, ::2], known[::2, ::2], atol=1e-12)


def test_draws_have_both_materials_and_are_one_function_on_all_grids() -> None:
    box, points = darcy().box, np.linspace(0, 1, 33)
    fields = draw_labels((points, points), box, 200, np.random.default_rng(0))
    assert abs(fields.mean() - 0.5) < 0.1
    coarse = draw_labels((points[::4], points[::4]), box, 200, np.random.default_rng(0))
    assert np.array_equal(coarse, fields[:, ::4, ::4])
