"""A DICOM series, a folder of slices or one file of many frames, as a volume. Pixels by SimpleITK (GDCM).

Geometry comes from the headers, slice by slice (`_dicom_stack`); GDCM decodes the pixels and applies their rescaling,
which may differ from slice to slice. Slices are read one after another into one array.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.artifacts import Limits
from voxfield.artifacts._base import Inspection
from voxfield.errors import InputError
from voxfield.io._dicom_header import PERSONAL, TAGS, Header, begins_like_dicom, read_header
from voxfield.io._dicom_slices import Slice, slices_of
from voxfield.io._dicom_stack import affine_of, in_order
from voxfield.io._foreign import Foreign, need, within_limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.context import Context

WANTED = frozenset(TAGS.values()) - PERSONAL
NAMED_DICOM = (".dcm", ".dicom", ".ima")
Found = tuple[Path, Header]


def series_key(uid: str) -> str:
    """A short name for a series that does not tell its UID."""
    return hashlib.sha256(uid.encode()).hexdigest()[:8]


def read_series(place: Path, series: str | None, limits: Limits, ctx: Context) -> Foreign:
    """The volume of a folder of slices, or of a file of several frames.

    series  key of the series (`series_key`), needed where the folder holds several
    """
    sitk = need("SimpleITK", "DICOM")
    inspection = Inspection(None, ctx.findings)  # records keep findings, and folders may be called after patients
    found = list(_images(place, inspection)) if place.is_dir() else [(place, read_header(place, WANTED))]
    chosen = _choose(found, series, place)
    first = chosen[0][1]
    slices = [plane for path, header in chosen for plane in slices_of(path, header)]
    within_limit((first.number("rows", 0), first.number("columns", 0), len(slices)), limits, place)
    ordered = in_order(slices)
    affine = affine_of(ordered, inspection)
    _note_scales([header for _, header in chosen], inspection)
    return Foreign(affine, _pixels(sitk, ordered, ctx))


def _images(folder: Path, inspection: Inspection) -> Iterable[Found]:
    """Files of a folder that are DICOM with pixels; the others are told, or refused where they claim to be."""
    strangers = 0
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.is_dir() or path.name.upper() == "DICOMDIR":
            continue
        if not path.is_file():
            what = "a broken link" if path.is_symlink() else "not a regular file (a pipe, socket or device)"
            raise InputError(f"is {what} among the slices; fetch it, or remove it", file=path)
        if not begins_like_dicom(path):
            if path.name.lower().endswith(NAMED_DICOM):
                message = f"is no DICOM file although its name says so ({path.stat().st_size:,} bytes); it is damaged"
                raise InputError(message, file=path)
            strangers += 1
            continue
        header = read_header(path, WANTED)
        if header.has_pixels:
            yield path, header
        elif "rows" in header.values:
            raise InputError("has no pixels although its header gives rows; it is truncated", file=path)
    if strangers:
        inspection.note("other-files", "info", f"holds {strangers} files that are no DICOM; not looked at", strangers)


def _choose(found: Sequence[Found], series: str | None, place: Path) -> list[Found]:
    groups: dict[str, list[Found]] = defaultdict(list)
    for path, header in found:
        groups[series_key(header.text("series"))].append((path, header))
    if not groups:
        raise InputError("holds no DICOM image; name the folder that holds the slices themselves", file=place)
    listed = ", ".join(f"{key} ({len(group)} files such as {group[0][0].name})" for key, group in groups.items())
    if series is not None:
        if series not in groups:
            raise InputError(f"has no series {series!r}; it has {listed}", file=place)
        return groups[series]
    if len(groups) > 1:
        raise InputError(f"mixes {len(groups)} series: {listed}; choose one by the setting `series`", file=place)
    return next(iter(groups.values()))


def _note_scales(headers: Sequence[Header], inspection: Inspection) -> None:
    """PET is scaled slice by slice; elsewhere that is odd, and may be a damaged header."""
    scales = {(header.text("slope"), header.text("intercept")) for header in headers}
    if len(scales) > 1 and headers[0].text("modality") != "PT":
        message = f"the values of its slices are scaled in {len(scales)} ways (slope, intercept); each is honoured"
        inspection.note("scales-vary", "warning", message, len(scales))


def _pixels(sitk: Any, ordered: Sequence[Slice], ctx: Context) -> NDArray[Any]:
    """(column, row, slice) values in the units of the modality; int16 where they fit."""
    frames: dict[Path, NDArray[Any]] = {}
    shape = ordered[0].header.number("rows", 0), ordered[0].header.number("columns", 0)
    several = "frame_groups" in ordered[0].header.values
    volume: NDArray[Any] = np.empty((len(ordered), *shape), np.int16)
    for number, plane in enumerate(ctx.progress(ordered, desc="slices")):
        if plane.path not in frames:
            frames = {
                plane.path: _decode(sitk, plane.path, (plane.header.number("frames", 1) if several else 1, *shape))
            }
        values = frames[plane.path][plane.frame]
        if volume.dtype == np.int16 and not _fits_int16(values):
            volume = volume.astype(np.float32)
        volume[number] = values
    return volume.transpose(2, 1, 0)


def _fits_int16(values: NDArray[Any]) -> bool:
    limits = np.iinfo(np.int16)
    return bool(values.dtype.kind in "iu" and limits.min <= values.min() and values.max() <= limits.max)


def _decode(sitk: Any, path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """(frame, row, column) of one file."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        values: NDArray[Any] = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].replace(str(path), "").strip()
        raise InputError(f"SimpleITK can not decode it: {reason[:200]}", file=path) from None
    if values.size != int(np.prod(shape)):
        raise InputError(f"decodes to the shape {values.shape} where its header claims {shape}", file=path)
    return values.reshape(shape)
