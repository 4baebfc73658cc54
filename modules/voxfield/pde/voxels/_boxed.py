"""Grids on the box around the mask, for GPUs: torch tensors (k, x, y, z) and no matrix; the same code runs on a CPU.

A product with the matrix is six passes over the box, one to each neighbour, with one coupling a face; blocks are sums
over reshaped boxes. Nothing is gathered, at the price of the voxels outside the mask, which hold zeros. Pieces of a
block that no face joins are one block here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from voxfield.pde.voxels._grid import FinestGrid, Grid
from voxfield.pde.voxels._network import COARSEST, Network, strides

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats

    Tensor = Any
    Strides = tuple[int, int, int]


class BoxedGrid(Grid):
    """The grid of conductances on a box and all coarser ones.

    links  (3, x, y, z)  conductance of the face above each voxel, axis by axis; 0 where there is none
    leak   (x, y, z)
    """

    coarser: BoxedGrid | None

    def __init__(self, links: Tensor, leak: Tensor) -> None:
        around = links.sum(dim=0) + sum(_below(links[axis], axis) for axis in range(3))
        diagonal = leak + around
        self.root = diagonal.sqrt()
        self.scale = torch.where(diagonal > 0, 1 / self.root, 0.0)
        self.joined = [_scaled(links[axis], self.scale, axis) for axis in range(3)]
        self.is_red = _is_red(leak)
        self.size = int((around > 0).sum())
        self.coarser = None
        if self.size <= COARSEST:
            self._nodes = (around > 0).nonzero(as_tuple=True)
            inverse = _network(links, leak, self._nodes).scaled_inverse
            self._inverse = torch.as_tensor(inverse, device=leak.device)
        else:
            self._strides = _strides(links)
            self.coarser = BoxedGrid(_block_links(links, self._strides), _block_sums(leak, self._strides))
            self._coarse_scale = self.coarser.scale

    def red(self, x: Tensor) -> Tensor:
        """Zeros at the black ones."""
        return torch.where(self.is_red, x, 0.0)

    def embedded(self, x: Tensor) -> Tensor:
        """The same box."""
        return x

    def averaged(self, x: Tensor) -> Tensor:
        """To the black ones and back."""
        return self._neighbours(self._neighbours(x))

    def eliminated(self, f: Tensor) -> Tensor:
        """f_red + C f_black."""
        return self.red(f + self._neighbours(f))

    def restored(self, f: Tensor, x: Tensor) -> Tensor:
        """x and f_black + C' x."""
        return torch.where(self.is_red, x, f + self._neighbours(x))

    def residual(self, f: Tensor, x: Tensor) -> Tensor:
        """f - A x, scaled."""
        return f - x + self._neighbours(x)

    def restricted(self, r: Tensor) -> Tensor:
        """Sums over blocks."""
        return self._coarse_scale * _block_sums(self.root * r, self._strides)

    def prolonged(self, x: Tensor) -> Tensor:
        """Constants on blocks."""
        spread = self._coarse_scale * x
        for axis, stride in enumerate(self._strides, start=1):
            spread = spread.repeat_interleave(stride, dim=axis).narrow(axis, 0, self.root.shape[axis - 1])
        return self.red(self.root * spread)

    def direct(self, f: Tensor) -> Tensor:
        """By the inverse at nodes with faces; the others are solved by their scale."""
        x = f.clone()
        place = (slice(None), *self._nodes)
        x[place] = f[place] @ self._inverse
        return x

    def dots(self, a: Tensor, b: Tensor) -> Tensor:
        """(k, 1, 1, 1)."""
        return torch.linalg.vecdot(a.flatten(1), b.flatten(1))[:, None, None, None]

    def ratio(self, above: Tensor, below: Tensor, floor: Any = 0.0) -> Tensor:
        """0 where the divisor is not above the floor."""
        return torch.where(below > floor, above / below, 0.0)

    def _neighbours(self, x: Tensor) -> Tensor:
        """Sum over the six neighbours, each times its coupling."""
        total = torch.zeros_like(x)
        for axis, joined in enumerate(self.joined, start=1):
            count = joined.shape[axis - 1]
            total.narrow(axis, 0, count).addcmul_(joined, x.narrow(axis, 1, count))
            total.narrow(axis, 1, count).addcmul_(joined, x.narrow(axis, 0, count))
        return total


class FinestBoxedGrid(BoxedGrid, FinestGrid):
    """The grid of a network on the box around its cells."""

    def __init__(self, network: Network, device: str) -> None:
        self.cells = network.cells - network.cells.min(axis=0)
        shape = tuple(self.cells.max(axis=0) + 1)
        leak, links = np.zeros(shape), np.zeros((3, *shape))
        leak[tuple(self.cells.T)] = network.leak
        axis = np.abs(network.cells[network.upper] - network.cells[network.lower]) @ np.arange(3)
        low = np.minimum(self.cells[network.lower], self.cells[network.upper])
        links[(axis, *low.T)] = network.conductance
        super().__init__(torch.as_tensor(links, device=device), torch.as_tensor(leak, device=device))
        self._places = tuple(torch.as_tensor(along, device=device) for along in self.cells.T)
        self.components = network.components

    def packed(self, f: Floats) -> Tensor:
        """Scaled right side on the box."""
        box = torch.zeros((f.shape[1], *self.root.shape), dtype=self.root.dtype, device=self.root.device)
        box[(slice(None), *self._places)] = torch.as_tensor(f.T, device=box.device)
        return self.scale * box

    def unpacked(self, x: Tensor) -> Floats:
        """Solution at the cells of the network."""
        return np.ascontiguousarray((self.scale * x)[(slice(None), *self._places)].cpu().numpy().T)


def _below(link: Tensor, axis: int) -> Tensor:
    """Conductance of the face below each voxel from that of the face above it, one axis."""
    return torch.cat([torch.zeros_like(link.narrow(axis, 0, 1)), link.narrow(axis, 0, link.shape[axis] - 1)], dim=axis)


def _scaled(link: Tensor, scale: Tensor, axis: int) -> Tensor:
    """Couplings of the matrix scaled to a unit diagonal, one fewer along the axis."""
    count = link.shape[axis] - 1
    return link.narrow(axis, 0, count) * scale.narrow(axis, 0, count) * scale.narrow(axis, 1, count)


def _is_red(box: Tensor) -> Tensor:
    x, y, z = (torch.arange(n, device=box.device) for n in box.shape)
    return (x[:, None, None] + y[:, None] + z) % 2 == 0


def _strides(links: Tensor) -> Strides:
    counts = (links > 0).sum(dim=(1, 2, 3)).cpu().numpy()
    return strides(links.sum(dim=(1, 2, 3)).cpu().numpy(), counts)


def _blocks(box: Tensor, by: Strides) -> Tensor:
    """Box (..., x, y, z) as (..., x / s, s, y / s, s, z / s, s), with zeros beyond its edge."""
    short = [-n % s for n, s in zip(box.shape[-3:], by, strict=True)]
    padded = torch.nn.functional.pad(box, [edge for n in reversed(short) for edge in (0, n)])
    shape = [part for n, s in zip(padded.shape[-3:], by, strict=True) for part in (n // s, s)]
    return padded.reshape(*box.shape[:-3], *shape)


def _block_sums(box: Tensor, by: Strides) -> Tensor:
    return _blocks(box, by).sum(dim=(-5, -3, -1))


def _block_links(links: Tensor, by: Strides) -> Tensor:
    """Conductance of the faces above blocks (3, x, y, z): those above the uppermost voxels of each, summed."""
    found = []
    for axis in range(3):
        top = _blocks(links[axis], by).narrow(2 * axis + 1, by[axis] - 1, 1)
        found.append(top.sum(dim=(-5, -3, -1)))
    return torch.stack(found)


def _network(links: Tensor, leak: Tensor, nodes: tuple[Tensor, ...]) -> Network:
    """The nodes of a small box as a network, in the order given."""
    number = torch.zeros(leak.shape, dtype=torch.int64, device=leak.device)
    number[nodes] = torch.arange(len(nodes[0]), device=leak.device)
    axis, *low = (links > 0).nonzero(as_tuple=True)
    high = [along + (axis == k) for k, along in enumerate(low)]
    ends = (number[tuple(low)], number[tuple(high)])
    cells = torch.stack(nodes, dim=1)
    parts = (cells, *ends, links[(axis, *low)], leak[nodes])
    return Network(*(part.cpu().numpy() for part in parts))
