"""The widened skeleton of a label map, made once per scan.

Kirchhoff et al., "Skeleton Recall Loss", ECCV 2024 (arXiv 2404.03010): the skeleton of the foreground, dilated twice
with a cross and cut to the labels, is a tube two voxels wide that never leaves the mask.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxfield.segmentation.metrics._foreground import foreground
from voxfield.segmentation.tree._thinning import thin

WIDENINGS = 2  # voxels in the L1 norm


def tube(target: NDArray[np.uint8], unannotated: int) -> NDArray[np.uint8]:
    """Class index on the tube, 0 elsewhere.

    target       (x, y, z) class index, 0 is background
    unannotated  index of voxels that nobody looked at: no tube runs there
    """
    inside = (target > 0) & (target != unannotated)
    result = np.zeros_like(target)
    box = ndimage.find_objects(inside.astype(np.uint8))
    if not box:
        return result
    inside = inside[box[0]]
    skeleton = np.zeros_like(inside)
    skeleton[tuple(thin(foreground(inside)).T)] = True
    wide = ndimage.binary_dilation(skeleton, iterations=WIDENINGS)
    result[box[0]] = np.where(wide & inside, target[box[0]], 0)
    return result
