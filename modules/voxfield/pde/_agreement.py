"""Whether two solutions agree: their difference against the sum of their bars, at every point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from voxfield.artifacts import GridField
    from voxfield.pde.problem.operator import Array

DEVIATIONS = 3.0
ROUNDING = 1e-9  # of the largest value
VAGUE = 0.1  # of the largest value: bars above it allow nearly anything


@dataclass(frozen=True)
class Pair:
    """Two solvers on one grid.

    names       of both
    difference  absolute difference of their values
    own         bar of each
    axes        name -> coordinates
    size        largest value
    """

    names: tuple[str, str]
    difference: Array
    own: tuple[Array, Array]
    axes: Mapping[str, Array]
    size: float

    @property
    def vague(self) -> str:
        """Why their agreement says little, in a sentence; "" where it says something."""
        widest = float(self.allowed.max())
        if widest <= VAGUE * self.size:
            return ""
        wider = self.names[int(self.own[1].max() > self.own[0].max())]
        return (
            f"{self.names[0]} and {self.names[1]}: their bars allow differences of {widest:.3g}, u is at most "
            f"{self.size:.3g}; that they agree says little; solve on a finer grid ({wider} has the wider bar)"
        )

    @property
    def allowed(self) -> Array:
        """Both bars together."""
        return self.own[0] + self.own[1]

    @property
    def excess(self) -> float:
        """Largest difference over what is allowed; above 1 where they disagree."""
        return float((self.difference / self.allowed).max())

    @property
    def agree(self) -> bool:
        """Whether the difference is nowhere larger than allowed."""
        return self.excess <= 1

    @property
    def worst(self) -> tuple[int, ...]:
        """Index where the difference exceeds the bars most."""
        place = np.unravel_index(np.argmax(self.difference / self.allowed), self.difference.shape)
        return tuple(int(n) for n in place)

    @property
    def place(self) -> str:
        """Coordinates of the worst point in words."""
        found = zip(self.axes.items(), self.worst, strict=True)
        return ", ".join(f"{name} = {points[index]:.6g}" for (name, points), index in found)

    @property
    def words(self) -> str:
        """What is wrong, in a sentence."""
        one, other = self.names
        bars = [float(bar[self.worst]) for bar in self.own]
        return (
            f"{one} and {other} disagree: they differ by {self.difference[self.worst]:.3g} at {self.place}, where "
            f"their bars allow {sum(bars):.3g} ({one} {bars[0]:.3g}, {other} {bars[1]:.3g})"
        )

    @property
    def row(self) -> dict[str, Any]:
        """For a table."""
        return {
            "first": self.names[0], "second": self.names[1], "largest_difference": float(self.difference.max()),
            "place": self.place, "difference_there": float(self.difference[self.worst]),
            "allowed_there": float(self.allowed[self.worst]), "excess": self.excess, "agree": int(self.agree),
        }  # fmt: skip


def bar(field: GridField, error_estimate: float, safety: float) -> Array:
    """How far off a solution may be, at every point."""
    size = float(np.abs(field.values).max())
    own = np.full(field.values.shape, safety * error_estimate + ROUNDING * (size or 1.0))
    return own if field.sd is None else own + DEVIATIONS * field.sd


def pairs(fields: Mapping[str, GridField], bars: Mapping[str, Array]) -> list[Pair]:
    """All pairs of solvers."""
    return [
        Pair(
            (one, other),
            np.abs(fields[one].values - fields[other].values),
            (bars[one], bars[other]),
            fields[one].axes,
            float(max(np.abs(fields[name].values).max() for name in (one, other))),
        )
        for one, other in combinations(fields, 2)
    ]
