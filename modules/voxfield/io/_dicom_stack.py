"""Slices in order along their normal: the affine of the volume that they make, and what is wrong with the order.

With u and v the directions in which columns and rows are counted, p the place of the first pixel of the first slice
and s the step from slice to slice, voxel (i, j, k) lies at p + i du u + j dv v + k s (DICOM PS3.3, C.7.6.2.1.1). The
step is taken from the places of the first and last slice and not from the thickness, which leaves gaps out; where the
gantry is tilted it is not parallel to the normal, and the affine is sheared as the scan is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from voxfield.artifacts._base import Inspection
from voxfield.errors import InputError
from voxfield.io._dicom_slices import Slice, normal, require_alike
from voxfield.io._foreign import LPS_TO_RAS

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOGETHER_MM = 1e-3  # two slices nearer than this lie at one place
MISSING = 1.5  # a step so many times the usual one has lost a slice
UNEVEN, TOLD = 0.1, 0.01  # share of a step by which a slice may be off its place, and above which that is told
TILT_DEGREES = 0.1


def in_order(slices: Sequence[Slice]) -> list[Slice]:
    """Slices from low to high along the normal. Raises InputError where they make no single volume."""
    require_alike(slices)
    if len(slices) < 2:
        raise InputError("is a single slice; a volume needs two or more", file=slices[0].path)
    direction = normal(slices[0])
    ordered = sorted(slices, key=lambda plane: (float(plane.position @ direction), plane.path.name, plane.frame))
    heights = np.array([plane.position @ direction for plane in ordered])
    _refuse_doubled(ordered, np.diff(heights))
    _refuse_missing(ordered, np.diff(heights))
    return ordered


def affine_of(ordered: Sequence[Slice], inspection: Inspection) -> NDArray[np.float64]:
    """(4, 4) voxel (column, row, slice) to world, mm, RAS+; notes uneven steps, tilt, and slices that seem to lack."""
    first, last = ordered[0], ordered[-1]
    step = (last.position - first.position) / (len(ordered) - 1)
    _judge_places(ordered, step, inspection)
    _note_tilt(first, step, inspection)
    expected = first.header.number("images_in_acquisition", 0)
    if "frame_groups" not in first.header.values and expected > len(ordered):
        message = f"the headers say that {expected} images were acquired, of which {len(ordered)} are here"
        inspection.note("fewer-slices", "warning", message, expected - len(ordered))
    affine = np.eye(4)
    affine[:3, 0] = first.orientation[0] * first.spacing[1]
    affine[:3, 1] = first.orientation[1] * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    affine[:3] *= np.array(LPS_TO_RAS)[:, None]
    return affine


def _refuse_doubled(ordered: Sequence[Slice], steps: NDArray[np.float64]) -> None:
    doubled = np.flatnonzero(steps < TOGETHER_MM)
    if not doubled.size:
        return
    before, after = ordered[doubled[0]], ordered[doubled[0] + 1]
    places = len(steps) + 1 - doubled.size
    times, rest = divmod(len(ordered), places)
    if before.header.text("instance") == after.header.text("instance") and before.path != after.path:
        cause = "a copy of the same slice (doubled); remove one"
    elif rest == 0 and times > 1:
        cause = f"all {places} places have {times} slices: phases, echoes or a series in time; keep the slices of one"
    else:
        cause = f"{doubled.size} places have more than one slice (doubled); keep one each"
    raise InputError(f"{after.name} lies where {before.name} does: {cause}", file=after.path)


def _refuse_missing(ordered: Sequence[Slice], steps: NDArray[np.float64]) -> None:
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > MISSING * usual)
    if wide.size:
        before, after = ordered[wide[0]], ordered[wide[0] + 1]
        more = f", and {wide.size - 1} more gaps" if wide.size > 1 else ""
        message = f"slices are missing: {steps[wide[0]]:g} mm from {before.name} to {after.name} where others are "
        raise InputError(f"{message}{usual:g} mm apart (gap){more}; copy the whole series", file=after.path)


def _judge_places(ordered: Sequence[Slice], step: NDArray[np.float64], inspection: Inspection) -> None:
    places = np.array([plane.position for plane in ordered]) - ordered[0].position
    off = np.linalg.norm(places - np.arange(len(ordered))[:, None] * step, axis=1)
    worst, width = int(off.argmax()), float(np.linalg.norm(step))
    text = f"lies {off[worst]:.3g} mm off its place among slices {width:.4g} mm apart"
    if off[worst] > UNEVEN * width:
        message = f"{ordered[worst].name} {text}: the spacing varies or slices are shifted; no voxel grid fits"
        raise InputError(f"{message}, resample it first", file=ordered[worst].path)
    if off[worst] > TOLD * width:
        inspection.note("uneven-slices", "warning", f"slice {worst + 1} {text}", round(float(off[worst]), 4))


def _note_tilt(first: Slice, step: NDArray[np.float64], inspection: Inspection) -> None:
    angle = float(np.degrees(np.arccos(np.clip(step @ normal(first) / np.linalg.norm(step), -1, 1))))
    if angle > TILT_DEGREES:
        message = f"the slices are shifted along each other (gantry tilt {angle:.2f} degrees): the grid is sheared"
        inspection.note("tilted-slices", "warning", message, round(angle, 3))
