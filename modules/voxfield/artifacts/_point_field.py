"""PointField: vectors or scalars at scattered points, on a manifold or in space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxfield.artifacts._tensors import TensorArtifact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class PointField(TensorArtifact):
    """A field known at points.

    points   (n, d) float64
    vectors  (n, d) float64; (n, 1) for a scalar field
    frames   (n, d, k) float64, an orthonormal tangent basis a point; None in flat space
    sd       standard deviation of each component, shaped like the vectors; None where it is unknown
    unit     of the vectors; None where it is unknown
    """

    required = ("points", "vectors")

    def __init__(
        self,
        points: ArrayLike,
        vectors: ArrayLike,
        frames: ArrayLike | None = None,
        sd: ArrayLike | None = None,
        *,
        unit: str | None = None,
    ) -> None:
        import numpy as np

        given = {"points": points, "vectors": vectors, "frames": frames, "sd": sd}
        arrays: dict[str, NDArray[Any]] = {
            name: np.ascontiguousarray(value, dtype=np.float64) for name, value in given.items() if value is not None
        }
        super().__init__(arrays, unit)

    def _fault(self, arrays: dict[str, NDArray[Any]]) -> str | None:
        shape = arrays["points"].shape
        if len(shape) != 2:
            return f"its points have shape {shape}; expected (n, d)"
        vectors = arrays["vectors"].shape
        if vectors not in (shape, (shape[0], 1)):
            return f"its vectors have shape {vectors}; expected {shape} like the points, or ({shape[0]}, 1) for scalars"
        if "sd" in arrays and arrays["sd"].shape != vectors:
            return f"its sd have shape {arrays['sd'].shape}; expected {vectors} like the vectors"
        if "frames" in arrays and (arrays["frames"].ndim != 3 or arrays["frames"].shape[:2] != shape):
            return f"its frames have shape {arrays['frames'].shape}; expected ({shape[0]}, {shape[1]}, k)"
        wrong = [
            name for name in ("points", "vectors", "sd", "frames") if name in arrays and arrays[name].dtype != "f8"
        ]
        return f"its {', '.join(wrong)} are not float64" if wrong else None

    @property
    def points(self) -> NDArray[np.float64]:
        """(n, d)."""
        return self.arrays["points"]

    @property
    def vectors(self) -> NDArray[np.float64]:
        """(n, d), or (n, 1) for a scalar field."""
        return self.arrays["vectors"]

    @property
    def frames(self) -> NDArray[np.float64] | None:
        """(n, d, k), or None."""
        return self.arrays.get("frames")

    @property
    def sd(self) -> NDArray[np.float64] | None:
        """Like the vectors, or None."""
        return self.arrays.get("sd")
