"""The stage `io.convert`: foreign formats into artifacts, values and grid as they are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

from voxfield.artifacts import Image, LabelMap, RawFile, VectorImage
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


class Converted(NamedTuple):
    """What a foreign file held; None for what it did not."""

    image: Image | None
    labels: LabelMap | None
    velocity: VectorImage | None


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
    ctx: Context = Context(),
) -> Converted:
    """Convert NRRD, MetaImage, VTK structured points, 4D-flow HDF5 or grey PNG; resample nothing, keep no header text.

    The format follows from the first bytes: NRRD and MetaImage (read by SimpleITK), legacy VTK (vtk), HDF5 (h5py); the
    libraries come with the extra `formats`. Axes are turned to RAS+ by the affine alone, so voxels stay where they
    are; a grey PNG becomes one slice with its rows along x. Names, dates and comments in a header are dropped, since
    they may identify a person.

    Settings
    content: what a scalar volume is, `image` or `labels` (whole numbers); `auto` takes it for an image
    field: name of the array that becomes the image; the first scalars, or the mean magnitude, if not given
    vector: name of the vectors of a VTK file; the first if not given
    level: share of a voxel above which a fractional mask counts as lumen
    velocity_unit: unit of the stored velocities, converted to m/s; `auto` is m/s for HDF5, unknown for others
    pixel_mm: edge of a pixel of a PNG, which does not say, mm
    reduce: pixels of a PNG that are averaged along each edge, so that finer labels fit their image

    Raises InputError for damaged or truncated data, for another format, and where a library is missing.
    """
    import numpy as np

    from voxfield.io._foreign import Pixels

    foreign = _read(source, field, vector, Pixels(pixel_mm, reduce, content == "labels"))
    place = source.path
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
        velocity = VectorImage(values, foreign.affine, unit="m/s" if unit in METRES else None)
    return Converted(None if image is None else Image(image, foreign.affine), labels, velocity)


def _read(source: RawFile, field: str | None, vector: str | None, pixels: "Pixels") -> "Foreign":
    with source.path.open("rb") as stream:
        head = stream.read(16)
    if head.startswith((NRRD, *META)):
        from voxfield.io._itk import read_itk

        return read_itk(source.path, source.limits)
    if head.startswith(VTK):
        from voxfield.io._vtk import read_vtk

        return read_vtk(source.path, source.limits, field, vector)
    if head.startswith(HDF5):
        from voxfield.io._flow4d import read_flow4d

        return read_flow4d(source.path, source.limits, field)
    if head.startswith(PNG):
        from voxfield.io._png import read_png

        return read_png(source.path, source.limits, pixels)
    raise InputError(f"begins with {head!r}; expected NRRD, MetaImage, legacy VTK, HDF5 or PNG", file=source.path)


def _require_usable(foreign: "Foreign", inspection: Inspection) -> None:
    fault = affine_fault(foreign.affine)
    if fault:
        inspection.refuse(fault)
    for values in (foreign.image, foreign.velocity, foreign.mask):
        if values is not None and values.dtype.kind == "f":
            require_finite(values, inspection)


def _labels(values: "NDArray[Any]", affine: "NDArray[Any]", file: Path) -> LabelMap:
    import numpy as np

    if values.ndim != 3 or (values.dtype.kind == "f" and not np.array_equal(values, np.rint(values))):
        raise InputError("content is `labels`, and its values are not whole numbers in 3D", file=file)
    return LabelMap(values.astype(np.int64), affine)
