"""Arrival times against exact solutions, a voxel-by-voxel fast marching, and shortest paths in graphs."""

import heapq
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage, sparse

from voxfield.pde import VoxelDomain
from voxfield.pde.geodesic import Stencil, arrival_times, first_arrival, heat_times

STRETCHED = (0.7, 1.0, 1.6)


def box(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Stencil:
    return Stencil(VoxelDomain(np.ones(shape, dtype=bool), spacing))


def godunov(values: list[float], weights: np.ndarray, slowness: float) -> float:
    """The upwind equation by trying every number of axes, the smallest values first."""
    ordered = sorted((a, w) for a, w in zip(values, weights.tolist(), strict=True) if a < np.inf)
    for used in range(len(ordered), 0, -1):
        total = sum(w for _, w in ordered[:used])
        mean = sum(w * a for a, w in ordered[:used]) / total
        rest = sum(w * a * a for a, w in ordered[:used]) - slowness**2
        square = mean**2 - rest / total
        if square >= 0 and mean + square**0.5 >= ordered[used - 1][0] - 1e-12:
            return mean + square**0.5
    raise AssertionError("no root")


def fast_marching(stencil: Stencil, sources: np.ndarray, slowness: np.ndarray) -> np.ndarray:
    """Sethian's fast marching, one voxel at a time."""
    settled = np.full(stencil.domain.size + 1, np.inf)
    heap = [(0.0, int(source)) for source in sources]
    while heap:
        time, voxel = heapq.heappop(heap)
        if settled[voxel] < np.inf:
            continue
        settled[voxel] = time
        for beside in stencil.neighbours[:, :, voxel].ravel().tolist():
            if beside < stencil.domain.size and settled[beside] == np.inf:
                ahead = settled[stencil.neighbours[:, :, beside]].min(axis=1).tolist()
                heapq.heappush(heap, (godunov(ahead, stencil.weights, slowness[beside]), beside))
    return settled[:-1]


@settings(max_examples=25, deadline=None)
@given(arrays(bool, (5, 4, 4), fill=st.just(True)), st.integers(0, 2**32 - 1), st.booleans())
def test_slabs_of_a_front_give_what_fast_marching_gives(mask: np.ndarray, seed: int, uniform: bool) -> None:
    mask[0, 0, 0] = True
    stencil = Stencil(VoxelDomain(mask, STRETCHED))
    rng = np.random.default_rng(seed)
    slowness = np.ones(mask.sum()) if uniform else rng.uniform(0.2, 5, mask.sum())
    sources = np.unique(rng.integers(0, mask.sum(), 2))
    expected = fast_marching(stencil, sources, slowness)
    np.testing.assert_allclose(first_arrival(stencil, sources, slowness), expected, rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(1, 12)] * 3), st.tuples(*[st.floats(0.3, 3.0)] * 3), st.randoms(use_true_random=False))
def test_distance_from_one_voxel_of_a_box_is_exact(shape: tuple, spacing: tuple, random) -> None:
    stencil = box(shape, spacing)
    source = random.randrange(stencil.domain.size)
    found = arrival_times(stencil, np.array([source]), np.ones(stencil.domain.size))
    exact = np.linalg.norm(stencil.centres - stencil.centres[source], axis=1)
    np.testing.assert_allclose(found.times, exact, atol=1e-9)
    assert (found.source == source).all()


def test_distance_from_a_set_is_that_to_its_nearest_voxel() -> None:
    stencil = box((24, 20, 16), STRETCHED)
    rng = np.random.default_rng(3)
    sources = rng.choice(stencil.domain.size, 12, replace=False)
    found = arrival_times(stencil, sources, np.ones(stencil.domain.size))
    marked = np.ones(stencil.domain.mask.shape, dtype=bool)
    marked.flat[sources] = False
    exact = ndimage.distance_transform_edt(marked, sampling=STRETCHED).ravel()
    errors = np.abs(found.times - exact) / max(STRETCHED)
    assert errors.max() < 0.35  # where fronts of two sources meet
    assert errors.mean() < 0.01
    to_source = np.linalg.norm(stencil.centres - stencil.centres[found.source], axis=1)
    assert np.mean(np.isclose(to_source, exact)) > 0.97


def rate(steps: list[float], errors: list[float]) -> float:
    return float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def curved_front(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T = x (1 + cos(pi y) cos(pi z) / 5) and |grad T|; 0 on the plane x = 0, no ray crosses y or z = 0 or 1."""
    cy, cz, sy, sz = (f(np.pi * x[:, axis]) for f in (np.cos, np.sin) for axis in (1, 2))
    slopes = x[:, 0] * np.pi / 5 * np.stack([sy * cz, cy * sz])
    return x[:, 0] * (1 + cy * cz / 5), np.sqrt((1 + cy * cz / 5) ** 2 + (slopes**2).sum(axis=0))


def test_second_order_where_the_front_is_smooth() -> None:
    steps, errors = [1 / 20, 1 / 32, 1 / 50], []
    for step in steps:
        count = round(1 / step) + 1
        stencil = box((count, count, count // 2 + 1), (step, step, 2 * step))
        exact, slowness = curved_front(stencil.centres)
        sources = np.flatnonzero(exact == 0)
        times = arrival_times(stencil, sources, slowness).times
        errors.append(float(np.abs(times - exact).mean()))
    assert rate(steps, errors) == pytest.approx(2, abs=0.1), errors
    assert errors[-1] < 1e-4


def test_speed_that_grows_linearly_has_its_circular_rays() -> None:
    """T = arcosh(1 + g^2 r^2 / (2 F0 F)) / g: order 2, but for the logarithm that a point source costs."""
    steps, errors, first = [1 / 12, 1 / 24, 1 / 48], [], []
    gradient = np.array([0.6, 0.3, -0.2])
    for step in steps:
        count = round(1 / step)
        stencil = box((count + 1, count + 1, count // 2 + 1), (step,) * 3)
        source = np.flatnonzero((stencil.domain.cells == [count // 4, count // 2, count // 4]).all(axis=1))
        speed = 1.2 + stencil.centres @ gradient
        squares = ((stencil.centres - stencil.centres[source]) ** 2).sum(axis=1)
        size = np.linalg.norm(gradient)
        exact = np.arccosh(1 + size**2 * squares / (2 * speed[source] * speed)) / size
        found = arrival_times(stencil, source, 1 / speed)
        errors.append(float(np.abs(found.times - exact).mean()))
        first.append(float(np.abs(found.first_order - exact).mean()))
    assert rate(steps, errors) > 1.55, errors
    assert rate(steps, first) < 0.9, first
    assert errors[-1] < first[-1] / 40


def spiral(cells: int, turns: int) -> tuple[np.ndarray, np.ndarray]:
    """A square spiral inwards of corridors and walls one unit wide, its inner corners and its end (turns + 1, 2)."""
    longest = 2 * (turns // 2 + 1)
    plan = np.zeros((longest + 1, longest + 1), dtype=bool)
    place, heading, corners = np.array([0, 0]), np.array([1, 0]), []
    plan[0, 0] = True
    for turn in range(turns + 1):
        for _ in range(longest - 2 * max(0, (turn - 1) // 2)):
            place = place + heading
            plan[tuple(place)] = True
        turned = np.array([-heading[1], heading[0]])
        corners.append(place + 0.5 + (turned - heading) / 2 if turn < turns else place + 0.5)
        heading = turned
    return plan.repeat(cells, axis=0).repeat(cells, axis=1)[:, :, None], np.array(corners)


@pytest.mark.parametrize("turns", [1, 3, 6])
def test_a_spiral_is_as_long_as_the_string_pulled_tight_in_it(turns: int) -> None:
    errors, steps = [], [1 / 4, 1 / 8, 1 / 12]
    for cells in (4, 8, 12):
        mask, corners = spiral(cells, turns)
        stencil = Stencil(VoxelDomain(mask, (1 / cells,) * 3))
        place = stencil.centres[:, :2] + 0.5 / cells
        source = int(np.argmin(np.linalg.norm(place - [0.5, 0.5], axis=1)))
        found = arrival_times(stencil, np.array([source]), np.ones(stencil.domain.size)).times
        end = int(np.argmin(np.linalg.norm(place - corners[-1], axis=1)))
        string = np.array([place[source], *corners[:-1], place[end]])
        errors.append(float(found[end] - np.linalg.norm(np.diff(string, axis=0), axis=1).sum()))
    assert max(np.abs(errors) / steps) < 0.2 * turns, errors


def graph_distance(domain: VoxelDomain, source: int, *, through_walls: bool) -> np.ndarray:
    """Shortest paths over moves of up to two voxels an axis, with all voxels of their boxes inside, or their ends."""
    rows, columns, lengths = [], [], []
    for move in (m for m in itertools.product(range(-2, 3), repeat=3) if any(m)):
        far = domain.neighbour(move)
        free = far < domain.size
        if not through_walls:
            for part in itertools.product(*[range(min(k, 0), max(k, 0) + 1) for k in move]):
                free &= domain.neighbour(part) < domain.size
        rows.append(np.flatnonzero(free))
        columns.append(far[free])
        lengths.append(np.full(free.sum(), np.linalg.norm(np.array(move) * domain.spacing)))
    pairs = (np.concatenate(rows), np.concatenate(columns))
    graph = sparse.csr_array((np.concatenate(lengths), pairs), shape=(domain.size,) * 2)
    return sparse.csgraph.dijkstra(graph, indices=source)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_distances_lie_between_the_straight_line_and_paths_in_a_graph(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.standard_normal((16, 14, 12)), 1.5) > -0.1
    parts, _ = ndimage.label(mask)
    mask = parts == np.bincount(parts[mask]).argmax()
    domain = VoxelDomain(mask, STRETCHED)
    source = int(rng.integers(domain.size))
    stencil = Stencil(domain)
    found = arrival_times(stencil, np.array([source]), np.ones(domain.size)).times
    straight = np.linalg.norm(stencil.centres - stencil.centres[source], axis=1)
    upper = graph_distance(domain, source, through_walls=False)
    lower = graph_distance(domain, source, through_walls=True)
    assert (found > straight - 1e-9).all()
    assert (found > 0.9 * lower - 0.1 * max(STRETCHED)).all()  # moves of two voxels are up to a tenth too long
    assert (found < upper + 0.2 * max(STRETCHED)).all()


def test_half_way_round_a_ring_is_its_inner_arc_and_the_tangent() -> None:
    steps, errors = [1.0, 0.5, 0.25], []
    for step in steps:
        x, y = (np.indices((round(40 / step),) * 2) + 0.5) * step - 20
        mask = (np.abs(np.hypot(x, y) - 14) < 4) & ~((x < 0) & (y > -1) & (y < 0))  # r from 10 to 18, cut on one side
        stencil = Stencil(VoxelDomain(mask[:, :, None], (step,) * 3))
        x, y = x[mask], y[mask]
        sources = np.flatnonzero((x < 0) & (y > 0) & (y < step))
        found = arrival_times(stencil, sources, np.ones(len(x))).times
        radius = np.hypot(x, y)
        arc = 10 * (np.pi - np.arctan2(y, x) - np.arccos(np.minimum(10 / radius, 1)))
        far = (x < 0) & (y < -6) & (radius > 12)
        errors.append(float((found - arc - np.sqrt(np.maximum(radius**2 - 100, 0)))[far].mean()))
    assert max(np.array(errors) / steps) < 3.2, errors  # of 40 to 160 voxels: the stairs of the inner wall
    assert rate(steps, errors) > 0.75, errors


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_speeds_that_jump_from_voxel_to_voxel_still_reach_every_voxel_after_a_neighbour(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stencil = box((9, 8, 7), STRETCHED)
    slowness = 10 ** rng.uniform(-1, 1, stencil.domain.size)
    sources = np.unique(rng.integers(0, stencil.domain.size, 3))
    found = arrival_times(stencil, sources, slowness)
    earliest = np.append(found.times, np.inf)[stencil.neighbours].min(axis=(0, 1))
    later = np.setdiff1d(np.arange(stencil.domain.size), sources)
    assert (earliest[later] < found.times[later]).all()
    assert np.isfinite(found.times).all()
    assert np.isin(found.source, sources).all()
    np.testing.assert_allclose(np.median(found.times[later] / found.first_order[later]), 1, atol=0.2)


def ball(cells: int) -> tuple[Stencil, np.ndarray, np.ndarray]:
    """Ball of radius 1 with its middle as the source."""
    places = np.indices((2 * cells + 1,) * 3) - cells
    mask = (places**2).sum(axis=0) <= cells**2
    stencil = Stencil(VoxelDomain(mask, (1 / cells,) * 3))
    exact = np.linalg.norm(stencil.centres - 1, axis=1)
    return stencil, np.flatnonzero(exact < 1e-9), exact


def slab(cells: int) -> tuple[Stencil, np.ndarray, np.ndarray]:
    """Slab with one face as the source."""
    stencil = box((2 * cells, cells, cells), (1 / cells, 0.8 / cells, 1 / cells))
    return stencil, np.flatnonzero(stencil.centres[:, 0] == 0), stencil.centres[:, 0]


@pytest.mark.parametrize(("make", "aim"), [(slab, 0.05), (ball, 0.9)])
def test_heat_comes_within_a_voxel(make: Callable[[int], tuple], aim: float) -> None:
    steps, errors = [1 / 6, 1 / 12, 1 / 18], []
    for step in steps:
        stencil, sources, exact = make(round(1 / step))
        found = heat_times(stencil, sources, np.ones(stencil.domain.size))
        errors.append(float(np.abs(found.times - exact).max()))
        assert np.sqrt(np.mean((found.times - exact) ** 2)) < 1.1 * np.sqrt(np.mean(found.tau_error**2)) + 0.35 * step
    assert max(np.array(errors) / steps) < aim, errors
    assert max(errors) < 1e-6 or rate(steps, errors) > 0.7, errors


def test_heat_reaches_hundreds_of_voxels() -> None:
    stencil = box((600, 2, 2), (1.0, 1.0, 1.0))
    sources = np.flatnonzero(stencil.centres[:, 0] == 0)
    found = heat_times(stencil, sources, np.ones(stencil.domain.size))
    np.testing.assert_allclose(found.times, stencil.centres[:, 0], rtol=1e-4)


def test_the_two_methods_agree_on_times_in_a_bent_tube_of_changing_speed() -> None:
    places = np.indices((30, 30, 9)) * np.array([1.0, 0.8, 1.25])[:, None, None, None]
    mask = np.abs(np.hypot(places[0] - 2, places[1] - 2) - 16) < 4
    stencil = Stencil(VoxelDomain(mask, (1.0, 0.8, 1.25)))
    sources = np.flatnonzero(stencil.domain.cells[:, 0] == 0)
    slowness = 1 / (2 + np.sin(stencil.centres[:, 0] / 5))
    eikonal = arrival_times(stencil, sources, slowness).times
    heat = heat_times(stencil, sources, slowness)
    assert np.sqrt(np.mean((heat.times - eikonal) ** 2)) < 0.6 * slowness.mean() * 1.25
    assert np.abs(heat.times - eikonal).max() < 2 * slowness.mean() * 1.25
