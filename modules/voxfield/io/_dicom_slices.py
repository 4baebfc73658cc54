"""Slices of a DICOM volume: where each lies, by the headers alone, and what must be alike in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.errors import InputError
from voxfield.io._dicom_header import Header

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIKE = {
    "kind": "object class",
    "modality": "modality",
    "rows": "rows",
    "columns": "columns",
    "bits": "bits",
    "frame_of_reference": "frame of reference",
}
COSINE_TOLERANCE = 1e-4  # entries of the row and column directions that count as equal


@dataclass(frozen=True)
class Slice:
    """One plane of pixels; lengths in mm, directions and places in DICOM's world (left, posterior, superior).

    frame        its place within a file of several frames, from 0
    position     (3,) centre of the first pixel
    orientation  (2, 3) unit directions in which the columns and the rows are counted
    spacing      (2,) between rows, between columns
    """

    path: Path
    frame: int
    header: Header
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing: NDArray[np.float64]

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.path.name if "frame_groups" not in self.header.values else f"frame {self.frame + 1}"


def slices_of(path: Path, header: Header) -> list[Slice]:
    """The slices that a file holds: one, or its frames. Raises InputError for what is no grey plane with a place."""
    _require_grey(path, header)
    groups = header.values.get("frame_groups")
    if groups is None:
        if header.number("frames", 1) != 1:
            raise InputError(f"has {header.text('frames')} frames without a place each; expected one", file=path)
        return [_slice(path, 0, header, header.values)]
    shared = (header.values.get("shared_groups") or [{}])[0]
    if len(groups) != header.number("frames", 1):
        message = f"claims {header.text('frames') or '1'} frames and describes {len(groups)}; it is damaged"
        raise InputError(message, file=path)
    told = [_frame(shared) | _frame(group) for group in groups]
    scales = {(values.get("slope", "1"), values.get("intercept", "0")) for values in told}
    if len(scales) > 1:
        raise InputError("scales its frames differently, which its reader does not honour; export it as classic "
                         "single-frame DICOM", file=path)  # fmt: skip
    return [_slice(path, number, header, values) for number, values in enumerate(told)]


def require_alike(slices: Sequence[Slice]) -> None:
    """Raise InputError naming two files that can not belong to one volume."""
    first = slices[0]
    for other in slices[1:]:
        for name, word in ALIKE.items():
            if other.header.values.get(name) != first.header.values.get(name):
                found = f"{other.header.text(name) or 'nothing'} where {first.name} has {first.header.text(name)}"
                raise InputError(f"is of another volume: its {word} is {found or 'nothing'}", file=other.path)
        if not np.allclose(other.spacing, first.spacing, rtol=1e-4):
            found = f"{_mm(other.spacing)} where {first.name} has {_mm(first.spacing)}"
            raise InputError(f"is of another volume: its pixel spacing is {found}", file=other.path)
        if not np.allclose(other.orientation, first.orientation, atol=COSINE_TOLERANCE):
            angle = np.degrees(np.arccos(np.clip(normal(other) @ normal(first), -1, 1)))
            message = f"{other.name} is oriented otherwise than {first.name} (mixed orientations, planes {angle:.1f} "
            raise InputError(f"{message}degrees apart); keep the slices of one orientation", file=other.path)


def normal(plane: Slice) -> NDArray[np.float64]:
    """(3,) unit direction across a slice."""
    return np.cross(plane.orientation[0], plane.orientation[1])


def _frame(group: dict[str, Any]) -> dict[str, Any]:
    """What the functional groups of a frame say, in the names of a classic header."""
    found: dict[str, Any] = {}
    for name in ("plane_position", "plane_orientation", "pixel_measures", "value_transformation"):
        for item in group.get(name) or []:
            found |= item
    return found


def _slice(path: Path, frame: int, header: Header, values: Any) -> Slice:
    position = _numbers(values, "position", 3, path)
    orientation = _numbers(values, "orientation", 6, path).reshape(2, 3)
    spacing = _numbers(values, "spacing", 2, path)
    lengths = np.linalg.norm(orientation, axis=1)
    if abs(lengths - 1).max() > 1e-2 or abs(orientation[0] @ orientation[1]) > 1e-2:
        raise InputError(f"has row and column directions {orientation.tolist()}; expected unit vectors at right "
                         "angles", file=path)  # fmt: skip
    if spacing.min() <= 0:
        raise InputError(f"gives the pixel spacing {_mm(spacing)}; expected positive numbers", file=path)
    return Slice(path, frame, header, position, orientation / lengths[:, None], spacing)


def _numbers(values: Any, name: str, count: int, path: Path) -> NDArray[np.float64]:
    text = str(values.get(name, ""))
    try:
        numbers = np.array([float(part) for part in text.split("\\")])
    except ValueError:
        numbers = np.empty(0)
    if numbers.size != count or not np.isfinite(numbers).all():
        found = f"the {name} {text!r}" if text else f"no {name}"
        message = f"has {found} of its plane in the patient; expected {count} numbers, without which it has no place"
        raise InputError(message, file=path)
    return numbers


def _require_grey(path: Path, header: Header) -> None:
    samples, photometric = header.number("samples", 1), header.text("photometric")
    if samples != 1 or photometric != "MONOCHROME2":
        found = f"{samples} samples a pixel, {photometric or 'no photometric interpretation'}"
        raise InputError(f"holds no grey values of a volume ({found}); expected MONOCHROME2", file=path)
    if "value_table" in header.values:
        raise InputError("maps its values by a table (modality LUT), which is not supported", file=path)
    expected = header.number("rows", 0) * header.number("columns", 0) * -(-header.number("bits", 0) // 8)
    expected *= max(1, header.number("frames", 1))
    if header.pixel_bytes is not None and not expected <= header.pixel_bytes <= expected + 1:
        message = f"holds {header.pixel_bytes:,} bytes of pixels where its header claims {expected:,}; it is damaged"
        raise InputError(message, file=path)


def _mm(lengths: NDArray[np.float64]) -> str:
    return " x ".join(f"{length:g}" for length in lengths) + " mm"
