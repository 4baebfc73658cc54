"""An equation on one grid: its residual at the inner nodes, and the inverse of its linearisation.

One axis is solved by elimination. Several axes are solved directly where the linearisation is a sum over axes with
constant coefficients (`_tensor.py`), and else by GMRES preconditioned with the nearest operator that is: every
coefficient replaced by its mean, mixed derivatives left out (Newton-Krylov: Knoll & Keyes, J. Comput. Phys. 193, 2004).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from warnings import catch_warnings

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, gmres

from voxfield.errors import InputError
from voxfield.pde.problem.operator import Array, Derivative, Order
from voxfield.pde.spectral import _tensor
from voxfield.pde.spectral._boundary import Ends
from voxfield.pde.spectral._budget import Budget
from voxfield.pde.spectral._equation import Equation, evaluate
from voxfield.pde.spectral._fourier import Fourier
from voxfield.pde.spectral._tensor import Factor, along

KRYLOV_TOLERANCE = 1e-10  # of one step; the next takes the error to the square of it
KRYLOV_RESTART = 60
KRYLOV_CYCLES = 5
MOST_WORK = 5e10  # of all steps of GMRES on all grids of a solve

Pairs = Sequence[tuple[Array | complex, Order]]


def work_of(equation: Equation) -> Budget:
    """What may be spent on an equation, and what to do where that is not enough."""
    timed = any(interval.kind == "time" for interval in equation.box)
    stepping = "step in time (solver etd where all axes are periodic, radau on one axis with ends), or "
    return Budget(MOST_WORK, f"{stepping if timed else ''}solve by finite volumes (solver finite_volume)")


class System:
    """An equation collocated with `counts` points an axis; values are arrays of that shape.

    budget  of GMRES; one for all grids on which an equation is tried
    """

    def __init__(self, equation: Equation, counts: Sequence[int], budget: Budget | None = None) -> None:
        self.equation = equation
        self._budget = budget or work_of(equation)
        self.axes = tuple(interval.discretise(n) for interval, n in zip(equation.box, counts, strict=True))
        self.ends = tuple(
            Ends(axis, {side: given for (number, side), given in equation.conditions.items() if number == position})
            for position, axis in enumerate(self.axes)
        )
        self.inner = np.ix_(*(ends.inner for ends in self.ends))
        self._factors: dict[tuple[int, tuple[tuple[int, complex], ...]], Factor] = {}

    @cached_property
    def coordinates(self) -> tuple[Array, ...]:
        """Nodes of all axes, shaped to broadcast together."""
        return tuple(np.ix_(*(axis.points for axis in self.axes)))

    @cached_property
    def forcing(self) -> Array:
        """Right side at the inner nodes."""
        return evaluate(self.equation.forcing, *np.ix_(*(e.axis.points[e.inner] for e in self.ends)))

    @property
    def size(self) -> str:
        """Points an axis, for messages."""
        return " x ".join(str(axis.count) for axis in self.axes)

    @cached_property
    def eliminates(self) -> bool:
        """Whether the linearised equation is one matrix: one axis, and no kernel."""
        return len(self.axes) == 1 and not self.equation.singular

    @cached_property
    def separable(self) -> bool:
        """Whether the equation is a linear sum over axes with constant coefficients."""
        operator = self.equation.operator
        mixed = any(np.count_nonzero(term.order) > 1 for term in operator.terms)
        return operator.linear and not (mixed or operator.conductivity)

    @property
    def direct(self) -> bool:
        """Whether one solve gives the solution, with nothing iterated."""
        return self.equation.operator.linear and (self.eliminates or self.separable)

    def start(self, level: float = 0.0) -> Array:
        """A constant at the inner nodes, and what the conditions make of it at the ends."""
        kind = complex if self.equation.operator.complex_valued else float
        values = np.full([axis.count for axis in self.axes], level, dtype=kind)
        for axis, ends in enumerate(self.ends):
            self._fill(values, axis)
            if len(ends.sides):
                planes = np.moveaxis(values, axis, 0)
                planes[ends.ends] += np.tensordot(ends.lift, self._data(axis), axes=1)
        return values

    def add(self, values: Array, change: Array) -> Array:
        """Values plus a change of the inner ones (with the change at the ends that keeps the conditions)."""
        total = np.zeros_like(values)
        total[self.inner] = change
        for axis in range(len(self.axes)):
            self._fill(total, axis)
        return values + total

    def residual(self, values: Array) -> Array:
        """Forcing minus left side at the inner nodes."""
        return np.asarray(self.forcing - self.left(values, [e.inner for e in self.ends]))

    def left(self, values: Array, rows: Sequence[Array]) -> Array:
        """Left side at the nodes `rows` of each axis (indices), or between them (`rows` are interpolation matrices)."""
        left = self.equation.operator.apply(self.derivative(values, rows))
        return left if self.conductivity is None else left + self._divergence(values, rows)

    def derivative(self, values: Array, rows: Sequence[Array]) -> Derivative:
        """Derivatives of values by order, taken at `rows` as in `left`."""

        def of(order: Order) -> Array:
            out = values
            for axis, (ends, wanted, m) in enumerate(zip(self.ends, rows, order, strict=True)):
                if wanted.ndim == 1:
                    out = along(ends.derivative(m)[wanted], out, axis) if m else np.take(out, wanted, axis)
                else:
                    out = along(wanted @ ends.derivative(m) if m else wanted, out, axis)
            return out

        return of

    def solve(self, values: Array, right: Array) -> Array:
        """Change of the inner values for which the left side, linearised at `values`, changes by `right`."""
        pairs = self.equation.operator.linearise(self.derivative(values, [e.inner for e in self.ends]))
        if self.eliminates:
            return self._eliminate(pairs, right)
        return self._separable(pairs, right) if self.separable else self._krylov(pairs, right)

    @cached_property
    def conductivity(self) -> Array | None:
        """a of div(a grad u) at all nodes, shaped to broadcast with values."""
        function = self.equation.operator.conductivity
        if function is None:
            return None
        return evaluate(function, *(self.coordinates[axis] for axis in self.equation.space))

    def _data(self, axis: int) -> Array:
        """Data of the conditions of one axis: (sides, *counts of the other axes)."""
        shape = [a.count for number, a in enumerate(self.axes) if number != axis]
        planes = []
        for side in self.ends[axis].sides:
            where = list(self.coordinates)
            where[axis] = where[axis].take([-1 if side else 0], axis)
            planes.append(self.equation.conditions[axis, side].at(*where).reshape(shape))
        return np.stack(planes)

    def _fill(self, values: Array, axis: int) -> None:
        """Set the end values of one axis from its inner ones, for data 0, in place."""
        ends = self.ends[axis]
        planes = np.moveaxis(values, axis, 0)
        planes[ends.ends] = np.tensordot(ends.extension[ends.ends], planes[ends.inner], axes=1)

    def _divergence(self, values: Array, rows: Sequence[Array]) -> Array:
        """div(a grad u), each axis differentiated twice with a in between."""
        total = np.zeros(())
        for axis in self.equation.space:
            slope = self.conductivity * along(self.ends[axis].derivative(1), values, axis)
            order = tuple(int(axis == other) for other in range(len(self.axes)))
            total = total + self.derivative(slope, rows)(order)
        return total

    def _eliminate(self, pairs: Pairs, right: Array) -> Array:
        ends = self.ends[0]
        matrix = sum(np.reshape(coefficient, (-1, 1)) * ends.reduced(order[0]) for coefficient, order in pairs)
        if self.conductivity is not None:
            slope = ends.derivative(1)
            matrix = matrix + slope[ends.inner] @ (self.conductivity[:, None] * (slope @ ends.extension))
        # Rows near the ends are larger by count^2: equal rows keep the digits of smooth solutions.
        scale = 1 / np.abs(matrix).max(axis=1)
        with catch_warnings(action="error", category=linalg.LinAlgWarning):
            return np.asarray(linalg.solve(scale[:, None] * matrix, scale * right))

    def _separable(self, pairs: Pairs, right: Array) -> Array:
        """Solve with the parts of `pairs` along single axes, every coefficient replaced by its mean."""
        shift = 0j
        parts: list[dict[int, complex]] = [defaultdict(complex) for _ in self.axes]
        for coefficient, order in pairs:
            used = np.flatnonzero(order)
            if not len(used):
                shift += complex(np.mean(coefficient))
            elif len(used) == 1:
                parts[used[0]][order[used[0]]] += complex(np.mean(coefficient))
        if self.conductivity is not None:
            for axis in self.equation.space:
                parts[axis][2] += float(np.mean(self.conductivity))
        factors = [self._factor(axis, part) for axis, part in enumerate(parts)]
        change = _tensor.solve(factors, shift, right, singular=self.equation.singular)
        return change if self.equation.operator.complex_valued else change.real

    def _factor(self, axis: int, part: dict[int, complex]) -> Factor:
        points = self.axes[axis]
        if isinstance(points, Fourier):
            return _tensor.circulant(points, part, singular=self.equation.singular)
        key = (axis, tuple(sorted(part.items())))
        if key not in self._factors:
            ends = self.ends[axis]
            zero = np.zeros((len(ends.inner), len(ends.inner)))
            matrix = sum((coefficient * ends.reduced(order) for order, coefficient in key[1]), start=zero)
            self._factors[key] = _tensor.factorise(matrix, singular=self.equation.singular)
        return self._factors[key]

    def _krylov(self, pairs: Pairs, right: Array) -> Array:
        """GMRES on P^-1 J v = P^-1 r, whose norm counts smooth and rough parts of v alike."""
        apply = self._linearised(pairs)
        counts = [axis.count for axis in self.axes]
        blank = np.zeros(counts, dtype=right.dtype)

        def preconditioned(change: Array) -> Array:
            self._budget.spend(float(np.prod(counts)) * sum(counts), f"steps of GMRES on {self.size} points")
            image = apply(self.add(blank, change.reshape(right.shape)))
            return self._separable(pairs, image).ravel()

        size = right.size
        operator = LinearOperator((size, size), matvec=preconditioned, dtype=right.dtype)
        change, failed = gmres(
            operator,
            self._separable(pairs, right).ravel(),
            rtol=KRYLOV_TOLERANCE,
            restart=KRYLOV_RESTART,
            maxiter=KRYLOV_CYCLES,
        )
        if failed:
            raise InputError(
                f"GMRES did not reach {KRYLOV_TOLERANCE:g} in {KRYLOV_RESTART * KRYLOV_CYCLES} iterations on "
                f"{self.size} points: the coefficients vary too much for their mean to precondition; "
                "solve this problem by finite volumes"
            )
        return np.asarray(change.reshape(right.shape))

    def _linearised(self, pairs: Pairs) -> Callable[[Array], Array]:
        inner = [e.inner for e in self.ends]

        def apply(change: Array) -> Array:
            of = self.derivative(change, inner)
            total = sum(coefficient * of(order) for coefficient, order in pairs)
            return np.asarray(total if self.conductivity is None else total + self._divergence(change, inner))

        return apply
