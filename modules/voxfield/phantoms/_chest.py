"""A chest in Hounsfield units around an airway: lungs, vessels, soft tissue, the air outside.

Axes are (k, a, b): k is the voxel axis that runs most nearly from feet to head, so that [k] is an axial slice.
There are no bones, no fissures and no heart chambers; what is no lung is soft tissue in a shell of fat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfield.phantoms._smooth import SmoothField
from voxfield.phantoms._walls import Axis

Bool = NDArray[np.bool_]
Float32 = NDArray[np.float32]
Real = NDArray[np.floating]

AIR_HU = -1000.0
FAT_HU = -100.0
TISSUE_TEXTURE_HU = 12.0
FINE_MM, COARSE_MM = 2.5, 15.0
"""Correlation lengths of the parenchyma's texture."""
BODY_POWER = 2.5
FAT_SHARE = 0.4
"""Of the chest wall."""
DIRECTIONS = 150
"""In which the hull of a made lung is measured."""
SAMPLED_MM = 4.0
"""Distance of the points at which the hull of a made lung is computed."""


@dataclass(frozen=True)
class Contrast:
    """Attenuation of what a chest is made of, HU.

    lung                parenchyma at the mean height of the lungs
    gravity_hu_per_cm   by which it rises towards the back: the patient lies supine
    texture             standard deviation of the parenchyma
    """

    lung: float
    gravity_hu_per_cm: float
    texture: float
    vessel: float
    tissue: float


def lung_around(axis: Axis, shape: tuple[int, ...], affine: Real, margin_mm: float) -> Bool:
    """Lungs for an airway that came without: the hull of the thin airways of each side, `margin_mm` wider.

    affine   (4, 4)     (k, a, b) to world, mm
    returns  (k, a, b)  bool; the sides are told apart by the widest airways, taken for the trachea
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    points = axis.voxels @ affine[:3, :3].T + affine[:3, 3]
    wide = axis.radii > 0.6 * axis.radii.max()
    middle = float(np.median(points[wide, 0]))
    aside = points[:, 0] - middle
    apart = float(axis.radii.max())
    lung = np.zeros(shape, dtype=bool)
    for side in (-1, 1):
        own = points[~wide & (side * aside > apart)]
        if len(own) < 8:
            continue
        # Keeps the lung on its side of the mediastinum, whose half width is about the trachea's.
        beyond = (np.array([-side, 0.0, 0.0]), -side * middle - 1.2 * apart - margin_mm)
        hull = _hull_level(own, beyond, shape, spacing, affine)
        for k in range(shape[0]):
            lung[k] |= hull.plane(k) < margin_mm
    return lung


def _hull_level(
    points: Real, beyond: tuple[Real, float], shape: tuple[int, ...], spacing: Real, affine: Real
) -> SmoothField:
    """How far out of the hull of `points` and of a half space a place lies, mm; negative inside."""
    step = np.maximum(1.0, SAMPLED_MM / spacing)
    nodes = [int(np.ceil(n / s)) + 2 for n, s in zip(shape, step, strict=True)]
    places = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(nodes, step, strict=True)), indexing="ij"), -1)
    world = places @ affine[:3, :3].T + affine[:3, 3]
    level = world @ beyond[0] - beyond[1]
    for direction in _directions(DIRECTIONS):
        level = np.maximum(level, world @ direction - (points @ direction).max())
    return SmoothField(level.astype(np.float32), step, shape)


def _directions(count: int) -> Real:
    """Unit vectors spread evenly over the sphere (spiral of Fibonacci), (count, 3)."""
    n = np.arange(count) + 0.5
    height, turn = 1 - 2 * n / count, np.pi * (1 + 5**0.5) * n
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


def body_level(lung: Bool, wall: float) -> Real:
    """Superellipse around the shadow of the lungs on an axial plane, (a, b): 0 at the ribs, 1 at the skin.

    wall  thickness of the chest wall over the lungs' half width
    """
    shadow: Bool = np.any(lung, axis=0)
    if not shadow.any():
        return np.zeros(shadow.shape)
    places = []
    for axis in range(2):
        hit = np.flatnonzero(np.any(shadow, axis=1 - axis))
        center, reach = (hit[0] + hit[-1]) / 2, max(float(hit[-1] - hit[0]) / 2, 1.0)
        places.append(np.abs(np.arange(shadow.shape[axis]) - center) / reach)
    level = (places[0][:, None] ** BODY_POWER + places[1][None, :] ** BODY_POWER) ** (1 / BODY_POWER)
    ribs = float(level[shadow].max())
    result: Real = (level - ribs) / (ribs * wall)
    return result


def paint(
    lung: Bool, vessels: Bool, affine: Real, contrast: Contrast, wall: float, rng: np.random.Generator
) -> Iterator[Float32]:
    """Slices (a, b) of the chest in HU, before airways, blur and noise."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    fine = SmoothField.random(rng, lung.shape, spacing, FINE_MM)
    coarse = SmoothField.random(rng, lung.shape, spacing, COARSE_MM)
    body = body_level(lung, wall)
    depth = _DepthInChest(lung, affine)
    for k in range(lung.shape[0]):
        broad = coarse.plane(k)
        tissue = contrast.tissue + TISSUE_TEXTURE_HU * broad
        plane = np.where(body < 1 - FAT_SHARE, tissue, FAT_HU)
        plane[body >= 1] = AIR_HU
        texture = contrast.texture * (0.8 * fine.plane(k) + 0.6 * broad)
        inside = contrast.lung + contrast.gravity_hu_per_cm * depth.plane_cm(k) + texture
        plane = np.where(lung[k], np.maximum(inside, AIR_HU), plane)
        plane[vessels[k]] = contrast.vessel
        yield plane.astype(np.float32)


class _DepthInChest:
    """Height below the middle of the lungs for a patient on the back, that is, towards the back."""

    def __init__(self, lung: Bool, affine: Real) -> None:
        self._row = affine[1, :3]
        # Height is linear in the voxel index, so its mean needs only the counts along each axis.
        counts = [lung.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
        total = max(int(counts[0].sum()), 1)
        means = [float(np.arange(len(c)) @ c) / total for c in counts]
        self._middle = float(self._row @ means)
        self._a, self._b = (np.arange(n) for n in lung.shape[1:])

    def plane_cm(self, k: int) -> Real:
        front = self._row[0] * k + self._row[1] * self._a[:, None] + self._row[2] * self._b[None, :]
        result: Real = (self._middle - front) / 10
        return result
