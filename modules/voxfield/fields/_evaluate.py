"""The stage `fields.evaluate`: a reconstructed velocity against a known one."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Gt, Le

from voxfield.artifacts import LabelMap, Metrics, VectorImage, require_grid
from voxfield.errors import InputError
from voxfield.intervals import NORMAL_95
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.artifacts import Grid

FIRST_OPENING = 2


class VelocityMetrics(NamedTuple):
    """What `fields.evaluate` makes."""

    metrics: Metrics


@stage(resources=Resources(mem_mb=2000, runtime=10), version=1)
def evaluate(
    mean: VectorImage,
    sd: VectorImage,
    truth: VectorImage,
    region: LabelMap | None = None,
    openings: LabelMap | None = None,
    *,
    wall_layer_mm: Annotated[float, Gt(0), Le(100)] = 1.0,
    ctx: Context = Context(),
) -> VelocityMetrics:
    """Relative L2 error of the vector, error of the layer at the wall, and observed coverage of the 95 % interval.

    mean    (x, y, z, t, 3) posterior mean
    sd      (x, y, z, t, 3) posterior standard deviation, same grid and unit
    truth   (x, y, z, t, 3) same unit and spacing; may cover a part of the grid, voxel on voxel
    region  (x, y, z) on the grid of `truth`: the voxels above 0 are judged; all voxels where absent
    openings  (x, y, z) on the same grid: caps (labels from 2) lie beyond the ends of the reconstructed lumen, where
              nothing is estimated, and are left out of the region

    Settings
    wall_layer_mm: depth below the edge of the region that is reported apart, mm

    The coverage of one case says little about calibration: its voxels are not independent. Raises InputError when the
    grids do not fall voxel on voxel, the units differ, or the region is empty.
    """
    import numpy as np

    del ctx  # nothing here is random or slow
    for other in (sd, truth):
        if other.unit != mean.unit:
            raise InputError(f"unit is {other.unit!r}, the reconstruction has {mean.unit!r}", file=other.file)
    require_grid(sd, mean.grid, "the mean")
    for part in (region, openings):
        if part is not None:
            require_grid(part, truth.grid, "the truth")
    window = _window(mean.grid, truth)
    got, spread, true = mean.data[window], sd.data[window], truth.data
    if got.shape != true.shape:
        raise InputError(f"has shape {true.shape}, the reconstruction {got.shape} there", file=truth.file)
    judged = np.ones(true.shape[:3], dtype=bool) if region is None else _judged(region)
    caps = np.zeros_like(judged) if openings is None else _caps(openings)
    beyond, judged = int((judged & caps).sum()), judged & ~caps
    error = got - true
    wall = judged & (_depth(judged, truth.grid) <= wall_layer_mm)
    inside = np.abs(error) <= NORMAL_95 * spread
    values: dict[str, Any] = {
        "relative_l2": _relative(error, true, judged),
        "relative_l2_wall": _relative(error, true, wall),
        "relative_l2_core": _relative(error, true, judged & ~wall),
        "rmse": float(np.sqrt(np.mean(np.square(error[judged])))),
        "coverage_95": float(np.mean(inside[judged])),
        "mean_sd": float(np.mean(spread[judged])),
        "voxels": int(judged.sum()),
        "voxels_beyond_openings": beyond,
        "voxels_without_estimate": int((judged & (spread == 0).all(axis=(3, 4))).sum()),
        "wall_layer_mm": wall_layer_mm,
        "unit": mean.unit,
    }
    return VelocityMetrics(Metrics(values))


def _window(grid: "Grid", truth: VectorImage) -> tuple[slice, slice, slice]:
    """Where the truth's grid lies in `grid`; both have the same voxels there."""
    import numpy as np

    corners = grid.index(truth.grid.world(np.array([(0, 0, 0), [n - 1 for n in truth.grid.shape]])))
    first, last = np.rint(corners).astype(int)
    if np.abs(corners - [first, last]).max() > 1e-2 or first.min() < 0 or (last >= grid.shape).any():
        spacing = ", ".join(f"{s:.4g}" for s in truth.grid.spacing)
        raise InputError(
            f"its voxels (spacing {spacing} mm) do not fall on those of the reconstruction "
            f"({', '.join(f'{s:.4g}' for s in grid.spacing)} mm); give the truth on that grid",
            file=truth.file,
        )
    x, y, z = (slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
    return x, y, z


def _judged(region: LabelMap) -> "NDArray[Any]":
    import numpy as np

    judged: NDArray[Any] = np.asarray(region.data) > 0
    if not judged.any():
        raise InputError("is empty; expected voxels above 0 where the velocity is judged", file=region.file)
    return judged


def _caps(openings: LabelMap) -> "NDArray[Any]":
    """Voxels of the caps inside the grid; on its faces an opening's label lies in the lumen itself."""
    import numpy as np

    caps: NDArray[Any] = np.zeros(openings.grid.shape, dtype=bool)
    caps[1:-1, 1:-1, 1:-1] = np.asarray(openings.data)[1:-1, 1:-1, 1:-1] >= FIRST_OPENING
    return caps


def _depth(judged: "NDArray[Any]", grid: "Grid") -> "NDArray[Any]":
    """Distance of every voxel of the region to the nearest voxel outside, mm; the edge of the grid is no wall."""
    from scipy.ndimage import distance_transform_edt

    depth: NDArray[Any] = distance_transform_edt(judged, sampling=tuple(grid.spacing))
    return depth


def _relative(error: "NDArray[Any]", true: "NDArray[Any]", where: "NDArray[Any]") -> float | None:
    import numpy as np

    scale = float(np.linalg.norm(true[where]))
    return float(np.linalg.norm(error[where])) / scale if scale > 0 else None
