"""The cells between voxels: eight voxel centres each, their values the bits of a number 0..255.

Both the Euler characteristic and the surface of a mask are sums over these cells of a term that 256 numbers
tell in advance. Only cells that hold voxels of both kinds count: a full one contributes nothing to either.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxfield.segmentation.metrics._foreground import Foreground, Ints

Floats = NDArray[np.floating]

CORNERS = tuple(product((0, 1), repeat=3))
# (256, 2, 2, 2) values of the eight voxels by code.
VALUES = ((np.arange(256)[:, None] >> np.arange(8)) & 1).reshape(256, 2, 2, 2)


class Cells(NamedTuple):
    """The cells of a mask that are neither empty nor full.

    places  (m,) of their first voxel in the flat padded volume
    codes   (m,) uint8, bit k is the voxel at CORNERS[k]
    """

    places: Ints
    codes: NDArray[np.uint8]


def mixed_cells(mask: Foreground) -> Cells:
    """The cells on the border of the foreground."""
    codes = np.zeros(int(np.prod(mask.shape)), np.uint8)
    for bit, corner in enumerate(CORNERS):
        codes[mask.places - mask.step(corner)] |= np.uint8(1 << bit)
    codes += np.uint8(1)  # empty cells become 1 and full ones 0, so that one comparison tells both
    places = np.flatnonzero(codes > 1)
    return Cells(places, codes[places] - np.uint8(1))


def euler_characteristic(cells: Cells) -> int:
    """Vertices - edges + squares - cubes of the union of closed voxel cubes (26-connectivity)."""
    return int(np.bincount(cells.codes, minlength=256) @ _euler_terms()) // 8


def _euler_terms() -> Ints:
    """Eight times the share (256,) of a cell in the Euler characteristic.

    Its centre is a vertex of the grid, which belongs to the union if any of the eight voxels does. Half of each
    of six edges, a quarter of twelve squares and an eighth of eight cubes meet there; an edge belongs to the
    union if one of the four voxels around it does, and so on.
    """
    terms = 8 * VALUES.any(axis=(1, 2, 3)).astype(np.int64)
    for axis in range(3):
        others = tuple(a + 1 for a in range(3) if a != axis)
        terms -= 4 * VALUES.any(axis=others).sum(axis=1)
        terms += 2 * VALUES.any(axis=axis + 1).sum(axis=(1, 2))
    return np.asarray(terms - VALUES.sum(axis=(1, 2, 3)))


def surface_elements(mask: Foreground, cells: Cells, spacing: Floats) -> tuple[Floats, Floats]:
    """The surface of the foreground in pieces: middle (k, 3) in mm along the voxel axes, and area (k,) in mm^2.

    By the coarea formula the area is the integral of |grad u|; u interpolates the mask, and its gradient in the
    middle of a cell stands for the cell. Exact for planes along an axis or a diagonal plane of a grid of cubes.
    Along the axes where the mask is one voxel thick there is no surface: an image has outlines, and mm for mm^2.
    """
    gradient = np.zeros((256, 3))
    for axis in range(3):
        if axis not in mask.flat:
            mean = VALUES.mean(axis=tuple(a + 1 for a in range(3) if a != axis))
            gradient[:, axis] = (mean[:, 1] - mean[:, 0]) / spacing[axis]
    extent = np.prod([spacing[axis] for axis in range(3) if axis not in mask.flat])
    places, codes = cells
    for axis in mask.flat:
        # The voxels of the only layer lie above the first layer of cells: there they also stand for those below.
        layer = (places // mask.step(np.eye(3, dtype=int)[axis])) % mask.shape[axis] == 0
        bits = [bit for bit, corner in enumerate(CORNERS) if corner[axis]]
        places, codes = places[layer], codes[layer]
        for bit in bits:
            codes = codes | ((codes >> bit & 1) << (bit - (4, 2, 1)[axis])).astype(np.uint8)
    area = np.linalg.norm(gradient, axis=1)[codes] * extent
    there = area > 0
    middle = mask.voxels(places[there]) + 0.5
    middle[:, list(mask.flat)] = 0
    return middle * spacing, area[there]
