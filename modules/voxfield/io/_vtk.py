"""Legacy VTK structured points, on the vtk package.

vtk allocates by header and prints its errors, so the header is judged here first and its messages are
collected. The format names no unit and no orientation: millimetres and RAS+ are assumed, and said.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts import Limits
from voxfield.errors import InputError
from voxfield.io._foreign import Foreign, need, within_limit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEADER_LINES = 40


def read_vtk(path: Path, limits: Limits, field: str | None, vector: str | None) -> Foreign:
    """Scalars as the image, vectors as the velocity; `field` and `vector` choose among several by name."""
    _check_header(path, limits)
    legacy = need("vtkmodules.vtkIOLegacy", "VTK")
    reader = legacy.vtkStructuredPointsReader()
    reader.SetFileName(str(path))
    reader.ReadAllScalarsOn()
    reader.ReadAllVectorsOn()
    grid = _update(reader, path)
    shape = grid.GetDimensions()
    point_data = grid.GetPointData()
    names = [point_data.GetArrayName(index) or "" for index in range(point_data.GetNumberOfArrays())]
    arrays = {name: _array(point_data.GetArray(index), shape, path) for index, name in enumerate(names)}
    scalars = {name: array for name, array in arrays.items() if array.ndim == 3}
    vectors = {name: array for name, array in arrays.items() if array.ndim == 4 and array.shape[3] == 3}
    if not scalars and not vectors:
        raise InputError("holds neither scalars nor vectors at its points", file=path)
    velocity = _chosen(vectors, vector, "vectors", path)
    return Foreign(
        _affine(grid),
        image=_chosen(scalars, field, "scalars", path),
        velocity=None if velocity is None else velocity[:, :, :, None],
        oriented=False,
    )


def _check_header(path: Path, limits: Limits) -> None:
    """Refuse what is no structured-points file, and extents that the file is too small for."""
    extents: list[int] = []
    points = 0
    with path.open("rb") as stream:
        lines = [stream.readline(512).decode("latin-1").strip() for _ in range(HEADER_LINES)]
    if not lines[0].lower().startswith("# vtk datafile"):
        raise InputError("is no legacy VTK file: it does not begin with `# vtk DataFile`", file=path)
    if not any(line.upper().split() == ["DATASET", "STRUCTURED_POINTS"] for line in lines):
        raise InputError("is no VTK file of structured points; expected DATASET STRUCTURED_POINTS", file=path)
    for line in lines:
        words = line.split()
        try:
            if words and words[0].upper() == "DIMENSIONS":
                extents = [int(word) for word in words[1:]]
            if words and words[0].upper() == "POINT_DATA":
                points = int(words[1])
                break
        except (ValueError, IndexError):
            raise InputError(f"its header line {line[:60]!r} holds no whole numbers", file=path) from None
    count = within_limit(extents, limits, path)
    if len(extents) != 3 or points != count:
        raise InputError(f"DIMENSIONS {extents} give {count:,} points, POINT_DATA {points:,}", file=path)
    if count > path.stat().st_size:
        raise InputError(f"is truncated: {count:,} points expected in {path.stat().st_size:,} bytes", file=path)


def _update(reader: Any, path: Path) -> Any:
    """Run the reader; whatever it complains about, truncated data among them, is refused."""
    core = need("vtkmodules.vtkCommonCore", "VTK")
    window = core.vtkStringOutputWindow()
    before, loudness = core.vtkOutputWindow.GetInstance(), core.vtkLogger.GetCurrentVerbosityCutoff()
    core.vtkOutputWindow.SetInstance(window)
    core.vtkLogger.SetStderrVerbosity(core.vtkLogger.VERBOSITY_OFF)
    try:
        reader.Update()
    finally:
        core.vtkOutputWindow.SetInstance(before)
        core.vtkLogger.SetStderrVerbosity(loudness)
    if reader.GetErrorCode() or window.GetOutput():
        raise InputError("vtk can not read it to its end: damaged or truncated; copy it again", file=path)
    return reader.GetOutput()


def _array(values: Any, shape: tuple[int, int, int], path: Path) -> NDArray[Any]:
    """A vtk array as (x, y, z) or (x, y, z, c)."""
    numpy_support = need("vtkmodules.util.numpy_support", "VTK")
    flat: NDArray[Any] = numpy_support.vtk_to_numpy(values)
    if len(flat) != shape[0] * shape[1] * shape[2]:
        raise InputError(f"an array has {len(flat):,} values on a grid of {shape}; the file is damaged", file=path)
    if flat.ndim == 1 or flat.shape[1] == 1:
        return flat.reshape(shape, order="F")
    return flat.reshape(*shape[::-1], -1).transpose(2, 1, 0, 3)


def _affine(grid: Any) -> NDArray[np.float64]:
    import numpy as np

    affine = np.diag([*grid.GetSpacing(), 1.0])
    affine[:3, 3] = grid.GetOrigin()
    return affine


def _chosen(arrays: dict[str, NDArray[Any]], name: str | None, what: str, path: Path) -> NDArray[Any] | None:
    if name is None:
        return next(iter(arrays.values()), None)
    if name not in arrays:
        raise InputError(f"has no {what} {name!r}; it has {', '.join(arrays) or 'none'}", file=path)
    return arrays[name]
