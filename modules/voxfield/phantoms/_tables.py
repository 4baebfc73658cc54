"""Exact centerline and branch table of an anatomy that was cut at its ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.phantoms._anatomy import Anatomy, Branch
from voxfield.phantoms._lumen import End

Real = NDArray[np.float64]


def cut_branches(anatomy: Anatomy, ends: tuple[End, ...], spacing_mm: float) -> list[NDArray[np.bool_]]:
    """For every branch, which of its points lie before the cuts."""
    kept = [np.ones(len(branch.points), dtype=bool) for branch in anatomy.branches]
    for end in ends:
        z = anatomy.branches[end.branch].points[:, 2]
        kept[end.branch] &= end.outward * (z - end.plane * spacing_mm) <= 1e-9
    return kept


def branch_rows(branches: Sequence[Branch], kept: list[NDArray[np.bool_]], affine_of_box: Real) -> list[dict[str, Any]]:
    """One row a branch, in world millimetres.

    affine_of_box  (4, 4)  box millimetres to world millimetres
    """
    rows = []
    for index, (branch, keep) in enumerate(zip(branches, kept, strict=True)):
        points = to_world(branch.points[keep], affine_of_box)
        radii = branch.radii[keep]
        row: dict[str, Any] = {
            "branch": index,
            "parent": branch.parent,
            "generation": branch.generation,
            "length_mm": float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum()),
            "radius_mean_mm": float(radii.mean()),
            "radius_min_mm": float(radii.min()),
            "radius_distal_mm": _distal(branch, keep),
            "stenosis": branch.stenosis,
            "bridge": 0,
        }
        for name, point in (("start", points[0]), ("end", points[-1])):
            row |= {f"{name}_{axis}_mm": float(value) for axis, value in zip("xyz", point, strict=True)}
        rows.append(row)
    return rows


def _distal(branch: Branch, keep: NDArray[np.bool_]) -> float:
    """Radius where the walls run parallel again behind the stenosis; the mean healthy radius of the last quarter."""
    radii = branch.healthy[keep]
    return float(radii[-max(1, len(radii) // 4) :].mean())


def centerline_nodes(
    branches: Sequence[Branch], kept: list[NDArray[np.bool_]], affine_of_box: Real, every: int = 2
) -> tuple[Real, Real, NDArray[np.int64]]:
    """Points (n, 3) in world mm, radii (n,) and parents (n,); daughters begin at the mother's last node."""
    points: list[Real] = []
    radii: list[Real] = []
    parents: list[NDArray[np.int64]] = []
    last: list[int] = []
    count = 0
    for branch, keep in zip(branches, kept, strict=True):
        index = np.flatnonzero(keep)
        chosen = np.unique(np.append(index[::every], index[-1]))
        if branch.parent >= 0:
            chosen = chosen[1:]
        before = -1 if branch.parent < 0 else last[branch.parent]
        parents.append(np.append(before, np.arange(count, count + len(chosen) - 1)))
        points.append(to_world(branch.points[chosen], affine_of_box))
        radii.append(branch.radii[chosen])
        count += len(chosen)
        last.append(count - 1)
    return np.concatenate(points), np.concatenate(radii), np.concatenate(parents)


def to_world(points: Real, affine_of_box: Real) -> Real:
    """Points (n, 3) in box millimetres to world millimetres."""
    return np.asarray(points @ affine_of_box[:3, :3].T + affine_of_box[:3, 3])


def scan_frame(rng: np.random.Generator, spacing_mm: float, tilt_deg: float) -> tuple[Real, Real]:
    """Affine of the voxels, and of the box, (4, 4) each: axes stored RAS or LPS, tilted a little, at a random place."""
    angles = np.deg2rad(rng.uniform(-tilt_deg, tilt_deg, 3)) if tilt_deg > 0 else np.zeros(3)
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[a, b, a, b], [a, b, b, a]] = np.cos(angle), np.cos(angle), -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    axes = rotation @ np.diag([1.0, 1.0, 1.0] if rng.random() < 0.5 else [-1.0, -1.0, 1.0])
    box = np.eye(4)
    box[:3, :3] = axes
    box[:3, 3] = rng.uniform(-60, 60, 3)
    voxels = box.copy()
    voxels[:3, :3] = axes * spacing_mm
    # The centre of voxel (0, 0, 0) lies half a voxel inside the box.
    voxels[:3, 3] = box[:3, 3] + axes @ np.full(3, spacing_mm / 2)
    return voxels, box
