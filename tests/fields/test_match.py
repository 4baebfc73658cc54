"""Functional maps on bent sheets whose true map is known, and transport against closed forms and linear programs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, linprog

from fields.surfaces import sphere
from voxfield.artifacts import Artifact, Mesh, PointField
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.fields import match
from voxfield.fields.manifold._mesh import from_mesh
from voxfield.fields.matching._basis import basis, signatures
from voxfield.fields.matching._functional_map import functional_map, monotone, point_map
from voxfield.fields.matching._transport import sinkhorn, transport
from voxfield.fields.singularity._cells import planar_mesh
from voxfield.testing import StageContract

Floats = NDArray[np.float64]


def sheet(count: int = 24, seed: int = 0) -> Mesh:
    """A flat sheet without symmetry, about 100 mm across."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(-1, 1, count)
    points = (
        np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2) + rng.uniform(-0.3, 0.3, (count**2, 2)) * 2 / count
    )
    angle = np.arctan2(points[:, 1], points[:, 0])
    outline = 0.65 * (1 + 0.25 * np.cos(angle) + 0.2 * np.cos(2 * angle + 4.5) + 0.15 * np.cos(3 * angle + 6))
    mesh = planar_mesh(50 * points[np.hypot(*points.T) < outline])
    sides = mesh.vertices[mesh.triangles] - mesh.vertices[np.roll(mesh.triangles, 1, axis=1)]
    kept = mesh.triangles[np.linalg.norm(sides, axis=2).max(axis=1) < 400 / count]
    used, place = np.unique(kept, return_inverse=True)
    return Mesh(mesh.vertices[used], place.reshape(-1, 3))


def rolled(mesh: Mesh, radius: float = 20.0) -> Mesh:
    """The sheet bent around a cylinder: distances along it stay as they are."""
    x, y, _ = mesh.vertices.T
    return Mesh(np.stack([radius * np.sin(x / radius), y, radius * np.cos(x / radius)], axis=1), mesh.triangles)


def shuffled(mesh: Mesh, seed: int = 1) -> tuple[Mesh, NDArray[np.int64]]:
    """The mesh with its vertices in another order, and the old place of each."""
    order = np.random.default_rng(seed).permutation(len(mesh.vertices))
    return Mesh(mesh.vertices[order], np.argsort(order)[mesh.triangles]), order


def test_the_spectrum_of_a_sphere_is_known() -> None:
    found = basis(from_mesh(sphere(4)), 16)
    exact = np.repeat([0, 2, 6, 12], [1, 3, 5, 7]) * 4 * np.pi  # l (l + 1) at unit area
    np.testing.assert_allclose(found.values, exact, rtol=0.02, atol=1e-6)
    gram = found.coefficients(found.vectors)
    np.testing.assert_allclose(gram, np.eye(16), atol=1e-8)
    spread = signatures(basis(from_mesh(sphere(4)), 49))  # whole shells: no vertex of a sphere is special
    assert (spread.std(axis=0) / spread.mean(axis=0)).max() < 0.05


def test_signatures_do_not_change_when_a_sheet_is_rolled() -> None:
    flat = sheet()
    here, there = (signatures(basis(from_mesh(mesh), 40)) for mesh in (flat, rolled(flat)))
    assert np.linalg.norm(here - there) < 0.05 * np.linalg.norm(here - here.mean(axis=0))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_monotone_transport_is_that_of_the_linear_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    here, there = rng.standard_normal(4), rng.standard_normal(6)
    mass, other = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(6))
    cost = np.square(here[:, None] - there)
    sums = np.vstack([np.kron(np.eye(4), np.ones(6)), np.kron(np.ones(4), np.eye(6))])
    plan = linprog(cost.ravel(), A_eq=sums, b_eq=np.append(mass, other)).x.reshape(4, 6)
    np.testing.assert_allclose(monotone(here, mass, there, other), plan @ there / mass, atol=1e-7)


def test_the_map_of_a_rolled_and_shuffled_sheet_is_recovered() -> None:
    flat = sheet()
    bent, order = shuffled(rolled(flat))
    made = match(flat, bent)
    found = np.array(made.matches.columns["source_vertex"])
    error = np.linalg.norm(flat.vertices[found] - flat.vertices[order], axis=1)
    assert (error < 1e-9).mean() > 0.95
    assert error.max() < 10
    assert made.metrics.values["distance_change"] < 0.02
    assert made.plan is None


def test_another_sampling_of_a_rolled_sheet_is_matched_to_a_spacing() -> None:
    flat, other = sheet(28, 0), sheet(30, 1)
    found = np.array(match(flat, rolled(other)).matches.columns["source_vertex"])
    error = np.linalg.norm(flat.vertices[found] - other.vertices, axis=1)  # on the flat sheet: the geodesic error
    assert error.mean() < from_mesh(flat).spacing


def test_the_transport_term_alone_turns_a_map_the_right_way() -> None:
    flat = sheet()
    bent, order = shuffled(rolled(flat))
    here, there = basis(from_mesh(flat), 60), basis(from_mesh(bent), 60)
    errors = []
    for weight in (0.0, 1.0):
        coarse = functional_map(here, there, 0.0, weight, np.random.default_rng(0))
        found = point_map(here, there, coarse)
        errors.append(np.linalg.norm(flat.vertices[found] - flat.vertices[order], axis=1).mean())
    assert errors[1] < 0.5 * errors[0]


def densities(n: int, m: int, seed: int) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    x, y = rng.random((n, 2)), rng.random((m, 2))
    return np.square(x[:, None] - y).sum(axis=2), rng.dirichlet(np.full(n, 2.0)), rng.dirichlet(np.full(m, 2.0))


def test_a_plan_of_two_by_two_is_worked_by_hand() -> None:
    # With equal halves P = [[p, 1/2 - p], [1/2 - p, p]] and (p / (1/2 - p))^2 = exp((c12 + c21 - c11 - c22) / epsilon).
    cost, half = np.array([[0.0, 1.0], [0.6, 0.2]]), np.array([0.5, 0.5])
    for epsilon in (0.05, 0.5):
        odds = np.exp(0.5 * (1.0 + 0.6 - 0.0 - 0.2) / epsilon)
        p = 0.5 * odds / (1 + odds)
        plan = transport(cost, half, half, epsilon)
        np.testing.assert_allclose(plan.mass, [[p, 0.5 - p], [0.5 - p, p]], atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16), n=st.integers(2, 40), m=st.integers(2, 40), epsilon=st.sampled_from([1.0, 0.1, 0.01])
)
def test_newton_and_scaling_meet_and_the_marginals_are_right(seed: int, n: int, m: int, epsilon: float) -> None:
    cost, a, b = densities(n, m, seed)
    plan = transport(cost, a, b, epsilon)
    assert plan.error <= 1e-10
    np.testing.assert_allclose(plan.mass, np.exp((plan.f[:, None] + plan.g - cost) / epsilon), rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(plan.mass, sinkhorn(cost, a, b, epsilon).mass, atol=1e-8)


def test_little_blur_comes_near_the_linear_program() -> None:
    cost, a, b = densities(12, 9, 3)
    sums = np.vstack([np.kron(np.eye(12), np.ones(9)), np.kron(np.ones(12), np.eye(9))])
    least = linprog(cost.ravel(), A_eq=sums, b_eq=np.append(a, b)).fun
    epsilon = 1e-3
    spent = float((transport(cost, a, b, epsilon).mass * cost).sum())
    assert least <= spent + 1e-12 <= least + epsilon * np.log(12 * 9)


def test_equal_points_are_assigned_one_to_one() -> None:
    cost = densities(30, 30, 4)[0]
    plan = transport(cost, np.full(30, 1 / 30), np.full(30, 1 / 30), 2e-4)
    np.testing.assert_array_equal(plan.mass.argmax(axis=1), linear_sum_assignment(cost)[1])


def test_newton_needs_a_fraction_of_the_rounds() -> None:
    cost, a, b = densities(150, 150, 5)
    fast, slow = transport(cost, a, b, 2e-3), sinkhorn(cost, a, b, 2e-3)
    assert max(fast.error, slow.error) <= 1e-10
    assert fast.scalings + fast.newton < 0.1 * slow.scalings


def scalar(mesh: Mesh, values: Floats) -> PointField:
    return PointField(mesh.vertices, values[:, None])


def test_mass_moves_along_the_surface_and_not_through_space() -> None:
    flat = sheet()
    bent = rolled(flat, radius=12)
    x, y, _ = flat.vertices.T
    left, right = (np.exp(-0.5 * ((x - at) ** 2 + y**2) / 6**2) for at in (-20, 20))
    made = match(flat, bent, scalar(flat, left), scalar(bent, right), blur_mm=2.0)
    area = from_mesh(flat).mass
    shift = np.average(x, weights=right * area) - np.average(
        x, weights=left * area
    )  # the sheet ends before the bumps do
    assert made.plan is not None
    assert shift - 1e-6 <= made.metrics.values["transport_mm"] <= 1.15 * shift  # ways along edges zigzag
    assert made.metrics.values["marginal_error"] < 1e-10
    assert sum(made.plan.columns["share"]) == pytest.approx(1, abs=0.02)
    start, goal = (np.array(made.plan.columns[name]) for name in ("source_vertex", "target_vertex"))
    assert np.average(x[goal] - x[start], weights=made.plan.columns["share"]) == pytest.approx(shift, rel=0.02)


def test_what_is_refused_and_what_is_told() -> None:
    flat = sheet()
    ones = scalar(flat, np.ones(len(flat.vertices)))
    two = Mesh(
        np.vstack([flat.vertices, flat.vertices + 500]),
        np.vstack([flat.triangles, flat.triangles + len(flat.vertices)]),
    )
    with pytest.raises(InputError, match="has 2 pieces"):
        match(flat, two)
    with pytest.raises(InputError, match="has 18 vertices; expected at least 24"):
        match(sphere(1), flat)
    with pytest.raises(InputError, match="or neither"):
        match(flat, flat, ones)
    with pytest.raises(InputError, match="a density is 0 or more"):
        match(flat, flat, ones, scalar(flat, -np.ones(len(flat.vertices))))
    with pytest.raises(InputError, match="one a vertex"):
        match(flat, flat, ones, PointField(flat.vertices[:9], np.ones((9, 1))))
    context = Context()
    match(flat, sphere(3, 40.0), ctx=context)
    assert "distances-change" in context.findings.codes()


class TestMatch(StageContract):
    """A sheet and its rolled copy, with densities."""

    name = "fields.match"

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        flat = sheet(14)
        rising = scalar(flat, flat.vertices[:, 0] - flat.vertices[:, 0].min())
        return {"source": flat, "target": rolled(flat), "source_density": rising, "target_density": scalar(
            flat, np.ones(len(flat.vertices)))}  # fmt: skip
