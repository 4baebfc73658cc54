"""Operators that have names, from their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from voxfield.errors import SettingsError
from voxfield.pde.problem._domain import TIME
from voxfield.pde.problem.formula import parse_constant
from voxfield.pde.problem.operator import Flux, Operator, Term
from voxfield.settings import unknown_key


class _Axes:
    """Terms by the letters of the axes that they differentiate along."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.space = [name for name in names if name != TIME]
        self.timed = TIME in self.names

    def d(self, letters: str, coefficient: complex = 1.0) -> Term:
        """coefficient * the derivative along these letters; u itself where there is none."""
        return Term(coefficient, tuple(letters.count(name) for name in self.names))

    def laplacian(self, coefficient: float = 1.0) -> list[Term]:
        """coefficient * lap u over the axes of space."""
        return [self.d(2 * name, coefficient) for name in self.space]


def _poisson(on: _Axes) -> Operator:
    return Operator(tuple(on.laplacian()))


def _helmholtz(on: _Axes, wavenumber: float) -> Operator:
    return Operator((*on.laplacian(), on.d("", wavenumber**2)))


def _diffusion(on: _Axes, diffusivity: float = 1.0) -> Operator:
    return Operator((on.d(TIME), *on.laplacian(-diffusivity)))


def _allen_cahn(on: _Axes, diffusivity: float = 1.0, rate: float = 1.0) -> Operator:
    """u_t - D lap u + r (u^3 - u); without time D lap u + r (u^3 - u), as the benchmarks of GP-HM have it."""
    if on.timed:
        return Operator((on.d(TIME), *on.laplacian(-diffusivity), on.d("", -rate)), {3: rate})
    return Operator((*on.laplacian(diffusivity), on.d("", -rate)), {3: rate})


def _reaction_diffusion(on: _Axes, diffusivity: float = 1.0, rate: float = 1.0) -> Operator:
    """Fisher-KPP: u_t - D lap u - r u (1 - u)."""
    return Operator((on.d(TIME), *on.laplacian(-diffusivity), on.d("", -rate)), {2: rate})


def _advection(on: _Axes, **velocity: float) -> Operator:
    return Operator((on.d(TIME), *(on.d(name, velocity[f"velocity_{name}"]) for name in on.space)))


def _burgers(on: _Axes, viscosity: float) -> Operator:
    fluxes = tuple(Flux(0.5, 2, position) for position in range(len(on.space)))
    return Operator((on.d(TIME), *on.laplacian(-viscosity)), flux=fluxes)


def _kdv(on: _Axes) -> Operator:
    """u_t + 6 u u_x + u_xxx along the first axis."""
    return Operator((on.d(TIME), on.d(3 * on.space[0])), flux=(Flux(3.0, 2, 0),))


def _schroedinger(on: _Axes) -> Operator:
    """i u_t + lap u / 2 + |u|^2 u."""
    return Operator((on.d(TIME, 1j), *on.laplacian(0.5)), {3: 1.0})


class Named(NamedTuple):
    """An operator with a name: what makes it, its settings, and whether it has time (None: both).

    A setting that ends in _ is one for every axis of space.
    """

    make: Callable[..., Operator]
    timed: bool | None
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


NAMED: dict[str, Named] = {
    "poisson": Named(_poisson, False),
    "helmholtz": Named(_helmholtz, False, ("wavenumber",)),
    "diffusion": Named(_diffusion, True, (), ("diffusivity",)),
    "allen_cahn": Named(_allen_cahn, None, (), ("diffusivity", "rate")),
    "reaction_diffusion": Named(_reaction_diffusion, True, (), ("diffusivity", "rate")),
    "advection": Named(_advection, True, ("velocity_",)),
    "burgers": Named(_burgers, True, ("viscosity",)),
    "kdv": Named(_kdv, True),
    "schroedinger": Named(_schroedinger, True),
}


def named_operator(name: str, settings: Mapping[str, str | float], axes: Sequence[str]) -> Operator:
    """The operator of that name in `axes` (time last). Raises SettingsError for names and settings that do not fit."""
    if name not in NAMED:
        raise SettingsError(unknown_key(name, NAMED).replace("setting", "operator", 1))
    named, on = NAMED[name], _Axes(axes)
    if named.timed is not None and named.timed != on.timed:
        found = "needs time" if named.timed else "has no time"
        raise SettingsError(f"operator {name} {found}; the axes are {', '.join(axes)}")
    if name == "kdv" and len(on.space) > 1:
        raise SettingsError(f"operator kdv has one axis of space; the axes are {', '.join(axes)}")
    needed = [key + end for key in named.needed for end in (on.space if key.endswith("_") else [""])]
    for key in settings:
        if key not in (*needed, *named.optional):
            raise SettingsError(f"operator {name}: {unknown_key(key, (*needed, *named.optional))}")
    missing = [key for key in needed if key not in settings]
    if missing:
        raise SettingsError(f"operator {name} lacks {', '.join(missing)}")
    return named.make(on, **{key: parse_constant(value, what=f"{name}: {key}") for key, value in settings.items()})
