"""pde.laplace: slabs exactly, shells to a fraction of a voxel, a direct solve to 1e-6, and what it refuses."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import spsolve

from voxfield.artifacts import Artifact, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.findings import Findings
from voxfield.pde import laplace
from voxfield.pde.voxels import VoxelPoisson, laplace_coordinates
from voxfield.testing import StageContract

REGION, INNER, OUTER = 1, 2, 3
RADII = (0.5, 0.9)


def slab(axis: int, thick: int) -> np.ndarray:
    """A slab `thick` voxels across, in a box that is 4 by 5 along it."""
    line = np.array([INNER, *[REGION] * thick, OUTER], dtype=np.uint8)
    shape = [4, 5]
    shape.insert(axis, len(line))
    return np.broadcast_to(np.expand_dims(line, [k for k in range(3) if k != axis]), shape).copy()


def shell(n: int) -> tuple[np.ndarray, np.ndarray, float]:
    """A spherical shell in a box of n voxels a side: labels, distance from the centre, edge of a voxel."""
    edge = 2.2 / n
    x = (np.arange(n) + 0.5) * edge - 1.1
    radius = np.sqrt(x[:, None, None] ** 2 + x[:, None] ** 2 + x**2)
    return np.select([radius < RADII[0], radius < RADII[1]], [INNER, REGION], OUTER), radius, edge


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2), st.integers(1, 7), st.tuples(*[st.floats(0.3, 3)] * 3))
def test_a_slab_is_exact_on_any_spacing(axis: int, thick: int, spacing: tuple[float, float, float]) -> None:
    found = laplace_coordinates(slab(axis, thick), REGION, INNER, OUTER, spacing)
    depth = (found.domain.cells[:, axis] - 0.5) / thick
    np.testing.assert_allclose(found.values, depth, atol=1e-8)
    np.testing.assert_allclose(found.thickness, thick * spacing[axis], rtol=1e-6)
    np.testing.assert_allclose(found.from_inner, depth * thick * spacing[axis], rtol=1e-6)


def test_a_shell_is_as_thick_as_it_was_made_to_a_fraction_of_a_voxel() -> None:
    errors = []
    for n in (24, 36, 54):
        labels, radius, edge = shell(n)
        found = laplace_coordinates(labels, REGION, INNER, OUTER, (edge,) * 3)
        apart = found.thickness - (RADII[1] - RADII[0])
        assert abs(apart.mean()) < 0.07 * edge
        assert np.sqrt((apart**2).mean()) < 0.26 * edge < found.staircase
        exact = (1 / RADII[0] - 1 / radius[labels == REGION]) / (1 / RADII[0] - 1 / RADII[1])
        errors.append(np.sqrt(((found.values - exact) ** 2).mean()))
    rate = -np.polyfit(np.log([24, 36, 54]), np.log(errors), 1)[0]
    assert 0.7 < rate < 1.7  # the staircase of the walls leaves the first order


def test_the_coordinate_is_that_of_a_direct_solve() -> None:
    labels, _, edge = shell(20)
    found = laplace_coordinates(labels, REGION, INNER, OUTER, (edge, edge, 2 * edge))
    kinds = {INNER: "dirichlet", OUTER: "dirichlet"}
    solver = VoxelPoisson(labels == REGION, (edge, edge, 2 * edge), walls=labels, conditions=kinds)
    wall = solver.faces[OUTER]
    load = np.bincount(wall.cells, weights=2 / wall.steps**2, minlength=solver.domain.size)
    direct = spsolve(solver.solver.network.matrix.tocsc(), load)
    assert np.abs(found.values - direct).max() < 1e-6


def test_turning_the_surfaces_round_turns_the_coordinate_round() -> None:
    labels, _, edge = shell(20)
    there = laplace_coordinates(labels, REGION, INNER, OUTER, (edge,) * 3)
    back = laplace_coordinates(labels, REGION, OUTER, INNER, (edge,) * 3)
    np.testing.assert_allclose(there.values, 1 - back.values, atol=1e-7)
    np.testing.assert_allclose(there.thickness, back.thickness, rtol=1e-5)


def test_a_wedge_is_as_thick_as_its_arcs() -> None:
    """Between two planes at a right angle field lines are arcs; the walls lie on voxel faces, without a staircase."""
    n = 40
    labels = np.full((n + 1, n + 1, 3), REGION)
    x, y = np.meshgrid(np.arange(n + 1) - 0.5, np.arange(n + 1) - 0.5, indexing="ij")
    radius = np.hypot(x, y)
    labels[(radius < 8) | (radius > 36)] = 0
    labels[0], labels[:, 0] = INNER, OUTER
    labels[0, 0] = 0
    found = laplace_coordinates(labels, REGION, INNER, OUTER, (1.0, 1.0, 1.0))
    cells = found.domain.cells
    arcs = np.pi / 2 * radius[cells[:, 0], cells[:, 1]]
    inside = (arcs > np.pi / 2 * 12) & (arcs < np.pi / 2 * 32)
    assert np.abs(found.thickness / arcs - 1)[inside].mean() < 0.03


def stage_inputs() -> LabelMap:
    """A bent sheet two and four voxels thick, with a part that touches one surface only."""
    labels = np.zeros((14, 10, 6), dtype=np.uint8)
    labels[1:9, 1:9, 1], labels[1:9, 1:9, 2:4], labels[1:9, 1:9, 4] = INNER, REGION, OUTER
    labels[10:13, 2:8, 1], labels[10:13, 2:8, 2:4] = INNER, REGION
    names = {REGION: "cortex", INNER: "white matter", OUTER: "pia"}
    return LabelMap(labels, np.diag([1.0, 1.0, 1.5, 1.0]), labels=names)


class TestLaplace(StageContract):
    """A small sheet."""

    name = "pde.laplace"

    def make_inputs(self) -> Mapping[str, Artifact]:
        return {"labels": stage_inputs()}


def test_parts_that_one_surface_does_not_touch_are_told_and_have_no_numbers() -> None:
    findings = Findings()
    labels = stage_inputs()
    made = laplace(labels, region="cortex", inner="white matter", outer="pia", ctx=Context(findings=findings))
    unreached = np.zeros(labels.data.shape, dtype=bool)
    unreached[10:13, 2:8, 2:4] = True
    region = labels.data == REGION
    assert np.isnan(made.coordinate.data)[~region | unreached].all()
    np.testing.assert_allclose(made.thickness.data[region & ~unreached], 3.0, rtol=1e-5)
    assert {f.code: f.value for f in findings}["unreached"] == 36
    assert made.metrics.values["voxels_with_thickness"] == 128
    assert made.metrics.values["staircase_sd_mm"] == pytest.approx(1.5 * np.sqrt(2 / 12))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"outer": 7}, InputError, r"no voxel has the label 7 \(outer\); found 0, 1, 2, 3"),
        ({"outer": 2}, SettingsError, "expected three different labels"),
        ({"inner": "skull"}, SettingsError, "setting 'inner' is 'skull'; expected a label or one of the names: 1"),
        ({"region": 3, "outer": 1, "inner": 2}, InputError, "no face of the mask carries the label 2"),
    ],
)
def test_what_can_not_be_meant_is_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        laplace(stage_inputs(), **changes)


def test_surfaces_on_different_parts_are_refused() -> None:
    labels = np.zeros((9, 3, 3), dtype=np.uint8)
    labels[0], labels[1:3], labels[5:7], labels[7] = INNER, REGION, REGION, OUTER
    with pytest.raises(InputError, match="no part of the region touches both surfaces"):
        laplace(LabelMap(labels, np.eye(4)))


def test_a_pocket_without_slope_is_told() -> None:
    """A long insulated arm beside the sheet: its voxels have hardly a slope, but a length or a finding."""
    labels = np.zeros((60, 6, 6), dtype=np.uint8)
    labels[:8, :, 0], labels[:8, :, 1:5], labels[:8, :, 5] = INNER, REGION, OUTER
    labels[8:, 2, 2] = REGION
    findings = Findings()
    made = laplace(LabelMap(labels, np.eye(4)), ctx=Context(findings=findings))
    sheet = made.thickness.data[:5, :, 1:5]
    np.testing.assert_allclose(sheet, 4.0, rtol=0.05)
    lost = np.isnan(made.thickness.data) & (labels == REGION)
    told = {f.code: f.value for f in findings}
    assert 20 < lost[8:].sum() == lost.sum() == told["no-field-line"]
