"""Multigrid for networks of voxels: aggregation of blocks, half of the unknowns eliminated on every grid.

Scaled to a unit diagonal, unknowns in the order red, black, a network is

    [ I  -C ] [x_red  ]   [f_red  ]
    [ -C' I ] [x_black] = [f_black],    hence    S x_red = f_red + C f_black,    S = I - C C',

because faces join different colours only. S has its spectrum in [0, 1], and one step x + f - S x of Richardson's
iteration is a sweep of red-black Gauss-Seidel at the price of one product with the matrix. A cycle is such a step, a
correction from the grid of blocks, and another step, all of it on half of the unknowns.

The correction is constant on blocks (`Network.coarsened`), too stiff by itself: two steps of conjugate directions
on every coarser grid, each preconditioned by the cycle from there on, choose its length (the K-cycle of Notay and
Vassilevski, Numer. Linear Algebra Appl. 15, 2008; aggregation as in Notay, ETNA 37, 2010, but by geometry, so that
grids stay networks of face neighbours). Blocks are smaller along weakly coupled axes, and never join what is apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Ints
    from voxfield.pde.voxels._network import Network

COARSEST = 500
SHRINKS = 3.0
_PARALLEL = 1e-8


class Level:
    """One grid; its network has the red nodes in front.

    root    (n,)    square root of the diagonal; x = scaled x / root
    reds            number of red nodes
    joined  (r, b)  C, and its transpose
    """

    def __init__(self, network: Network) -> None:
        self.root = np.sqrt(network.diagonal)
        self.reds = network.reds
        below = network.lower < self.reds
        red = np.where(below, network.lower, network.upper)
        black = np.where(below, network.upper, network.lower)
        values = network.conductance / (self.root[red] * self.root[black])
        shape = (self.reds, network.size - self.reds)
        self.joined = sparse.csr_array((values, (red, black - self.reds)), shape=shape)
        self.joined_t = sparse.csr_array(self.joined.T)

    def averaged(self, x: Floats) -> Floats:
        """C C' x for red x (r, k)."""
        return np.asarray(self.joined @ (self.joined_t @ x))

    def eliminated(self, f: Floats) -> Floats:
        """Right side (r, k) of the red unknowns from that of all (n, k)."""
        return np.asarray(f[: self.reds] + self.joined @ f[self.reds :])

    def restored(self, f: Floats, red: Floats) -> Floats:
        """All unknowns (n, k) from the red ones."""
        return np.concatenate([red, f[self.reds :] + self.joined_t @ red])

    def residual(self, f: Floats, x: Floats) -> Floats:
        """What is left of a right side (n, k), anew from all unknowns."""
        red, black = x[: self.reds], x[self.reds :]
        return np.asarray(f - x + np.concatenate([self.joined @ black, self.joined_t @ red]))


class Multigrid:
    """Grids of one network, reds in front, down to one small enough for dense algebra.

    levels      finest first
    components  (n,)  number of the connected component of each node of the finest grid
    """

    def __init__(self, network: Network) -> None:
        self.levels = [Level(network)]
        self._transfers: list[Transfer] = []
        blocks = []
        while network.size > COARSEST:
            network, block = network.coarsened()
            blocks.append(block)
            self.levels.append(Level(network))
            self._transfers.append(Transfer(self.levels[-2], self.levels[-1], block))
        self._inverse = _dense_inverse(network)
        self.components = network.components
        for block in reversed(blocks):
            self.components = _pulled_back(self.components, block)

    def precondition(self, f: Floats, depth: int = 0) -> Floats:
        """One cycle for S x = f (r, k) from the grid at `depth` downwards."""
        if depth == len(self._transfers):
            return self._coarsest(f)
        level, transfer = self.levels[depth], self._transfers[depth]
        coarse = np.asarray(transfer.restrict @ level.averaged(f))
        correction = transfer.prolong @ self._solve(coarse, depth + 1, transfer.steps)
        return np.asarray(f + level.averaged(f + correction))

    def _solve(self, f: Floats, depth: int, steps: int) -> Floats:
        """A rough solution (n, k) on a coarser grid, of all unknowns."""
        if depth == len(self._transfers):
            return np.asarray(self._inverse @ f)
        level = self.levels[depth]
        g = level.eliminated(f)
        return level.restored(f, self._conjugate(g, depth, steps))

    def _conjugate(self, g: Floats, depth: int, steps: int) -> Floats:
        """One or two steps of conjugate directions for S x = g (r, k), every column by itself."""
        first = self.precondition(g, depth)
        image = first - self.levels[depth].averaged(first)
        size = dots(first, image)
        length = ratio(dots(first, g), size)
        if steps == 1:
            return length * first
        left = g - length * image
        second = self.precondition(left, depth)
        other = second - self.levels[depth].averaged(second)
        skew, whole = dots(second, image), dots(second, other)
        own = whole - ratio(skew**2, size)
        # A second direction within the first but for round-off has nothing to add.
        further = np.where(own > _PARALLEL * whole, ratio(dots(second, left), own), 0.0)
        return (length - further * ratio(skew, size)) * first + further * second

    def _coarsest(self, g: Floats) -> Floats:
        """S x = g on a grid that is the coarsest and the finest."""
        black = len(self._inverse) - len(g)
        full = np.concatenate([g, np.zeros((black, g.shape[1]))])
        return np.asarray((self._inverse @ full)[: len(g)])


class Transfer:
    """Between a grid and the next coarser one.

    prolong   (r, m)  to the red nodes of the finer grid from all of the coarser
    restrict  (m, r)  its transpose
    steps             of conjugate directions on the coarser grid: two where it is much smaller, for their cost
    """

    def __init__(self, above: Level, below: Level, block: Ints) -> None:
        red = np.flatnonzero(block[: above.reds] >= 0)
        column = block[red]
        values = ratio(above.root[red], below.root[column])
        self.prolong = sparse.csr_array((values, (red, column)), shape=(above.reds, len(below.root)))
        self.restrict = sparse.csr_array(self.prolong.T)
        self.steps = 2 if len(above.root) > SHRINKS * len(below.root) else 1


def _pulled_back(parts: Ints, block: Ints) -> Ints:
    """Components of a grid from those of the coarser one; a node without a block is a component by itself."""
    alone = block < 0
    pulled = np.append(parts, 0)[block]
    pulled[alone] = parts.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
    return np.asarray(pulled)


def _dense_inverse(network: Network) -> Floats:
    """Inverse (n, n) of the scaled matrix, made definite where it maps constants to zero."""
    root = np.sqrt(network.diagonal)
    parts = network.components
    free = np.bincount(parts, weights=network.leak) == 0
    constant = root * (parts[:, None] == np.flatnonzero(free)).T
    norms = np.linalg.norm(constant, axis=1, keepdims=True)
    constant = ratio(constant, np.broadcast_to(norms, constant.shape))
    scale = ratio(np.ones_like(root), root)
    matrix = scale[:, None] * network.matrix.toarray() * scale
    matrix[root == 0, root == 0] = 1.0
    return np.asarray(np.linalg.inv(matrix + constant.T @ constant))


def dots(a: Floats, b: Floats) -> Floats:
    """Inner products of the columns of two arrays (n, k)."""
    return np.asarray(np.vecdot(a.T, b.T))


def ratio(above: Floats, below: Floats) -> Floats:
    """Quotient, 0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
