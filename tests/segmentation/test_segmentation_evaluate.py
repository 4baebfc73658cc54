"""The stage segmentation.evaluate: overlap, rules for empty masks, classes, images, grids, findings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from segmentation.lumens import draw, fork
from voxfield.artifacts import LabelMap
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.segmentation import evaluate
from voxfield.segmentation.metrics._overlap import overlap
from voxfield.testing import StageContract

SPACING = np.array([0.5, 0.7, 1.2])


def blobs(seed: int, shape: tuple[int, int, int] = (24, 20, 16)) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2) > 0.02


def metrics(prediction: np.ndarray, reference: np.ndarray, **settings: Any) -> dict[str, Any]:
    affine = np.diag([*SPACING, 1])
    unannotated = 255 if (reference == 255).any() else None
    pair = (
        LabelMap(prediction.astype(np.uint8), affine),
        LabelMap(reference.astype(np.uint8), affine, unannotated=unannotated),
    )
    return evaluate(*pair, **settings).metrics.values


@pytest.mark.parametrize("seed", [0, 1])
def test_overlap_as_in_scikit_learn(seed: int) -> None:
    ours, theirs = blobs(seed), blobs(seed + 10)
    found = overlap(ours, theirs, 0.5)
    flat = theirs.ravel(), ours.ravel()
    assert found["dice"] == pytest.approx(f1_score(*flat))
    assert found["precision"] == pytest.approx(precision_score(*flat))
    assert found["recall"] == pytest.approx(recall_score(*flat))
    assert found["leakage_ml"] == pytest.approx((ours & ~theirs).sum() * 0.5 / 1000)


def cross() -> np.ndarray:
    """Four arms of seven voxels along x and y that meet in one voxel."""
    thin = np.zeros((15, 15, 3), bool)
    thin[:, 7, 1] = thin[7, :, 1] = True
    return thin


def test_perfect_prediction() -> None:
    mask = draw(fork(), np.full(3, 0.8)).mask
    found = metrics(mask, mask)
    ones = ("dice", "precision", "recall", "cl_dice", "tree_length_detected", "branches_detected", "nsd")
    assert {name: found[name] for name in ones} == pytest.approx(dict.fromkeys(ones, 1.0))
    assert (found["hd95_mm"], found["assd_mm"], found["leakage_ml"]) == (0, 0, 0)
    assert found["betti_error"] == {"components": 0, "tunnels": 0, "cavities": 0}


def test_empty_masks_follow_the_written_rules() -> None:
    full, empty = cross(), np.zeros(cross().shape, bool)
    both = metrics(empty, empty)
    assert (both["dice"], both["cl_dice"], both["tree_length_detected"], both["hd95_mm"], both["nsd"]) == (
        1,
        1,
        1,
        0,
        1,
    )
    missed = metrics(empty, full)
    assert (missed["dice"], missed["recall"], missed["tree_length_detected"], missed["nsd"]) == (0, 0, 0, 0)
    assert missed["precision"] is None
    assert missed["hd95_mm"] is None
    invented = metrics(full, empty)
    assert (invented["dice"], invented["precision"], invented["cl_dice"]) == (0, 0, 0)
    assert invented["recall"] is None
    assert invented["tree_length_detected"] is None


def test_unannotated_voxels_count_for_nothing() -> None:
    ours, theirs = blobs(0), blobs(1)
    sparse = np.where(np.arange(16) % 4 == 0, theirs, 255)
    found = metrics(ours, sparse)
    assert found["dice"] == overlap(ours[..., ::4], theirs[..., ::4], 1.0)["dice"]
    assert found["hd95_mm"] is None
    assert found["betti_error"] is None


def test_topology_errors_are_counted() -> None:
    theirs = np.zeros((12, 12, 5), bool)
    theirs[1:11, 1:11, 1:4] = True
    ours = theirs.copy()
    ours[5, 5, 2] = False
    ours[3, 3, 1:4] = False
    found = metrics(ours, theirs)
    assert found["betti_error"] == {"components": 0, "tunnels": 1, "cavities": 1}


def test_finding_for_an_empty_mask_and_refusal_of_two_grids() -> None:
    ctx = Context()
    empty = LabelMap(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    evaluate(empty, empty, ctx=ctx)
    assert ctx.findings.codes().count("empty-mask") == 2
    with pytest.raises(InputError, match="affines"):
        evaluate(empty, LabelMap(np.zeros((4, 4, 4), np.uint8), np.diag([2.0, 1, 1, 1])))


def test_each_class_is_measured_like_a_mask_of_its_own() -> None:
    first, second = blobs(0), blobs(1)
    theirs = LabelMap(np.where(first, 1, 2 * second), np.diag([*SPACING, 1]), labels={1: "artery", 2: "vein"})
    ours = LabelMap(np.where(second, 2, 1 * first), np.diag([*SPACING, 1]), labels={1: "artery", 2: "vein"})
    found = evaluate(ours, theirs).metrics.values
    assert list(found["classes"]) == ["artery", "vein"]
    for value, name in theirs.labels.items():
        alone = metrics(ours.data == value, theirs.data == value)
        assert found["classes"][name] == {key: alone[key] for key in found["classes"][name]}
    assert found["dice"] == 1


def test_a_declared_class_that_nobody_has_follows_the_rules_for_empty_masks() -> None:
    names = {1: "artery", 2: "vein"}
    mask = LabelMap(cross().astype(np.uint8), np.eye(4), labels=names)
    found = evaluate(mask, mask).metrics.values["classes"]
    assert list(found) == ["artery", "vein"]
    assert (found["vein"]["dice"], found["vein"]["hd95_mm"], found["vein"]["nsd"]) == (1, 0, 1)


def test_a_bridge_is_no_class_where_the_reference_has_none() -> None:
    mask = cross().astype(np.uint8)
    bridged = mask.copy()
    bridged[7, 7, 1] = 2
    found = metrics(bridged, mask)
    assert found["dice"] == 1
    assert "classes" not in found


def test_one_label_with_two_names_is_told() -> None:
    ctx, data = Context(), np.where(blobs(0), 1, 2 * blobs(1))
    evaluate(
        LabelMap(data, np.eye(4), labels={1: "lumen", 2: "bridge"}),
        LabelMap(data, np.eye(4), labels={1: "lumen", 2: "vein"}),
        ctx=ctx,
    )
    assert ctx.findings.codes() == ["label-names-differ"]


def test_an_oblique_grid_changes_nothing() -> None:
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    oblique = np.eye(4)
    oblique[:3, :3] = turn * SPACING
    pair = [LabelMap(blobs(seed).astype(np.uint8), oblique) for seed in (0, 1)]
    straight = metrics(blobs(0), blobs(1))
    for name, value in evaluate(*pair).metrics.values.items():
        if isinstance(value, float):
            assert value == pytest.approx(straight[name]), name


def test_an_image_of_vessels() -> None:
    """A ring and a line of (x, y, 1): components and tunnels as in the plane, outlines for surfaces."""
    x, y = np.ogrid[:40, :40]
    radius = np.hypot(x - 20, y - 20)
    theirs = (radius > 8) & (radius < 12)
    theirs[2, :] = True
    ours = theirs.copy()
    ours[20:, 18:23] = False
    found = metrics(ours[..., None], theirs[..., None])
    assert found["betti_reference"] == {"components": 2, "tunnels": 1, "cavities": 0}
    assert found["betti_error"] == {"components": 0, "tunnels": 1, "cavities": 0}
    assert 0.9 < found["tree_length_detected"] < 1
    assert 0 < found["hd95_mm"] < 3


def test_the_challenge_counts_its_largest_component_without_cavities() -> None:
    theirs = np.zeros((24, 9, 40), bool)
    theirs[2:7, 2:7, 2:38] = True
    theirs[4, 4, 20] = False  # a cavity
    theirs[16, 4, 2:30] = True  # another component
    ours = theirs.copy()
    ours[16], ours[4, 4, 20] = False, True
    found = metrics(ours, theirs)
    assert found["atm22"] == {"tree_length_detected": 1, "branches_detected": 1, "branches_reference": 1}
    assert found["branches_reference"] > 1
    assert found["tree_length_detected"] < 1


class TestContract(StageContract):
    name = "segmentation.evaluate"

    def make_inputs(self) -> Mapping[str, Any]:
        affine = np.diag([*SPACING, 1])
        return {
            "prediction": LabelMap(blobs(0).astype(np.uint8), affine),
            "reference": LabelMap(blobs(1).astype(np.uint8), affine),
        }
