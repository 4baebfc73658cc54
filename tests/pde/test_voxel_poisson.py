"""Elliptic equations in masks with labelled walls: exact solutions, rates, and an oracle that loops over faces."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse.linalg import spsolve

from voxfield.errors import InputError
from voxfield.pde.voxels import VoxelPoisson

X_LOW, X_HIGH, SIDES = 1, 2, 3


def box(steps: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """The unit cube as a mask with one voxel of walls around it: mask, labels of the walls, spacing."""
    mask = np.zeros([n + 2 for n in steps], dtype=bool)
    mask[1:-1, 1:-1, 1:-1] = True
    walls = np.full(mask.shape, SIDES)
    walls[0], walls[-1] = X_LOW, X_HIGH
    return mask, walls, (1 / steps[0], 1 / steps[1], 1 / steps[2])


def rate(widths: list[float], errors: list[float]) -> float:
    """Slope of log error over log width."""
    return float(np.polyfit(np.log(widths), np.log(errors), 1)[0])


def points(solver: VoxelPoisson) -> np.ndarray:
    """Centres of the voxels (n, 3) in the unit cube."""
    return (solver.domain.cells - 0.5) * solver.domain.spacing


def faces(solver: VoxelPoisson, label: int) -> np.ndarray:
    """Centres of the faces of a label (f, 3) in the unit cube."""
    return solver.faces[label].centres - np.array(solver.domain.spacing) / 2


def wave(x: np.ndarray) -> np.ndarray:
    """A solution without symmetry: sin(2x + y) cos(3y - z)."""
    return np.sin(2 * x[:, 0] + x[:, 1]) * np.cos(3 * x[:, 1] - x[:, 2])


def wave_gradient(x: np.ndarray) -> np.ndarray:
    """Its gradient (n, 3)."""
    a, b = 2 * x[:, 0] + x[:, 1], 3 * x[:, 1] - x[:, 2]
    return np.stack(
        [2 * np.cos(a) * np.cos(b), np.cos(a) * np.cos(b) - 3 * np.sin(a) * np.sin(b), np.sin(a) * np.sin(b)], axis=1
    )


def wave_laplacian(x: np.ndarray) -> np.ndarray:
    """Its Laplacian."""
    a, b = 2 * x[:, 0] + x[:, 1], 3 * x[:, 1] - x[:, 2]
    return -15 * np.sin(a) * np.cos(b) - 6 * np.cos(a) * np.sin(b)


def wave_error(steps: tuple[int, int, int], kinds: dict[int, str], slope: float, absorption: float) -> float:
    """Root mean square error of the wave with a = 1 + slope x; zero means compared where only the slope is known."""
    mask, walls, spacing = box(steps)
    a = 1 + slope * (np.argwhere(mask)[:, 0] - 0.5) * spacing[0]
    solver = VoxelPoisson(
        mask, spacing, walls=walls, conditions=kinds, coefficient=a, absorption=absorption, rtol=1e-10
    )
    x = points(solver)
    values: dict[int, np.ndarray] = {}
    for label, kind in kinds.items():
        at, found = faces(solver, label), solver.faces[label]
        normal = found.signs * wave_gradient(at)[np.arange(len(at)), found.axes]
        values[label] = wave(at) if kind == "dirichlet" else (1 + slope * at[:, 0]) * normal
    forcing = absorption * wave(x) - a * wave_laplacian(x) - slope * wave_gradient(x)[:, 0]
    if absorption == 0 and "dirichlet" not in kinds.values():  # the discrete data balance up to their own error
        forcing -= forcing.mean() + sum((values[k] / solver.faces[k].steps).sum() for k in kinds) / solver.domain.size
    error = solver.solve(forcing, values).values - wave(x)
    if absorption == 0 and "dirichlet" not in kinds.values():
        error -= error.mean()
    return float(np.sqrt((error**2).mean()))


@pytest.mark.parametrize(
    ("kinds", "slope", "absorption"),
    [
        ({X_LOW: "dirichlet", X_HIGH: "dirichlet", SIDES: "dirichlet"}, 0.0, 0.0),
        ({X_LOW: "dirichlet", X_HIGH: "neumann", SIDES: "neumann"}, 0.0, 0.0),
        ({X_LOW: "dirichlet", X_HIGH: "neumann", SIDES: "dirichlet"}, 1.0, 3.0),
        ({X_LOW: "neumann", X_HIGH: "neumann", SIDES: "neumann"}, 0.5, 0.0),
        ({X_LOW: "neumann", X_HIGH: "neumann", SIDES: "neumann"}, 0.0, 2.0),
    ],
)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3)], ids=["cubes", "plates"])
def test_error_falls_with_the_square_of_the_voxel(
    kinds: dict[int, str], slope: float, absorption: float, shape: tuple[int, int, int]
) -> None:
    widths, errors = [], []
    for n in (8, 12, 20) if shape == (1, 1, 1) else (6, 8, 12):
        widths.append(1 / n)
        errors.append(wave_error((shape[0] * n, shape[1] * n, shape[2] * n), kinds, slope, absorption))
    assert rate(widths, errors) == pytest.approx(2, abs=0.1)


def test_a_ramp_between_two_walls_is_exact() -> None:
    mask, walls, spacing = box((7, 4, 3))
    solver = VoxelPoisson(mask, spacing, walls=walls, conditions={X_LOW: "dirichlet", X_HIGH: "dirichlet"}, rtol=1e-12)
    found = solver.solve(0.0, {X_LOW: 2.0, X_HIGH: -1.0})
    np.testing.assert_allclose(found.values, 2 - 3 * points(solver)[:, 0], atol=1e-10)
    assert found.residual.max() <= 1e-11


def test_two_layers_share_the_drop_by_their_resistance() -> None:
    mask, walls, spacing = box((8, 2, 2))
    x = (np.argwhere(mask)[:, 0] - 0.5) * spacing[0]
    a = np.where(x < 0.5, 1.0, 4.0)
    kinds = {X_LOW: "dirichlet", X_HIGH: "dirichlet"}
    solver = VoxelPoisson(mask, spacing, walls=walls, conditions=kinds, coefficient=a, rtol=1e-12)
    found = solver.solve(0.0, {X_LOW: 0.0, X_HIGH: 1.0}).values
    np.testing.assert_allclose(found, np.where(x < 0.5, 1.6 * x, 0.6 + 0.4 * x), atol=1e-10)


def ball(n: int) -> tuple[np.ndarray, np.ndarray, float]:
    """A ball of radius 1 in voxels of edge 2.2 / n: mask, distances from its centre, edge."""
    edge = 2.2 / n
    x = (np.arange(n) + 0.5) * edge - 1.1
    radius = np.sqrt(x[:, None, None] ** 2 + x[:, None] ** 2 + x**2)
    return radius < 1, radius, edge


def test_a_staircase_costs_one_order() -> None:
    """-lap u = 1 in the unit ball, u = 0 on its wall: u = (1 - r^2) / 6, largest value .167."""
    widths, errors = [], []
    for n in (12, 18, 27, 40):
        mask, radius, edge = ball(n)
        walls = (~mask).astype(int)
        solver = VoxelPoisson(mask, (edge,) * 3, walls=walls, conditions={1: "dirichlet"})
        found = solver.solve(1.0, {1: 0.0}).values
        widths.append(edge)
        errors.append(float(np.sqrt(np.mean((found - (1 - radius[mask] ** 2) / 6) ** 2))))
    assert 0.7 < rate(widths, errors) < 1.6
    assert errors[-1] < 0.005


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.int8, st.tuples(*[st.integers(1, 4)] * 3), elements=st.integers(0, 4)),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_matches_a_loop_over_faces(labels: np.ndarray, absorbing: bool, seed: int) -> None:
    """Labels 0 and 4 are the mask, 1 to 3 walls: Dirichlet, Neumann, and one without condition."""
    mask = np.isin(labels, (0, 4))
    rng = np.random.default_rng(seed)
    spacing, absorption = (1.0, 0.6, 2.1), 0.7 * absorbing
    kinds: dict[int, str] = {1: "dirichlet", 2: "neumann"}
    matrix, loads, reached = loop(labels, mask, spacing, absorption, kinds)
    kinds = {k: kind for k, kind in kinds.items() if k in reached}
    if not mask.any():
        with pytest.raises(InputError, match="the mask is empty"):
            VoxelPoisson(mask, spacing)
        return
    solver = VoxelPoisson(mask, spacing, walls=labels, conditions=kinds, absorption=absorption, rtol=1e-12)
    values = {k: 3.0 * k - 1 for k in kinds}
    forcing = rng.standard_normal(int(mask.sum()))
    full = forcing + sum((values[k] * loads[k] for k in kinds), np.zeros(len(forcing)))
    kernel = solver.solver.kernel.toarray()
    forcing = forcing - kernel @ (kernel.T @ full)
    full = full - kernel @ (kernel.T @ full)
    expected = np.linalg.pinv(matrix, rcond=1e-11) @ full
    np.testing.assert_allclose(solver.solve(forcing, values).values, expected, atol=1e-7 * (1 + np.abs(expected).max()))


def loop(
    labels: np.ndarray, mask: np.ndarray, spacing: tuple[float, ...], absorption: float, kinds: dict[int, str]
) -> tuple[np.ndarray, dict[int, np.ndarray], set[int]]:
    """The dense matrix, what a value of 1 on each label adds to the right side, and the labels beside the mask."""
    cells = [tuple(c) for c in np.argwhere(mask)]
    number = {cell: i for i, cell in enumerate(cells)}
    matrix = absorption * np.eye(len(cells))
    loads = {k: np.zeros(len(cells)) for k in kinds}
    reached = set()
    for i, cell in enumerate(cells):
        for axis in range(3):
            for sign in (-1, 1):
                other = list(cell)
                other[axis] += sign
                h, there = spacing[axis], tuple(other)
                if there in number:
                    matrix[i, i] += 1 / h**2
                    matrix[i, number[there]] -= 1 / h**2
                    continue
                outside = not 0 <= other[axis] < mask.shape[axis]
                label = int(labels[cell] if outside else labels[there])
                reached.add(label)
                if kinds.get(label) == "dirichlet":
                    matrix[i, i] += 2 / h**2
                    loads[label][i] += 2 / h**2
                elif kinds.get(label) == "neumann":
                    loads[label][i] += 1 / h
    return matrix, loads, reached


def shell() -> VoxelPoisson:
    """A bent box, Dirichlet on one end."""
    mask, walls, spacing = box((9, 7, 5))
    mask[4:7, 1:5] = False
    return VoxelPoisson(mask, spacing, walls=walls, conditions={X_LOW: "dirichlet"}, rtol=1e-11)


def test_agrees_with_a_direct_factorisation() -> None:
    solver = shell()
    forcing = np.random.default_rng(0).standard_normal(solver.domain.size)
    found = solver.solve(forcing, {X_LOW: 0.0}).values
    np.testing.assert_allclose(found, spsolve(solver.solver.network.matrix.tocsc(), forcing), rtol=1e-7, atol=1e-9)


def test_many_right_sides_at_once_are_as_one_by_one() -> None:
    solver = shell()
    forcing = np.random.default_rng(0).standard_normal((solver.domain.size, 3))
    together = solver.solve(forcing, {X_LOW: 1.0}).values
    alone = np.stack([solver.solve(column, {X_LOW: 1.0}).values for column in forcing.T], axis=1)
    np.testing.assert_allclose(together, alone, atol=1e-8)


def test_starting_at_the_solution_takes_no_iterations() -> None:
    solver = shell()
    found = solver.solve(1.0, {X_LOW: 0.0})
    again = VoxelPoisson(solver.domain.mask, solver.domain.spacing, walls=None, absorption=1.0)
    assert again.solve(2.0, start=np.full(again.domain.size, 2.0)).iterations == 0
    assert found.iterations > 0


def test_parts_without_a_value_have_zero_mean() -> None:
    mask, walls, spacing = box((9, 3, 3))
    mask[5] = False
    solver = VoxelPoisson(mask, spacing, walls=walls, conditions={X_LOW: "dirichlet"}, rtol=1e-11)
    held = solver.domain.cells[:, 0] < 5
    forcing = np.where(held, 1.0, np.cos(np.pi * (solver.domain.cells[:, 0] - 5.5) / 4))
    found = solver.solve(forcing, {X_LOW: 7.0}).values
    assert abs(found[~held].mean()) < 1e-12
    assert found[held].min() > 7


def test_an_implicit_step_of_time_conserves_mass_and_the_maximum() -> None:
    mask, _, spacing = box((6, 5, 4))
    dt = 0.01
    solver = VoxelPoisson(mask, spacing, absorption=1 / dt, rtol=1e-12)
    before = np.random.default_rng(3).random(solver.domain.size)
    after = solver.solve(before / dt).values
    assert after.sum() == pytest.approx(before.sum(), rel=1e-9)
    assert before.min() < after.min() <= after.max() < before.max()


def cube(**changes: object) -> VoxelPoisson:
    """Three voxels a side, with what is to be wrong."""
    mask, walls, spacing = box((3, 3, 3))
    given = {"walls": walls, "conditions": {X_LOW: "dirichlet"}} | changes
    return VoxelPoisson(given.pop("mask", mask), given.pop("spacing", spacing), **given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": np.zeros((5, 5, 5), dtype=bool)}, "the mask is empty"),
        ({"mask": np.ones((5, 5, 5), dtype=int)}, r"the mask is int64 .* expected bool"),
        ({"spacing": (1.0, 0.0, 1.0)}, "expected three positive numbers"),
        ({"walls": np.zeros((2, 2, 2), dtype=int)}, "expected one grid"),
        ({"conditions": {9: "neumann"}}, "no face of the mask carries the label 9"),
        ({"conditions": {X_LOW: "robin"}}, "the condition of label 1 is 'robin'; expected one of dirichlet, neumann"),
        ({"coefficient": 0.0}, "the coefficient is 0 somewhere; expected numbers above 0"),
        ({"coefficient": np.nan}, "the coefficient is not finite at 1 of 1 places"),
        ({"coefficient": np.ones(4)}, r"the coefficient has shape \(4,\); expected one number or \(27,\)"),
        ({"absorption": -1.0}, "the absorption is -1 somewhere; expected 0 or more"),
    ],
)
def test_bad_set_up_is_told(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cube(**changes)


@pytest.mark.parametrize(
    ("solve", "message"),
    [
        (lambda s: s.solve(np.nan, {X_LOW: 0.0}), "the forcing is not finite at 1 of 1 places"),
        (lambda s: s.solve(np.zeros(5), {X_LOW: 0.0}), r"the forcing has shape \(5,\)"),
        (lambda s: s.solve(0.0), r"values are given for the labels \[\], conditions for \[1\]"),
        (lambda s: s.solve(0.0, {X_LOW: 0.0, 5: 1.0}), r"values are given for the labels \[1, 5\]"),
        (lambda s: s.solve(0.0, {X_LOW: np.inf}), "the value on label 1 is not finite"),
        (lambda s: s.solve(0.0, {X_LOW: np.zeros(4)}), r"the value on label 1 has shape \(4,\)"),
    ],
)
def test_bad_data_are_told(solve: Callable[[VoxelPoisson], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        solve(cube())


def test_neumann_data_that_do_not_balance_are_refused() -> None:
    with pytest.raises(InputError, match="without a Dirichlet value; expected 0"):
        cube(conditions={X_LOW: "neumann"}).solve(0.0, {X_LOW: 1.0})
