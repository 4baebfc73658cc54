"""Tree metrics of airway and vessel segmentation, in mm.

ATM'22 (Zhang et al., Medical Image Analysis 90, 2023) defines the tree length detected as the share of the
reference skeleton that the prediction covers, and the branches detected as the share of skeleton branches
covered to at least 80 %. Its code counts voxels; here every skeleton voxel stands for the half of each of its
edges in a minimum spanning tree of the skeleton, in mm, so anisotropic voxels count right. Its code also
drops to the largest component first and so loses branches of either side; nothing is dropped here. Branches
follow its code: skeleton voxels with more than three skeleton voxels in their 27-box (themselves included)
are removed, what is left is labelled with 26-connectivity, and pieces under five voxels are no branches.

clDice (Shit et al., CVPR 2021): harmonic mean of the share of the predicted skeleton inside the reference
(topology precision) and of the reference skeleton inside the prediction (topology sensitivity), by voxels as
published.

Empty masks: both empty gives 1; with an empty reference nothing can be detected (None); with an empty
prediction 0.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from voxfield.segmentation.metrics._overlap import ratio
from voxfield.segmentation.metrics._topology import Mask
from voxfield.segmentation.tree._skeleton import Floats, Ints, adjacency, edge_lengths, spanning_edges

COVERED_SHARE = 0.8
FEWEST_VOXELS = 5
MOST_NEIGHBOURS = 3


def cl_dice(prediction: Mask, reference: Mask, skeleton_p: Mask, skeleton_r: Mask) -> dict[str, float | None]:
    """clDice with its two parts; all arguments (x, y, z) bool."""
    empty = not prediction.any() and not reference.any()
    precision = ratio(float((skeleton_p & reference).sum()), float(skeleton_p.sum()), empty)
    sensitivity = ratio(float((skeleton_r & prediction).sum()), float(skeleton_r.sum()), empty)
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


def branch_labels(voxels: Ints) -> tuple[Ints, int]:
    """ATM'22 branch (n,) of each skeleton voxel (n, 3), 0 for none; and the number of branches."""
    pairs = adjacency(voxels)
    crowd = 1 + np.bincount(pairs.ravel(), minlength=len(voxels))
    keep = crowd <= MOST_NEIGHBOURS
    pairs = pairs[keep[pairs].all(axis=1)]
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(voxels),) * 2)
    _, pieces = connected_components(graph, directed=False)
    large = keep & (np.bincount(pieces)[pieces] >= FEWEST_VOXELS) if len(voxels) else keep
    labels = np.zeros(len(voxels), np.int64)
    names, labels[large] = np.unique(pieces[large], return_inverse=True)
    labels[large] += 1
    return labels, len(names)


def tree_detection(prediction: Mask, skeleton_r: Mask, spacing: Floats) -> dict[str, float | int | None]:
    """Tree length and branches of the reference skeleton that the prediction covers, shares in 0..1."""
    voxels = np.argwhere(skeleton_r)
    lengths = voxel_lengths(voxels, spacing)
    covered = prediction[tuple(voxels.T)]
    names, branches = branch_labels(voxels)
    whole = np.bincount(names, lengths, minlength=branches + 1)[1:]
    found = np.bincount(names, lengths * covered, minlength=branches + 1)[1:]
    detected = int(np.count_nonzero(found >= COVERED_SHARE * whole * (1 - 1e-9)))
    empty = not skeleton_r.any() and not prediction.any()
    return {
        "tree_length_detected": ratio(float(lengths @ covered), float(lengths.sum()), empty),
        "tree_length_reference_mm": float(lengths.sum()),
        "branches_detected": ratio(detected, branches, empty),
        "branches_reference": branches,
    }
