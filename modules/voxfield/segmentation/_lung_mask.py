"""Lungs in a chest CT.

The classical way (threshold, components, closing: Hu, Hoffman and Reinhardt, IEEE TMI 20(6), 2001), with two
changes. Air in airways and around the patient is told from parenchyma by its HU before components are counted,
since at a single threshold both hang together through bronchi and the mouth; and lungs are found on voxels of
about 1.5 mm, then sharpened on the scan's own. Closing a lung takes in vessels, small airways and what touches
the pleura, up to twice the closing radius in width; trachea and main bronchi are taken out.

Axes are (i, j, k), k the one from feet to head, either way; distances are mm.
"""

from dataclasses import dataclass

import cc3d
import edt
import fill_voids
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating]

WORKING_MM = 1.5
SMOOTHING_MM = 1.0
AIR_HU = -1000.0
PARENCHYMA_HU = (-955.0, -550.0)
"""Where the mode of a lung's histogram can lie; below it is the flank of the air outside."""
SHEET_MM = 2.0
"""Half the thickness of the sheets of partial volume around air, which look like parenchyma."""
LEAST_ML = 2.0
LEAST_SHARE = 0.1
"""Smaller components than this share of the largest are no lung."""
MOST_AIR_AROUND = 0.5
"""A component that is lined with more air than this lies outside the patient: foam of the table, clothes."""
SPLITTING_MM = (3.0, 5.0, 7.0, 9.0)
WIDE_AIRWAY = 0.6
"""Airways wider than this share of the trachea are taken out."""
WALL_MM = 1.0


@dataclass(frozen=True)
class Lungs:
    """Lungs that were found: each of `parts` is one lung, or both where they could not be told apart."""

    mask: Mask
    parts: int
    mode_hu: float


def find_lungs(hu: NDArray[np.generic], spacing: Floats, threshold_hu: float, closing_mm: float) -> Lungs | None:
    """Lungs of a scan (i, j, k) in HU; None where there is no parenchyma."""
    factors = np.maximum(1, (WORKING_MM / spacing).astype(int))
    edges = spacing * factors
    smooth = ndimage.gaussian_filter(_block_means(hu, factors), SMOOTHING_MM / edges, truncate=3)
    found = _coarse_lungs(smooth, edges, threshold_hu, closing_mm)
    if found is None:
        return None
    mask = found.mask
    if factors.max() > 1:
        mask = _sharpened(mask, factors, np.asarray(hu) < threshold_hu)
    return Lungs(mask, found.parts, found.mode_hu)


def _coarse_lungs(smooth: Floats, spacing: Floats, threshold_hu: float, closing_mm: float) -> Lungs | None:
    voxel_ml = float(np.prod(spacing)) / 1000
    low, high = PARENCHYMA_HU
    counts, edges = np.histogram(smooth[(smooth > low) & (smooth < min(high, threshold_hu))], bins=60)
    if counts.sum() * voxel_ml < LEAST_ML:
        return None
    peak = int(np.argmax(counts))
    if peak == 0:  # no mode: the flank of the air around the patient falls all the way
        return None
    mode = float(edges[peak] + edges[peak + 1]) / 2
    air = smooth < (AIR_HU + mode) / 2
    parenchyma = (smooth < threshold_hu) & ~air
    core = _distance(parenchyma, spacing) > SHEET_MM
    parts = _split(_components(core, air, spacing, voxel_ml), spacing)
    if not parts:
        return None
    trachea = _wide_airways(air, spacing)
    mask = np.zeros(smooth.shape, bool)
    for part in parts:
        reached = parenchyma & (_distance(~part, spacing) <= SHEET_MM + spacing.max())
        mask |= fill_voids.fill(_closed(reached, spacing, closing_mm))
    return Lungs(mask & ~trachea, len(parts), mode)


def _components(core: Mask, air: Mask, spacing: Floats, voxel_ml: float) -> list[Mask]:
    """Components that are large enough to be lung and not lined with air."""
    labels = cc3d.connected_components(np.ascontiguousarray(core), connectivity=6)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    least = max(LEAST_ML / voxel_ml, LEAST_SHARE * sizes.max(initial=0))
    kept = []
    for label in np.flatnonzero(sizes >= least):
        part = labels == label
        rim = _distance(~part, spacing)
        rim = (rim > SHEET_MM + spacing.max()) & (rim <= SHEET_MM + 3 * spacing.max())
        if air[rim].mean() < MOST_AIR_AROUND:
            kept.append(part)
    return kept


def _split(parts: list[Mask], spacing: Floats) -> list[Mask]:
    """Two lungs that touch along the front of the chest are parted at their narrowest; (i, j, k) each."""
    if len(parts) != 1:
        return parts
    whole = parts[0]
    depth = _distance(whole, spacing)
    for radius in SPLITTING_MM:
        labels = cc3d.connected_components(np.ascontiguousarray(depth > radius), connectivity=6)
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        large = np.flatnonzero(sizes > 0.25 * sizes.sum())
        if len(large) == 2:
            first, second = (_distance(labels != label, spacing) for label in large)
            return [whole & (first <= second), whole & (second < first)]
    return parts


def _wide_airways(air: Mask, spacing: Floats) -> Mask:
    """Trachea and main bronchi with their walls: the wide part of the tallest air within the patient."""
    labels = cc3d.connected_components(np.ascontiguousarray(air), connectivity=6)
    sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    outside = {label for face in sides for label in np.unique(face)}
    heights = [
        0 if box is None or label in outside else box[2].stop - box[2].start
        for label, box in enumerate(ndimage.find_objects(labels), start=1)
    ]
    if not heights or max(heights) == 0:
        return np.zeros(air.shape, bool)
    airway = labels == 1 + int(np.argmax(heights))
    depth = _distance(airway, spacing)
    # The median over the axis would need a skeleton; the widest place is near the carina, a little too wide.
    radius = WIDE_AIRWAY * float(depth.max())
    wide = depth > radius
    return _distance(~wide, spacing) <= radius + WALL_MM


def _closed(mask: Mask, spacing: Floats, radius_mm: float) -> Mask:
    """Closing with a ball."""
    if radius_mm <= 0:
        return mask
    # Beyond the field of view the chest goes on as on its face: a lung that is cut is closed there as elsewhere, and
    # the wall between a whole lung and the face stays open.
    pad = np.ceil(radius_mm / spacing).astype(int) + 1
    wide = np.pad(mask, [(n, n) for n in pad], mode="edge")
    grown = _distance(~wide, spacing) <= radius_mm
    closed = _distance(grown, spacing) > radius_mm
    inner = tuple(slice(n, -n) for n in pad)
    return np.asarray(mask | closed[inner])


def _distance(mask: Mask, spacing: Floats) -> NDArray[np.float32]:
    """Distance of the voxels of a mask to the nearest voxel outside it, mm; the field of view is no border."""
    distance: NDArray[np.float32] = edt.edt(
        np.ascontiguousarray(mask), anisotropy=tuple(float(s) for s in spacing), black_border=False, parallel=1
    )
    return distance


def _block_means(values: NDArray[np.generic], factors: NDArray[np.integer]) -> NDArray[np.float32]:
    """Means over blocks of voxels; those at the far faces hold what is left."""
    result = np.asarray(values)
    for axis, factor in enumerate(factors):
        if factor > 1:
            starts = np.arange(0, result.shape[axis], factor)
            widths = np.diff(np.append(starts, result.shape[axis]))
            sums = np.add.reduceat(result, starts, axis=axis, dtype=np.float32)
            result = sums / np.expand_dims(widths, tuple(a for a in range(3) if a != axis)).astype(np.float32)
    return np.asarray(result, dtype=np.float32)


def _sharpened(mask: Mask, factors: NDArray[np.integer], dark: Mask) -> Mask:
    """A coarse mask on the scan's own voxels: its surface goes where the scan says, by no more than a block."""
    ball = np.ones((3, 3, 3), bool)
    inner = _repeated(ndimage.binary_erosion(mask, ball, border_value=1), factors, dark.shape)
    outer = _repeated(ndimage.binary_dilation(mask, ball), factors, dark.shape)
    sharp: Mask = inner | (outer & dark)
    return sharp


def _repeated(mask: Mask, factors: NDArray[np.integer], shape: tuple[int, ...]) -> Mask:
    for axis, (factor, count) in enumerate(zip(factors, shape, strict=True)):
        mask = np.take(mask, np.arange(count) // factor, axis=axis)
    return mask
