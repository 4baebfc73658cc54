"""Product kernels on a grid: what is observed, as rows over the coefficients, by Kronecker algebra.

    u(x, y) = sum C_ij phi_i(x) psi_j(y),   C_ij ~ N(0, w of the pair of components of i and j)

Every pair of components has a weight of its own; one weight a component and axis, as in the paper, is a special case.
Since the functions of an axis are closed under differentiation, the orthonormal basis Q of their values on the grid
carries all terms of the operator, and N_1 N_2 equations become as many as there are coefficients, without error:

    (Q_1 x Q_2)' sum_t c_t d^t u  =  sum_t c_t (Q_1' Phi^(t_1)) x (Q_2' Psi^(t_2))  vec C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from voxfield.pde.gp_hm._evidence import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.pde.gp_hm._axis import AxisKernel
    from voxfield.pde.gp_hm._envelope import Floats

Axes: TypeAlias = "Sequence[Floats]"
Terms: TypeAlias = tuple[tuple[float, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Face:
    """Boundary or initial values on one face of the box.

    axis    normal to the face
    high    at the upper end of that axis
    values  on the nodes of the other axes, in their order (no axis in 1D); NaN where nothing is known
    order   of the derivative along the axis: 0 the value, 1 the slope
    sd      standard deviation of the values; 0 is exact
    """

    axis: int
    high: bool
    values: Floats
    order: int = 0
    sd: float = 0.0


@dataclass(frozen=True)
class Observations:
    """Measured values of u: (n, axes) points, (n,) values, and their standard deviation."""

    points: Floats
    values: Floats
    sd: float


@dataclass(frozen=True)
class Product:
    """A product of kernels with the pairs of components that are in use.

    kernels  one an axis
    active   one flag a column of the Kronecker product
    """

    kernels: tuple[AxisKernel, ...]
    active: NDArray[np.bool_]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of functions along each axis."""
        return tuple(len(kernel.blocks) for kernel in self.kernels)

    @cached_property
    def pairs(self) -> NDArray[np.intp]:
        """(axes, columns) component on each axis of every column in use."""
        grid = np.meshgrid(*[kernel.blocks for kernel in self.kernels], indexing="ij")
        return np.stack([part.ravel() for part in grid])[:, self.active]

    @cached_property
    def blocks(self) -> NDArray[np.intp]:
        """Number of the pair that each column in use belongs to."""
        return np.asarray(np.unique(self.pairs, axis=1, return_inverse=True)[1]).ravel()

    def tensor(self, coefficients: Floats) -> Floats:
        """Coefficients (columns,) as an array over the functions of the axes."""
        full = np.zeros(self.active.size)
        full[self.active] = coefficients
        return full.reshape(self.shape)

    def designs(self, axes: Axes, order: tuple[int, ...]) -> list[Floats]:
        """One matrix an axis: a derivative of its functions at the nodes."""
        return [kernel.design(x, k) for kernel, x, k in zip(self.kernels, axes, order, strict=True)]

    def columns(self, matrices: Sequence[Floats]) -> Floats:
        """Columns in use of a Kronecker product."""
        whole = np.ones((1, 1))
        for matrix in matrices:
            whole = np.kron(whole, matrix).astype(np.float64, copy=False)
        return whole[:, self.active]


def along(matrices: Sequence[Floats], values: Floats) -> Floats:
    """Each matrix applied along its axis."""
    for axis, matrix in enumerate(matrices):
        values = np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)
    return values


@dataclass(frozen=True)
class GridData:
    """What is known of u.

    terms         of the linear operator: (coefficient, order along each axis)
    axes          nodes
    forcing       values on the grid
    faces         boundary and initial values
    observations  or None
    exact         standard deviation that stands for exact values
    """

    terms: Terms
    axes: tuple[Floats, ...]
    forcing: Floats
    faces: tuple[Face, ...]
    observations: Observations | None
    exact: float

    @property
    def open(self) -> list[int]:
        """Axes whose faces do not determine the solution: fewer are wholly known than the operator differentiates."""
        orders = np.max([order for _, order in self.terms], axis=0)
        whole = [face.axis for face in self.faces if np.isfinite(face.values).all()]
        return [axis for axis, order in enumerate(orders) if whole.count(axis) < order]

    def bases(self, product: Product) -> list[Floats]:
        """Orthonormal bases of the functions on the nodes, one an axis."""
        return [np.linalg.qr(kernel.raw(x))[0] for kernel, x in zip(product.kernels, self.axes, strict=True)]

    def rows(self, product: Product) -> Rows:
        """All data as rows over the coefficients in use."""
        bases = self.bases(product)
        turned = [basis.T for basis in bases]
        reduced = along(turned, self.forcing)
        matrix = np.zeros((reduced.size, int(product.active.sum())))
        for coefficient, order in self.terms:
            designs = product.designs(self.axes, order)
            matrix += coefficient * product.columns([q @ d for q, d in zip(turned, designs, strict=True)])
        known = [self._face(face, product) for face in self.faces]
        if self.observations is not None:
            known.append(_scattered(self.observations, product))
        return Rows(
            np.vstack([part[0] for part in known] or [np.zeros((0, matrix.shape[1]))]),
            np.concatenate([part[1] for part in known] or [np.zeros(0)])[:, None],
            np.concatenate([np.full(len(part[1]), part[2]) for part in known] or [np.zeros(0)]),
            matrix,
            reduced.reshape(-1, 1),
            self.forcing.size,
            float(((self.forcing - along(bases, reduced)) ** 2).sum()),
            offset=sum(part[3] for part in known),
        )

    def _face(self, face: Face, product: Product) -> tuple[Floats, Floats, float, float]:
        """Rows, values, standard deviation, and the log density of what no function of the model can reach."""
        ends = [x[[-1 if face.high else 0]] if k == face.axis else x for k, x in enumerate(self.axes)]
        values = np.expand_dims(np.asarray(face.values, dtype=float), face.axis)
        for axis in range(values.ndim):  # what is known of a face is a product of subsets of the nodes
            others = tuple(k for k in range(values.ndim) if k != axis)
            kept = np.isfinite(values).any(axis=others)
            ends[axis], values = ends[axis][kept], np.compress(kept, values, axis=axis)
        sd = max(face.sd, self.exact)
        designs = product.designs(ends, tuple(face.order * (axis == face.axis) for axis in range(values.ndim)))
        bases = [np.linalg.qr(kernel.raw(x))[0] for kernel, x in zip(product.kernels, ends, strict=True)]
        turned = [basis.T for basis in bases]
        reduced = along(turned, values)
        left = ((values - along(bases, reduced)) ** 2).sum() / sd**2
        offset = -((values.size - reduced.size) * np.log(2 * np.pi * sd**2) + left) / 2
        rows = product.columns([q @ d for q, d in zip(turned, designs, strict=True)])
        return rows, reduced.ravel(), sd, float(offset)


def _scattered(seen: Observations, product: Product) -> tuple[Floats, Floats, float, float]:
    designs = [kernel.design(seen.points[:, k]) for k, kernel in enumerate(product.kernels)]
    rows = reduce(lambda a, b: (a[:, :, None] * b[:, None, :]).reshape(len(a), -1), designs)
    return rows[:, product.active], seen.values, seen.sd, 0.0
