"""PointSamples: draws from the posterior of a field at scattered points, so that what follows has its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import Inspection
from voxfield.artifacts._field_samples import FEWEST
from voxfield.artifacts._tensors import TensorArtifact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class PointSamples(TensorArtifact):
    """Joint samples of a vector or scalar field at points, on a manifold or in space.

    points  (n, d) float64
    values  (s, n, c) float32: sample, point, component; c = d along the axes of the points, or 1 for a scalar
    unit    of the values; None where it is unknown
    """

    required = ("points", "values")

    def __init__(self, points: ArrayLike, values: ArrayLike, *, unit: str | None = None) -> None:
        import numpy as np

        arrays: dict[str, NDArray[Any]] = {
            "points": np.ascontiguousarray(points, dtype=np.float64),
            "values": np.ascontiguousarray(values, dtype=np.float32),
        }
        super().__init__(arrays, unit)

    def _fault(self, arrays: dict[str, NDArray[Any]]) -> str | None:
        points, values = arrays["points"], arrays["values"]
        if points.ndim != 2 or points.dtype != "f8":
            return f"its points have shape {points.shape} and dtype {points.dtype}; expected (n, d) float64"
        count, axes = points.shape
        if values.ndim != 3 or values.shape[1] != count or values.shape[2] not in (1, axes) or values.dtype != "f4":
            found = f"shape {values.shape} and dtype {values.dtype}"
            return f"its values have {found}; expected (samples, {count}, 1 or {axes}) float32 like the points"
        return None

    @property
    def points(self) -> NDArray[np.float64]:
        """(n, d)."""
        return self.arrays["points"]

    @property
    def values(self) -> NDArray[np.float32]:
        """(s, n, c)."""
        return self.arrays["values"]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.values)

    def _check(self, inspection: Inspection) -> None:
        super()._check(inspection)
        if len(self) < FEWEST:
            inspection.refuse(f"holds {len(self)} samples; expected at least {FEWEST}, fewer say little about a spread")
