"""Manufactured problems: a formula is taken for the solution, and what determines it follows by exact differentiation.

Roache, J. Fluids Eng. 124 (2002). Solvers get the forcing and the boundary values; the formula itself is for those who
judge (`exact`).
"""

from __future__ import annotations

from voxfield.errors import InputError
from voxfield.pde.problem import _expression as expression
from voxfield.pde.problem._expression import Node, Number
from voxfield.pde.problem.formula import Formula
from voxfield.pde.problem.operator import Operator


def left_side(operator: Operator, exact: Formula, conductivity: Formula | None) -> Formula:
    """The forcing of which `exact` is the solution; `conductivity` is that of the operator, in the axes of space."""
    if operator.complex_valued:
        raise InputError("the unknown is complex, and formulas are real: this operator can not be manufactured")
    u = exact.tree
    parts: list[Node] = [
        expression.multiply(Number(complex(term.coefficient).real), exact.derivative(term.order).tree)
        for term in operator.terms
        if term.coefficient
    ]
    for power, factor in operator.reaction.items():
        parts.append(expression.multiply(Number(factor), expression.raise_to(u, power)))
    for flux in operator.flux:
        slope = expression.differentiate(expression.raise_to(u, flux.power), exact.names[flux.axis])
        parts.append(expression.multiply(Number(flux.coefficient), slope))
    if conductivity is not None:
        for name in conductivity.names:
            along = expression.multiply(conductivity.tree, expression.differentiate(u, name))
            parts.append(expression.differentiate(along, name))
    total: Node = expression.ZERO
    for part in parts:
        total = expression.add(total, part)
    return Formula(f"forcing of {exact.text}", exact.names, total)


def outward_derivative(exact: Formula, face: str) -> Formula:
    """du/dn on a face such as `x-`."""
    name, end = face[:-1], face[-1]
    slope = exact.derivative([int(name == own) for own in exact.names])
    sign = Number(1.0 if end == "+" else -1.0)
    return Formula(f"outward derivative of {exact.text}", exact.names, expression.multiply(sign, slope.tree))
