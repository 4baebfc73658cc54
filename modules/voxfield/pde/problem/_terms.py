"""Operators as problem files write them: a known name, or a mapping of terms to coefficients.

operator: poisson                       operator: {burgers: {viscosity: 0.01}}
operator: {u_t: 1, "(u^2)_x": 0.5, u_xx: "-0.01/pi", u^3: 1, u: -1}
operator: {div(a grad u): "1 + x**2"}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from voxfield.errors import SettingsError
from voxfield.pde.problem._named import named_operator
from voxfield.pde.problem.formula import parse_constant
from voxfield.pde.problem.operator import Flux, Operator, Term

HIGHEST_POWER = 9
HIGHEST_ORDER = 4
DIVERGENCE = "div(a grad {})"
Given: TypeAlias = str | float


@dataclass(frozen=True)
class Terms:
    """An operator as read.

    operator      all of it but div(a grad u)
    conductivity  what the file says of a; None where there is no such part
    """

    operator: Operator
    conductivity: Given | None = None


def read_operator(given: str | Mapping[str, Any], unknown: str, axes: Sequence[str]) -> Terms:
    """The operator in `axes` (time last) of an unknown. Raises SettingsError that names the term."""
    if isinstance(given, str):
        return Terms(named_operator(given, {}, axes))
    if len(given) == 1:
        ((name, settings),) = given.items()
        if isinstance(settings, Mapping):
            return Terms(named_operator(name, settings, axes))
    return _sum(given, unknown, axes)


def _sum(given: Mapping[str, Any], unknown: str, axes: Sequence[str]) -> Terms:
    terms: list[Term] = []
    reaction: dict[int, float] = {}
    flux: list[Flux] = []
    conductivity = None
    name = re.escape(unknown)
    for key, value in given.items():
        if isinstance(value, Mapping):
            raise SettingsError(f"term {key!r} has settings; expected its coefficient, a number or a constant formula")
        if key == DIVERGENCE.format(unknown):
            conductivity = value
            continue
        coefficient = parse_constant(value, what=f"the coefficient of {key}")
        if match := re.fullmatch(f"{name}(?:_([a-z]+))?", key):
            terms.append(Term(coefficient, _order(match[1] or "", key, axes)))
        elif match := re.fullmatch(rf"{name}\^(\d+)", key):
            reaction[_power(match[1], key)] = coefficient
        elif match := re.fullmatch(rf"\({name}\^(\d+)\)_([a-z])", key):
            axis = _order(match[2], key, axes).index(1)
            flux.append(Flux(coefficient, _power(match[1], key), axis))
        else:
            u = unknown
            forms = f"{u}, {u}_{axes[0]}{axes[0]}, {u}^3, ({u}^2)_{axes[0]}, {DIVERGENCE.format(u)}"
            raise SettingsError(f"term {key!r} is not understood; terms look like {forms}")
    return Terms(Operator(tuple(terms) or (Term(0.0, (0,) * len(axes)),), reaction, tuple(flux)), conductivity)


def _order(letters: str, key: str, axes: Sequence[str]) -> tuple[int, ...]:
    strange = sorted(set(letters) - set(axes))
    if strange:
        raise SettingsError(f"term {key!r} differentiates along {', '.join(strange)}; the axes are {', '.join(axes)}")
    if len(letters) > HIGHEST_ORDER:
        raise SettingsError(f"term {key!r} is of order {len(letters)}; expected at most {HIGHEST_ORDER}")
    return tuple(letters.count(axis) for axis in axes)


def _power(digits: str, key: str) -> int:
    if len(digits) > 2 or not 2 <= int(digits) <= HIGHEST_POWER:
        raise SettingsError(f"term {key!r} has the power {digits[:9]}; expected 2 to {HIGHEST_POWER}")
    return int(digits)
