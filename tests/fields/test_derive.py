"""fields.derive on flows with answers in closed form: Poiseuille flow, rigid rotation, conserved fluxes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from fields.channels import AXIS, SAMPLES, Channel, channel
from voxfield.artifacts import Centerline, FaceFlux, FieldSamples, Image, Table
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.fields import derive
from voxfield.fields._derive import Derived
from voxfield.fields.derived._gradient import gradient_at
from voxfield.fields.derived._planes import Plane, conserved_flow, flow, slab_of
from voxfield.fields.derived._samples import on_box, take_velocities
from voxfield.fields.derived._sections import branches, sections
from voxfield.fields.derived._streamlines import draw_streamlines
from voxfield.fields.derived._wall import Levels, Wall, find_wall, shear_stress
from voxfield.testing import StageContract

VISCOSITY = 0.0035


class TestContract(StageContract):
    """A short tube."""

    name = "fields.derive"

    def make_inputs(self) -> Mapping[str, Any]:
        made = channel(across=6, length=12, noise=0.05)
        planes = Table({"name": ["middle"], **{f"{a}_mm": [0.0] for a in "xyz"}, "nx": [0], "ny": [0], "nz": [1]})
        return {**made.inputs(), "planes": planes}

    def make_settings(self) -> Mapping[str, Any]:
        return {"streamline_count": 5, "streamline_mm": 10.0}


@pytest.fixture(scope="module")
def tube() -> Channel:
    return channel()


@pytest.fixture(scope="module")
def derived(tube: Channel) -> Derived:
    return derive(**tube.inputs(), streamline_count=12)


def test_flow_is_that_of_poiseuille_in_every_section(tube: Channel, derived: Derived) -> None:
    np.testing.assert_allclose(derived.flow.column("flow_ml_per_s"), tube.flow, rtol=2e-3)
    np.testing.assert_allclose(derived.flow.column("flow_sd_ml_per_s"), 0, atol=1e-5)
    np.testing.assert_allclose(derived.flow.column("area_mm2"), np.pi * tube.radius**2, rtol=0.04)
    np.testing.assert_allclose(derived.flow.column("peak_speed_m_per_s"), tube.peak, rtol=0.02)


def test_wall_shear_stress_is_that_of_poiseuille(tube: Channel, derived: Derived) -> None:
    found = np.array(derived.wall.column("wall_shear_stress_pa"))
    assert found.mean() == pytest.approx(tube.shear(VISCOSITY), rel=0.01)
    assert np.abs(found / tube.shear(VISCOSITY) - 1).max() < 0.06
    along = derived.wall_shear.vectors @ tube.axis
    np.testing.assert_allclose(along, found, rtol=0.01)
    assert derived.wall_shear.unit == "Pa"


def test_wall_shear_stress_is_exact_where_the_wall_is_known_exactly(tube: Channel) -> None:
    velocities = take_velocities(tube.samples)
    grid, rng = velocities.grid, np.random.default_rng(0)
    normal = np.cross(rng.standard_normal((80, 3)), tube.axis)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    points = rng.uniform(-6, 6, 80)[:, None] * tube.axis + tube.radius * normal
    voxels, places = velocities.voxels, grid.index(points)
    slopes = gradient_at(places, voxels, grid.affine, places)(velocities.values[0])
    traction = VISCOSITY * np.einsum("tpdc,pd->tpc", slopes + slopes.swapaxes(-1, -2), -normal)
    np.testing.assert_allclose(traction[0], tube.shear(VISCOSITY) * np.tile(tube.axis, (80, 1)), rtol=1e-3, atol=1e-3)


def test_wall_lies_on_the_tube(tube: Channel) -> None:
    velocities = take_velocities(tube.samples)
    wall = find_wall(velocities, Levels(velocities, on_box(tube.probability, velocities)), None)
    points = velocities.grid.world(wall.places)
    radial = points - (points @ tube.axis)[:, None] * tube.axis
    away = np.linalg.norm(radial, axis=1)
    assert np.abs(away - tube.radius).max() < 0.03 * velocities.grid.spacing[0]
    assert ((wall.normals * radial).sum(axis=1) / away).max() < -0.97


def test_kinetic_energy(tube: Channel, derived: Derived) -> None:
    velocities = take_velocities(tube.samples)
    length = len(velocities.voxels) * velocities.grid.voxel_volume_mm3 / (np.pi * tube.radius**2)
    expected = 1060 * np.pi * tube.radius**2 * length * tube.peak**2 / 6 * 1e-9 * 1e3
    assert derived.energy.column("kinetic_energy_mj")[0] == pytest.approx(expected, rel=0.01)


def test_errors_fall_with_the_voxels() -> None:
    """A sine profile, which no quadratic fits: the gradient is second order accurate, the flow better."""
    errors = []
    for count in (12, 24):
        h = 6.0 / count
        x = (np.arange(count) + 0.5) * h
        voxels = np.argwhere(np.ones((count, 7, 7), dtype=bool))
        values = np.zeros((1, len(voxels), 3))
        values[0, :, 2] = np.sin(np.pi * x / 6.0)[voxels[:, 0]]
        affine = np.diag([h, h, h, 1.0])
        wall = np.array([[-0.5, 3.0, 3.0]])
        slope = gradient_at(wall, voxels, affine, wall + [[0, a, b] for a in (-1, 0, 1) for b in (-1, 0, 1)])(values)
        errors.append(abs(slope[0, 0, 0, 2] / (1e3 * np.pi / 6.0) - 1))
    assert errors[1] < errors[0] / 3


def test_vorticity_of_rigid_rotation_is_twice_its_rate() -> None:
    shape, rate = (9, 8, 10), np.array([3.0, -5.0, 8.0])
    affine = np.diag([0.7, 0.9, 1.1, 1.0])
    affine[:3, 3] = 4, -3, 2
    points = np.argwhere(np.ones(shape, dtype=bool)) @ affine[:3, :3].T + affine[:3, 3]
    values = np.cross(rate, points * 1e-3)
    mask = np.ones(shape, dtype=bool)
    mask[::3, 0] = False
    samples = FieldSamples(np.broadcast_to(values[mask.ravel()], (16, 1, int(mask.sum()), 3)), mask, affine, unit="m/s")
    got = derive(samples, streamline_count=0, no_slip=False)
    np.testing.assert_allclose(got.vorticity.data[mask][:, 0], np.tile(2 * rate, (mask.sum(), 1)), rtol=1e-3)
    assert not got.vorticity.data[~mask].any()
    np.testing.assert_allclose(got.vorticity_sd.data, 0, atol=2e-3)
    np.testing.assert_allclose(got.wall_shear.vectors, 0, atol=1e-6)  # rigid motion shears nothing


@given(strategies.rotations())
@settings(max_examples=6)
def test_the_answer_turns_with_the_grid(turn: Any) -> None:
    made = channel(across=7, axis=turn @ AXIS, turn=turn, length=14)
    got = derive(**made.inputs(), streamline_count=0)
    np.testing.assert_allclose(got.flow.column("flow_ml_per_s"), made.flow, rtol=5e-3)
    found = np.array(got.wall.column("wall_shear_stress_pa"))
    assert found.mean() == pytest.approx(made.shear(VISCOSITY), rel=0.02)
    np.testing.assert_allclose(got.wall_shear.vectors @ made.axis, found, rtol=0.02)


@given(strategies.rotations())
@settings(max_examples=12)
def test_flow_does_not_depend_on_the_tilt_of_the_plane(tube: Channel, turn: Any) -> None:
    velocities = take_velocities(tube.samples)
    normal = turn @ tube.axis
    if abs(normal @ tube.axis) < 0.6:
        return
    plane = Plane("tilted", None, np.zeros(3), normal)
    slab = slab_of(plane, velocities)
    assert slab is not None
    np.testing.assert_allclose(flow(slab, plane, velocities), np.sign(normal @ tube.axis) * tube.flow, rtol=5e-3)


@given(st.integers(0, 2**16), strategies.rotations())
@settings(max_examples=12)
def test_divergence_free_fluxes_are_equal_through_every_plane(seed: int, turn: Any) -> None:
    """Fluxes of a random stream function in a square duct: nothing but the net flow gets through any plane."""
    shape = (8, 8, 24)
    rng = np.random.default_rng(seed)
    edge = [np.zeros([n + (a != axis) for a, n in enumerate(shape)]) for axis in range(3)]
    for potential in edge:
        inner = tuple(slice(1, -1) for _ in range(3))
        potential[inner] = rng.standard_normal(potential[inner].shape)
    ax, ay, az = edge
    u = np.diff(az, axis=1) - np.diff(ay, axis=2)
    v = np.diff(ax, axis=2) - np.diff(az, axis=0)
    w = np.diff(ay, axis=0) - np.diff(ax, axis=1) + 0.5
    flux = FaceFlux(u, v, w, np.ones(shape, dtype=bool), np.eye(4), unit="m/s")
    assert np.abs(flux.divergence()).max() < 1e-12
    samples = FieldSamples(np.zeros((16, 1, 8 * 8 * 24, 3)), np.ones(shape, dtype=bool), np.eye(4), unit="m/s")
    velocities = take_velocities(samples)
    normal = turn[:, 2] if abs(turn[2, 2]) > 0.75 else np.array([0.0, 0.0, 1.0])
    for z in (9.0, 11.3, 14.0):
        plane = Plane("", None, np.array([3.5, 3.5, z]), normal)
        slab = slab_of(plane, velocities)
        assert slab is not None
        through = conserved_flow(slab, plane, velocities, flux, 1.0)
        assert through == pytest.approx(np.sign(normal[2]) * 32.0, abs=1e-10)


def test_spread_is_that_of_the_samples_and_of_their_walls() -> None:
    made = channel(across=8, noise=0.06, walls=0.15, seed=3)
    got = derive(**made.inputs(), streamline_count=6)
    radii = np.sqrt(np.stack([made.samples.lumen(s).sum() for s in range(SAMPLES)]).astype(float))
    areas = np.array(got.flow.column("area_sd_mm2")) / np.array(got.flow.column("area_mm2"))
    assert np.median(areas) == pytest.approx(2 * radii.std(ddof=1) / radii.mean(), rel=0.4)
    assert min(got.flow.column("flow_sd_ml_per_s")) > 0
    assert min(got.wall.column("wall_shear_stress_sd_pa")) > 0
    assert got.vorticity_sd.data.max() > 0
    inner = got.streamlines.point_data["spread_mm"]
    assert inner[inner >= 0].max() > 0.05


def test_frames_and_oscillation() -> None:
    made = channel(across=6, frames=4, length=12)
    got = derive(**made.inputs(), streamline_count=3)
    flows = np.array(got.flow.column("flow_ml_per_s"))[:4]
    np.testing.assert_allclose(flows / made.flow, [1.3, 1.0, 0.7, 1.0], rtol=0.02)
    peak, mean = (np.array(got.wall.column(f"{p}wall_shear_stress_pa")) for p in ("peak_", ""))
    np.testing.assert_allclose(peak / mean, 1.3, rtol=1e-4)
    assert max(got.wall.column("oscillatory_index")) < 1e-6
    assert got.metrics.values["streamline_frame"] == 0


def test_streamlines_of_rotation_are_circles() -> None:
    shape = (21, 21, 5)
    points = np.argwhere(np.ones(shape, dtype=bool)) - [10.0, 10.0, 2.0]
    values = np.cross([0.0, 0.0, 10.0], points * 1e-3)
    samples = FieldSamples(np.broadcast_to(values, (16, 1, *values.shape)), np.ones(shape, bool), np.eye(4), unit="m/s")
    velocities = take_velocities(samples)
    lines = draw_streamlines(velocities, 0, np.array([[14.0, 10.0, 2.0]]), 2 * np.pi * 4)
    away = np.linalg.norm(lines.points[0][:, :2] - 10, axis=1)
    assert np.abs(away - 4).max() < 0.05
    assert len(lines.points[0]) == 2 * int(2 * np.pi * 4) + 1
    np.testing.assert_allclose(lines.speed[0], 0.04, rtol=0.02)


def test_streamlines_keep_their_radius_and_end_at_the_ends(tube: Channel, derived: Derived) -> None:
    points, which = derived.streamlines.points, derived.streamlines.point_data["line"]
    radius = np.linalg.norm(points - (points @ tube.axis)[:, None] * tube.axis, axis=1)
    along = points @ tube.axis
    inner = [which == line for line in np.unique(which) if np.abs(along[which == line]).min() < 1]
    assert len(inner) > 5
    for line in inner:
        assert np.ptp(radius[line]) < 0.1
        assert np.ptp(along[line]) > 20


def test_branches_of_a_tree_by_hand() -> None:
    parents = [-1, 0, 1, 2, 2, 3, 4]
    points = [[0, 0, z] for z in (0, 10, 20)] + [[x, 0, 30] for x in (-9, 9)] + [[x, 0, 40] for x in (-18, 18)]
    line = Centerline(points, np.ones(7), parents)
    assert [nodes.tolist() for nodes in branches(line)] == [[0, 1, 2], [2, 3, 5], [2, 4, 6]]
    laid = sections(line, 5.0, 0.5)
    assert [plane.name for plane in laid].count("branch-1") == 5
    assert all(plane.normal[2] > 0.5 for plane in laid)
    np.testing.assert_allclose(laid[0].centre, [0, 0, 1.5])
    bridged = Centerline(points, np.ones(7), parents, [0, 7, 7, 0, 0, 0, 0])
    assert "branch-1" not in [plane.name for plane in sections(bridged, 5.0, 0.5)]


def test_sections_of_a_branch_leave_its_sibling_out() -> None:
    """Plug flow, 1 m/s, in a fork whose arms part by 60 degrees: each section holds the flow of its own tube."""
    radius, shape = 3.0, (36, 12, 44)
    points = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) - [17.5, 5.5, 18.0]
    ways = [np.array([np.sin(a), 0, np.cos(a)]) for a in (np.pi, -np.pi / 6, np.pi / 6)]
    along = np.stack([points @ way for way in ways])
    away = np.stack([np.linalg.norm(points - a[..., None] * w, axis=-1) for a, w in zip(along, ways, strict=True)])
    nearest = np.where(along >= 0, away, np.inf).argmin(axis=0)
    mask = np.where(along >= 0, away, np.inf).min(axis=0) < radius
    speed = np.stack([-ways[0], ways[1], ways[2]])[nearest[mask]]
    affine = np.eye(4)
    affine[:3, 3] = [-17.5, -5.5, -18.0]
    samples = FieldSamples(np.broadcast_to(speed, (16, 1, *speed.shape)), mask, affine, unit="m/s")
    steps = np.arange(1, 21)[:, None]
    nodes = np.concatenate([-steps[15::-1] * [0, 0, 1.0], [[0, 0, 0]], steps * ways[1], steps * ways[2]])
    parents = np.concatenate([np.arange(17) - 1, [16], np.arange(17, 36), [16], np.arange(37, 56)])
    line = Centerline(nodes, np.full(len(nodes), radius), parents)
    got = derive(samples, centerline=line, streamline_count=0)
    assert {row["name"] for row in got.metrics.values["branches"]} == {"branch-1", "branch-2", "branch-3"}
    np.testing.assert_allclose(got.flow.column("flow_ml_per_s"), np.pi * radius**2, rtol=0.15)


def test_findings(tube: Channel) -> None:
    away = Table({"name": ["far"], "x_mm": [90.0], "y_mm": [0], "z_mm": [0], "nx": [0], "ny": [0], "nz": [2]})
    ctx = Context()
    got = derive(tube.samples, planes=away, streamline_count=0, ctx=ctx)
    assert "plane-outside" in ctx.findings.codes()
    assert len(got.flow) == 0
    ctx = Context()
    derive(**channel(across=4).inputs(), streamline_count=0, ctx=ctx)
    assert "sections-unresolved" in ctx.findings.codes()


def test_refusals(tube: Channel) -> None:
    given = tube.samples
    with pytest.raises(InputError, match="no unit"):
        derive(FieldSamples(given.values, given.mask, given.affine))
    with pytest.raises(InputError, match="expected the 3"):
        derive(FieldSamples(given.values[..., :1], given.mask, given.affine, unit="m/s"))
    away = np.diag([1.0, 1, 1, 1])
    away[:3, 3] = 500.0
    with pytest.raises(InputError, match="does not reach the samples"):
        derive(given, Image(tube.probability.data, away))
    with pytest.raises(InputError, match="lacks the columns x_mm"):
        derive(given, planes=Table({"name": ["a"]}))
    with pytest.raises(InputError, match="expected a direction"):
        derive(given, planes=Table({k: [0] for k in ("x_mm", "y_mm", "z_mm", "nx", "ny", "nz")}))
    plane = {"x_mm": [0.0], "y_mm": [0.0], "z_mm": [0.0], "nx": [0.0], "ny": [0.0], "nz": [1.0]}
    for bad in ({"x_mm": ["inf"]}, {"nz": ["nan"]}, {"radius_mm": ["wide"]}):
        with pytest.raises(InputError, match=r"row 1 is .* expected finite numbers"):
            derive(given, planes=Table({**plane, **bad}))
    with pytest.raises(InputError, match="the radius -1 mm; expected more than 0"):
        derive(given, planes=Table({**plane, "radius_mm": [-1.0]}))
    for values in (100 * tube.probability.data, np.ones_like(tube.probability.data)):
        with pytest.raises(InputError, match="expected the probability of a lumen"):
            derive(given, Image(values, tube.probability.affine))
    elsewhere = np.where(tube.probability.data > 0, np.float32(0.5), np.float32(0.0))
    elsewhere[0, 0, 0] = 1
    with pytest.raises(InputError, match="no wall near"):
        derive(given, Image(np.roll(elsewhere, elsewhere.shape[0] // 2, axis=0), tube.probability.affine))
    alone = np.eye(len(given), dtype=bool)[:, np.arange(given.values.shape[2]) % len(given)]
    with pytest.raises(InputError, match="no voxel lies in the lumens of half of its samples"):
        derive(FieldSamples(given.values, given.mask, given.affine, inside=alone, unit="m/s"))


def test_stress_has_no_part_across_the_wall() -> None:
    made = channel(across=7, noise=0.1)
    velocities = take_velocities(made.samples)
    levels = Levels(velocities, None)
    wall: Wall = find_wall(velocities, levels, None)
    shear = shear_stress(velocities, wall, levels, VISCOSITY, no_slip=False)
    across = np.einsum("stpc,pc->stp", shear.stress, wall.normals)
    assert np.abs(across).max() < 1e-12 + 1e-9 * np.abs(shear.stress).max()
