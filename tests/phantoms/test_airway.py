"""The stage phantoms.airway: one tree, Murray's law, exact labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfield.context import Context
from voxfield.errors import SettingsError
from voxfield.phantoms import airway
from voxfield.phantoms._airway import Airway
from voxfield.phantoms._bronchi import STEEPEST, Limits, grow_airway
from voxfield.phantoms._tubes import draw_tube
from voxfield.segmentation.metrics._topology import betti_numbers
from voxfield.testing import StageContract

SIZE = (112.0, 84.0, 112.0)


class TestAirwayContract(StageContract):
    name = "phantoms.airway"

    def make_inputs(self) -> Mapping[str, Any]:
        return {}

    def make_settings(self) -> Mapping[str, Any]:
        return {"size_mm": [60.0, 50.0, 60.0], "generations": 3, "trachea_mm": 6.0}


@pytest.fixture(scope="module", params=[0, 2])
def subject(request: pytest.FixtureRequest) -> Airway:
    return airway(ctx=Context(seed=request.param))


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**31))
def test_daughters_keep_the_sum_of_cubes(seed: int) -> None:
    _, branches = grow_airway(np.random.default_rng(seed), SIZE, 9.0, Limits(6, 1.6, 2.0))
    for index, mother in enumerate(branches):
        daughters = [b for b in branches if b.parent == index]
        assert len(daughters) in {0, 2}
        if daughters:
            cubes = sum(d.radii[0] ** 3 for d in daughters)
            assert cubes == pytest.approx(mother.radii[-1] ** 3)
            assert all(d.radii[0] < mother.radii[0] for d in daughters)
            assert all(np.allclose(d.points[0], mother.points[-1]) for d in daughters)
    leaves = [b for i, b in enumerate(branches) if all(c.parent != i for c in branches)]
    assert sum(leaf.share for leaf in leaves) == pytest.approx(1.0)


def test_equal_daughters_have_the_ratio_of_weibel() -> None:
    _, branches = grow_airway(np.random.default_rng(5), SIZE, 9.0, Limits(8, 1.2, 2.0))
    ratios = [b.radii[0] / branches[b.parent].radii[-1] for b in branches if b.generation > 1]
    assert np.mean(ratios) == pytest.approx(0.79, abs=0.01)
    for branch in branches[1:]:
        mother = branches[branch.parent]
        turn = (branch.points[-1] - branch.points[0]) @ (mother.points[-1] - mother.points[-2])
        turn /= np.linalg.norm(branch.points[-1] - branch.points[0]) * np.linalg.norm(
            np.diff(mother.points[-2:], axis=0)
        )
        assert np.arccos(turn) < STEEPEST + 1e-6


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 1.5)])
def test_lumen_is_one_tree_without_loops(spacing: tuple[float, float, float]) -> None:
    for seed in range(4):
        result = airway(spacing_mm=spacing, ctx=Context(seed=seed))
        assert betti_numbers(result.airway.data > 0) == (1, 0, 0)
        assert max(result.branches.column("generation")) >= 6


def test_label_centerline_and_table_tell_one_story(subject: Airway) -> None:
    grid, mask = subject.airway.grid, subject.airway.data > 0
    assert grid.same_as(subject.lung.grid)
    line = subject.centerline
    index = np.rint(grid.index(line.points)).astype(int)
    within = np.all((index >= 0) & (index < grid.shape), axis=1)
    # A voxel beside a thin axis may have its centre outside.
    wide = within & (line.radii > 1.0)
    assert mask[tuple(index[wide].T)].all()
    steps = np.linalg.norm(line.points[1:] - line.points[line.parents[1:]], axis=1)
    assert steps.sum() == pytest.approx(sum(subject.branches.column("length_mm")), rel=1e-3)
    assert 2 * max(subject.branches.column("radius_mean_mm")) == pytest.approx(9.0)


def test_body_stands_upright_in_the_world(subject: Airway) -> None:
    trachea = subject.branches.rows()[0]
    assert trachea["generation"] == 0
    assert trachea["start_z_mm"] - trachea["end_z_mm"] > 25
    grid, lung = subject.lung.grid, subject.lung.data
    right, left = (grid.world(np.argwhere(lung == label)).mean(axis=0) for label in (1, 2))
    assert right[0] - left[0] > 30
    assert (lung == 1).sum() > (lung == 2).sum()
    # Bronchi from the second generation on end in a lung, half of them in each.
    ends = [[row[f"end_{a}_mm"] for a in "xyz"] for row in subject.branches.rows() if row["generation"] >= 2]
    sides = lung[tuple(np.rint(grid.index(ends)).astype(int).T)]
    assert (sides > 0).mean() > 0.95
    assert 0.3 < (sides == 1).mean() < 0.7


def test_tube_has_the_volume_of_a_cylinder() -> None:
    spacing = np.array([0.5, 0.7, 1.1])
    mask = np.zeros((60, 50, 50), dtype=bool)
    a, b, radius = np.array([8.0, 9.0, 10.0]), np.array([22.0, 25.0, 40.0]), 4.0
    draw_tube(mask, np.stack([a, b]), np.array([radius, radius]), spacing)
    exact = np.pi * radius**2 * np.linalg.norm(b - a) + 4 / 3 * np.pi * radius**3
    assert mask.sum() * spacing.prod() == pytest.approx(exact, rel=0.01)


def test_wide_trachea_is_refused() -> None:
    with pytest.raises(SettingsError, match="at most a fifth"):
        airway(size_mm=(60.0, 50.0, 60.0), trachea_mm=15.0)
