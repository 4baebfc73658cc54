"""The lumen of an anatomy as an implicit function, its voxels, ends and fractions.

The level of a point is its distance to the nearest centerline point minus the radius there, the least over all
branches, rounded in the crotch of a bifurcation by the polynomial smooth minimum of Quilez (2013): zero on
circles of exactly the stated radius around every branch, negative inside.

Coordinates: mm in the box of the anatomy; voxel (i, j, k) of spacing h covers [i h, (i + 1) h) and so on.
Vessel ends are cut by planes between voxels, normal to z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from voxfield.phantoms._anatomy import BOX_MM, Anatomy, Branch

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]
Real = NDArray[np.float64]

OUTSIDE_MM = 50.0
"""Level of voxels that are far from every vessel."""
CROTCH_MM = 0.4
"""Reach of the rounding where branches meet."""


@dataclass(frozen=True)
class End:
    """An inlet or outlet.

    branch     whose end it is
    plane      of the cut: it lies between the voxels plane - 1 and plane
    outward    direction out of the vessel along z, 1 or -1
    center_mm  (3,)  where the centerline meets the plane
    """

    branch: int
    plane: int
    outward: int
    center_mm: Real
    radius_mm: float


def grid_shape(spacing_mm: float) -> tuple[int, int, int]:
    """Voxels that cover the box."""
    nx, ny, nz = (int(np.ceil(side / spacing_mm - 1e-9)) for side in BOX_MM)
    return nx, ny, nz


def cut_ends(anatomy: Anatomy, spacing_mm: float, inside: tuple[float, ...]) -> tuple[End, ...]:
    """Ends of the vessel, the inlet first.

    inside   for every end how far in front of the box face its cut lies, mm; 0 lets the vessel leave the field of view
    """
    tips = [(0, 0, -1), *((leaf, -1, 1) for leaf in anatomy.leaves)]
    ends = []
    for (index, at, outward), depth in zip(tips, inside, strict=True):
        branch = anatomy.branches[index]
        nz = grid_shape(spacing_mm)[2]
        plane = round(depth / spacing_mm) if outward < 0 else nz - round(depth / spacing_mm)
        z = plane * spacing_mm
        heights = branch.points[:, 2]
        center = np.array([np.interp(z, heights, branch.points[:, axis]) for axis in range(2)])
        radius = float(np.interp(z, heights, branch.radii))
        ends.append(End(index, plane, outward, np.append(center, z), radius if depth else float(branch.radii[at])))
    return tuple(ends)


def level_at(anatomy: Anatomy, points: Real) -> tuple[Real, Int]:
    """Level of points (n, 3) mm, and the branch that is nearest."""
    best = np.full(len(points), OUTSIDE_MM)
    owner = np.zeros(len(points), dtype=np.int64)
    for index, branch in enumerate(anatomy.branches):
        line, radii = _extended(branch, index == 0, index in anatomy.leaves)
        near = np.flatnonzero(_near(points, line, radii))
        if near.size == 0:
            continue
        value = _tube_level(points[near], line, radii)
        old = best[near]
        owner[near[value < old]] = index
        best[near] = _smooth_minimum(old, value)
    return best, owner


def _extended(branch: Branch, before: bool, after: bool) -> tuple[Real, Real]:
    """Centerline and radii, continued straight beyond the ends of the vessel."""
    points, radii = branch.points, branch.radii
    if before:
        points, radii = (
            np.vstack([2 * points[0] - points[40:0:-1], points]),
            np.concatenate([radii[:1].repeat(40), radii]),
        )
    if after:
        points = np.vstack([points, 2 * points[-1] - points[-2:-42:-1]])
        radii = np.concatenate([radii, radii[-1:].repeat(40)])
    return points, radii


def _near(points: Real, line: Real, radii: Real, margin: float = 2.6) -> Bool:
    """Points within `margin` mm of the boxes around short pieces of the line."""
    found = np.zeros(len(points), dtype=bool)
    for start in range(0, len(line) - 1, 24):
        piece = line[start : start + 25]
        reach = radii[start : start + 25].max() + margin
        found |= np.all((points > piece.min(axis=0) - reach) & (points < piece.max(axis=0) + reach), axis=1)
    return found


def _tube_level(points: Real, line: Real, radii: Real) -> Real:
    """Distance to the line minus the radius at the foot point."""
    _, nearest = cKDTree(line).query(points)
    best = np.full(len(points), np.inf)
    radius = np.zeros(len(points))
    for first in (np.maximum(nearest - 1, 0), np.minimum(nearest, len(line) - 2)):
        a, step = line[first], line[first + 1] - line[first]
        t = np.clip(np.einsum("ij,ij->i", points - a, step) / np.einsum("ij,ij->i", step, step), 0, 1)
        distance = np.linalg.norm(points - a - t[:, None] * step, axis=1)
        closer = distance < best
        best = np.where(closer, distance, best)
        radius = np.where(closer, radii[first] + t * (radii[first + 1] - radii[first]), radius)
    return best - radius


def _smooth_minimum(a: Real, b: Real) -> Real:
    blend = np.maximum(CROTCH_MM - np.abs(a - b), 0.0) / CROTCH_MM
    result: Real = np.minimum(a, b) - 0.25 * CROTCH_MM * blend**2
    return result


def level_on_grid(anatomy: Anatomy, shape: tuple[int, int, int], spacing_mm: float, pad: int = 0) -> tuple[Real, Int]:
    """Level and nearest branch at the voxel centres of a grid, padded by `pad` voxels on every side.

    Voxels far from every vessel are skipped in blocks and get `OUTSIDE_MM` and branch -1.
    """
    padded = np.array(shape) + 2 * pad
    block = 4
    blocks = -(-padded // block)
    corners = np.stack(np.meshgrid(*(np.arange(n) for n in blocks), indexing="ij"), axis=-1).reshape(-1, 3)
    centers = (block * (corners + 0.5) - pad) * spacing_mm
    reach = (0.5 * np.sqrt(3) * block + 1.8) * spacing_mm * 1.25
    coarse, _ = level_at(anatomy, centers)
    kept = corners[coarse < reach]
    offsets = np.stack(np.meshgrid(*(np.arange(block),) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    index = (block * kept[:, None, :] + offsets).reshape(-1, 3)
    index = index[np.all(index < padded, axis=1)]
    level = np.full(padded, OUTSIDE_MM)
    owner = np.full(padded, -1, dtype=np.int64)
    where = tuple(index.T)
    level[where], owner[where] = level_at(anatomy, (index + 0.5 - pad) * spacing_mm)
    return level, owner


def beyond_ends(owner: Int, ends: tuple[End, ...], pad: int) -> list[Bool]:
    """For every end the voxels of its branch past the cut, on a grid padded by `pad` voxels."""
    k = np.arange(owner.shape[2]) - pad
    result = []
    for end in ends:
        past = k < end.plane if end.outward < 0 else k >= end.plane
        result.append((owner == end.branch) & past)
    return result


def voxel_fractions(level: Real, inside: Bool, spacing_mm: float) -> Real:
    """Share of every voxel that lies in the lumen, by 4 x 4 x 4 samples of the level's local slope and bend.

    level   (nx, ny, nz)  mm at the centres
    inside  (nx, ny, nz)  False for voxels beyond the ends, which hold nothing
    """
    fraction = (level < 0).astype(np.float64)
    cut = np.argwhere(np.abs(level) < 1.1 * spacing_mm)
    cut = cut[np.all((cut > 0) & (cut < np.array(level.shape) - 1), axis=1)]
    offsets = (np.arange(4) - 1.5) / 4
    steps = np.stack(np.meshgrid(offsets, offsets, offsets, indexing="ij"), axis=-1).reshape(-1, 3)
    center = level[tuple(cut.T)]
    samples = np.repeat(center[:, None], len(steps), axis=1)
    for axis in range(3):
        shift = np.eye(3, dtype=np.int64)[axis]
        ahead, behind = level[tuple((cut + shift).T)], level[tuple((cut - shift).T)]
        slope = np.clip(0.5 * (ahead - behind), -1.5 * spacing_mm, 1.5 * spacing_mm)
        bend = np.clip(ahead - 2 * center + behind, -spacing_mm, spacing_mm)
        samples += np.outer(slope, steps[:, axis]) + np.outer(0.5 * bend, steps[:, axis] ** 2)
    fraction[tuple(cut.T)] = np.mean(samples < 0, axis=1)
    return np.where(inside, fraction, 0.0)


def block_mean(values: Real, factor: int) -> Real:
    """Mean over blocks of factor^3 voxels."""
    nx, ny, nz = (n // factor for n in values.shape)
    return np.asarray(values.reshape(nx, factor, ny, factor, nz, factor).mean(axis=(1, 3, 5)))


def opening_labels(lumen: Bool, ends: tuple[End, ...], spacing_mm: float) -> NDArray[np.uint8]:
    """Wall voxels 1, inlet 2, outlets 3, 4, ...: caps of three voxels beyond each cut, or the last lumen voxels where
    the vessel leaves the field of view."""
    labels = np.zeros(lumen.shape, dtype=np.uint8)
    labels[ndimage.binary_dilation(lumen) & ~lumen] = 1
    centers = (
        np.stack(np.meshgrid(*(np.arange(n) for n in lumen.shape[:2]), indexing="ij"), axis=-1) + 0.5
    ) * spacing_mm
    for label, end in enumerate(ends, start=2):
        last = end.plane - 1 if end.outward > 0 else end.plane
        near = np.linalg.norm(centers - end.center_mm[:2], axis=-1) < 1.6 * end.radius_mm + spacing_mm
        disc = lumen[:, :, last] & near
        if end.plane in {0, lumen.shape[2]}:
            labels[:, :, last][disc] = label
            continue
        cap = ndimage.binary_dilation(disc, structure=np.ones((3, 3), dtype=bool))
        for step in range(1, 4):
            k = last + step * end.outward
            if 0 <= k < lumen.shape[2]:
                labels[:, :, k][cap & ~lumen[:, :, k]] = label
    return labels
