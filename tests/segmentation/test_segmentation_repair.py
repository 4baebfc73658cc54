"""What `segmentation.repair` guarantees, by property tests, and what it chooses, by hand cases."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from voxfield.artifacts import Image, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.segmentation import repair
from voxfield.segmentation.metrics._topology import betti_numbers, count_components, fill_cavities, label_components
from voxfield.segmentation.tree._forest import TWO_ROOTS
from voxfield.segmentation.tree._loops import break_loops
from voxfield.segmentation.tree._mend import BRIDGE, FILLED, LUMEN, TOO_LONG, TOO_UNLIKELY, Mended, Rules, mend
from voxfield.segmentation.tree._paths import cheapest_links, negative_log
from voxfield.testing import StageContract


@st.composite
def damaged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A smooth random probability, its mask with voxels missing, and a spacing."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    field = gaussian_filter(rng.normal(size=rng.integers(5, 16, 3)), draw(st.sampled_from([0.5, 0.8, 1.2])))
    probability = 1 / (1 + np.exp(-3 * (field / field.std() - draw(st.floats(0.2, 1.8)))))
    mask = (probability > 0.5) & (rng.random(field.shape) < draw(st.sampled_from([0.8, 1.0])))
    mask.flat[rng.integers(mask.size)] = True
    return probability, mask, rng.uniform(0.4, 1.5, 3)


rules = st.builds(
    Rules,
    trees=st.sampled_from([None, 1, 2, 3]),
    min_size_mm3=st.sampled_from([0.0, 3.0, 20.0]),
    max_bridge_mm=st.sampled_from([0.0, 3.0, 8.0]),
    min_bridge_probability=st.sampled_from([0.01, 0.1, 0.4]),
    faces=st.booleans(),
    roots=st.just(()),
    loops=st.booleans(),
)


@settings(max_examples=120, deadline=None)
@given(damaged(), rules)
def test_guarantees(case: tuple[np.ndarray, np.ndarray, np.ndarray], chosen: Rules) -> None:
    probability, mask, spacing = case
    mended = mend(probability, mask, spacing, chosen)
    result = mended.labels > 0
    found = betti_numbers(result)
    # Exactly the trees, no cavity, and no loop where none is wanted.
    assert chosen.loops or found.tunnels == 0
    assert found.components == mended.trees >= 1
    assert found.cavities == 0
    # A component can be split by nothing, so the number asked for is met wherever there are so many.
    if chosen.trees:
        before = mend(probability, mask, spacing, chosen._replace(trees=None, max_bridge_mm=0, min_size_mm3=0))
        assert mended.trees == min(chosen.trees, before.trees)
    # Nothing is dropped, and nothing made up, without being told.
    assert ((mended.labels == LUMEN) == (mask & result)).all()
    lost = sum(part.voxels for part in mended.removed)
    drawn = np.zeros(mask.shape, bool)
    for bridge in mended.bridges:
        drawn[tuple(bridge.link.voxels.T)] = True
    if chosen.loops:
        assert int((mask & ~result).sum()) == lost
        assert (mended.labels[drawn] > LUMEN).all()
    else:
        assert int((mask & ~result).sum()) <= lost
    assert (drawn >= (mended.labels == BRIDGE)).all()
    assert int(((mended.labels == FILLED) & ~drawn).sum()) == mended.cavity_voxels
    # What is refused has a reason, and joins nothing that is joined.
    assert all(bridge.reason for bridge in mended.refused)
    if chosen.loops:
        ends = [[mended.labels[tuple(e)] > 0 for e in (b.link.start, b.link.end)] for b in mended.refused]
        assert all(any(pair) for pair in ends)
    # Parts that fluxes can not reach are counted.
    assert count_components(result, 6) == mended.face_parts >= mended.trees


@settings(max_examples=40, deadline=None)
@given(damaged(), rules)
def test_kept_components_are_kept_whole(case: tuple[np.ndarray, np.ndarray, np.ndarray], chosen: Rules) -> None:
    probability, mask, spacing = case
    result = mend(probability, mask, spacing, chosen).labels > 0
    parts, count = label_components(mask)
    if not chosen.loops:
        return
    for part in range(1, count + 1):
        assert result[parts == part].all() or not result[parts == part].any()


@st.composite
def broken_trees(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A random tree of tubes, its probability .9 in the lumen; gaps of 2 to 5 voxels in it, where p is .4."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = (44, 44, 44)
    joints, lines = [np.array([6.0, 22.0, 22.0])], []
    for _ in range(int(rng.integers(3, 6))):
        start = joints[int(rng.integers(len(joints)))]
        joints.append(rng.uniform(6, 38, 3))
        lines.append(np.linspace(start, joints[-1], 120))
    grid = np.indices(shape).reshape(3, -1).T
    whole = (cKDTree(np.concatenate(lines)).query(grid)[0] <= rng.uniform(1.6, 3.0)).reshape(shape)
    places = [line[int(rng.uniform(0.3, 0.7) * 120)] for line in lines]
    near = (cKDTree(places).query(grid)[0] <= rng.uniform(3, 4.5)).reshape(shape)
    return np.where(whole, np.where(near, 0.4, 0.9), 0.01) * rng.uniform(0.97, 1, shape), whole


@settings(max_examples=15, deadline=None)
@given(broken_trees())
def test_broken_trees_are_whole_again(case: tuple[np.ndarray, np.ndarray]) -> None:
    probability, whole = case
    broken = probability > 0.5
    done = mended(probability, broken, trees=1, min_size_mm3=0.0, loops=False)
    found = betti_numbers(done.labels > 0)
    assert (found.components, found.tunnels, found.cavities) == (1, 0, 0)
    # The way back leads through the vessel that was there.
    added = (done.labels == BRIDGE) & ~broken
    assert whole[added].mean() > 0.9 if added.any() else True
    listed = np.zeros(whole.shape, bool)
    for bridge in done.bridges:
        listed[tuple(bridge.link.voxels.T)] = True
    assert not (((done.labels > 0) & ~broken & ~listed).sum() - done.cavity_voxels)


@settings(max_examples=12, deadline=None)
@given(broken_trees(), st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3), st.sampled_from([0.5, 1.0, 3.0]))
def test_storage_and_unit_change_nothing(
    case: tuple[np.ndarray, np.ndarray], axes: list[int], flips: tuple[bool, ...], scale: float
) -> None:
    """Axes permuted and flipped, and all lengths in another unit: the same voxels get the same labels."""
    probability, _ = case
    spacing, chosen = np.array([0.6, 1.0, 1.3]), standard(min_bridge_probability=0.39)
    first = mend(probability, probability > 0.5, spacing, chosen)
    turned = np.flip(probability.transpose(axes), np.flatnonzero(flips))
    rescaled = chosen._replace(min_size_mm3=chosen.min_size_mm3 * scale**3, max_bridge_mm=chosen.max_bridge_mm * scale)
    again = mend(turned, turned > 0.5, scale * spacing[axes], rescaled)
    back = np.flip(again.labels, np.flatnonzero(flips)).transpose(np.argsort(axes))
    assert (back == first.labels).all()
    for one, other in ((first.bridges, again.bridges), (first.refused, again.refused)):
        told = [
            sorted((b.kind, b.reason, round(b.probability, 9), len(b.link.voxels)) for b in x) for x in (one, other)
        ]
        assert told[0] == told[1]


@settings(max_examples=10, deadline=None)
@given(broken_trees())
def test_what_is_not_broken_is_not_mended(case: tuple[np.ndarray, np.ndarray]) -> None:
    probability, whole = case
    whole = fill_cavities(whole)
    if count_components(whole, 6) == 1:
        done = mended(probability, whole)
        assert (done.labels == whole).all()
        assert (done.bridges, done.removed, done.refused) == ([], [], [])


@settings(max_examples=30, deadline=None)
@given(damaged(), rules)
def test_same_input_same_output(case: tuple[np.ndarray, np.ndarray, np.ndarray], chosen: Rules) -> None:
    first, again = (mend(*case, chosen) for _ in range(2))
    assert (first.labels == again.labels).all()
    assert [b.link.cost for b in first.bridges] == [b.link.cost for b in again.bridges]


@settings(max_examples=25, deadline=None)
@given(damaged())
def test_links_hold_a_minimum_spanning_tree(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Against the complete graph of cheapest paths, from scikit-image, one search a component."""
    from scipy.sparse.csgraph import minimum_spanning_tree
    from skimage.graph import MCP

    probability, mask, _ = case
    parts, count = label_components(mask)
    if count < 2:
        return
    cost = negative_log(probability, 1e-3)
    links = cheapest_links(parts, cost, ~mask, np.ones(3), np.inf)
    # A step of MCP costs the voxel that it enters; a path of ours costs each of its own voxels once.
    search = MCP(np.maximum(np.where(mask, 0.0, cost), 1e-9), fully_connected=False)
    complete = np.zeros((count, count))
    for part in range(1, count + 1):
        reached, _ = search.find_costs(np.argwhere(parts == part))
        complete[part - 1] = [reached[parts == other].min() for other in range(1, count + 1)]
        complete[part - 1, part - 1] = 0
    ours = np.zeros((count, count))
    for link in links:
        ours[link.first - 1, link.second - 1] = link.cost
    assert minimum_spanning_tree(ours).sum() == pytest.approx(minimum_spanning_tree(complete).sum(), abs=1e-2)
    for link in links:
        path = np.concatenate([link.start[None], link.voxels, link.end[None]])
        assert (np.abs(np.diff(path, axis=0)).sum(axis=1) == 1).all()
        assert not mask[tuple(link.voxels.T)].any()
        assert link.cost == pytest.approx(cost[tuple(link.voxels.T)].sum(), abs=1e-4)


def tube(length: int = 40, gap: slice = slice(18, 22)) -> tuple[np.ndarray, np.ndarray]:
    """A straight tube of radius 3 with a gap, across which the probability is 0.3."""
    x = np.indices((length, 13, 13))
    whole = (x[1] - 6) ** 2 + (x[2] - 6) ** 2 <= 9
    probability = np.where(whole, 0.9, 0.01)
    probability[gap] = np.where(whole[gap], 0.3, 0.01)
    return probability, probability > 0.5


def standard(**changes: Any) -> Rules:
    return Rules(None, 30.0, 10.0, 0.1, True)._replace(**changes)


def mended(probability: np.ndarray, mask: np.ndarray, **changes: Any) -> Mended:
    return mend(probability, mask, np.ones(3), standard(**changes))


def test_gap_is_bridged_straight() -> None:
    done = mended(*tube())
    (bridge,) = done.bridges
    assert (done.trees, bridge.kind, len(bridge.link.voxels)) == (1, "gap", 4)
    assert bridge.probability == pytest.approx(0.3)
    assert bridge.link.cost == pytest.approx(-4 * np.log(0.3))
    assert bridge.link.length_mm(np.ones(3)) == 5
    assert (done.labels == BRIDGE).sum() == 4


@pytest.mark.parametrize("changes", [{"max_bridge_mm": 4.9}, {"max_bridge_mm": 0.0}, {"min_bridge_probability": 0.31}])
def test_gap_too_long_or_unlikely_is_left_open_and_told(changes: dict[str, float]) -> None:
    done = mended(*tube(), **changes)
    assert (done.trees, done.bridges) == (2, [])
    told = [(b.reason, len(b.link.voxels)) for b in done.refused]
    # Wide gaps are told too, as far as they lie in the reach of the search.
    assert told == ([(TOO_UNLIKELY, 4)] if "min_bridge_probability" in changes else told)
    assert changes != {"max_bridge_mm": 4.9} or told == [(TOO_LONG, 4)]


def roots_of(*roots: tuple[int, int, int], **changes: Any) -> Mended:
    return mended(*tube(), roots=roots, **changes)


def test_a_tree_grows_from_each_root() -> None:
    joined, apart = roots_of((0, 6, 6)), roots_of((0, 6, 6), (39, 6, 6))
    assert (joined.trees, len(joined.bridges)) == (1, 1)
    assert (apart.trees, apart.bridges, [b.reason for b in apart.refused]) == (2, [], [TWO_ROOTS])
    # What no root reaches goes, however heavy it is.
    alone = roots_of((0, 6, 6), max_bridge_mm=1.0)
    assert (alone.trees, [part.kind for part in alone.removed]) == (1, ["component"])
    assert alone.labels[0, 6, 6] == LUMEN
    assert not alone.labels[22:].any()
    assert roots_of((0, 6, 6), (3, 6, 6)).trees == 1


def torus(thin: float) -> np.ndarray:
    """A ring of radius 10 whose tube is 3.2 voxels thick, and `thin` at one place."""
    x = np.indices((29, 29, 9)) - np.array([14, 14, 4])[:, None, None, None]
    angle = np.arctan2(x[1], x[0])
    radius = 3.2 - (3.2 - thin) * np.exp(-(angle**2) / 0.1)
    return (np.hypot(x[0], x[1]) - 10) ** 2 + x[2] ** 2 <= radius**2


def test_a_loop_is_cut_where_it_is_thinnest() -> None:
    ring = torus(1.6)
    assert betti_numbers(ring) == (1, 1, 0)
    kept = mended(np.where(ring, 0.9, 0.1), ring)
    assert (kept.labels == ring).all()
    done = mended(np.where(ring, 0.9, 0.1), ring, loops=False)
    assert betti_numbers(done.labels > 0) == (1, 0, 0)
    (cut,) = done.removed
    assert cut.kind == "cut"
    # One layer through the neck, which lies at angle 0.
    assert cut.voxels <= 3 * ring[24, 14].sum() + 9
    assert np.arctan2(cut.centre[1] - 14, cut.centre[0] - 14) == pytest.approx(0, abs=0.35)
    assert ((done.labels > 0) == break_loops(ring, np.ones(3))).all()


@settings(max_examples=60, deadline=None)
@given(damaged())
def test_without_loops_there_is_a_ball_in_each_component(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    _, mask, spacing = case
    left = break_loops(mask, spacing)
    before, after = betti_numbers(mask), betti_numbers(left)
    assert (left <= mask).all()
    assert after.components == before.components
    assert after.tunnels == 0
    if not before.tunnels:
        assert (left == mask).all()
    else:
        assert after.cavities == 0
        # Nothing more could stay: each voxel that was cut would close a loop, or enclose something, again.
        for voxel in np.argwhere(mask & ~left)[:10]:
            again = left.copy()
            again[tuple(voxel)] = True
            assert betti_numbers(again) != (after.components, 0, 0)


def test_two_trees_asked_for_stay_two() -> None:
    done = mended(*tube(), trees=2)
    assert (done.trees, done.bridges) == (2, [])


def test_speck_far_away_goes_and_is_listed() -> None:
    probability, mask = tube(gap=slice(0, 0))
    mask[30, 0, 0] = True
    done = mended(probability, mask)
    assert [part.voxels for part in done.removed] == [1]
    assert done.removed[0].centre.tolist() == [30, 0, 0]
    assert done.labels[30, 0, 0] == 0


def test_a_bridge_must_bring_in_what_it_invents() -> None:
    probability, mask = tube(gap=slice(0, 0))
    probability[20, 9:13, 6] = 0.4
    mask[20, 12, 6] = True
    assert mended(probability, mask).bridges == []
    mask[20:23, 12, 5:7] = True
    assert len(mended(probability, mask).bridges) == 1


def test_corner_contact_becomes_a_face_under_its_own_label() -> None:
    mask = np.zeros((8, 8, 8), bool)
    mask[:4, :4, :4] = mask[4:, 4:, 4:] = True
    done = mended(np.where(mask, 0.9, 0.2), mask, min_size_mm3=1.0)
    assert (done.trees, done.face_parts) == (1, 1)
    assert [(b.kind, len(b.link.voxels)) for b in done.bridges] == [("contact", 2)]
    assert (done.labels == FILLED).sum() == 2
    assert mended(np.where(mask, 0.9, 0.2), mask, min_size_mm3=1.0, faces=False).face_parts == 2


def test_island_in_a_cavity_is_no_tree() -> None:
    mask = np.ones((9, 9, 9), bool)
    mask[2:7, 2:7, 2:7] = False
    mask[4, 4, 4] = True
    done = mended(np.where(mask, 0.9, 0.1), mask, min_size_mm3=0.0)
    assert (done.trees, done.cavity_voxels, done.removed) == (1, 124, [])
    assert (fill_cavities(mask) == (done.labels > 0)).all()


def test_spacing_decides_which_way_is_shortest() -> None:
    mask = np.zeros((9, 9, 3), bool)
    mask[4, 4, 1] = mask[4, 0, 1] = mask[0, 4, 1] = True
    links = cheapest_links(
        label_components(mask)[0],
        negative_log(np.full(mask.shape, 0.5), 1e-6),
        ~mask,
        np.array([1.0, 3.0, 1.0]),
        np.inf,
    )
    lengths = [link.length_mm(np.array([1.0, 3.0, 1.0])) for link in links]
    assert lengths[:2] == pytest.approx([4.0, 12.0])


def as_artifacts(probability: np.ndarray, mask: np.ndarray, spacing: float = 1.0) -> tuple[Image, LabelMap]:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [10.0, -20.0, 5.0]
    return Image(probability.astype(np.float32), affine), LabelMap(mask.astype(np.uint8), affine)


def test_tables_are_in_world_mm() -> None:
    ctx = Context()
    probability, mask = tube()
    mask[30, 0, 0] = True
    done = repair(*as_artifacts(probability, mask, 0.5), ctx=ctx)
    (row,) = done.bridges.rows()
    assert (row["start_x_mm"], row["end_x_mm"]) == (10 + 17 * 0.5, 10 + 22 * 0.5)
    assert row["gap_mm"] == row["length_mm"] == pytest.approx(2.5)
    assert row["mean_neg_log_p"] == pytest.approx(-np.log(0.3), rel=1e-6)
    assert row["cost_mm"] == pytest.approx(0.5 * 4 * -np.log(0.3), rel=1e-6)
    (gone,) = done.removed.rows()
    assert (gone["x_mm"], gone["y_mm"], gone["z_mm"]) == (25.0, -20.0, 5.0)
    assert gone["volume_mm3"] == pytest.approx(0.125)
    assert done.repaired.labels == {1: "lumen", 2: "bridge", 3: "filled"}
    assert {"trees", "bridges", "components-removed"} <= set(ctx.findings.codes())


def test_refused_bridges_are_in_world_mm() -> None:
    ctx = Context()
    done = repair(*as_artifacts(*tube(), 0.5), min_bridge_probability=0.5, min_size_mm3=1.0, ctx=ctx)
    assert len(done.bridges) == 0
    (row,) = done.refused.rows()
    assert (row["reason"], row["gap_mm"]) == (TOO_UNLIKELY, 2.5)
    assert (row["start_x_mm"], row["end_x_mm"]) == (10 + 17 * 0.5, 10 + 22 * 0.5)
    assert row["probability"] == pytest.approx(0.3, rel=1e-6)
    assert "bridges-refused" in ctx.findings.codes()


def test_roots_are_world_mm() -> None:
    probability, mask = as_artifacts(*tube(), 0.5)
    done = repair(probability, mask, roots_mm=((29.5, -17.0, 8.0),), max_bridge_mm=0.0)
    assert done.repaired.data[22:, 6, 6].all()
    assert not done.repaired.data[:22].any()
    with pytest.raises(InputError, match=r"root at \(0.0, 0.0, 0.0\) mm lies .* mm from the lumen"):
        repair(probability, mask, roots_mm=((0.0, 0.0, 0.0),))
    with pytest.raises(SettingsError, match="the one or the other"):
        repair(probability, mask, roots_mm=((29.5, -17.0, 8.0),), trees=1)


def test_too_few_components_is_a_finding() -> None:
    ctx = Context()
    repair(*as_artifacts(*tube()), trees=5, ctx=ctx)
    assert "too-few-trees" in ctx.findings.codes()


def test_refusals() -> None:
    probability, mask = as_artifacts(*tube())
    with pytest.raises(InputError, match="empty"):
        repair(probability, LabelMap(np.zeros(mask.shape, np.uint8), mask.affine))
    with pytest.raises(InputError, match="a probability is 0 to 1"):
        repair(Image(probability.data * 2, probability.affine), mask)
    with pytest.raises(InputError, match="affines"):
        repair(Image(probability.data, np.eye(4)), mask)
    with pytest.raises(SettingsError, match="trees"):
        repair(probability, mask, trees=0)


class TestContract(StageContract):
    name = "segmentation.repair"

    def make_inputs(self) -> Mapping[str, Any]:
        probability, mask = as_artifacts(*tube())
        return {"probability": probability, "segmentation": mask}
