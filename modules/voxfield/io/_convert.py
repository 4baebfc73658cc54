"""The stage `io.convert`: foreign formats into artifacts, values and grid as they are."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

from voxfield.artifacts import Image, LabelMap, PartialVectorImage, RawFile
from voxfield.artifacts._archive import HEAD, refuse_archive
from voxfield.artifacts._base import Inspection
from voxfield.artifacts._grid import affine_fault
from voxfield.artifacts._values import require_finite
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.io._foreign import Foreign, Pixels

METRES = {"m/s": 1.0, "cm/s": 0.01, "mm/s": 0.001}
# What a file begins with, whatever its name.
NRRD, META, VTK, HDF5 = b"NRRD000", (b"ObjectType", b"NDims", b"Comment"), b"# vtk DataFile", b"\x89HDF\r\n\x1a\n"
PNG = b"\x89PNG\r\n\x1a\n"
NIFTI = (".nii", ".nii.gz", ".hdr", ".img")


class Converted(NamedTuple):
    """What a foreign file held; None for what it did not."""

    image: Image | None
    labels: LabelMap | None
    velocity: PartialVectorImage | None


@stage(resources=Resources(mem_mb=4000, runtime=10), version=1)
def convert(
    source: RawFile,
    *,
    content: Literal["auto", "image", "labels"] = "auto",
    field: str | None = None,
    vector: str | None = None,
    level: Annotated[float, Gt(0), Lt(1)] = 0.5,
    velocity_unit: Literal["auto", "m/s", "cm/s", "mm/s", "unknown"] = "auto",
    pixel_mm: Annotated[float, Gt(0)] = 1.0,
    reduce: Annotated[int, Ge(1), Le(64)] = 1,
    view: Literal["slice", "radiograph"] = "slice",
    mirrored: bool = False,
    series: str | None = None,
    ctx: Context = Context(),
) -> Converted:
    """Convert NRRD, MetaImage, VTK structured points, 4D-flow HDF5, grey PNG or DICOM; resample nothing.

    The format follows from the first bytes: NRRD, MetaImage and DICOM (read by SimpleITK), legacy VTK (vtk), HDF5
    (h5py); the libraries come with the extra `formats`. NIfTI is taken as well, for tables that mix formats. Axes are
    turned to RAS+ by the affine alone, so voxels stay where they are. A grey PNG becomes one slice with its rows along
    x. Velocities that are NaN stay NaN: they were not measured. Names, dates and comments in a header are dropped,
    since they may identify a person.

    A folder of DICOM slices, or a DICOM file of many frames (enhanced CT or MR), becomes a volume in the units of its
    modality, HU for CT: placed slice by slice by the headers, refused where slices are missing, doubled, uneven by more
    than a tenth of their step, of several series or orientations. Any other DICOM file is taken for a radiograph, a
    coronal plane (x, 1, z) about the origin; where it does not say otherwise, its right edge is the patient's left.

    Settings
    content: what a scalar volume is, `image` or `labels` (whole numbers); `auto` takes it for an image
    field: name of the array that becomes the image; the first scalars, or the mean magnitude, if not given
    vector: name of the vectors of a VTK file; the first if not given
    level: share of a voxel above which a fractional mask counts as lumen
    velocity_unit: unit of the stored velocities, converted to m/s; `auto` is m/s for HDF5, unknown for others
    pixel_mm: edge of a pixel of a PNG, which does not say, or of a DICOM file that does not, mm
    reduce: pixels of a PNG that are averaged along each edge, so that finer labels fit their image
    view: what a PNG shows
    mirrored: exchange left and right, by the affine, so that right knees lie like left ones
    series: which series of a DICOM folder that holds several; the error that names them, and the table of `voxfield
        cohort`, give their keys

    Raises InputError for damaged or truncated data, for another format or colour, and where a library is missing.
    """
    import numpy as np

    from voxfield.io._foreign import Pixels

    pixels = Pixels(pixel_mm, reduce, content == "labels", view == "radiograph")
    foreign = _read(source, field, vector, pixels, series, ctx)
    place = source.path
    if mirrored:
        foreign = _mirrored(foreign, place)
    _require_usable(foreign, Inspection(place, ctx.findings))
    if not foreign.oriented:
        message = "nothing in it tells the directions of its axes; RAS+ and mm are assumed"
        ctx.finding("orientation-assumed", "info", message, file=place)
    labels = None
    image = foreign.image
    if content == "labels" and image is not None:
        labels, image = _labels(image, foreign.affine, place), None
    elif foreign.mask is not None:
        labels = LabelMap((foreign.mask > level).astype(np.uint8), foreign.affine, labels={1: "lumen"})
    velocity = None
    if foreign.velocity is not None:
        unit = (foreign.unit or "unknown") if velocity_unit == "auto" else velocity_unit
        values = foreign.velocity * METRES.get(unit, 1.0) if METRES.get(unit, 1.0) != 1.0 else foreign.velocity
        velocity = PartialVectorImage(values, foreign.affine, unit="m/s" if unit in METRES else None)
    return Converted(None if image is None else Image(image, foreign.affine), labels, velocity)


def _read(
    source: RawFile, field: str | None, vector: str | None, pixels: "Pixels", series: str | None, ctx: Context
) -> "Foreign":
    from voxfield.io._dicom_header import is_dicom

    if source.path.is_dir() and source.path.name.lower().endswith(NIFTI):
        raise InputError("is a directory; expected a file by its name", file=source.path)
    if source.path.is_dir():
        from voxfield.io._dicom_series import read_series

        return read_series(source.path, series, source.limits, ctx)
    with source.path.open("rb") as stream:
        head = stream.read(HEAD)
    if head.startswith((NRRD, *META)):
        from voxfield.io._itk import read_itk

        foreign = read_itk(source.path, source.limits)
    elif head.startswith(VTK):
        from voxfield.io._vtk import read_vtk

        foreign = read_vtk(source.path, source.limits, field, vector)
    elif head.startswith(HDF5):
        from voxfield.io._flow4d import read_flow4d

        foreign = read_flow4d(source.path, source.limits, field)
    elif head.startswith(PNG):
        from voxfield.io._png import read_png

        foreign = read_png(source.path, source.limits, pixels)
    elif is_dicom(head):
        foreign = _dicom_file(source, pixels, ctx)
    elif source.path.name.lower().endswith(NIFTI):
        foreign = _nifti(source, pixels.labels, ctx)
    else:
        refuse_archive(source.path, head)
        expected = "NRRD, MetaImage, legacy VTK, HDF5, PNG, DICOM or NIfTI"
        raise InputError(f"begins with {head[:16]!r}; expected {expected}", file=source.path)
    return foreign


def _dicom_file(source: RawFile, pixels: "Pixels", ctx: Context) -> "Foreign":
    from voxfield.io._dicom import read_dicom
    from voxfield.io._dicom_header import read_header
    from voxfield.io._dicom_series import read_series

    if "frame_groups" in read_header(source.path, ("frame_groups",)).values:
        return read_series(source.path, None, source.limits, ctx)
    found = read_dicom(source.path, source.limits, pixels.pixel_mm)
    if found.measured == "detector":
        message = "gives the pixels' size on the detector alone; lengths in the patient are shorter"
        ctx.finding("magnified", "info", message, file=source.path)
    elif not found.measured:
        message = f"does not give the pixels' size; {pixels.pixel_mm:g} mm is assumed"
        ctx.finding("spacing-assumed", "info", message, file=source.path, value=pixels.pixel_mm)
    return found.foreign


def _nifti(source: RawFile, labels: bool, ctx: Context) -> "Foreign":
    """Values of a NIfTI file. Labels are never taken through float32, which holds no integer beyond 2^24 exactly."""
    from voxfield.io._foreign import Foreign

    volume = (LabelMap if labels else Image).load(source.path, limits=source.limits, findings=ctx.findings)
    return Foreign(volume.affine, volume.data)


def _mirrored(foreign: "Foreign", place: Path) -> "Foreign":
    """The same voxels in a world whose left is its right."""
    import numpy as np

    if foreign.velocity is not None:
        raise InputError("holds velocities, whose components `mirrored` would leave as they are", file=place)
    return replace(foreign, affine=np.diag([-1.0, 1.0, 1.0, 1.0]) @ foreign.affine)


def _require_usable(foreign: "Foreign", inspection: Inspection) -> None:
    fault = affine_fault(foreign.affine)
    if fault:
        inspection.refuse(fault)
    for values in (foreign.image, foreign.velocity, foreign.mask):
        if values is not None and values.dtype.kind == "f":
            require_finite(values, inspection, gaps=values is foreign.velocity)


def _labels(values: "NDArray[Any]", affine: "NDArray[Any]", file: Path) -> LabelMap:
    import numpy as np

    if values.ndim != 3 or (values.dtype.kind == "f" and not np.array_equal(values, np.rint(values))):
        raise InputError("content is `labels`, and its values are not whole numbers in 3D", file=file)
    return LabelMap(values.astype(np.int64), affine)
