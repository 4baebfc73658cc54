"""The reader of problems under any text: it ends soon, in a problem or an error that says why, and runs nothing."""

import sys
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxfield.artifacts import Problem
from voxfield.errors import InputError
from voxfield.pde.problem import PosedProblem, pose
from voxfield.pde.problem.formula import Formula, parse
from voxfield.pde.solvers import SOLVERS, solver

SECONDS = 2.0  # of the processor, for one problem
FORBIDDEN = {"exec", "import", "open", "os.system", "subprocess.Popen", "socket.connect"}
BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PIECES = [
    "x", "y", "t", "u", "pi", "e", "1", "0", "2.5", "1e308", "1e-320", "9" * 40, "0x1f", "1j", "+", "-", "*", "/", "**",
    "//", "%", "@", "(", ")", "[", "]", ",", ".", ":", ";", "=", ":=", " ", "\n", "\t", "\0", "'", '"', "\\", "#", "é",
    "sin(", "exp(", "sqrt(", "abs(", "sech(", "lambda x:", "__import__('os').system('true')", "exec('1')", "open('f')",
    "().__class__", "{", "}", "if", "else", "for", "in", "not", "import os", "await", "yield", "nan", "inf", "\u0661",
]  # fmt: skip
BROKEN = st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text(max_size=40)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Formulas of the grammar, of formulas."""
    return (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(lambda p: f"({p[0]}){p[1]}({p[2]})")
        | st.tuples(st.sampled_from(["sin", "cos", "exp", "tanh", "sqrt", "abs", "sech"]), inner).map(
            "{0[0]}({0[1]})".format
        )
        | st.tuples(inner, st.sampled_from(["2", "-1", "0.5", "64", "65", "-3", "1e9"])).map("({0[0]})**{0[1]}".format)
    )


WHOLE = st.recursive(st.sampled_from(["x", "y", "t", "pi", "1", "0", "3.5", "1e200", "-2"]), grown, max_leaves=12)
TEXT = WHOLE | BROKEN
NUMBER = st.floats() | st.integers(-3, 3) | st.integers() | TEXT
SCALAR = NUMBER | st.none() | st.booleans() | st.sampled_from(["given", "periodic", "free", "poisson"])
ANYTHING = st.recursive(
    SCALAR, lambda one: st.lists(one, max_size=3) | st.dictionaries(TEXT, one, max_size=3), max_leaves=6
)
TERMS = ["u", "u_x", "u_xx", "u_xy", "u_yy", "u_t", "u_tt", "u_xxxx", "u_xxxxx", "u^2", "u^3", "u^99", "u^0", "(u^2)_x"]
TERMS += ["(u^2)_t", "div(a grad u)", "u_", "u^", "^", "u_x u"]
NAMES = ["poisson", "allen_cahn", "advection", "diffusion", "reaction_diffusion", "burgers", "kdv", "schroedinger"]
SETTINGS = st.dictionaries(st.sampled_from(["viscosity", "velocity_x", "rate", "diffusivity", "q"]), NUMBER, max_size=2)
OPERATOR = (
    st.sampled_from(NAMES)
    | st.dictionaries(st.sampled_from(TERMS), NUMBER, max_size=4)
    | st.dictionaries(st.sampled_from(NAMES), SETTINGS, max_size=1)
)
CONDITION = st.sampled_from(["periodic", "free", "dirichlet", "neumann"]) | st.dictionaries(
    st.sampled_from(["dirichlet", "neumann", "robin"]), NUMBER, min_size=1, max_size=2
)
ENDS = st.just([0, 1]) | st.lists(NUMBER, min_size=2, max_size=2)
# Keys with values that are nearly right, so that deep parts of the reader are met.
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "box": st.just({"x": [0, 1]}) | st.dictionaries(st.sampled_from("xyzt"), ENDS, max_size=3),
    "time": st.none() | ENDS,
    "time_unit": st.just("s"),
    "length_unit": st.just("m"),
    "unit": st.just("1"),
    "operator": OPERATOR,
    "forcing": NUMBER,
    "initial": st.none() | NUMBER,
    "boundary": st.dictionaries(st.sampled_from(["all", "x", "y", "x-", "x+", "y-", "1", "?"]), CONDITION, max_size=3),
    "manufactured": st.none() | TEXT,
}  # fmt: skip
STEADY = {"unit": "1", "box": {"x": [0, 1]}, "length_unit": "m", "operator": "poisson"}
RIGHT: list[dict[str, Any]] = [
    {**STEADY, "boundary": {"all": {"dirichlet": 0}}},
    {**STEADY, "boundary": {"all": "dirichlet"}, "manufactured": "sin(x)"},
    {
        **STEADY, "boundary": {"x": "periodic"}, "operator": {"burgers": {"viscosity": 0.1}}, "time": [0, 1],
        "time_unit": "s", "initial": "1",
    },
    {**STEADY, "boundary": {"all": "neumann"}, "box": {"x": [0, 1], "y": [0, 2]}, "manufactured": "x*y"},
]  # fmt: skip
CHANGES = st.sampled_from(sorted(LIKELY)).flatmap(lambda key: st.tuples(st.just(key), LIKELY[key]))
STRANGE = st.tuples(st.sampled_from([*LIKELY, "voxels", "unknown", "title"]) | TEXT, ANYTHING)
STATEMENT = st.tuples(st.sampled_from(RIGHT), st.lists(CHANGES, max_size=3), st.lists(STRANGE, max_size=1)).map(
    lambda made: made[0] | dict(made[1]) | dict(made[2])
)

running: list[str] = []  # what the interpreter was asked to do while a problem was read
watched = [False]


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    if watched[0] and event in FORBIDDEN:
        running.append(f"{event} {arguments[:1]}")


sys.addaudithook(audit)


def within_bounds(read: Any) -> Any:
    """What `read` gives, or its InputError as text; it must be quick, and run nothing."""
    running.clear()
    began, watched[0] = time.process_time(), True
    try:
        found = read()
    except InputError as error:
        found = error.message
        assert len(found) > 10
    finally:
        watched[0] = False
    assert not running
    assert time.process_time() - began < SECONDS
    return found


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """All imports are done before any is forbidden."""
    for statement in RIGHT:
        posed = pose(Problem(statement))
        assert "" in [solver(name).fits(posed) for name in SOLVERS]


@BOUNDED
@given(TEXT)
def test_any_text_is_a_formula_or_an_error(text: str) -> None:
    found = within_bounds(lambda: parse(text, ("x", "y", "t"), what="forcing"))
    if isinstance(found, Formula):
        place = np.linspace(-1, 1, 5)
        assert within_bounds(lambda: found(place, place, place)).shape == (5,)
        within_bounds(lambda: found.derivative((2, 1, 0))(place, place, place))
    else:
        assert found.startswith("forcing")


@BOUNDED
@given(STATEMENT)
def test_any_statement_is_a_problem_or_an_error(statement: dict[str, Any]) -> None:
    found = within_bounds(lambda: pose(Problem(statement)))
    assert isinstance(found, PosedProblem | str)
    if isinstance(found, PosedProblem):
        mesh = np.ix_(*(np.linspace(axis.low, axis.high, 3) for axis in found.box.axes))
        within_bounds(lambda: found.forcing(*mesh))
        within_bounds(lambda: [solver(name).fits(found) for name in SOLVERS])


@pytest.mark.parametrize("statement", RIGHT)
def test_what_the_statements_are_made_from_is_right(statement: dict[str, Any]) -> None:
    assert isinstance(pose(Problem(statement)), PosedProblem)
