"""Operators as problem files write them: a known name, or a mapping of terms to coefficients.

operator: poisson                       operator: {burgers: {viscosity: 0.01}}
operator: {u_t: 1, "(u^2)_x": 0.5, u_xx: "-0.01/pi", u^3: 1, u: -1}
operator: {div(a grad u): "1 + x**2"}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from voxfield.errors import SettingsError
from voxfield.pde.problem._domain import TIME
from voxfield.pde.problem.formula import parse_constant
from voxfield.pde.problem.operator import Flux, Operator, Term
from voxfield.settings import unknown_key

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
        return Terms(_known(given, {}, axes))
    if len(given) == 1:
        ((name, settings),) = given.items()
        if isinstance(settings, Mapping):
            return Terms(_known(name, settings, axes))
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


class _Known:
    """Parts of the equations that have names."""

    def __init__(self, axes: Sequence[str]) -> None:
        self.axes = tuple(axes)
        self.space = [axis for axis in axes if axis != TIME]

    @property
    def timed(self) -> bool:
        return TIME in self.axes

    def d(self, letters: str, coefficient: complex = 1.0) -> Term:
        return Term(coefficient, tuple(letters.count(axis) for axis in self.axes))

    def laplacian(self, coefficient: complex = 1.0) -> list[Term]:
        return [self.d(2 * axis, coefficient) for axis in self.space]

    def change(self, *rest: Term) -> tuple[Term, ...]:
        return (self.d(TIME), *rest)

    def fluxes(self, coefficient: float) -> tuple[Flux, ...]:
        return tuple(Flux(coefficient, 2, position) for position in range(len(self.space)))


def _poisson(on: _Known) -> Operator:
    return Operator(tuple(on.laplacian()))


def _helmholtz(on: _Known, wavenumber: float) -> Operator:
    return Operator((*on.laplacian(), on.d("", wavenumber**2)))


def _diffusion(on: _Known, diffusivity: float = 1.0) -> Operator:
    return Operator(on.change(*on.laplacian(-diffusivity)))


def _allen_cahn(on: _Known, diffusivity: float = 1.0, rate: float = 1.0) -> Operator:
    if not on.timed:
        return Operator((*on.laplacian(diffusivity), on.d("", -rate)), {3: rate})
    return Operator(on.change(*on.laplacian(-diffusivity), on.d("", -rate)), {3: rate})


def _reaction_diffusion(on: _Known, diffusivity: float = 1.0, rate: float = 1.0) -> Operator:
    return Operator(on.change(*on.laplacian(-diffusivity), on.d("", -rate)), {2: rate})


def _advection(on: _Known, **velocity: float) -> Operator:
    moved = [on.d(axis, velocity[f"velocity_{axis}"]) for axis in on.space if f"velocity_{axis}" in velocity]
    return Operator(on.change(*moved))


def _burgers(on: _Known, viscosity: float) -> Operator:
    return Operator(on.change(*on.laplacian(-viscosity)), flux=on.fluxes(0.5))


def _kdv(on: _Known) -> Operator:
    return Operator(on.change(on.d(3 * on.space[0])), flux=(Flux(3.0, 2, 0),))


def _schroedinger(on: _Known) -> Operator:
    return Operator((on.d(TIME, 1j), *on.laplacian(0.5)), {3: 1.0})


# name -> (maker, settings, those without a default, whether time is needed: None where either will do)
KNOWN: dict[str, tuple[Callable[..., Operator], tuple[str, ...], tuple[str, ...], bool | None]] = {
    "poisson": (_poisson, (), (), False),
    "helmholtz": (_helmholtz, ("wavenumber",), ("wavenumber",), False),
    "diffusion": (_diffusion, ("diffusivity",), (), True),
    "allen_cahn": (_allen_cahn, ("diffusivity", "rate"), (), None),
    "reaction_diffusion": (_reaction_diffusion, ("diffusivity", "rate"), (), True),
    "advection": (_advection, ("velocity_",), (), True),
    "burgers": (_burgers, ("viscosity",), ("viscosity",), True),
    "kdv": (_kdv, (), (), True),
    "schroedinger": (_schroedinger, (), (), True),
}


def _known(name: str, settings: Mapping[str, Given], axes: Sequence[str]) -> Operator:
    if name not in KNOWN:
        raise SettingsError(unknown_key(name, KNOWN).replace("setting", "operator", 1))
    make, allowed, needed, timed = KNOWN[name]
    on = _Known(axes)
    allowed = tuple(f"velocity_{axis}" for axis in on.space) if name == "advection" else allowed
    if timed is not None and timed != on.timed:
        raise SettingsError(f"operator {name} {'needs' if timed else 'has no'} time; the axes are {', '.join(axes)}")
    if name == "kdv" and len(on.space) > 1:
        raise SettingsError(f"operator kdv has one axis of space; the axes are {', '.join(axes)}")
    for key in settings:
        if key not in allowed:
            raise SettingsError(f"operator {name}: {unknown_key(key, allowed)}")
    missing = [key for key in needed if key not in settings] or (
        allowed if name == "advection" and not settings else []
    )
    if missing:
        raise SettingsError(f"operator {name} lacks {', '.join(missing)}")
    return make(on, **{key: parse_constant(value, what=f"{name}: {key}") for key, value in settings.items()})
