"""Distances between the surfaces of two masks: HD95, average symmetric distance, normalised surface Dice.

A surface is the set of foreground voxels with a background voxel across a face (outside the volume is
background), placed at their centres in mm. With d(P -> R) the distances of the points of P to the nearest of
R:

    HD95 = max(percentile95 d(P -> R), percentile95 d(R -> P))                      Huttenlocher et al. 1993
    ASSD = mean of both sets together
    NSD  = share of both sets within a tolerance                                     Nikolov et al. 2018

The same definitions as MONAI's `compute_hausdorff_distance(percentile=95)`,
`compute_average_surface_distance(symmetric=True)` and `compute_surface_dice(use_subvoxels=False)`, which the
tests use as oracles; a k-d tree replaces the distance transforms, so that the cost follows the surface and
not the volume.

Empty masks: both empty is distance 0 and NSD 1; one empty has no distance (None) and NSD 0.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from voxfield.segmentation.metrics._topology import Mask, bounding_box

Points = NDArray[np.floating]


def surface_points(mask: Mask, spacing: Points) -> Points:
    """Centres (n, 3) in mm along the voxel axes of the voxels that have a background voxel across a face."""
    if not mask.any():
        return np.zeros((0, 3))
    box = bounding_box(mask)
    inside = mask[box]
    edge = inside & ~binary_erosion(inside)
    origin = np.array([s.start for s in box])
    return np.asarray((np.argwhere(edge) + origin) * spacing)


def surface_distances(
    prediction: Mask, reference: Mask, spacing: Points, tolerance_mm: float
) -> dict[str, float | None]:
    """HD95 and average distance in mm, NSD in 0..1, of two (x, y, z) bool arrays on one grid."""
    ours, theirs = surface_points(prediction, spacing), surface_points(reference, spacing)
    if not len(ours) or not len(theirs):
        agree = len(ours) == len(theirs)
        distance = 0.0 if agree else None
        return {"hd95_mm": distance, "assd_mm": distance, "nsd": float(agree)}
    forth = cKDTree(theirs).query(ours)[0]
    back = cKDTree(ours).query(theirs)[0]
    both = np.concatenate([forth, back])
    # Distances are sums of squares of products: a tolerance that equals one must not fail by round-off.
    within = both <= tolerance_mm * (1 + 1e-9)
    return {
        "hd95_mm": float(max(np.percentile(forth, 95), np.percentile(back, 95))),
        "assd_mm": float(both.mean()),
        "nsd": float(within.mean()),
    }
