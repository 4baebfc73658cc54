"""Grids that hold the voxels of the mask and no others: numpy arrays (n, k) and sparse matrices, on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from voxfield.pde.voxels._grid import FinestGrid
from voxfield.pde.voxels._network import COARSEST, Network

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Ints


class GatheredGrid(FinestGrid):
    """The grid of a network and all coarser ones. Unknowns are ordered red, black."""

    coarser: GatheredGrid | None

    def __init__(self, network: Network) -> None:
        self.size = network.size
        coloured, self.order = network.reds_first()
        self.joined, self.joined_t, self.root = _scaled(coloured)
        self.reds = self.joined.shape[0]
        self.coarser = None
        if self.size <= COARSEST:
            self._inverse = coloured.scaled_inverse
            self.components = network.components
        else:
            coarse, block = network.coarsened()
            self.coarser = GatheredGrid(coarse)
            self._prolong = self._prolongation(self.coarser, block)
            self._restrict = sparse.csr_array(self._prolong.T)
            self.components = _pulled_back(self.coarser.components, block)

    def _prolongation(self, coarser: GatheredGrid, block: Ints) -> sparse.csr_array:
        """From all of a coarser grid to the red nodes here; `block` is in the order of the networks."""
        place = np.empty(coarser.size, dtype=np.int32)
        place[coarser.order] = np.arange(coarser.size, dtype=np.int32)
        own = block[self.order[: self.reds]]
        rows = np.flatnonzero(own >= 0)
        columns = place[own[rows]]
        values = self.ratio(self.root[rows], coarser.root[columns])
        return sparse.csr_array((values, (rows, columns)), shape=(self.reds, coarser.size))

    def packed(self, f: Floats) -> Floats:
        """Scaled right side, reds first."""
        return self.ratio(f[self.order], self.root[:, None])

    def unpacked(self, x: Floats) -> Floats:
        """Solution in the order of the network."""
        values = np.empty_like(x)
        values[self.order] = self.ratio(x, self.root[:, None])
        return values

    def red(self, x: Floats) -> Floats:
        """The first rows."""
        return x[: self.reds]

    def embedded(self, x: Floats) -> Floats:
        """Zeros below."""
        return np.concatenate([x, np.zeros((self.size - self.reds, x.shape[1]))])

    def averaged(self, x: Floats) -> Floats:
        """C C' x."""
        return np.asarray(self.joined @ (self.joined_t @ x))

    def eliminated(self, f: Floats) -> Floats:
        """f_red + C f_black."""
        return np.asarray(f[: self.reds] + self.joined @ f[self.reds :])

    def restored(self, f: Floats, x: Floats) -> Floats:
        """x and f_black + C' x."""
        return np.concatenate([x, f[self.reds :] + self.joined_t @ x])

    def residual(self, f: Floats, x: Floats) -> Floats:
        """f - A x, scaled."""
        around = np.concatenate([self.joined @ x[self.reds :], self.joined_t @ x[: self.reds]])
        return np.asarray(f - x + around)

    def restricted(self, r: Floats) -> Floats:
        """Sums over blocks."""
        return np.asarray(self._restrict @ r)

    def prolonged(self, x: Floats) -> Floats:
        """Constants on blocks."""
        return np.asarray(self._prolong @ x)

    def direct(self, f: Floats) -> Floats:
        """By the inverse."""
        return np.asarray(self._inverse @ f)

    def dots(self, a: Floats, b: Floats) -> Floats:
        """(k,)."""
        return np.asarray(np.vecdot(a.T, b.T))

    def ratio(self, above: Floats, below: Floats, floor: Any = 0.0) -> Floats:
        """0 where the divisor is not above the floor."""
        return np.divide(above, below, out=np.zeros_like(above), where=below > floor)


def _scaled(network: Network) -> tuple[sparse.csr_array, sparse.csr_array, Floats]:
    """C and its transpose of a network with reds in front, and the root of its diagonal (n,)."""
    reds = int(np.count_nonzero(network.cells.sum(axis=1) % 2 == 0))
    is_low = network.lower < reds
    red = np.where(is_low, network.lower, network.upper)
    black = np.where(is_low, network.upper, network.lower) - reds
    joined = sparse.csr_array((network.conductance, (red, black)), shape=(reds, network.size - reds))
    root = np.sqrt(network.leak + np.concatenate([joined.sum(axis=1), joined.sum(axis=0)]))
    joined.data /= np.repeat(root[:reds], np.diff(joined.indptr)) * root[reds:][joined.indices]
    return joined, sparse.csr_array(joined.T), root


def _pulled_back(parts: Ints, block: Ints) -> Ints:
    """Components of a network from those of its blocks; a node without block is a component by itself."""
    alone = block < 0
    pulled = np.append(parts, 0)[block]
    pulled[alone] = parts.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
    return np.asarray(pulled)
