"""Metrics of masks: hand cases, MONAI as oracle for surfaces, rules for empty masks, the stage."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score, precision_score, recall_score

from segmentation.lumens import draw, fork
from voxfield.artifacts import LabelMap
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.segmentation import evaluate
from voxfield.segmentation.metrics._overlap import overlap
from voxfield.segmentation.metrics._surface import surface_distances
from voxfield.segmentation.metrics._tree import branch_labels, cl_dice, tree_detection, voxel_lengths
from voxfield.segmentation.tree._skeleton import skeletonise
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


def test_surface_distances_as_in_monai() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from monai.metrics import (
            compute_average_surface_distance,
            compute_hausdorff_distance,
            compute_surface_dice,
        )

    for seed in range(3):
        ours, theirs = np.pad(blobs(seed), 2), np.pad(blobs(seed + 10), 2)
        found = surface_distances(ours, theirs, SPACING, 1.0)
        pair = [torch.tensor(np.stack([~m, m])[None].astype(np.float32)) for m in (ours, theirs)]
        spacing = SPACING.tolist()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hd95 = compute_hausdorff_distance(*pair, percentile=95, spacing=spacing).item()
            assd = compute_average_surface_distance(*pair, symmetric=True, spacing=spacing).item()
            nsd = compute_surface_dice(*pair, class_thresholds=[1.0], spacing=spacing).item()
        # MONAI computes in single precision.
        assert found["hd95_mm"] == pytest.approx(hd95, rel=1e-4)
        assert found["assd_mm"] == pytest.approx(assd, rel=1e-4)
        assert found["nsd"] == pytest.approx(nsd, rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(arrays(bool, (5, 4, 6)), arrays(bool, (5, 4, 6)))
def test_surface_distances_are_symmetric(ours: np.ndarray, theirs: np.ndarray) -> None:
    forth = surface_distances(ours, theirs, SPACING, 0.8)
    assert forth == pytest.approx(surface_distances(theirs, ours, SPACING, 0.8))
    assert 0 <= (forth["nsd"] or 0) <= 1


def test_two_slabs_have_the_distance_between_them() -> None:
    ours, theirs = np.zeros((2, 12, 10, 10), bool)
    ours[2], theirs[7] = True, True
    found = surface_distances(ours, theirs, SPACING, 2.49)
    assert found == pytest.approx({"hd95_mm": 2.5, "assd_mm": 2.5, "nsd": 0.0})
    assert surface_distances(ours, theirs, SPACING, 2.5)["nsd"] == 1.0


def test_length_of_a_straight_and_an_oblique_line_in_mm() -> None:
    straight = np.stack([np.zeros(9), np.zeros(9), np.arange(9)], axis=1).astype(np.int64)
    oblique = np.repeat(np.arange(5)[:, None], 3, axis=1)
    assert voxel_lengths(straight, SPACING).sum() == pytest.approx(8 * 1.2)
    assert voxel_lengths(oblique, SPACING).sum() == pytest.approx(4 * np.linalg.norm(SPACING))


def cross() -> np.ndarray:
    """Four arms of seven voxels along x and y that meet in one voxel."""
    thin = np.zeros((15, 15, 3), bool)
    thin[:, 7, 1] = thin[7, :, 1] = True
    return thin


def test_branches_of_a_cross() -> None:
    labels, count = branch_labels(np.argwhere(cross()))
    # The centre and its four neighbours have more than three voxels in their box.
    assert count == 4
    assert np.bincount(labels).tolist() == [5, 6, 6, 6, 6]


def test_tree_length_and_branches_detected_count_mm() -> None:
    thin, spacing = cross(), np.array([1.0, 3.0, 1.0])
    prediction = thin.copy()
    prediction[7, 8:] = False  # one arm of 7 steps of 3 mm; the half of the first step stays with the centre
    found = tree_detection(prediction, thin, spacing)
    assert found["tree_length_reference_mm"] == pytest.approx(14 + 42)
    assert found["tree_length_detected"] == pytest.approx(1 - 19.5 / 56)
    assert found["branches_detected"] == pytest.approx(3 / 4)


def test_branch_is_detected_from_80_percent_on() -> None:
    thin = np.zeros((3, 3, 11), bool)
    thin[1, 1] = True  # every voxel 1 mm but the two ends with a half
    for missing, detected in ((2, 1.0), (3, 0.0)):
        prediction = thin.copy()
        prediction[1, 1, :missing] = False
        assert tree_detection(prediction, thin, np.ones(3))["branches_detected"] == detected


def test_cl_dice_by_hand() -> None:
    thin = cross()
    half = thin.copy()
    half[8:] = False
    found = cl_dice(half, thin, half, thin)
    assert found["topology_precision"] == 1.0
    assert found["topology_sensitivity"] == pytest.approx(22 / 29)
    assert found["cl_dice"] == pytest.approx(2 * (22 / 29) / (1 + 22 / 29))


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


def test_skeleton_of_nothing_is_nothing() -> None:
    assert not skeletonise(np.zeros((4, 4, 4), bool)).any()


class TestContract(StageContract):
    name = "segmentation.evaluate"

    def make_inputs(self) -> Mapping[str, Any]:
        affine = np.diag([*SPACING, 1])
        return {
            "prediction": LabelMap(blobs(0).astype(np.uint8), affine),
            "reference": LabelMap(blobs(1).astype(np.uint8), affine),
        }
