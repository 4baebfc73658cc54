"""Voxels joined through their faces, as a network of conductances, and the coarser networks made of it.

A symmetric system whose couplings run between face neighbours and are not positive is such a network: row i says
leak_i x_i + sum over the faces of i of conductance (x_i - x_j). Kept in this form a row never loses its leak to
round-off, so that parts without any are told exactly, and coarser networks need sums only.

Voxels are coloured like a chessboard, by the parity of the sum of their indices. Faces join different colours only,
in a network of blocks no less than in one of voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from voxfield.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.pde._domain import Floats, Ints

COARSEST = 300  # nodes that are left to dense algebra
WEAK = 0.3  # conductance beside that along the strongest axis
SAMPLED = 10_000  # faces, for means over them
_ROUND_OFF = 1e-12  # of a diagonal entry, up to which the sum of its row is zero
_TINY = 1e-300


@dataclass(frozen=True)
class Network:
    """n nodes and f faces between them.

    cells        (n, 3)  index of the voxel, or of the block of voxels
    lower        (f,)    node on one side of each face
    upper        (f,)    node on the other
    conductance  (f,)    above 0
    leak         (n,)    0 or more; from a Dirichlet value beside the node, or from absorption in it
    """

    cells: Ints
    lower: Ints
    upper: Ints
    conductance: Floats
    leak: Floats

    @classmethod
    def from_matrix(cls, matrix: sparse.csr_array, cells: Ints) -> Network:
        """The network of a symmetric matrix (n, n). Raises InputError where it is none."""
        entries = sparse.coo_array(sparse.triu(matrix, k=1))
        apart = np.abs(cells[entries.row] - cells[entries.col]).sum(axis=1) != 1
        bad = np.count_nonzero((entries.data != 0) & (apart | (entries.data > 0)))
        if bad:
            raise InputError(f"{bad} couplings are positive or join voxels without a common face; expected none")
        joined = entries.data < 0
        leak = np.asarray(matrix.sum(axis=1), dtype=float)
        least = _ROUND_OFF * matrix.diagonal()
        bad = np.count_nonzero(leak < -least)
        if bad:
            raise InputError(f"{bad} rows sum to less than 0, the least to {leak.min():.3g}; expected 0 or more")
        leak[leak <= least] = 0.0
        return cls(cells, entries.row[joined], entries.col[joined], -entries.data[joined], leak)

    @property
    def size(self) -> int:
        """Number of nodes n."""
        return len(self.cells)

    @cached_property
    def diagonal(self) -> Floats:
        """Leak and conductances of every node (n,)."""
        return self.leak + self._at_nodes(self.conductance)

    @property
    def matrix(self) -> sparse.csr_array:
        """The system as a matrix (n, n)."""
        shape = (self.size, self.size)
        half = sparse.coo_array((self.conductance, (self.lower, self.upper)), shape=shape)
        return sparse.csr_array(sparse.diags_array(self.diagonal) - half - half.T)

    @property
    def components(self) -> Ints:
        """Number of the connected component of each node (n,)."""
        return self._parts(np.ones(len(self.lower), dtype=bool))

    def free(self, components: Ints) -> NDArray[np.bool_]:
        """Whether each component has no leak at all, so that the matrix maps its constants to zero."""
        return np.asarray(np.bincount(components, weights=self.leak) == 0)

    @property
    def scaled_inverse(self) -> Floats:
        """Inverse (n, n) of the matrix scaled to a unit diagonal, made definite where it maps constants to zero."""
        root = np.sqrt(self.diagonal)
        scale = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
        parts = self.components
        constants = root * (parts == np.flatnonzero(self.free(parts))[:, None])
        constants /= np.maximum(np.linalg.norm(constants, axis=1, keepdims=True), _TINY)
        matrix = scale[:, None] * self.matrix.toarray() * scale
        matrix[root == 0, root == 0] = 1.0
        return np.asarray(np.linalg.inv(matrix + constants.T @ constants))

    def reds_first(self) -> tuple[Network, Ints]:
        """The network with its red nodes, those of even index sum, in front, and the old number of each (n,)."""
        odd = self.cells.sum(axis=1) % 2 == 1
        order = np.concatenate([np.flatnonzero(~odd), np.flatnonzero(odd)])
        place = np.empty(self.size, dtype=np.int32)
        place[order] = np.arange(self.size, dtype=np.int32)
        network = Network(self.cells[order], place[self.lower], place[self.upper], self.conductance, self.leak[order])
        return network, order

    def coarsened(self) -> tuple[Network, Ints]:
        """The network of blocks of nodes, as many a side as `strides` says.

        Conductances between two blocks and leaks within a block add up, which makes its matrix the Galerkin
        product with functions constant on blocks. Pieces of a block that no face joins are blocks of their own.
        A node without faces needs no coarser grid and gets no block.

        returns  network and block of each node (n,), -1 for none
        """
        corners = self.cells // np.array(self._strides(), dtype=self.cells.dtype)
        key = np.ravel_multi_index(tuple(corners.T), tuple(corners.max(axis=0) + 1))
        inside = key[self.lower] == key[self.upper]
        block, count = self._numbered(self._parts(inside))
        cells = np.empty((count, 3), dtype=self.cells.dtype)
        held = block >= 0
        cells[block[held]] = corners[held]
        leak = np.bincount(block[held], weights=self.leak[held], minlength=count)
        cut = np.flatnonzero(~inside)
        pairs = (block[self.lower[cut]], block[self.upper[cut]])
        between = sparse.coo_array((self.conductance[cut], pairs), shape=(count, count))
        faces = between.tocsr().tocoo()  # sums what lies between the same two blocks
        return Network(cells, faces.row, faces.col, faces.data, np.asarray(leak, dtype=float)), block

    def _numbered(self, parts: Ints) -> tuple[Ints, int]:
        """Parts (n,) numbered anew without those of nodes that have no face, which get -1, and how many there are."""
        kept = np.zeros(int(parts.max(initial=-1)) + 1, dtype=bool)
        kept[parts[self.lower]] = True
        kept[parts[self.upper]] = True
        numbers = np.where(kept, np.cumsum(kept, dtype=np.int32) - 1, -1)
        return numbers[parts], int(np.count_nonzero(kept))

    def _strides(self) -> tuple[int, int, int]:
        some = slice(None, None, 1 + len(self.lower) // SAMPLED)
        axis = np.abs(self.cells[self.upper[some]] - self.cells[self.lower[some]]) @ np.arange(3)
        sums = np.bincount(axis, weights=self.conductance[some], minlength=3)
        return strides(np.asarray(sums, dtype=float), np.bincount(axis, minlength=3))

    def _parts(self, faces: NDArray[np.bool_]) -> Ints:
        """Connected component of each node (n,) if only some faces (f,) are open."""
        ends = (self.lower[faces], self.upper[faces])
        graph = sparse.coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(self.size, self.size))
        return np.asarray(sparse.csgraph.connected_components(graph, directed=False)[1])

    def _at_nodes(self, faces: Floats) -> Floats:
        """Sum of values on faces (f,) at both of their nodes (n,)."""
        low = np.bincount(self.lower, weights=faces, minlength=self.size)
        return np.asarray(low + np.bincount(self.upper, weights=faces, minlength=self.size))


def strides(conductance: Floats, faces: Ints) -> tuple[int, int, int]:
    """Nodes a side of a block: 2 along axes whose mean conductance is not weak, 4 where that is one axis alone, else 1.

    conductance  (3,)  sum over the faces normal to each axis
    faces        (3,)  their number
    """
    means = conductance / np.maximum(faces, 1)
    strong = means >= WEAK * means.max()
    x, y, z = np.where(strong, 4 if strong.sum() == 1 else 2, 1).tolist()
    return x, y, z
