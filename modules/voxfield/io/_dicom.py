"""DICOM radiographs of one frame, on SimpleITK (GDCM).

GDCM turns MONOCHROME1, in which low values are bright, into MONOCHROME2 and applies the rescaling. Where the stored
pixels are fewer than the header claims it reads on beyond them, so their length is compared here first. Patient and
study go no further than this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts import Limits
from voxfield.errors import InputError
from voxfield.io._dicom_header import read_header
from voxfield.io._foreign import Foreign, need, within_limit
from voxfield.io._picture import Sides, radiograph_affine

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAGS = {
    "rows": "0028|0010",
    "columns": "0028|0011",
    "bits": "0028|0100",
    "samples": "0028|0002",
    "frames": "0028|0008",
    "photometric": "0028|0004",
    "spacing": "0028|0030",
    "detector_spacing": "0018|1164",
    "sides": "0020|0020",
    "slice": "0020|0037",
}


@dataclass(frozen=True)
class Radiograph:
    """A picture and what its header says of it.

    foreign   the picture as a plane (x, 1, z)
    measured  "patient" where the pixel spacing is calibrated, "detector" where the picture is magnified by an unknown
              factor against it, "" where nothing is said and `pixel_mm` was taken
    """

    foreign: Foreign
    measured: str


def read_dicom(path: Path, limits: Limits, pixel_mm: float) -> Radiograph:
    """A grey radiograph. Raises InputError for colour, several frames, and slices of a volume."""
    sitk = need("SimpleITK", "DICOM")
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        said = {k: reader.GetMetaData(t).strip(" \0") for k, t in TAGS.items() if reader.HasMetaDataKey(t)}
        _require_radiograph(said, path, limits)
        values = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].replace(str(path), "").strip()
        raise InputError(f"SimpleITK can not read it: {reason[:200]}", file=path) from None
    pixels: NDArray[Any] = values.reshape(int(said["rows"]), int(said["columns"]))
    measured = next((word for word in ("spacing", "detector_spacing") if said.get(word)), "")
    row_mm, column_mm = _spacing(said[measured], path) if measured else (pixel_mm, pixel_mm)
    sides = _sides(said.get("sides", ""), path)
    affine = radiograph_affine(pixels.shape, row_mm, column_mm, sides or Sides())
    foreign = Foreign(affine, pixels.T[:, None, :], oriented=sides is not None)
    return Radiograph(foreign, {"spacing": "patient", "detector_spacing": "detector"}.get(measured, ""))


def _require_radiograph(said: dict[str, str], path: Path, limits: Limits) -> None:
    if said.get("samples", "1") != "1" or not said.get("photometric", "").startswith("MONOCHROME"):
        found = (
            f"{said.get('samples', '1')} samples a pixel, {said.get('photometric', 'no photometric interpretation')}"
        )
        raise InputError(f"is in colour ({found}); expected a grey radiograph", file=path)
    if said.get("frames", "1") != "1":
        raise InputError(f"has {said['frames']} frames; expected one", file=path)
    if said.get("slice"):
        raise InputError("is a slice of a volume; convert the folder that holds its series", file=path)
    missing = [name for name in ("rows", "columns", "bits") if not said.get(name)]
    if missing:
        raise InputError(f"says nothing about its {', '.join(missing)}", file=path)
    header = read_header(path, ())
    if not header.has_pixels:
        raise InputError("has no pixels; expected a radiograph", file=path)
    count = within_limit((int(said["rows"]), int(said["columns"])), limits, path)
    expected, stored = count * -(-int(said["bits"]) // 8), header.pixel_bytes
    if stored is not None and not expected <= stored <= expected + 1:
        message = f"holds {stored:,} bytes of pixels where its header claims {expected:,}; it is damaged"
        raise InputError(message, file=path)


def _spacing(text: str, path: Path) -> tuple[float, float]:
    """Millimetres between rows and between columns."""
    try:
        row, column = (float(part) for part in text.split("\\"))
    except ValueError:
        row = column = 0.0
    if not (0 < row < float("inf") and 0 < column < float("inf")):
        raise InputError(f"gives the pixel spacing {text!r}; expected two positive numbers, mm", file=path)
    return row, column


def _sides(text: str, path: Path) -> Sides | None:
    """What lies at the end of the rows and of the columns; None where it is not said."""
    if not text:
        return None
    right, _, down = text.partition("\\")
    if right[:1] not in ("L", "R") or down[:1] not in ("F", "H"):
        message = f"is oriented {text!r}; expected a view from the front or back, such as L\\F"
        raise InputError(message, file=path)
    return Sides(right[0], down[0])
