"""GridField: a function on the grid that its named axes span, such as the solution of an equation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import DEFAULT_LIMITS, Limits
from voxfield.artifacts._safetensors import write_tensors
from voxfield.artifacts._tensors import TensorArtifact
from voxfield.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from voxfield.findings import Findings

AXIS = "axis_"  # of the arrays that hold coordinates


class GridField(TensorArtifact):
    """Values on a tensor grid of one or more axes.

    axes    name -> (n_i,) float64 coordinates, strictly increasing; in the order of the dimensions of the values
    values  (n_1, ..., n_d) float64, or complex128
    sd      standard deviation of the values, shaped like them; None where it is unknown
    name    of the quantity
    unit    of the values; "1" where they have no dimension
    units   name of an axis -> unit of its coordinates
    """

    required = ("values",)

    def __init__(
        self,
        axes: Mapping[str, ArrayLike],
        values: ArrayLike,
        sd: ArrayLike | None = None,
        *,
        name: str,
        unit: str,
        units: Mapping[str, str],
    ) -> None:
        import numpy as np

        values = np.asarray(values)
        arrays: dict[str, NDArray[Any]] = {"values": np.ascontiguousarray(values.real, dtype=np.float64)}
        if np.iscomplexobj(values):
            arrays["imaginary"] = np.ascontiguousarray(values.imag, dtype=np.float64)
        if sd is not None:
            arrays["sd"] = np.ascontiguousarray(sd, dtype=np.float64)
        for axis, coordinates in axes.items():
            arrays[AXIS + axis] = np.ascontiguousarray(coordinates, dtype=np.float64)
        self.name = name
        self.units = dict(units)
        self._names = tuple(axes)
        super().__init__(arrays, unit)

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Open a file: its header is judged now, its arrays are read when they are first used."""
        field = super().load(path, limits=limits, findings=findings)
        content: Mapping[str, Any] = {} if field._source is None else field._source.content
        units, order = content.get("axes"), content.get("order")
        if not isinstance(units, dict) or not isinstance(order, list) or sorted(map(str, order)) != sorted(units):
            raise InputError("its metadata names no axes with their units; make it anew", file=field.file)
        field._names = tuple(order)
        field.units = {name: str(units[name]) for name in order}
        field.name = str(content.get("name", "u"))
        return field

    def _fault(self, arrays: dict[str, NDArray[Any]]) -> str | None:
        import numpy as np

        if not self._names or set(self.units) != set(self._names):
            return f"its axes are {self._names}, their units are of {tuple(self.units)}; expected a unit an axis"
        missing = [name for name in self._names if AXIS + name not in arrays]
        if missing:
            return f"it lacks the coordinates of the axes {', '.join(missing)}"
        shape = tuple(arrays[AXIS + name].size for name in self._names)
        for name in ("values", "imaginary", "sd"):
            if name in arrays and (arrays[name].shape != shape or arrays[name].dtype != "f8"):
                found = f"shape {arrays[name].shape}, {arrays[name].dtype}"
                return f"its {name} have {found}; expected {shape} float64, as the axes {', '.join(self._names)} say"
        for name in self._names:
            axis = arrays[AXIS + name]
            if axis.ndim != 1 or not axis.size or axis.dtype != "f8" or (np.diff(axis) <= 0).any():
                return f"the coordinates of axis {name} do not increase; expected (n,) float64, strictly increasing"
        return None

    def save(self, path: str | Path) -> None:
        """Write `.safetensors`, with kind, names and units in its metadata."""
        content = {"kind": self.kind, "unit": self.unit, "name": self.name, "axes": self.units}
        write_tensors(path, self.arrays, {**content, "order": list(self._names)})

    @property
    def axes(self) -> dict[str, NDArray[np.float64]]:
        """Name -> (n_i,) coordinates, in the order of the dimensions."""
        return {name: self.arrays[AXIS + name] for name in self._names}

    @property
    def values(self) -> NDArray[Any]:
        """(n_1, ..., n_d)."""
        real = self.arrays["values"]
        return real + 1j * self.arrays["imaginary"] if "imaginary" in self.arrays else real

    @property
    def sd(self) -> NDArray[np.float64] | None:
        """Like the values, or None."""
        return self.arrays.get("sd")
