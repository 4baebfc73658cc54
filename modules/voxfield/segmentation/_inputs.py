"""What a network sees of a scan besides its intensities.

AirwayNet (Qin et al., MICCAI 2019, arXiv 1907.06852) tells the network where in the body a voxel lies: its distance
to the surface of the lung, and its coordinates. Any architecture may be given them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfield.errors import InputError
from voxfield.segmentation._preprocess import Frame
from voxfield.segmentation._settings import Extra

DEPTH_MM = 30.0  # depths in the lung are told in these units, so that the channel is of order one


def of_scan(
    intensities: NDArray[np.float32], frame: Frame, extras: Sequence[Extra], lung: NDArray[np.integer] | None
) -> list[Tensor]:
    """The channels of a scan on the model's grid, each (x, y, z).

    intensities  (x, y, z) normalised, on the scan's own grid or a box of it
    lung         (x, y, z) on the same grid; needed for "lung_distance"
    """
    found = [frame.to_model(torch.from_numpy(intensities))]
    for extra in extras:
        if extra == "coordinates":
            found += coordinates(found[0].shape)
        elif lung is None:
            raise InputError("the network wants to know the lung, but none is given; `segmentation.lung` makes one")
        else:
            mask = frame.labels_to_model(torch.from_numpy(lung > 0))
            found.append(torch.from_numpy(lung_distance(mask.numpy(), frame.spacing)))
    return found


def coordinates(shape: Sequence[int]) -> list[Tensor]:
    """Where a voxel lies along x, y and z, from -1 to 1: three views (x, y, z) that take no memory."""
    views = []
    for axis, n in enumerate(shape):
        line = torch.linspace(-1, 1, n).view([-1 if a == axis else 1 for a in range(3)])
        views.append(line.expand(*shape))
    return views


def lung_distance(lung: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float32]:
    """Signed distance to the surface of the lung in units of 30 mm, positive inside, within [-1, 2].

    lung     (x, y, z)
    spacing  (3,) mm
    """
    import edt

    if not lung.any():
        return np.full(lung.shape, -1, dtype=np.float32)
    signed = edt.sdf(np.ascontiguousarray(lung), anisotropy=tuple(map(float, spacing)), black_border=False)
    return np.asarray(np.clip(signed / DEPTH_MM, -1, 2), dtype=np.float32)
