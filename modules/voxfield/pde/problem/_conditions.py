"""Boundary conditions by label: every face that needs one has one, and no other has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from voxfield.errors import SettingsError
from voxfield.pde.problem._domain import Box, VoxelRegion
from voxfield.pde.problem._functions import Function
from voxfield.pde.problem._manufactured import outward_derivative
from voxfield.pde.problem._posed import Condition, Kind
from voxfield.pde.problem.formula import Formula, parse
from voxfield.pde.problem.operator import Operator
from voxfield.settings import unknown_key

KINDS = ("dirichlet", "neumann", "free")
ALL = "all"


def box_conditions(
    given: Mapping[str, Any], box: Box, operator: Operator, exact: Formula | None, *, observed: bool = False
) -> dict[str, Condition]:
    """The condition of every face; `all` stands for those that are not named. What is `observed` may stand for some."""
    axes = {axis.name for axis in box.axes if axis.periodic}
    for label in given:
        if label not in (*box.faces, *axes, ALL):
            raise SettingsError(unknown_key(label, (*box.faces, ALL)).replace("setting", "boundary", 1))
    conditions = {}
    for face in box.faces:
        if face not in given and ALL not in given:
            raise SettingsError(
                f"face {face} has no boundary condition; give one, such as `{face}: {{dirichlet: 0}}`, "
                f"or `{face[:-1]}: periodic`, or `{face}: free` where a flow leaves"
            )
        conditions[face] = _condition(face, given.get(face, given.get(ALL)), box.names, exact)
    for number, axis in enumerate(box.space):
        if not axis.periodic and not observed:
            _require_count(axis.name, order_along(operator, number), conditions)
    return conditions


def region_conditions(given: Mapping[str, Any], region: VoxelRegion, exact: Formula | None) -> dict[str, Condition]:
    """The condition of every label of the wall map."""
    found = {}
    for label, condition in given.items():
        if not label.isdigit():
            raise SettingsError(f"boundary {label!r}: on voxels a label is a number of the wall map, in quotes")
        if exact is not None and condition == "neumann":
            raise SettingsError(f"boundary {label}: on voxels a manufactured solution gives Dirichlet values only")
        found[label] = _condition(label, condition, region.names, exact)
    return found


def order_along(operator: Operator, axis: int) -> int:
    """Order of the highest derivative along an axis of space."""
    orders = [term.order[axis] for term in operator.terms if term.coefficient]
    orders += [1 for flux in operator.flux if flux.axis == axis]
    orders += [2] if operator.conductivity is not None else []
    return max(orders, default=0)


def _condition(face: str, given: Any, names: tuple[str, ...], exact: Formula | None) -> Condition:
    what = f"the condition on {face}"
    kind = given if isinstance(given, str) else next(iter(given), "")
    if kind not in KINDS or (not isinstance(given, str) and (len(given) != 1 or kind == "free")):
        raise SettingsError(f"{what} is {given!r}; expected {{dirichlet: VALUE}}, {{neumann: VALUE}} or free")
    if isinstance(given, Mapping):
        if exact is not None:
            raise SettingsError(f"{what} has a value, which a manufactured solution gives; write `{face}: {kind}`")
        rule = parse(given[kind], names, what=what)
    elif kind == "free":
        rule = parse(0.0, names, what=what)
    elif exact is None:
        raise SettingsError(f"{what} has no value; write `{face}: {{{kind}: VALUE}}`")
    else:
        rule = exact if kind == "dirichlet" else outward_derivative(exact, face)
    return Condition(cast(Kind, kind), Function(what, names, rule))


def _require_count(axis: str, order: int, conditions: Mapping[str, Condition]) -> None:
    """As many conditions as the order of the highest derivative along the axis."""
    held = [face for face in (f"{axis}-", f"{axis}+") if conditions[face].kind != "free"]
    if order > 2:
        raise SettingsError(f"the operator has a derivative of order {order} along {axis}; write `{axis}: periodic`")
    if len(held) != order:
        found = " and ".join(held) or "neither face"
        raise SettingsError(
            f"the highest derivative along {axis} is of order {order}, which needs {order} condition(s) on {axis}- and "
            f"{axis}+; found one on {found}; the other faces are free"
        )
