"""Expressions of the formula grammar as trees: built simplified, differentiated exactly, evaluated on arrays.

A derivative shares the parts of what it was taken from, and both differentiation and evaluation visit a shared part
once, so that repeated derivatives grow by what is new in them. MOST_NODES bounds the work of any formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voxfield.errors import InputError

Values: TypeAlias = NDArray[np.float64]

MOST_NODES = 20_000


@dataclass(frozen=True, eq=False)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, eq=False)
class Name:
    """A coordinate."""

    name: str


@dataclass(frozen=True, eq=False)
class Sum:
    """`left + right`."""

    left: Node
    right: Node


@dataclass(frozen=True, eq=False)
class Product:
    """`left * right`."""

    left: Node
    right: Node


@dataclass(frozen=True, eq=False)
class Power:
    """`base ** exponent`; a quotient is a power of -1."""

    base: Node
    exponent: float


@dataclass(frozen=True, eq=False)
class Call:
    """A function of the grammar."""

    function: str
    argument: Node


Node: TypeAlias = Number | Name | Sum | Product | Power | Call

ZERO, ONE = Number(0.0), Number(1.0)
FUNCTIONS: Mapping[str, Callable[[Values], Values]] = {
    "sin": np.sin, "cos": np.cos, "exp": np.exp, "tanh": np.tanh, "sqrt": np.sqrt, "abs": np.abs,
    "sech": lambda x: 1 / np.cosh(x),
}  # fmt: skip


def add(left: Node, right: Node) -> Node:
    """The sum."""
    if isinstance(left, Number) and isinstance(right, Number):
        return Number(left.value + right.value)
    if _is(left, 0):
        return right
    return left if _is(right, 0) else Sum(left, right)


def multiply(left: Node, right: Node) -> Node:
    """The product."""
    if isinstance(left, Number) and isinstance(right, Number):
        return Number(left.value * right.value)
    if _is(left, 0) or _is(right, 0):
        return ZERO
    if _is(left, 1):
        return right
    return left if _is(right, 1) else Product(left, right)


def raise_to(base: Node, exponent: float) -> Node:
    """The power. Raises ArithmeticError where a constant has none."""
    if exponent == 0:
        return ONE
    if isinstance(base, Number):
        if base.value < 0 and exponent != math.floor(exponent):
            raise ArithmeticError(f"({base.value:g})**{exponent:g} is not real")
        return Number(base.value**exponent)
    return base if exponent == 1 else Power(base, exponent)


def call(function: str, argument: Node) -> Node:
    """The function of the argument."""
    if isinstance(argument, Number):
        return Number(float(evaluate(Call(function, argument), {})))
    return Call(function, argument)


def differentiate(node: Node, name: str) -> Node:
    """The exact derivative along a coordinate. Raises InputError where there is none, or where it grows too large."""
    try:
        derivative = _derivative(node, name, {})
    except RecursionError:
        raise InputError("a derivative of the formula is nested too deep; write a simpler formula") from None
    if count(derivative) > MOST_NODES:
        raise InputError(f"a derivative of the formula has more than {MOST_NODES:,} parts; write a simpler formula")
    return derivative


def evaluate(node: Node, values: Mapping[str, Any]) -> Values:
    """Values at coordinates (arrays that broadcast), not finite where the formula is not."""
    try:
        with np.errstate(all="ignore"):
            return _value(node, values, {})
    except RecursionError:
        raise InputError("a derivative of the formula is nested too deep; write a simpler formula") from None


def count(node: Node) -> int:
    """Number of different parts, at most about MOST_NODES."""
    seen, waiting = {node}, [node]
    while waiting and len(seen) <= MOST_NODES:
        for part in _parts(waiting.pop()):
            if part not in seen:
                seen.add(part)
                waiting.append(part)
    return len(seen)


def _parts(node: Node) -> tuple[Node, ...]:
    match node:
        case Sum(left, right) | Product(left, right):
            return left, right
        case Power(base, _):
            return (base,)
        case Call(_, argument):
            return (argument,)
    return ()


def _is(node: Node, value: float) -> bool:
    return isinstance(node, Number) and node.value == value


def _derivative(node: Node, name: str, known: dict[Node, Node]) -> Node:
    if node not in known:
        known[node] = _rule(node, name, known)
    return known[node]


def _rule(node: Node, name: str, known: dict[Node, Node]) -> Node:
    match node:
        case Number():
            return ZERO
        case Name(own):
            return ONE if own == name else ZERO
        case Sum(left, right):
            return add(_derivative(left, name, known), _derivative(right, name, known))
        case Product(left, right):
            first = multiply(_derivative(left, name, known), right)
            return add(first, multiply(left, _derivative(right, name, known)))
        case Power(base, exponent):
            outer = multiply(Number(exponent), raise_to(base, exponent - 1))
            return multiply(outer, _derivative(base, name, known))
        case Call(_, argument):
            inner = _derivative(argument, name, known)
            return ZERO if _is(inner, 0) else multiply(_outer(node), inner)


def _outer(node: Call) -> Node:
    """The derivative of a function in its argument."""
    argument = node.argument
    match node.function:
        case "sin":
            return Call("cos", argument)
        case "cos":
            return multiply(Number(-1.0), Call("sin", argument))
        case "exp":
            return node
        case "tanh":
            return Power(Call("sech", argument), 2.0)
        case "sqrt":
            return multiply(Number(0.5), Power(node, -1.0))
        case "sech":
            return multiply(Number(-1.0), Product(node, Call("tanh", argument)))
    raise InputError("abs has no derivative where its argument is 0; expected a smooth formula, such as sqrt(x**2 + c)")


def _value(node: Node, values: Mapping[str, Any], known: dict[Node, Values]) -> Values:
    if node not in known:
        known[node] = np.asarray(_operation(node, values, known), dtype=np.float64)
    return known[node]


def _operation(node: Node, values: Mapping[str, Any], known: dict[Node, Values]) -> Any:
    match node:
        case Number(value):
            return value
        case Name(name):
            return values[name]
        case Sum(left, right):
            return _value(left, values, known) + _value(right, values, known)
        case Product(left, right):
            return _value(left, values, known) * _value(right, values, known)
        case Power(base, exponent):
            whole = exponent == math.floor(exponent)
            return _value(base, values, known) ** (int(exponent) if whole else exponent)
        case Call(function, argument):
            return FUNCTIONS[function](_value(argument, values, known))
