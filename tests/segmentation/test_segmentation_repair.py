"""What `segmentation.repair` guarantees, by property tests, and what it chooses, by hand cases."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from voxfield.artifacts import Image, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.segmentation import repair
from voxfield.segmentation.metrics._topology import betti_numbers, count_components, fill_cavities, label_components
from voxfield.segmentation.tree._mend import BRIDGE, FILLED, LUMEN, Mended, Rules, mend
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
)


@settings(max_examples=120, deadline=None)
@given(damaged(), rules)
def test_guarantees(case: tuple[np.ndarray, np.ndarray, np.ndarray], chosen: Rules) -> None:
    probability, mask, spacing = case
    mended = mend(probability, mask, spacing, chosen)
    result = mended.labels > 0
    found = betti_numbers(result)
    # Exactly the trees, no cavity.
    assert found.components == mended.trees >= 1
    assert found.cavities == 0
    # A component can be split by nothing, so the number asked for is met wherever there are so many.
    if chosen.trees:
        before = mend(probability, mask, spacing, chosen._replace(trees=None, max_bridge_mm=0, min_size_mm3=0))
        assert mended.trees == min(chosen.trees, before.trees)
    # Nothing is dropped, and nothing made up, without being told.
    assert ((mended.labels == LUMEN) == (mask & result)).all()
    assert int((mask & ~result).sum()) == sum(part.voxels for part in mended.removed)
    drawn = np.zeros(mask.shape, bool)
    for bridge in mended.bridges:
        drawn[tuple(bridge.link.voxels.T)] = True
    assert (drawn >= (mended.labels == BRIDGE)).all()
    assert int(((mended.labels == FILLED) & ~drawn).sum()) == mended.cavity_voxels
    # Parts that fluxes can not reach are counted.
    assert count_components(result, 6) == mended.face_parts >= mended.trees


@settings(max_examples=40, deadline=None)
@given(damaged(), rules)
def test_kept_components_are_kept_whole(case: tuple[np.ndarray, np.ndarray, np.ndarray], chosen: Rules) -> None:
    probability, mask, spacing = case
    result = mend(probability, mask, spacing, chosen).labels > 0
    parts, count = label_components(mask)
    for part in range(1, count + 1):
        assert result[parts == part].all() or not result[parts == part].any()


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
    if "min_bridge_probability" in changes:
        # Searched, but not worth a bridge.
        assert done.open_gaps == [] or done.open_gaps[0].probability < 0.31


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
