"""Manifold: the domain of a field, as points with tangent frames and weighted edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxfield.artifacts._tensors import TensorArtifact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

SHAPES = {"points": "nd", "frames": "ndm", "edges": "e2", "weights": "e", "mass": "n", "frame_error": "n"}


class Manifold(TensorArtifact):
    """A curve, surface or volume in space, known by points.

    points       (n, d) float64
    frames       (n, d, m) float64, an orthonormal basis of each tangent space; m is the dimension of the manifold
    edges        (e, 2) int64, places of the points that an edge joins, the smaller first
    weights      (e,) float64, of the edges in a Dirichlet energy
    mass         (n,) float64, the length, area or volume of each point
    frame_error  (n,) float64, estimated angle between frame and tangent space, radian; 0 where it is known
    """

    required = tuple(SHAPES)

    def __init__(
        self,
        points: ArrayLike,
        frames: ArrayLike,
        edges: ArrayLike,
        weights: ArrayLike,
        mass: ArrayLike,
        frame_error: ArrayLike,
    ) -> None:
        import numpy as np

        given = zip(SHAPES, (points, frames, edges, weights, mass, frame_error), strict=True)
        arrays: dict[str, NDArray[Any]] = {
            name: np.ascontiguousarray(value, dtype=np.int64 if name == "edges" else np.float64)
            for name, value in given
        }
        super().__init__(arrays, None)

    def _fault(self, arrays: dict[str, NDArray[Any]]) -> str | None:
        sizes: dict[str, int] = {"2": 2}
        for name, letters in SHAPES.items():
            shape, wanted = arrays[name].shape, "i8" if name == "edges" else "f8"
            if arrays[name].dtype != wanted:
                return f"its {name} have dtype {arrays[name].dtype}; expected {wanted}"
            expected = ", ".join(str(sizes.get(letter, letter)) for letter in letters)
            if len(shape) != len(letters) or any(
                sizes.setdefault(letter, size) != size for letter, size in zip(letters, shape, strict=True)
            ):
                return f"its {name} have shape {shape}; expected ({expected})"
        edges = arrays["edges"]
        if edges.size and not (edges.min() >= 0 and edges.max() < sizes["n"] and (edges[:, 0] < edges[:, 1]).all()):
            return f"its edges name points {edges.min()} to {edges.max()}; expected pairs i < j among {sizes['n']}"
        return None

    @property
    def points(self) -> NDArray[np.float64]:
        """(n, d)."""
        return self.arrays["points"]

    @property
    def frames(self) -> NDArray[np.float64]:
        """(n, d, m)."""
        return self.arrays["frames"]
