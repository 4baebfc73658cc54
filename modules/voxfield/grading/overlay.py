"""A scan in grey with what raised its grade in red and what lowered it in blue.

A plane is shown whole, a volume in three slices through the place that matters most, which end around it: slices
through a whole head would show a face. As a radiologist reads them: the
patient's right and front on the left of the picture, head and front up.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxfield.grading.inputs import LOW, to_ras

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
RAISES, LOWERS = (215, 48, 39), (69, 117, 180)  # the ends of a diverging map that the colour-blind can tell apart
OPAQUE = 0.7  # at the strongest
PEAK = 99.5  # percentile of strength that is called the strongest: one voxel does not set the scale
PIXELS = 480  # along the longest side
GAP = 8  # pixels between slices
AROUND_MM = 30.0  # that slices of a volume show to every side of the place


def overlay(data: NDArray[np.generic], attribution: Floats, affine: ArrayLike, blur_mm: float) -> Bytes:
    """The picture, (rows, columns, 3).

    data, attribution  (x, y, z) on one grid
    blur_mm            standard deviation of the blur of the attribution, for the eye
    """
    from scipy.ndimage import gaussian_filter

    volume, spacing = to_ras(data, affine)
    strength, _ = to_ras(attribution, affine)
    wide = [axis for axis in range(3) if volume.shape[axis] > 1]
    sigma = [blur_mm / spacing[axis] if axis in wide else 0.0 for axis in range(3)]
    smooth = gaussian_filter(np.asarray(strength, dtype=np.float64), sigma)
    peak = np.percentile(np.abs(smooth), PEAK)
    colour = np.clip(smooth / (peak if peak > 0 else 1.0), -1, 1)
    focus = np.unravel_index(int(np.abs(smooth).argmax()), smooth.shape)
    if len(wide) == 3:
        volume, colour, focus = _around(volume, colour, focus, spacing)
    low, high = np.percentile(volume, [LOW, PEAK])
    grey = np.clip((volume - low) / (high - low if high > low else 1.0), 0, 1)
    looked_along = [axis for axis in range(3) if axis not in wide] or [2, 1, 0]
    pitch = max(spacing[axis] * grey.shape[axis] for axis in wide) / PIXELS
    slices = [_slice(grey, colour, axis, int(focus[axis]), spacing, pitch) for axis in looked_along]
    return _side_by_side(slices)


def _around(
    volume: Floats, colour: Floats, focus: tuple[np.intp, ...], spacing: Floats
) -> tuple[Floats, Floats, tuple[np.intp, ...]]:
    """The box around a place, and the place in it."""
    reach = [max(int(AROUND_MM / edge), 1) for edge in spacing]
    start = [max(int(place) - r, 0) for place, r in zip(focus, reach, strict=True)]
    box = tuple(slice(low, int(place) + r + 1) for low, place, r in zip(start, focus, reach, strict=True))
    return volume[box], colour[box], tuple(place - low for place, low in zip(focus, start, strict=True))


def _slice(grey: Floats, colour: Floats, axis: int, place: int, spacing: Floats, pitch: float) -> Bytes:
    """One slice across an axis, pixels of one size in mm along both sides."""
    across, upward = (a for a in range(3) if a != axis)
    # Rows run from the top, where the upward axis ends; columns from the side where the other one ends.
    shown, tint = (np.take(v, place, axis).T[::-1, ::-1] for v in (grey, colour))
    alpha = OPAQUE * np.abs(tint)[..., None]
    paint = np.where(tint[..., None] > 0, RAISES, LOWERS)
    pixels: Bytes = np.rint(255 * shown[..., None] * (1 - alpha) + paint * alpha).astype(np.uint8)
    for side, body_axis in ((0, upward), (1, across)):
        count = pixels.shape[side]
        wanted = max(round(count * spacing[body_axis] / pitch), 1)
        nearest = ((np.arange(wanted) + 0.5) * count / wanted).astype(int)
        pixels = np.asarray(pixels.take(nearest, side))
    return pixels


def _side_by_side(pictures: list[Bytes]) -> Bytes:
    height = max(len(p) for p in pictures)
    padded = [np.pad(p, ((0, height - len(p)), (0, GAP), (0, 0))) for p in pictures]
    return np.concatenate(padded, axis=1)[:, :-GAP]
