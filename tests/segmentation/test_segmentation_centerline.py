"""Centerlines on exact lumens: length, place, radius, stenosis, openings; loops, bridges and refusals."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentation.lumens import Lumen, bent_tube, draw, fork, random_rotation, straight_fork
from voxfield.artifacts import LabelMap, face_labels
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.segmentation import centerline
from voxfield.segmentation.metrics._topology import betti_numbers, count_components
from voxfield.segmentation.tree._branches import nascet
from voxfield.segmentation.tree._openings import fluid
from voxfield.testing import StageContract

ISOTROPIC = np.full(3, 0.7)
ANISOTROPIC = np.array([0.5, 0.5, 0.8])


def traced(lumen: Lumen, **settings: Any) -> Any:
    return centerline(LabelMap(lumen.mask.astype(np.uint8), lumen.affine), **settings)


def tree_length(result: Any) -> float:
    line = result.centerline
    child = line.parents >= 0
    return float(np.linalg.norm(line.points[child] - line.points[line.parents[child]], axis=1).sum())


@pytest.mark.parametrize("spacing", [ISOTROPIC, ANISOTROPIC], ids=["isotropic", "anisotropic"])
@pytest.mark.parametrize("voxels", [1.5, 2.5, 4.0])
def test_bent_tubes(spacing: np.ndarray, voxels: float) -> None:
    """Length within 2 %, radius within a quarter of a voxel, centre within a fifth, on average over four tubes."""
    rng = np.random.default_rng(0)
    length_error, radius_error, offset = [], [], []
    for _ in range(4):
        radius = voxels * spacing.max()
        tube = bent_tube(radius, 20 * radius, rng)
        lumen = draw([tube], spacing)
        result = traced(lumen)
        assert len(result.branches) == 1
        length_error.append(abs(tree_length(result) / tube.length - 1))
        distance, true = lumen.truth_at(result.centerline.points)
        radius_error.append(np.abs(result.centerline.radii - true).mean() / spacing.max())
        offset.append(distance.mean() / spacing.max())
    assert np.mean(length_error) <= 0.02
    assert np.mean(radius_error) <= 0.15
    assert np.mean(offset) <= 0.2


def test_thin_tube_is_followed_to_its_ends() -> None:
    """Thinning eats a vessel of two voxels' width from its ends; the line still reaches them."""
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(6):
        tube = bent_tube(1.0, 30.0, rng)
        errors.append(tree_length(traced(draw([tube], np.ones(3)))) / tube.length - 1)
    assert np.abs(errors).mean() <= 0.03


@pytest.mark.parametrize("spacing", [ISOTROPIC, ANISOTROPIC], ids=["isotropic", "anisotropic"])
def test_fork(spacing: np.ndarray) -> None:
    lumen = draw(fork(), spacing)
    result = traced(lumen)
    trunk, *daughters = result.branches.rows()
    assert (trunk["parent"], trunk["generation"]) == (-1, 0)
    assert [(d["parent"], d["generation"]) for d in daughters] == [(0, 1), (0, 1)]
    # NASCET of the trunk: 0.5 by construction, resolved by two to five voxels across the throat.
    assert trunk["stenosis"] == pytest.approx(0.5, abs=0.05)
    assert trunk["radius_distal_mm"] == pytest.approx(2.5, abs=0.1)
    assert sorted(d["radius_mean_mm"] for d in daughters) == pytest.approx([1.75, 2.0], abs=0.1)
    assert all(d["stenosis"] is None or d["stenosis"] < 0.1 for d in daughters)
    distance, true = lumen.truth_at(result.centerline.points)
    assert np.abs(result.centerline.radii - true).mean() <= 0.25 * spacing.max()
    assert distance.mean() <= 0.25 * spacing.max()
    # Daughters overlap near the split, where their two true lines are one in the image.
    assert tree_length(result) == pytest.approx(sum(v.length for v in lumen.vessels), rel=0.05)


def open_faces(lumen: Lumen, result: Any) -> dict[int, int]:
    inside = fluid(lumen.mask, result.openings.data.astype(np.int32))
    faces = np.concatenate([f.ravel() for f in face_labels(inside, result.openings.data)])
    return {k: int((faces == k).sum()) for k in sorted(result.openings.labels) if k >= 2}


def test_openings_of_a_fork() -> None:
    lumen = draw(fork(), ISOTROPIC)
    result = traced(lumen)
    assert result.openings.labels == {1: "wall", 2: "inlet", 3: "opening-3", 4: "opening-4"}
    rows = result.branches.rows()
    assert [row["opening"] for row in rows] == [2, 3, 4]
    inside = fluid(lumen.mask, result.openings.data.astype(np.int32))
    assert betti_numbers(inside) == (1, 0, 0)
    assert count_components(inside, 6) == 1
    # The faces of a cut of area A with normal n number A |n|_1 / h^2.
    for row, (label, faces) in zip(rows, open_faces(lumen, result).items(), strict=True):
        tip = np.array([row[f"{'start' if label == 2 else 'end'}_{a}_mm"] for a in "xyz"])
        vessel = min(lumen.vessels, key=lambda v: np.linalg.norm(v.curve - tip, axis=1).min())
        end = (0, 1) if label == 2 else (-1, -2)
        normal = vessel.curve[end[0]] - vessel.curve[end[1]]
        normal /= np.linalg.norm(normal)
        area = np.pi * vessel.radius[end[0]] ** 2 / 0.49
        assert faces == pytest.approx(area * np.abs(normal).sum(), rel=0.25)
    # Only the last layers of voxels become cap.
    assert (lumen.mask & ~inside).sum() < 0.05 * lumen.mask.sum()
    walls = result.openings.data == 1
    assert not (walls & lumen.mask).any()


def test_field_of_view_cuts_the_trunk() -> None:
    lumen = draw(fork(), ISOTROPIC, crop=(np.array([-99.0, -99.0, 4.0]), np.full(3, 99.0)))
    result = traced(lumen)
    labels = result.openings.data
    face = lumen.mask[:, :, 0]
    assert face.sum() > 20
    assert (labels[:, :, 0][face] == 2).all()
    assert not (labels == 2)[:, :, 1:].any()
    assert open_faces(lumen, result)[2] == face.sum()
    # The line runs on to the face of the field of view, not to the centre of its last voxel.
    start = result.branches.column("start_z_mm")[0]
    assert start == pytest.approx(lumen.affine[2, 3] - 0.35, abs=0.4)


def test_a_patch_too_small_for_its_vessel_is_no_opening() -> None:
    """A single voxel on the face would throttle the flow: the end is capped inside instead."""
    x = np.indices((15, 15, 40))
    mask = ((x[0] - 7) ** 2 + (x[1] - 7) ** 2 <= 16) & (x[2] > 0)
    mask[7, 7, 0] = True
    result = centerline(LabelMap(mask.astype(np.uint8), np.eye(4)))
    lumen = Lumen(mask, np.eye(4), [])
    assert min(open_faces(lumen, result).values()) >= 40


def test_unresolved_throat_is_told() -> None:
    ctx = Context()
    traced(draw(fork(), ISOTROPIC), ctx=ctx)
    assert "throat-unresolved" in ctx.findings.codes()
    wide = Context()
    traced(draw(fork(narrowing=0.0), ISOTROPIC), ctx=wide)
    assert "throat-unresolved" not in wide.findings.codes()


def test_root_is_the_end_nearest_to_the_setting() -> None:
    lumen = draw(fork(), ISOTROPIC)
    result = traced(lumen, roots_mm=((18.0, 3.0, 48.0),))
    assert result.branches.column("start_x_mm")[0] == pytest.approx(18.0, abs=1)
    assert result.branches.column("parent") == [-1, 0, 0]


def test_of_two_roots_in_one_tree_the_first_counts() -> None:
    ctx = Context()
    result = traced(draw(fork(), ISOTROPIC), roots_mm=((18.0, 3.0, 48.0), (0.0, 0.0, 0.0)), ctx=ctx)
    assert result.branches.column("start_x_mm")[0] == pytest.approx(18.0, abs=1)
    assert "roots-unused" in ctx.findings.codes()


@pytest.mark.parametrize("spacing", [ISOTROPIC, ANISOTROPIC], ids=["isotropic", "anisotropic"])
@pytest.mark.parametrize("degrees", [(-30.0, 30.0), (0.0, 50.0), (-60.0, 20.0)])
def test_angles_and_lengths_on_oblique_grids(spacing: np.ndarray, degrees: tuple[float, float]) -> None:
    """Straight forks in random directions on turned grids: angles within 4 degrees, lengths and radii in mm."""
    for seed in range(2):
        rng = np.random.default_rng(seed)
        radii = (2.4, 2.0)
        drawn = draw(straight_fork(degrees, radii, random_rotation(rng)), spacing)
        lumen = drawn.turned(random_rotation(rng))
        result = traced(lumen, roots_mm=(tuple(lumen.vessels[0].curve[0].tolist()),))
        trunk, *daughters = result.branches.rows()
        assert trunk["angle_branching_deg"] is None
        assert len(daughters) == 2
        for angle, radius in zip(degrees, radii, strict=True):
            (found,) = [d for d in daughters if abs(d["radius_mean_mm"] - radius) < 0.2]
            assert found["angle_branching_deg"] == pytest.approx(abs(angle), abs=4)
            assert found["angle_sibling_deg"] == pytest.approx(degrees[1] - degrees[0], abs=5)
        distance, true = lumen.truth_at(result.centerline.points)
        assert np.abs(result.centerline.radii - true).mean() <= 0.25 * spacing.max()
        assert distance.mean() <= 0.3 * spacing.max()
        assert tree_length(result) == pytest.approx(66, rel=0.05)


def test_a_cavity_is_no_wall() -> None:
    ctx = Context()
    lumen = draw(fork(narrowing=0.0), ISOTROPIC)
    whole = traced(lumen)
    hollow = lumen.mask.copy()
    middle = np.rint((lumen.vessels[0].curve[750] - lumen.affine[:3, 3]) / 0.7).astype(int)
    hollow[tuple(slice(m - 1, m + 1) for m in middle)] = False
    result = centerline(LabelMap(hollow.astype(np.uint8), lumen.affine), ctx=ctx)
    assert "cavities-filled" in ctx.findings.codes()
    assert result.branches.rows() == whole.branches.rows()


def test_thin_ends_can_stay_closed() -> None:
    ctx = Context()
    result = traced(draw(fork(), ISOTROPIC), min_opening_radius_mm=1.9, ctx=ctx)
    assert len(result.openings.labels) == 3
    assert "closed-ends" in ctx.findings.codes()


def ring(radius: float = 8.0) -> np.ndarray:
    x = np.indices((29, 29, 15)) - np.array([14, 14, 7])[:, None, None, None]
    mask = (np.hypot(x[0], x[1]) - radius) ** 2 + x[2] ** 2 <= 5
    mask[22:, 12:17, 5:10] = True
    return mask


def test_loop_is_told_and_broken_without_an_opening() -> None:
    ctx = Context()
    result = centerline(LabelMap(ring().astype(np.uint8), np.eye(4)), ctx=ctx)
    assert "loops" in ctx.findings.codes()
    assert next(f for f in ctx.findings if f.code == "loops").value == 1
    # The stub is the only end of the lumen.
    assert set(result.openings.labels) == {1, 2}
    assert tree_length(result) == pytest.approx(2 * np.pi * 8 + 6, rel=0.15)
    (row,) = result.loops.rows()
    assert row["length_mm"] == pytest.approx(2 * np.pi * 8, rel=0.15)
    assert np.hypot(row["x_mm"] - 14, row["y_mm"] - 14) == pytest.approx(8, abs=1)
    assert row["radius_mm"] == pytest.approx(np.sqrt(5), abs=0.3)
    # The graph has the loop again.
    joined = networkx_of(result.graph)
    assert len(joined.edges) - len(joined) + 1 == 1
    assert result.graph.edges["loop"].count(0) == 1


def networkx_of(graph: Any) -> Any:
    networkx = pytest.importorskip("networkx")
    return networkx.MultiGraph(graph.ends.tolist())


def test_the_graph_holds_the_tree() -> None:
    result = traced(draw(fork(), ISOTROPIC))
    graph, branches = result.graph, result.branches
    assert sorted(graph.nodes["kind"]) == ["end", "end", "junction", "root"]
    assert graph.edges["length_mm"] == branches.column("length_mm")
    places = np.array([graph.nodes[f"{a}_mm"] for a in "xyz"]).T
    for side, column in enumerate(("start", "end")):
        told = np.array([branches.column(f"{column}_{a}_mm") for a in "xyz"]).T
        assert (places[graph.ends[:, side]] == told).all()
    assert graph.nodes["opening"][graph.nodes["kind"].index("root")] == 2
    kinds = sorted(centerline(bridged()).graph.nodes["kind"])
    assert kinds == ["bridge", "bridge", "end", "root"]


def bridged() -> LabelMap:
    x = np.indices((50, 13, 13))
    mask = ((x[1] - 6) ** 2 + (x[2] - 6) ** 2 <= 9).astype(np.uint8)
    mask[:4] = mask[46:] = mask[22:27] = 0
    mask[22:27, 6, 6] = 2
    return LabelMap(mask, np.eye(4))


def test_no_radius_is_claimed_across_a_bridge() -> None:
    ctx = Context()
    result = centerline(bridged(), ctx=ctx)
    line = result.centerline
    across = (line.points[:, 0] > 21.5) & (line.points[:, 0] < 26.5)
    assert np.isnan(line.radii[across]).all()
    assert (line.kinds == 7).tolist() == across.tolist()
    assert np.isfinite(line.radii[~across]).all()
    before, bridge, after = result.branches.rows()
    assert (before["bridge"], bridge["bridge"], after["bridge"]) == (0, 1, 0)
    assert [row["generation"] for row in (before, bridge, after)] == [0, 0, 0]
    assert [row["parent"] for row in (before, bridge, after)] == [-1, 0, 1]
    assert bridge["radius_mean_mm"] is bridge["stenosis"] is bridge["radius_min_mm"] is None
    # The mouths of the gap say nothing about the calibre.
    assert min(before["radius_min_mm"], after["radius_min_mm"]) > 2.8
    (told,) = [f for f in ctx.findings if f.code == "gap-or-occlusion"]
    assert told.value == pytest.approx([24, 6, 6], abs=1)


def test_pieces_without_a_centerline_are_told() -> None:
    ctx = Context()
    mask = bridged().data.copy()
    mask[2, 0, 0] = 1
    centerline(LabelMap(mask, np.eye(4)), ctx=ctx)
    assert "no-centerline" in ctx.findings.codes()


def test_refusals() -> None:
    with pytest.raises(InputError, match="empty"):
        centerline(LabelMap(np.zeros((5, 5, 5), np.uint8), np.eye(4)))
    speck = np.zeros((5, 5, 5), np.uint8)
    speck[2, 2, 2] = 1
    with pytest.raises(InputError, match="long enough"):
        centerline(LabelMap(speck, np.eye(4)))
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    with pytest.raises(InputError, match="sheared"):
        centerline(LabelMap(bridged().data, sheared))


@cache
def drawn_once() -> Lumen:
    return draw(fork(), np.array([0.8, 0.9, 1.0]))


@settings(max_examples=12, deadline=None)
@given(
    axes=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.booleans()] * 3),
    shift=st.tuples(*[st.floats(-50, 50)] * 3),
)
def test_world_coordinates_do_not_depend_on_how_voxels_are_stored(
    axes: list[int], flips: tuple[bool, ...], shift: tuple[float, ...]
) -> None:
    lumen = drawn_once()
    stored = lumen.mask.transpose(axes)
    affine = lumen.affine[:, [*axes, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            stored = np.flip(stored, axis)
            affine[:3, 3] += affine[:3, axis] * (stored.shape[axis] - 1)
            affine[:3, axis] *= -1
    affine[:3, 3] += shift
    found = centerline(LabelMap(stored.astype(np.uint8), affine))
    points = found.centerline.points - np.array(shift)
    distance, true = lumen.truth_at(points)
    assert np.mean(distance) <= 0.3
    assert np.abs(found.centerline.radii - true).mean() <= 0.25
    assert len(found.branches) == 3
    assert found.openings.labels == {1: "wall", 2: "inlet", 3: "opening-3", 4: "opening-4"}
    assert found.branches.column("stenosis")[0] == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("degree", [0.0, 0.3, 0.6])
def test_nascet_of_exact_radii(degree: float) -> None:
    along = np.linspace(0, 40, 81)
    radius = 3 * (1 - degree * np.exp(-(((along - 15) / 4) ** 2)))
    distal, stenosis = nascet(along, radius)
    assert distal == pytest.approx(3, rel=0.02)
    assert stenosis == pytest.approx(degree, abs=0.02)


def test_nascet_is_not_defined_without_a_distal_vessel() -> None:
    assert nascet(np.linspace(0, 2, 5), np.full(5, 3.0)) == (None, None)
    assert nascet(np.zeros(0), np.zeros(0)) == (None, None)


class TestContract(StageContract):
    name = "segmentation.centerline"

    def make_inputs(self) -> Mapping[str, Any]:
        return {"mask": bridged()}


class TestOneSlice:
    """An image (x, y, 1), as of a retina: sections are lines."""

    @pytest.mark.parametrize("half_width", [1.2, 2.0, 4.5])
    def test_radius_is_half_the_width(self, half_width: float) -> None:
        x, y = np.indices((90, 70))
        # A ribbon at 30 degrees.
        away = np.abs((y - 12) * np.cos(np.pi / 6) - (x - 5) * np.sin(np.pi / 6))
        ribbon = (away < half_width)[:, :, None]
        line = centerline(LabelMap(ribbon.astype(np.uint8), np.eye(4))).centerline
        inner = (line.points[:, 0] > 10) & (line.points[:, 0] < 80)
        assert line.radii[inner].mean() == pytest.approx(half_width, abs=0.1)
        assert np.abs(line.points[:, 2]).max() < 1e-9

    def test_a_vessel_along_the_edge_stays_in_the_field_of_view(self) -> None:
        mask = np.zeros((60, 40, 1), np.uint8)
        mask[:, 34:] = 1
        line = centerline(LabelMap(mask, np.eye(4))).centerline
        assert line.points[:, 1].max() <= 39.5
