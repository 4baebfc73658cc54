"""Multigrid for networks of voxels: half of the unknowns eliminated on every grid, K-cycles between them.

Scaled to a unit diagonal, unknowns in the order red, black, a network is

    [ I  -C ] [x_red  ]   [f_red  ]
    [ -C' I ] [x_black] = [f_black],    hence    S x_red = f_red + C f_black,    S = I - C C',

because faces join different colours only. S has its spectrum in [0, 1], and one step x + f - S x of Richardson's
iteration is a sweep of red-black Gauss-Seidel at the price of one product with the matrix. A cycle is such a step, a
correction from the next coarser grid, and another step, all of it on half of the unknowns.

The correction is constant on blocks of nodes, too stiff by itself: two steps of conjugate directions on every coarser
grid, each preconditioned by the cycle from there on, choose its length (the K-cycle of Notay and Vassilevski, Numer.
Linear Algebra Appl. 15, 2008; aggregation as in Notay, ETNA 37, 2010, but by geometry, so that grids stay networks of
face neighbours). Blocks are smaller along weakly coupled axes.

How a grid keeps its unknowns is left to its kind: gathered in numpy arrays (`_gathered`), or on a box of torch tensors
(`_boxed`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxfield.pde._domain import Floats, Ints

    Array = Any  # numpy array or tensor: all unknowns of a grid, or the red ones; one column a right side
    Numbers = Any  # one number a column

SHRINKS = 3.0  # a grid so many times smaller than the next finer one is worth two steps
PARALLEL = 1e-8  # a second direction with so little energy of its own is the first but for round-off
FLAT = (
    1e-14  # a direction with so little energy for its length is constant on components without leak, but for round-off
)


class Grid(ABC):
    """One grid, with the next coarser one below it, if any.

    size  number of nodes
    """

    size: int
    coarser: Grid | None

    @abstractmethod
    def red(self, x: Array) -> Array:
        """The red unknowns of all."""

    @abstractmethod
    def embedded(self, x: Array) -> Array:
        """All unknowns, the black ones 0, from the red ones."""

    @abstractmethod
    def averaged(self, x: Array) -> Array:
        """C C' x for red x."""

    @abstractmethod
    def eliminated(self, f: Array) -> Array:
        """Right side f_red + C f_black of the red unknowns."""

    @abstractmethod
    def restored(self, f: Array, x: Array) -> Array:
        """All unknowns from the red ones."""

    @abstractmethod
    def residual(self, f: Array, x: Array) -> Array:
        """What x leaves of a right side f, anew from all unknowns."""

    @abstractmethod
    def restricted(self, r: Array) -> Array:
        """Right side on the coarser grid from a residual of the red unknowns."""

    @abstractmethod
    def prolonged(self, x: Array) -> Array:
        """Red unknowns from all of the coarser grid."""

    @abstractmethod
    def direct(self, f: Array) -> Array:
        """All unknowns by dense algebra, on the coarsest grid."""

    @abstractmethod
    def dots(self, a: Array, b: Array) -> Numbers:
        """Inner product, column by column."""

    @abstractmethod
    def ratio(self, above: Numbers, below: Numbers, floor: Numbers = 0.0) -> Numbers:
        """Quotient, 0 where the divisor is not above the floor."""

    def norms(self, x: Array) -> Numbers:
        """Euclidean length, column by column."""
        return self.dots(x, x) ** 0.5

    def cycle(self, g: Array) -> Array:
        """Nearly the solution of S x = g, for red unknowns."""
        if self.coarser is None:
            return self.red(self.direct(self.embedded(g)))
        correction = self.prolonged(self.coarser.roughly(self.restricted(self.averaged(g)), self._steps))
        return g + self.averaged(g + correction)

    def roughly(self, f: Array, steps: int) -> Array:
        """A rough solution of all unknowns by one or two steps of conjugate directions."""
        if self.coarser is None:
            return self.direct(f)
        return self.restored(f, self._conjugate(self.eliminated(f), steps))

    @property
    def _steps(self) -> int:
        return 2 if self.coarser is not None and self.size > SHRINKS * self.coarser.size else 1

    def _conjugate(self, g: Array, steps: int) -> Array:
        first = self.cycle(g)
        image = first - self.averaged(first)
        energy = self.dots(first, image)
        length = self.ratio(self.dots(first, g), energy, FLAT * self.dots(first, first))
        if steps == 1:
            return length * first
        left = g - length * image
        second = self.cycle(left)
        other = second - self.averaged(second)
        skew, whole = self.dots(second, image), self.dots(second, other)
        own = whole - self.ratio(skew**2, energy)
        floor = PARALLEL * whole + FLAT * self.dots(second, second)
        further = self.ratio(self.dots(second, left), own, floor)
        return (length - further * self.ratio(skew, energy)) * first + further * second


class FinestGrid(Grid):
    """The grid of the network itself.

    components  (n,)  number of the connected component of each node
    """

    components: Ints

    @abstractmethod
    def packed(self, f: Floats) -> Array:
        """Scaled right side from that of the network (n, k)."""

    @abstractmethod
    def unpacked(self, x: Array) -> Floats:
        """Solution (n, k) of the network from the scaled one."""
