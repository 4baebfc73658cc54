"""Mesh: a surface of triangles, as GIfTI."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._files import open_origin
from voxfield.artifacts._gifti import read_surface, write_surface
from voxfield.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from voxfield.findings import Findings

FLAT = 1e-12  # area over squared longest edge, below which the three corners lie on one line


class Mesh(Artifact):
    """A surface of triangles in the world.

    vertices   (n, 3) float64, mm, RAS+
    triangles  (m, 3) int64, indices of vertices; counter-clockwise seen from outside where the surface is oriented
    """

    suffix = ".surf.gii"

    def __init__(self, vertices: ArrayLike, triangles: ArrayLike) -> None:
        import numpy as np

        super().__init__()
        self.vertices: NDArray[np.float64] = np.array(vertices, dtype=np.float64, order="C")
        self.triangles: NDArray[np.int64] = _whole(np.asarray(triangles))
        for name, array in (("vertices", self.vertices), ("triangles", self.triangles)):
            if array.ndim != 2 or array.shape[1] != 3:
                raise InputError(f"mesh: its {name} have shape {array.shape}; expected (n, 3)")
        low, high = (self.triangles.min(), self.triangles.max()) if self.triangles.size else (0, -1)
        if low < 0 or high >= len(self.vertices):
            raise InputError(f"mesh: its triangles name the vertices {low} to {high}; there are {len(self.vertices)}")

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Read a GIfTI surface: one array of points and one of triangles, in one file."""
        from voxfield.findings import Findings as NewFindings

        origin = open_origin(path)
        findings = NewFindings() if findings is None else findings
        vertices, triangles = read_surface(origin, limits, Inspection(origin.path, findings))
        try:
            mesh = cls(vertices, triangles)
        except InputError as error:
            raise InputError(error.message, file=origin.path) from None
        mesh._opened(origin, findings)
        return mesh

    def save(self, path: str | Path) -> None:
        """Write GIfTI; coordinates keep every digit."""
        Path(path).write_text(write_surface(self.vertices, self.triangles), encoding="utf-8")

    @property
    def edges(self) -> NDArray[np.int64]:
        """(e, 2) every edge once, smaller index first, in lexicographic order."""
        return self._edge_table[0]

    @property
    def edges_of_triangles(self) -> NDArray[np.int64]:
        """(m, 3) places in `edges` of the sides 01, 12 and 20 of each triangle."""
        return self._edge_table[1].reshape(3, -1).T

    @property
    def euler_characteristic(self) -> int:
        """Vertices in use - edges + triangles: 2 for a sphere, 0 for a torus, 1 for a disk."""
        return len(self._used) - len(self.edges) + len(self.triangles)

    @cached_property
    def area_vectors(self) -> NDArray[np.float64]:
        """(m, 3) normal of each triangle, as long as its area, mm^2."""
        import numpy as np

        a, b, c = (self.vertices[self.triangles[:, corner]] for corner in range(3))
        vectors: NDArray[np.float64] = 0.5 * np.cross(b - a, c - a)
        return vectors

    @cached_property
    def vertex_normals(self) -> NDArray[np.float64]:
        """(n, 3) unit normals, the triangles of a vertex weighted by area; 0 where no triangle is."""
        import numpy as np

        normals = np.zeros_like(self.vertices)
        for corner in range(3):
            np.add.at(normals, self.triangles[:, corner], self.area_vectors)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        np.divide(normals, length, out=normals, where=length > 0)
        return normals

    @property
    def is_closed(self) -> bool:
        """Whether every edge has two triangles or more: a surface without boundary."""
        return not self._boundary_edges

    @property
    def is_oriented(self) -> bool:
        """Whether no two triangles run along an edge in the same direction."""
        import numpy as np

        return len(np.unique(self._sides, axis=0)) == len(self._sides)

    @property
    def is_manifold(self) -> bool:
        """Whether every edge has at most two triangles and the triangles of every vertex make one fan."""
        return not self._crowded_edges and not self._pinched_vertices

    @property
    def _sides(self) -> NDArray[np.int64]:
        """(3m, 2) the directed sides of all triangles: side 01 of each, then 12, then 20."""
        import numpy as np

        return np.concatenate([self.triangles[:, [k, (k + 1) % 3]] for k in range(3)])

    @cached_property
    def _used(self) -> NDArray[np.int64]:
        import numpy as np

        return np.unique(self.triangles)

    @cached_property
    def _edge_table(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Edges (e, 2), the edge of each of the 3m sides, and the number of triangles of each edge."""
        import numpy as np

        edges, place, counts = np.unique(np.sort(self._sides, axis=1), axis=0, return_inverse=True, return_counts=True)
        return edges, place.ravel(), counts

    @property
    def _boundary_edges(self) -> int:
        return int((self._edge_table[2] == 1).sum())

    @property
    def _crowded_edges(self) -> int:
        return int((self._edge_table[2] > 2).sum())

    @cached_property
    def _pinched_vertices(self) -> int:
        """Vertices whose triangles make several fans: fans are components of corners linked across shared edges."""
        import numpy as np
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        corners = np.arange(3 * len(self.triangles)).reshape(3, -1)  # first corner of all triangles, then second
        ends = np.concatenate([np.stack([corners[k], corners[(k + 1) % 3]], axis=1) for k in range(3)])
        backward = self._sides[:, 0] > self._sides[:, 1]
        ends[backward] = ends[backward, ::-1]
        edge = self._edge_table[1]
        order = np.argsort(edge, kind="stable")
        same = edge[order][1:] == edge[order][:-1]
        first, second = ends[order[:-1][same]].ravel(), ends[order[1:][same]].ravel()
        links = coo_array((np.ones(len(first)), (first, second)), shape=(corners.size, corners.size))
        return int(connected_components(links, directed=False)[0]) - len(self._used)

    def _check(self, inspection: Inspection) -> None:
        import numpy as np

        if not np.isfinite(self.vertices).all():
            inspection.refuse("its vertices hold NaN or Infinity; expected finite millimetres")
        if not len(self.triangles):
            inspection.note("empty-mesh", "warning", "the mesh has no triangle")
            return
        self._check_triangles(inspection)
        self._check_surface(inspection)

    def _check_triangles(self, inspection: Inspection) -> None:
        import numpy as np

        sides = self._sides
        repeated = np.flatnonzero((sides[:, 0] == sides[:, 1]).reshape(3, -1).any(axis=0))
        if len(repeated):
            corners = self.triangles[repeated[0]].tolist()
            inspection.refuse(f"{len(repeated)} triangles name a vertex twice, the first {corners}; remove them")
        longest = (
            np.square(self.vertices[sides[:, 0]] - self.vertices[sides[:, 1]]).sum(axis=1).reshape(3, -1).max(axis=0)
        )
        flat = np.flatnonzero(np.linalg.norm(self.area_vectors, axis=1) <= FLAT * longest)
        if len(flat):
            corners = self.triangles[flat[0]].tolist()
            inspection.refuse(
                f"{len(flat)} triangles have no area, the first {corners}; merge vertices at one place and remove them"
            )

    def _check_surface(self, inspection: Inspection) -> None:
        unused = len(self.vertices) - len(self._used)
        if unused:
            inspection.note("unused-vertices", "info", f"{unused} vertices belong to no triangle", unused)
        if not self.is_closed:
            edges = self._boundary_edges
            inspection.note("open-surface", "info", f"the surface has a boundary of {edges} edges", edges)
        if not self.is_oriented:
            inspection.note(
                "not-oriented",
                "warning",
                "neighbouring triangles run opposite ways: inside and outside are not told apart",
            )
        if not self.is_manifold:
            crowded, pinched = self._crowded_edges, self._pinched_vertices
            text = f"{crowded} edges have over two triangles, {pinched} vertices join several fans"
            inspection.note("not-manifold", "warning", f"not a manifold: {text}")


def _whole(triangles: NDArray[Any]) -> NDArray[np.int64]:
    """Indices as int64; refuses what is no whole number."""
    import numpy as np

    if triangles.dtype.kind not in "iuf" and triangles.size:
        raise InputError(f"mesh: its triangles have dtype {triangles.dtype}; expected whole numbers")
    if triangles.dtype.kind == "f" and not (np.isfinite(triangles).all() and (triangles == np.trunc(triangles)).all()):
        raise InputError("mesh: its triangles hold fractions, NaN or Infinity; expected indices of vertices")
    if triangles.size and np.abs(triangles.astype(np.float64)).max() > np.iinfo(np.int32).max:
        raise InputError(f"mesh: its triangles name the vertex {triangles.max()}; expected at most 2^31 - 1")
    return np.array(triangles, dtype=np.int64, order="C")
