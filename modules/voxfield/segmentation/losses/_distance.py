"""How far a voxel is from the other side of a boundary, in mm."""

import edt
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def distance_mm(
    member: NDArray[np.bool_], known: NDArray[np.bool_], spacing_mm: tuple[float, float, float], most_mm: float
) -> NDArray[np.float32]:
    """Distance of each known voxel to the nearest known voxel of the other side, centre to centre.

    member      (x, y, z) the structure
    known       (x, y, z) False where nobody annotated: such a voxel bounds nothing, and its own value is 0
    most_mm     larger distances, also that to a side which is not there, are this
    returns     (x, y, z) mm
    """
    inside, outside = member & known, ~member & known
    to_inside = edt.edt(~inside, anisotropy=spacing_mm, black_border=False)
    to_outside = edt.edt(~outside, anisotropy=spacing_mm, black_border=False)
    distance: NDArray[np.float32] = np.where(inside, to_outside, to_inside)
    return np.minimum(distance, np.float32(most_mm)) * known


def distances_mm(members: Tensor, known: Tensor, spacing_mm: tuple[float, float, float], most_mm: float) -> Tensor:
    """`distance_mm` of a batch, one structure a class.

    members  (b, c, x, y, z) bool
    known    (b, x, y, z) bool
    returns  (b, c, x, y, z) float32 on the same device, mm
    """
    masks, annotated = members.cpu().numpy(), known.cpu().numpy()
    found = [
        [distance_mm(mask, here, spacing_mm, most_mm) for mask in case]
        for case, here in zip(masks, annotated, strict=True)
    ]
    return torch.from_numpy(np.array(found)).to(members.device)
