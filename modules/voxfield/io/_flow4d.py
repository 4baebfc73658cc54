"""4D-flow MR in HDF5, in the layout of 4DFlowNet (github.com/EdwardFerdian/4DFlowNet), on h5py.

Datasets (t, x, y, z): velocity components u, v, w along the array axes, in m/s; magnitudes mag_u, mag_v,
mag_w; mask, the share of a voxel that is lumen; dx, the spacing in mm. The layout has neither origin nor
directions: voxel (0, 0, 0) is the world's origin and the axes are RAS+, so that grids that begin at the same
corner stay together.
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

COMPONENTS = ("u", "v", "w")
MAGNITUDES = ("mag_u", "mag_v", "mag_w")
LIBRARY_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError)


def read_flow4d(path: Path, limits: Limits, field: str | None) -> Foreign:
    """Velocity, mask and image: `field`, or the mean of the magnitudes over encodings and frames."""
    import numpy as np

    h5py = need("h5py", "HDF5")
    try:
        with h5py.File(path, "r") as file:
            names = set(file.keys())
            wanted = [name for name in (*COMPONENTS, "mask", *_image_fields(field, names, path)) if name in names]
            missing = [name for name in (*COMPONENTS, "dx") if name not in names]
            if missing:
                raise InputError(f"lacks the datasets {', '.join(missing)} of 4D-flow HDF5", file=path)
            spacing = _read(file, "dx", limits, path).astype(np.float64).reshape(-1, 3)
            arrays = {name: _frames(_read(file, name, limits, path), name, path) for name in wanted}
    except LIBRARY_ERRORS as error:
        raise InputError(f"h5py can not read it: {str(error).splitlines()[0][:200]}", file=path) from None
    _check_agreement(arrays, spacing, path)
    images = [arrays[name] for name in _image_fields(field, names, path)]
    return Foreign(
        np.diag([*spacing[0], 1.0]),
        image=np.mean([image.mean(axis=0, dtype=np.float64) for image in images], axis=0) if images else None,
        velocity=np.stack([np.moveaxis(arrays[name], 0, -1) for name in COMPONENTS], axis=-1),
        mask=arrays["mask"].mean(axis=0) if "mask" in arrays else None,
        unit="m/s",
        oriented=False,
    )


def _image_fields(field: str | None, names: set[str], path: Path) -> list[str]:
    if field is None:
        return [name for name in MAGNITUDES if name in names]
    if field not in names:
        raise InputError(f"has no dataset {field!r}; it has {', '.join(sorted(names))}", file=path)
    return [field]


def _read(file: Any, name: str, limits: Limits, path: Path) -> NDArray[Any]:
    """A dataset whose values lie in this very file. Raises InputError over the limit, before allocating."""
    import numpy as np

    h5py = need("h5py", "HDF5")
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise InputError(f"dataset {name!r} is a link; expected its values in this file", file=path)
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise InputError(f"{name!r} holds no values of its own in this file; expected a plain dataset", file=path)
    within_limit(dataset.shape, limits, path)
    if dataset.dtype.kind not in "biuf":
        raise InputError(f"dataset {name!r} has dtype {dataset.dtype}; expected real numbers", file=path)
    return np.asarray(dataset[...])


def _frames(values: NDArray[Any], name: str, path: Path) -> NDArray[Any]:
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4:
        raise InputError(f"dataset {name!r} has shape {values.shape}; expected (t, x, y, z)", file=path)
    return values


def _check_agreement(arrays: dict[str, NDArray[Any]], spacing: NDArray[np.float64], path: Path) -> None:
    shapes = {arrays[name].shape for name in COMPONENTS} | {(len(arrays["u"]), *a.shape[1:]) for a in arrays.values()}
    if len(shapes) > 1:
        raise InputError(f"its datasets have the shapes {sorted(shapes)}; expected one (t, x, y, z)", file=path)
    if (spacing != spacing[0]).any():
        raise InputError("dx, the spacing, changes between frames; expected one grid", file=path)
