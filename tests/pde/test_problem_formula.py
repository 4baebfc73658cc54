"""Formulas against Python's own arithmetic, their derivatives against complex steps and hand, hostile text."""

import cmath
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfield.errors import InputError, SettingsError
from voxfield.pde.problem.formula import Formula, parse, parse_constant

NAMES = ("x", "y")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2*3 - 4/8", 6.5),
        ("-2**2", -4.0),
        ("2**3**2", 512.0),
        ("sin(pi/2) + cos(0)*exp(1) - tanh(0.5)", 1 + math.e - math.tanh(0.5)),
        ("sqrt(16) + abs(-3) + sech(0)", 8.0),
        ("1e-3", 1e-3),
        ("+5", 5.0),
    ],
)
def test_constants(text: str, value: float) -> None:
    assert parse_constant(text, what="it") == pytest.approx(value, rel=1e-15)


def test_values_have_the_shape_of_the_coordinates() -> None:
    x, y = np.ix_(np.linspace(0, 1, 3), np.linspace(0, 1, 4))
    np.testing.assert_allclose(parse("x*y**2", NAMES, what="f")(x, y), x * y**2)
    assert parse(7, NAMES, what="f")(x, y).shape == (3, 4)


def test_second_derivative_by_hand() -> None:
    x = np.linspace(0.1, 1, 9)
    found = parse("x*sin(200*x)", ("x",), what="u").derivative((2,))(x)
    np.testing.assert_allclose(found, 400 * np.cos(200 * x) - 40000 * x * np.sin(200 * x))


leaves = st.sampled_from(["x", "y", "0.5", "pi", "3"])
smooth = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
        st.tuples(st.sampled_from(["sin", "cos", "tanh"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
        inner.map(lambda t: f"({t})**2"),
        inner.map(lambda t: f"exp(-({t})**2)"),
        st.tuples(inner, inner).map(lambda t: f"{t[0]}/(2+({t[1]})**2)"),
        inner.map(lambda t: f"sech({t})"),
        inner.map(lambda t: f"sqrt(1+({t})**2)"),
    ),
    max_leaves=8,
)
COMPLEX = {
    "sin": cmath.sin, "cos": cmath.cos, "tanh": cmath.tanh, "exp": cmath.exp, "sqrt": cmath.sqrt, "pi": math.pi,
    "sech": lambda z: 1 / cmath.cosh(z),
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(smooth)
def test_formula_and_derivative_are_those_of_the_text(text: str) -> None:
    """Python evaluates the same text at x + ih: real part the value, imaginary part over h the derivative."""
    formula = parse(text, NAMES, what="f")
    h = 1e-30
    stepped = complex(eval(text, {**COMPLEX, "x": 0.3 + 1j * h, "y": 0.7}))  # noqa: S307 - text of this test
    here = formula(np.array(0.3), np.array(0.7))
    np.testing.assert_allclose(here, stepped.real, rtol=1e-11, atol=1e-11)
    slope = formula.derivative((1, 0))(np.array(0.3), np.array(0.7))
    np.testing.assert_allclose(slope, stepped.imag / h, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(smooth)
def test_mixed_derivatives_commute(text: str) -> None:
    formula = parse(text, NAMES, what="f")
    place = np.array(0.4), np.array(-0.6)
    one = formula.derivative((1, 0)).derivative((0, 1))(*place)
    other = formula.derivative((0, 1)).derivative((1, 0))(*place)
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.__class__",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "x if x else y",
        "open('x')",
        "sin(x, y)",
        "sin(x=1)",
        "sin",
        "z + 1",
        "x[0]",
        "'a'",
        "True",
        "1j",
        "x @ y",
        "x // 2",
        "x = 1",
        "",
        "import os",
        "x; y",
        "f'{x}'",
        "(x := 1)",
        "1/0",
        "1e999",
        "sqrt(-1)",
        "(-1)**0.5",
        "0**-1",
        "x**y",
        "x**65",
        "x**1e300",
        "9**9**9**9",
        "\0",
    ],
)
def test_what_is_not_in_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^forcing"):
        parse(text, NAMES, what="forcing")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 400 + "x" + ")" * 400,
        "-" * 900 + "x",
        "sin(" * 150 + "x" + ")" * 150,
        "2" + "**2" * 300,
        "x" * 100_000,
        "9" * 999,
        "+".join(["x"] * 499),
    ],
)
def test_hostile_text_ends_soon(text: str) -> None:
    began = time.process_time()
    with pytest.raises(SettingsError):
        parse(text, NAMES, what="forcing")
    assert time.process_time() - began < 0.5


def test_derivatives_of_a_long_formula_end_soon() -> None:
    began = time.process_time()
    formula: Formula = parse("*".join(["sin(x*cos(x))"] * 50), ("x",), what="u")
    with pytest.raises(InputError, match="simpler"):
        formula.derivative((20,))
    assert time.process_time() - began < 5


def test_a_kink_has_no_derivative() -> None:
    with pytest.raises(InputError, match="abs has no derivative"):
        parse("abs(x)", ("x",), what="u").derivative((1,))
