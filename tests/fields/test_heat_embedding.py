"""Heat-geodesic embedding: the heat kernel against dense algebra, distances against known geodesics, exact scaling."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.spatial.distance import cdist, pdist, squareform

from voxfield.artifacts import Artifact, PointField
from voxfield.errors import InputError
from voxfield.fields import embed
from voxfield.fields.embedding._heat import heat_distances, heat_kernel, neighbours, shortest_ways
from voxfield.fields.embedding._scaling import classical, scale
from voxfield.testing import StageContract

Floats = NDArray[np.float64]


def swiss_roll(count: int = 1000, seed: int = 0) -> tuple[Floats, Floats]:
    """Points (n, 3), and their places (n, 2) on the unrolled sheet, mm."""
    rng = np.random.default_rng(seed)
    angle, height = 1.5 * np.pi * (1 + 2 * rng.random(count)), 21 * rng.random(count)
    length = 0.5 * (angle * np.sqrt(1 + angle**2) + np.arcsinh(angle))  # of the spiral r = angle
    return np.stack([angle * np.cos(angle), height, angle * np.sin(angle)], 1), np.stack([length, height], 1)


def ball(count: int = 500) -> Floats:
    points = np.random.default_rng(1).standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def cloud(points: Floats) -> PointField:
    return PointField(points, np.zeros_like(points))


def correlation(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(squareform(a, checks=False), squareform(b, checks=False))[0, 1])


def aligned_error(found: Floats, wanted: Floats) -> float:
    """Relative error after the best rotation and reflection; no scaling, since both are in mm."""
    found, wanted = found - found.mean(axis=0), wanted - wanted.mean(axis=0)
    u, _, v = np.linalg.svd(found.T @ wanted)
    return float(np.linalg.norm(found @ u @ v - wanted) / np.linalg.norm(wanted))


def test_the_heat_kernel_is_that_of_dense_algebra_and_positive() -> None:
    graph = neighbours(ball(120), 8)
    laplacian = np.eye(120) - graph.affinity.toarray()
    exact = expm(-3.0 * laplacian) / graph.root / graph.root[:, None]
    kernel = heat_kernel(graph, 3.0)
    np.testing.assert_allclose(kernel, exact, rtol=0.03, atol=1e-3 * exact.max())
    np.testing.assert_allclose(kernel @ graph.root**2, 1, rtol=1e-9)  # heat is kept
    roll = neighbours(swiss_roll()[0], 8)
    assert heat_kernel(roll, 1.0).min() > 0  # far beyond what a double resolves beside 1
    assert heat_kernel(roll, 1.0).min() < 1e-25


def test_the_distances_of_a_rolled_sheet_are_those_of_the_flat_one() -> None:
    points, flat = swiss_roll()
    distances = heat_distances(neighbours(points, 12), 1.0, 1.0, 0.0)
    truth = cdist(flat, flat)
    assert correlation(distances, truth) > 0.99
    assert np.median(distances[truth > 20] / truth[truth > 20]) == pytest.approx(1, abs=0.1)  # mm
    assert correlation(cdist(points, points), truth) < 0.5  # the straight distances know nothing of it


def test_the_distances_on_a_sphere_are_great_circles() -> None:
    points = ball()
    truth = np.arccos(np.clip(points @ points.T, -1, 1))
    graph = neighbours(points, 12)
    assert correlation(heat_distances(graph, 1.0, 1.0, 0.0), truth) > 0.97
    assert correlation(heat_distances(graph, 1.0, 1.0, 0.5), truth) > 0.965


def test_heat_is_misled_less_by_short_circuits_than_paths_are() -> None:
    points, flat = swiss_roll(600)  # so sparse that 12 neighbours reach the next turn here and there
    graph = neighbours(points, 12)
    chosen, paths = shortest_ways(graph)
    truth = cdist(flat[chosen], flat).ravel()
    heat = heat_distances(graph, 1.0, 1.0, 0.0)[chosen]
    assert np.corrcoef(paths.ravel(), truth)[0, 1] < 0.8
    assert np.corrcoef(heat.ravel(), truth)[0, 1] > 0.9


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), dimensions=st.integers(1, 3))
def test_scaling_is_exact_for_euclidean_distances(seed: int, dimensions: int) -> None:
    points = np.random.default_rng(seed).standard_normal((30, dimensions)) * np.arange(1, dimensions + 1)
    found, stress = scale(squareform(pdist(points)), dimensions)
    assert stress < 1e-6
    assert aligned_error(found, points) < 1e-6
    assert (np.diff(found.var(axis=0)) <= 1e-9).all()


def test_majorisation_lowers_the_stress_of_classical_scaling() -> None:
    points = ball(200)
    distances = np.arccos(np.clip(points @ points.T, -1, 1))
    start = classical(distances, 2)
    before = np.square(cdist(start, start) - distances).sum() / np.square(distances).sum()
    assert scale(distances, 2)[1] ** 2 < 0.95 * before


def test_a_rolled_sheet_is_laid_out_flat_in_mm() -> None:
    points, flat = swiss_roll()
    made = embed(cloud(points))
    layout = np.stack([made.embedding.columns[name] for name in ("y1_mm", "y2_mm")], axis=1)
    assert aligned_error(layout, flat) < 0.12
    assert made.metrics.values["stress"] < 0.05
    assert made.metrics.values["correlation_with_paths"] > 0.99


def test_a_sphere_tells_that_it_has_no_plane_layout() -> None:
    points = cloud(ball(300))
    assert embed(points).metrics.values["stress"] > 3 * embed(points, dimensions=3).metrics.values["stress"]


def test_what_is_refused() -> None:
    points = ball(60)
    apart = np.vstack([points, points + 100])
    for places, message in (
        (points[:15], "has 15 points; expected 16 to 6,000"),
        (np.vstack([points, points[:2]]), "4 of its points coincide"),
        (apart, "falls into 2 parts; raise `neighbours`"),
    ):
        with pytest.raises(InputError, match=message):
            embed(cloud(places))
    with pytest.raises(InputError, match="too few for 40 neighbours"):
        embed(cloud(points[:20]), neighbours=40)
    with pytest.raises(InputError, match="no heat goes all the way across its points in time 1e-100"):
        embed(cloud(points), time=1e-100)


class TestEmbed(StageContract):
    """A small sphere."""

    name = "fields.embed"

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        return {"points": cloud(ball(80))}
