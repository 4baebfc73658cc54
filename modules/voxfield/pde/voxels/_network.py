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

WEAK = 0.3
_ROUND_OFF = 1e-12


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
        leak[leak <= _ROUND_OFF * matrix.diagonal()] = 0.0
        return cls(cells, entries.row[joined], entries.col[joined], -entries.data[joined], leak)

    @property
    def size(self) -> int:
        """Number of nodes n."""
        return len(self.cells)

    @cached_property
    def diagonal(self) -> Floats:
        """Leak and conductances of every node (n,)."""
        return self.leak + self._at_nodes(self.conductance)

    @cached_property
    def reds(self) -> int:
        """Number of nodes whose indices have an even sum."""
        return int(np.count_nonzero(self.cells.sum(axis=1) % 2 == 0))

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

    def reds_first(self) -> tuple[Network, Ints]:
        """The network with its red nodes in front, and where each node of it was before (n,)."""
        odd = self.cells.sum(axis=1) % 2 == 1
        order = np.concatenate([np.flatnonzero(~odd), np.flatnonzero(odd)])
        place = np.empty(self.size, dtype=np.int32)
        place[order] = np.arange(self.size, dtype=np.int32)
        network = Network(
            self.cells[order], place[self.lower], place[self.upper], self.conductance, self.leak[order]
        )  # fmt: skip
        return network, order

    def coarsened(self) -> tuple[Network, Ints]:
        """The network of blocks, two nodes a side along the strongly coupled axes, reds in front.

        Conductances between two blocks and leaks within a block add up, which makes its matrix the Galerkin
        product with functions constant on blocks. Pieces of a block that no face joins are blocks of their own.

        returns  network and block of each node (n,); -1 for a node without faces, which needs no coarser one
        """
        blocks = self.cells // self._strides()
        key = np.ravel_multi_index(tuple(blocks.T), tuple(blocks.max(axis=0) + 1))
        inside = key[self.lower] == key[self.upper]
        block = self._parts(inside)
        joined = self._at_nodes(np.ones(len(self.lower))) > 0
        count = int(block.max(initial=-1)) + 1
        kept = np.zeros(count, dtype=bool)
        kept[block[joined]] = True
        cells = np.empty((count, 3), dtype=self.cells.dtype)
        cells[block] = blocks
        leak = np.asarray(np.bincount(block, weights=self.leak, minlength=count), dtype=float)
        number = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
        block = number[block]
        between = ~inside
        faces = sparse.coo_array(
            (self.conductance[between], (block[self.lower[between]], block[self.upper[between]])),
            shape=(int(kept.sum()),) * 2,
        ).tocsr().tocoo()  # fmt: skip  # sums what lies between the same two blocks
        coarse, order = Network(cells[kept], faces.row, faces.col, faces.data, leak[kept]).reds_first()
        place = np.append(np.argsort(order), -1).astype(np.int32)
        return coarse, place[block]

    def _strides(self) -> Ints:
        """Nodes a side of a block (3,): 2 along axes whose mean conductance is not weak beside the largest, else 1."""
        code = self.cells @ np.arange(1, 4, dtype=self.cells.dtype)  # differs by 1, 2 or 3 across a face
        axis = np.abs(code[self.upper] - code[self.lower]) - 1
        counts = np.bincount(axis, minlength=3)
        means = np.bincount(axis, weights=self.conductance, minlength=3) / np.maximum(counts, 1)
        return np.where(means >= WEAK * means.max(), 2, 1)

    def _parts(self, faces: NDArray[np.bool_]) -> Ints:
        """Connected component of each node (n,) if only some faces (f,) are open."""
        ends = (self.lower[faces], self.upper[faces])
        graph = sparse.coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(self.size, self.size))
        return np.asarray(sparse.csgraph.connected_components(graph, directed=False)[1])

    def _at_nodes(self, faces: Floats) -> Floats:
        """Sum of values on faces (f,) at both of their nodes (n,)."""
        low = np.bincount(self.lower, weights=faces, minlength=self.size)
        return np.asarray(low + np.bincount(self.upper, weights=faces, minlength=self.size))
