"""How much of the reference's tree was found: clDice, tree length and branches.

ATM'22 (Zhang et al., Medical Image Analysis 90, 2023): the tree length detected is the share of the reference
skeleton inside the prediction, and a branch is detected where at least 80 % of its skeleton is. The challenge
counts voxels, of the largest component of the reference (connected by 6, cavities filled); here every component
counts, and a skeleton voxel counts for half of each of its edges in a minimum spanning tree of the skeleton, in mm,
so that lengths hold on any grid. The challenge's own figures stand beside, under `atm22`. Branches and generations
are those of `_branches` in both.

clDice (Shit et al., CVPR 2021): harmonic mean of the share of the predicted skeleton inside the reference
(topology precision) and of the reference skeleton inside the prediction (topology sensitivity), by voxels as
published.

Empty masks: both empty gives 1; with an empty reference nothing can be detected (None); with an empty prediction
0. A reference without a branch of five voxels has none to detect (None). A generation that the reference does not
have has no row.
"""

from typing import Any

import numpy as np

from voxfield.segmentation.metrics._branches import Branches
from voxfield.segmentation.metrics._foreground import Ints, Mask
from voxfield.segmentation.metrics._overlap import ratio
from voxfield.segmentation.tree._skeleton import Floats, adjacency, edge_lengths, spanning_edges

COVERED_SHARE = 0.8


def cl_dice(prediction: Mask, reference: Mask, skeleton_p: Ints, skeleton_r: Ints) -> dict[str, float | None]:
    """clDice with its two parts; masks (x, y, z), the voxels (n, 3) of their skeletons."""
    empty = not len(skeleton_p) and not len(skeleton_r)
    precision = ratio(float(reference[tuple(skeleton_p.T)].sum()), len(skeleton_p), empty)
    sensitivity = ratio(float(prediction[tuple(skeleton_r.T)].sum()), len(skeleton_r), empty)
    if precision is None or sensitivity is None:
        score: float | None = 0.0
    else:
        score = 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0
    return {"cl_dice": score, "topology_precision": precision, "topology_sensitivity": sensitivity}


def voxel_lengths(voxels: Ints, spacing: Floats) -> Floats:
    """Centerline length (n,) in mm that each skeleton voxel (n, 3) stands for."""
    pairs = adjacency(voxels)
    lengths = np.zeros(len(voxels))
    if len(pairs):
        edges = spanning_edges(len(voxels), pairs, edge_lengths(voxels, pairs, spacing))
        half = edge_lengths(voxels, edges, spacing) / 2
        np.add.at(lengths, edges.ravel(), np.repeat(half, 2))
    return lengths


def tree_detection(tree: Branches, covered: Mask, spacing: Floats, both_empty: bool) -> dict[str, Any]:
    """Tree length and branches of the reference that the prediction covers, in all and by generation.

    covered  (n,) whether each voxel of the reference's skeleton is in the prediction
    """
    lengths = voxel_lengths(tree.skeleton, spacing)
    detected = detected_branches(tree, covered, lengths)
    return {
        "tree_length_detected": ratio(float(lengths @ covered), float(lengths.sum()), both_empty),
        "tree_length_reference_mm": float(lengths.sum()),
        "branches_detected": ratio(int(detected.sum()), len(detected), both_empty),
        "branches_reference": len(detected),
        "generations": _by_generation(tree, detected, covered, lengths),
    }


def atm22(tree: Branches, covered: Mask, both_empty: bool) -> dict[str, Any]:
    """The challenge's figures, by voxels, of a tree that is the largest component of the reference."""
    each = np.ones(len(covered))
    detected = detected_branches(tree, covered, each)
    return {
        "tree_length_detected": ratio(float(covered.sum()), len(covered), both_empty),
        "branches_detected": ratio(int(detected.sum()), len(detected), both_empty),
        "branches_reference": len(detected),
    }


def detected_branches(tree: Branches, covered: Mask, lengths: Floats) -> Mask:
    """Whether each branch (b,) is covered to at least 80 % of its length; lengths (n,) of skeleton voxels."""
    if not len(tree.generation):
        return np.zeros(0, bool)
    whole = np.bincount(tree.branch, lengths, minlength=len(tree.generation))
    found = np.bincount(tree.branch, lengths * covered, minlength=len(tree.generation))
    return np.asarray(found >= COVERED_SHARE * whole * (1 - 1e-9))


def _by_generation(tree: Branches, detected: Mask, covered: Mask, lengths: Floats) -> dict[str, Any]:
    rows = {}
    for generation in np.unique(tree.generation).tolist():
        branches = tree.generation == generation
        inside = branches[tree.branch]
        whole = float(lengths[inside].sum())
        rows[str(generation)] = {
            "length_mm": whole,
            "length_detected": ratio(float(lengths[inside] @ covered[inside]), whole, False),
            "branches": int(branches.sum()),
            "branches_detected": ratio(int(detected[branches].sum()), int(branches.sum()), False),
        }
    return rows
