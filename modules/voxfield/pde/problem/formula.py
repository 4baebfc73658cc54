"""Formulas in problem files: numbers, names, + - * / **, unary signs, a few functions, and nothing else.

Python's parser reads the text; of its tree only the nodes of the grammar are taken over, so that nothing in a file can
name code. Length, nesting and exponents are bounded before anything is computed.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxfield.errors import SettingsError
from voxfield.pde.problem import _expression as expression
from voxfield.pde.problem._expression import Node, Values
from voxfield.settings import unknown_key

LONGEST = 1000  # characters
DEEPEST = 100
LARGEST_EXPONENT = 64
CONSTANTS = {"pi": math.pi}


@dataclass(frozen=True)
class Formula:
    """A function of named coordinates.

    text   as it was written, or what it was derived from
    names  the coordinates, in the order in which a call takes them
    tree   its expression
    """

    text: str
    names: tuple[str, ...]
    tree: Node

    def __call__(self, *coordinates: Values) -> Values:
        """Values of the common shape of the coordinates, one array a name."""
        shape = np.broadcast_shapes(*(np.shape(c) for c in coordinates))
        values = expression.evaluate(self.tree, dict(zip(self.names, coordinates, strict=True)))
        return np.array(np.broadcast_to(values, shape))

    def derivative(self, order: Sequence[int]) -> Formula:
        """The exact derivative, `order` times along each name."""
        tree = self.tree
        for name, times in zip(self.names, order, strict=True):
            for _ in range(times):
                tree = expression.differentiate(tree, name)
        return Formula(f"derivative {tuple(order)} of {self.text}", self.names, tree)

    @property
    def zero(self) -> bool:
        """Whether it is the constant 0."""
        return isinstance(self.tree, expression.Number) and self.tree.value == 0


def parse(given: str | float, names: Sequence[str], *, what: str) -> Formula:
    """Read a formula, or a number, in the coordinates `names`. Raises SettingsError that begins with `what`."""
    text = given if isinstance(given, str) else repr(given)
    if len(text) > LONGEST:
        raise SettingsError(f"{what} has {len(text):,} characters; a formula has at most {LONGEST:,}")
    try:
        body = ast.parse(text.strip(), mode="eval").body
        tree = _Reader(text, tuple(names)).node(body, 0)
    except SettingsError as error:
        raise SettingsError(f"{what}: {error.message}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise SettingsError(f"{what} is {_short(text)}, which is no formula ({reason})") from None
    except ArithmeticError as error:
        raise SettingsError(f"{what} is {_short(text)}, which can not be computed ({error})") from None
    if isinstance(tree, expression.Number) and not math.isfinite(tree.value):
        raise SettingsError(f"{what} is {_short(text)} = {tree.value}; expected a finite number")
    return Formula(text, tuple(names), tree)


def parse_constant(given: str | float, *, what: str) -> float:
    """A finite number, possibly written as a formula such as `2*pi`."""
    tree = parse(given, (), what=what).tree
    return tree.value if isinstance(tree, expression.Number) else math.nan


class _Reader:
    """Takes over the nodes of the grammar and refuses all others."""

    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        self._text = text
        self._names = names

    def node(self, node: ast.expr, depth: int) -> Node:
        if depth > DEEPEST:
            raise SettingsError(f"formula is nested more than {DEEPEST} deep; write it flatter")
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return expression.Number(float(value))
            case ast.Name(id=name):
                return self._name(name)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.node(operand, depth + 1)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return expression.multiply(expression.Number(-1.0), self.node(operand, depth + 1))
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(node, op, self.node(left, depth + 1), self.node(right, depth + 1))
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]):
                if name not in expression.FUNCTIONS:
                    raise SettingsError(unknown_key(name, expression.FUNCTIONS).replace("setting", "function", 1))
                return expression.call(name, self.node(argument, depth + 1))
        raise SettingsError(
            f"{_short(ast.get_source_segment(self._text.strip(), node) or self._text)} is not in the grammar: "
            f"numbers, {', '.join((*self._names, *CONSTANTS))}, + - * / **, {', '.join(expression.FUNCTIONS)}"
        )

    def _name(self, name: str) -> Node:
        if name in CONSTANTS:
            return expression.Number(CONSTANTS[name])
        if name not in self._names:
            raise SettingsError(unknown_key(name, (*self._names, *CONSTANTS)).replace("setting", "name", 1))
        return expression.Name(name)

    def _binary(self, node: ast.expr, op: ast.operator, left: Node, right: Node) -> Node:
        match op:
            case ast.Add():
                return expression.add(left, right)
            case ast.Sub():
                return expression.add(left, expression.multiply(expression.Number(-1.0), right))
            case ast.Mult():
                return expression.multiply(left, right)
            case ast.Div():
                return expression.multiply(left, expression.raise_to(right, -1.0))
            case ast.Pow():
                return expression.raise_to(left, self._exponent(right))
        found = _short(ast.get_source_segment(self._text.strip(), node) or self._text)
        raise SettingsError(f"{found} has an operator that is not in the grammar; known are + - * / **")

    def _exponent(self, node: Node) -> float:
        if not isinstance(node, expression.Number):
            raise SettingsError("an exponent is no constant; write exp(...) for powers that vary")
        if not abs(node.value) <= LARGEST_EXPONENT:
            raise SettingsError(f"exponent {node.value:g} is out of range; expected at most {LARGEST_EXPONENT}")
        return node.value


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
