"""A domain from the voxels of a mask: neighbours share a face, so that vessels that only come near do not mix.

The space is flat and all of it is tangent: frames are the world axes, transport is the identity. For a velocity without
divergence and with walls there is `fields.reconstruct`; this is for scalars, and for vectors that know no such law.
"""

from __future__ import annotations

import numpy as np

from voxfield.artifacts import LabelMap
from voxfield.errors import InputError
from voxfield.fields.manifold._domain import Domain


def from_mask(mask: LabelMap) -> Domain:
    """Domain of the foreground voxels of a mask in C order, mm in the world."""
    inside = np.asarray(mask.data) > 0
    voxels = np.argwhere(inside)
    if not len(voxels):
        raise InputError("no foreground; expected the voxels that a field lives on", file=mask.file)
    number = np.full(inside.shape, -1, dtype=np.int64)
    number[inside] = np.arange(len(voxels))
    pairs, weights = [], []
    spacing = np.asarray(mask.grid.spacing, dtype=np.float64)
    volume = float(np.prod(spacing))
    for axis in range(3):
        near, far = np.moveaxis(number, axis, 0)[:-1].ravel(), np.moveaxis(number, axis, 0)[1:].ravel()
        joined = (near >= 0) & (far >= 0)
        pairs.append(np.stack([near[joined], far[joined]], axis=1))
        weights.append(np.full(int(joined.sum()), volume / spacing[axis] ** 2))
    count, edges = len(voxels), np.concatenate(pairs)
    if not len(edges):
        raise InputError(
            f"no two of its {count} foreground voxels share a face; expected a region that a field can spread in",
            file=mask.file,
        )
    frames = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
    mass, error = np.full(count, volume), np.zeros(count)
    return Domain(mask.grid.world(voxels), frames, edges, np.concatenate(weights), mass, error)
