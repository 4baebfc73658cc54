"""The operator of a partial differential equation, as the numeric cores share it: data, on any grid and any basis.

An equation in axes x_1..x_d (time last, where there is one) is

    sum_t  c_t d^m_t u / dx^m_t   +   div(a grad u)   +   sum_p  r_p u^p   +   sum_k  s_k d(u^p_k) / dx_k   =   f

by its four parts: linear terms of constant coefficient, a variable conductivity a(x) over the axes of space, a reaction
(polynomial in u) and fluxes (so that u u_x is d(u^2 / 2) / dx, which both conserves and differentiates). How a core
differentiates is its own affair: it hands over a callable from derivative orders to values, and gets back the left side
or its Newton linearisation, whose coefficients are exact.

The unknown is real unless a coefficient is complex (Schroedinger: i u_t + u_xx / 2 + |u|^2 u = 0). Of a complex
unknown the power p means |u|^(p-1) u, which for real u and odd p is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]  # float64, or complex128 where the unknown is complex
Order: TypeAlias = tuple[int, ...]
Derivative: TypeAlias = Callable[[Order], Array]


@dataclass(frozen=True)
class Term:
    """`coefficient * d^|order| u / dx^order`.

    coefficient  in units of the equation over units of the derivative
    order        derivative order along each axis, time last where there is one; all 0 is u itself
    """

    coefficient: complex
    order: Order


@dataclass(frozen=True)
class Flux:
    """`coefficient * d(u^power) / dx_axis`, with power at least 2 (a linear flux is a `Term`)."""

    coefficient: float
    power: int
    axis: int


@dataclass(frozen=True)
class Operator:
    """The left side of an equation.

    terms         linear terms of constant coefficient, at least one: it tells the number of axes
    reaction      power -> coefficient of u^power, powers at least 2 (a linear reaction is a `Term` of order 0)
    flux          nonlinear fluxes
    conductivity  a of div(a grad u) over the axes of space: coordinates, one array an axis -> values of their common
                  shape; None where the equation has no such part
    """

    terms: tuple[Term, ...]
    reaction: Mapping[int, float] = field(default_factory=dict)
    flux: tuple[Flux, ...] = ()
    conductivity: Callable[..., Array] | None = None

    def __post_init__(self) -> None:
        lengths = {len(term.order) for term in self.terms}
        if len(lengths) != 1:
            raise ValueError(f"the terms differentiate along {sorted(lengths)} axes; expected one number of axes")
        if any(power < 2 for power in self.reaction) or any(part.power < 2 for part in self.flux):
            raise ValueError("reactions and fluxes have powers of 2 and more; lower ones are linear, hence terms")

    @property
    def linear(self) -> bool:
        """Whether the left side is linear in u."""
        return not (self.reaction or self.flux)

    @property
    def complex_valued(self) -> bool:
        """Whether the unknown is complex."""
        return any(complex(term.coefficient).imag != 0 for term in self.terms)

    def apply(self, derivative: Derivative) -> Array:
        """The left side without div(a grad u), from `derivative(order)`, the values of that derivative of u.

        A core that takes variable conductivities adds that part in its own discretisation, where it is conservative.
        """
        parts: list[Array] = [term.coefficient * derivative(term.order) for term in self.terms]
        if not self.linear:
            u = derivative(self._order())
            parts += [coefficient * self._power(u, power) for power, coefficient in self.reaction.items()]
            parts += [
                part.coefficient * part.power * u ** (part.power - 1) * derivative(self._order(part.axis))
                for part in self.flux
            ]
        return np.asarray(sum(parts[1:], start=parts[0]))

    def linearise(self, derivative: Derivative) -> tuple[tuple[Array | complex, Order], ...]:
        """Newton's linearisation at u, again without div(a grad u): pairs (coefficient, order).

        The change of the left side under u -> u + v is, to first order, the sum of coefficient * d^order v; the
        coefficients are numbers, or arrays like u where they depend on it. Real unknowns only: the power of a
        complex one has no complex derivative.
        """
        if self.complex_valued and not self.linear:
            raise ValueError("|u|^(p-1) u of a complex unknown is not complex differentiable; step in time instead")
        pairs: list[tuple[Array | complex, Order]] = [(term.coefficient, term.order) for term in self.terms]
        if self.linear:
            return tuple(pairs)
        u = derivative(self._order())
        slope = np.zeros_like(u)
        for power, coefficient in self.reaction.items():
            slope += coefficient * power * u ** (power - 1)
        for part in self.flux:
            scale, along = part.coefficient * part.power, self._order(part.axis)
            pairs.append((scale * u ** (part.power - 1), along))
            slope += scale * (part.power - 1) * u ** (part.power - 2) * derivative(along)
        return (*pairs, (slope, self._order()))

    def symbol(self, wavenumbers: Sequence[Array]) -> Array:
        """Fourier symbol of the terms, sum of c (i k_1)^m_1 (i k_2)^m_2 ...; wavenumbers broadcast, radians a unit."""
        waves = [1j * np.asarray(k) for k in wavenumbers]
        parts = (
            term.coefficient * prod(wave**m for wave, m in zip(waves, term.order, strict=True)) for term in self.terms
        )
        return np.asarray(sum(parts))

    def split_time(self) -> tuple[complex, Operator]:
        """(c, S) where the left side is c u_t + S(u), with S over the axes of space alone.

        For an operator whose last axis is time; raises ValueError where time enters otherwise than by u_t.
        """
        late = [term for term in self.terms if term.order[-1]]
        first = (0,) * (len(self.terms[0].order) - 1) + (1,)
        if [term.order for term in late] != [first] or any(part.axis == len(first) - 1 for part in self.flux):
            found = ", ".join(str(term.order) for term in late) or "none"
            raise ValueError(f"derivatives in time are {found}; expected u_t alone, {first}")
        space = tuple(Term(term.coefficient, term.order[:-1]) for term in self.terms if not term.order[-1])
        # An operator without linear terms keeps its number of axes by a term of coefficient 0.
        return late[0].coefficient, replace(self, terms=space or (Term(0.0, first[:-1]),))

    def nonlinear(self, u: Array, along: Callable[[Array, int], Array]) -> Array:
        """Reaction plus fluxes, in conservative form: `along(values, axis)` differentiates once along an axis."""
        total = np.zeros_like(u)
        for power, coefficient in self.reaction.items():
            total += coefficient * self._power(u, power)
        for part in self.flux:
            total += part.coefficient * along(u**part.power, part.axis)
        return total

    def _power(self, u: Array, power: int) -> Array:
        return np.abs(u) ** (power - 1) * u if self.complex_valued else u**power

    def _order(self, axis: int | None = None) -> Order:
        """Order of u itself, or of its first derivative along an axis."""
        return tuple(int(position == axis) for position in range(len(self.terms[0].order)))
