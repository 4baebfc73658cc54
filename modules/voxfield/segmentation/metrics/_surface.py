"""Distances between the surfaces of two masks: HD95, average symmetric distance and surface Dice, in mm.

HD95 and the average take a surface as the set of foreground voxels with a background voxel across a face (outside
the volume is background), placed at their centres. With d(P -> R) the distances of the points of P to the nearest
of R:

    HD95 = max(percentile95 d(P -> R), percentile95 d(R -> P))                      Huttenlocher et al. 1993
    ASSD = mean of both sets together

as MONAI's `compute_hausdorff_distance(percentile=95)` and `compute_average_surface_distance(symmetric=True)`.
Surface Dice (Nikolov et al. 2018, arXiv 1809.04430) is a share of area, which voxels do not have: it takes the
surface as elements between the voxels, each with its area in mm^2 (`_cells.surface_elements`):

    NSD  = area of both surfaces within the tolerance of the other / area of both

The paper's code has the same elements and takes their area from marching cubes. Along an axis where the mask is
one voxel thick nothing is a surface, so that an image (x, y, 1) has outlines. A k-d tree in place of distance
transforms makes the cost follow the surface and not the volume. It prunes nothing where points are far and all about
as far, as in a mask that has nothing to do with its reference (7 ms a point, measured): many such points are looked up
in a distance transform.

Empty masks: both empty is distance 0 and NSD 1; one empty has no distance (None) and NSD 0.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from voxfield.segmentation.metrics._cells import Cells, Floats, surface_elements
from voxfield.segmentation.metrics._foreground import Foreground

FAR = 10.0  # voxel edges, beyond which a point counts as far
MANY = 200  # far points that a tree is still asked for


def voxel_surface(mask: Foreground, spacing: Floats) -> Floats:
    """Centres (k, 3) in mm along the voxel axes of the voxels that have a background voxel across a face."""
    solid = mask.solid()
    inner = np.ones(len(mask.places), bool)
    for axis in range(3):
        if axis not in mask.flat:
            step = mask.step(np.eye(3, dtype=int)[axis])
            inner &= solid[mask.places - step] & solid[mask.places + step]
    return np.asarray(mask.voxels(mask.places[~inner]) * spacing)


def surface_distances(prediction: Foreground, reference: Foreground, spacing: Floats) -> dict[str, float | None]:
    """HD95 and average distance in mm of two masks on one grid."""
    if not len(prediction.places) or not len(reference.places):
        distance = 0.0 if len(prediction.places) == len(reference.places) else None
        return {"hd95_mm": distance, "assd_mm": distance}
    ours, theirs = voxel_surface(prediction, spacing), voxel_surface(reference, spacing)
    forth, back = _nearest(ours, theirs, spacing), _nearest(theirs, ours, spacing)
    return {
        "hd95_mm": float(max(np.percentile(forth, 95), np.percentile(back, 95))),
        "assd_mm": float(np.concatenate([forth, back]).mean()),
    }


def surface_dice(
    prediction: tuple[Foreground, Cells], reference: tuple[Foreground, Cells], spacing: Floats, tolerance_mm: float
) -> float:
    """NSD in 0..1 of two masks on one grid, given the cells of each."""
    sides = [surface_elements(mask, cells, spacing) for mask, cells in (prediction, reference)]
    if not len(sides[0][0]) or not len(sides[1][0]):
        return float(len(sides[0][0]) == len(sides[1][0]))
    # Distances are sums of squares of products: a tolerance that equals one must not fail by round-off.
    within = np.concatenate([_within(a[0], b[0], tolerance_mm * (1 + 1e-9)) for a, b in (sides, sides[::-1])])
    area = np.concatenate([sides[0][1], sides[1][1]])
    return float(area[within].sum() / area.sum()) if not within.all() else 1.0


def _within(ours: Floats, theirs: Floats, limit: float) -> NDArray[np.bool_]:
    """Which of our points (n, 3) have one of theirs (m, 3) at most `limit` away."""
    nearest, _ = cKDTree(theirs).query(ours, distance_upper_bound=np.nextafter(limit, np.inf))
    return np.asarray(np.isfinite(nearest))


def _nearest(ours: Floats, theirs: Floats, spacing: Floats) -> Floats:
    """Distance (n,) in mm of each of our voxel centres (n, 3) to the nearest of theirs (m, 3)."""
    tree = cKDTree(theirs)
    distance = np.asarray(tree.query(ours, distance_upper_bound=FAR * spacing.max())[0])
    far = ~np.isfinite(distance)
    look_up = _transformed if far.sum() > MANY else lambda points, *_: tree.query(points)[0]
    if far.any():
        distance[far] = look_up(ours[far], theirs, spacing)
    return distance


def _transformed(ours: Floats, theirs: Floats, spacing: Floats) -> Floats:
    """The same for many far points, by a distance transform of the box of both."""
    import edt

    there, asked = (np.rint(points / spacing).astype(np.intp) for points in (theirs, ours))
    low = np.minimum(there.min(axis=0), asked.min(axis=0))
    high = np.maximum(there.max(axis=0), asked.max(axis=0))
    away = np.ones(high - low + 1, np.uint8)
    away[tuple((there - low).T)] = 0
    return np.asarray(edt.edt(away, anisotropy=tuple(spacing))[tuple((asked - low).T)], np.float64)
