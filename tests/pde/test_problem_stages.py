"""pde.solve and pde.compare: agreement of solvers that share nothing, loud disagreement, and what is refused."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import Artifact, GridField, Metrics, Problem
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.findings import Findings
from voxfield.pde import compare, solve
from voxfield.testing import StageContract

HIGH = {
    "title": "sin 6x cos 100x", "unit": "1", "box": {"x": [0, "2*pi"]}, "length_unit": "1", "operator": "poisson",
    "manufactured": "sin(6*x)*cos(100*x)", "boundary": {"all": "dirichlet"},
}  # fmt: skip
HEAT = {
    "unit": "K", "box": {"x": [0, 1]}, "length_unit": "m", "time": [0, 1], "time_unit": "s", "initial": "sin(2*pi*x)",
    "operator": {"diffusion": {"diffusivity": 0.02}}, "boundary": {"x": "periodic"},
}  # fmt: skip
BURGERS = {
    "unit": "m/s", "box": {"x": [-1, 1]}, "length_unit": "m", "time": [0, 0.3], "time_unit": "s",
    "operator": {"burgers": {"viscosity": 0.05}}, "initial": "-sin(pi*x)", "boundary": {"all": {"dirichlet": 0}},
}  # fmt: skip


def solutions(statement: Mapping[str, Any], solvers: Sequence[str], **settings: Any) -> tuple[list[Any], list[Any]]:
    found = [solve(Problem(statement), solver=name, **settings) for name in solvers]
    return [one.field for one in found], [one.metrics for one in found]


def summary(name: str) -> Metrics:
    return Metrics({"problem": HIGH["title"], "solver": name, "error_estimate": 0.0, "residual": 0.0})


@pytest.mark.parametrize(
    ("statement", "reference"),
    [(HIGH, "chebyshev"), (HEAT, "fourier"), (BURGERS, "radau")],
    ids=["high", "heat", "burgers"],
)
def test_two_solvers_agree_within_their_bars(statement: dict[str, Any], reference: str) -> None:
    settings = {"samples": (101,)} if "time" not in statement else {"samples": (41, 11)}
    fields, summaries = solutions(statement, (reference, "finite_volume"), **settings)
    found = compare(Problem(statement), fields, summaries)
    assert found.metrics.values["agree"]
    assert found.pairs.rows()[0]["excess"] < 0.5
    found.picture.check(Findings())
    estimates = [summary.values["error_estimate"] for summary in summaries]
    assert estimates[0] < 1e-8 < estimates[1] < 1e-2


def test_the_error_estimate_is_the_error() -> None:
    """Richardson's estimate of finite volumes, against the manufactured solution that the solver does not see."""
    told = solve(Problem(HIGH), samples=(301,)).metrics.values
    assert told["error_largest"] == pytest.approx(told["error_estimate"], rel=0.05)
    assert told["points"][0] == 2 * told["second_points"][0]


def test_disagreement_is_loud() -> None:
    """A solution shifted by .01 in one place, with bars that do not allow it."""
    fields, summaries = solutions(HIGH, ("finite_volume",), samples=(101,))
    values = fields[0].values.copy()
    values[25] += 0.01
    other = GridField(fields[0].axes, values, name="u", unit="1", units={"x": "1"})
    summaries.append(Metrics({"problem": HIGH["title"], "solver": "other", "error_estimate": 1e-5, "residual": 0.0}))
    told = r"finite_volume and other disagree: they differ by 0.01 at x = 1\.5708, where their bars allow 0.00"
    with pytest.raises(InputError, match=told):
        compare(Problem(HIGH), [fields[0], other], summaries)
    ctx = Context()
    found = compare(Problem(HIGH), [fields[0], other], summaries, refuse=False, ctx=ctx)
    assert not found.metrics.values["agree"]
    assert [finding.code for finding in ctx.findings] == ["disagree"]


def test_an_agreement_that_says_nothing_is_told() -> None:
    """Bars of 3 for a solution of 1: a grid that hardly carries the frequency."""
    axes, units = {"x": np.linspace(0, 1, 5)}, {"x": "1"}
    field = GridField(axes, [0, 1, 0, -1, 0], name="u", unit="1", units=units)
    wide = Metrics({**summary("b").values, "error_estimate": 1.0})
    ctx = Context()
    assert compare(Problem(HIGH), [field, field], [summary("a"), wide], ctx=ctx).metrics.values["agree"]
    (finding,) = ctx.findings
    assert finding.code == "vague-agreement"
    assert "their bars allow differences of 3, u is at most 1" in finding.message
    assert "b has the wider bar" in finding.message


def test_a_standard_deviation_widens_the_bar() -> None:
    axes, units = {"x": np.linspace(0, 1, 5)}, {"x": "1"}
    exact = GridField(axes, np.zeros(5), name="u", unit="1", units=units)
    unsure = GridField(axes, np.full(5, 0.2), np.full(5, 0.1), name="u", unit="1", units=units)
    told = [summary("a"), summary("b")]
    assert compare(Problem(HIGH), [exact, unsure], told).pairs.rows()[0]["excess"] == pytest.approx(2 / 3, rel=1e-6)


def test_what_can_not_be_compared() -> None:
    axes, units = {"x": np.linspace(0, 1, 5)}, {"x": "1"}
    field = GridField(axes, np.arange(5.0), name="u", unit="1", units=units)
    finer = GridField({"x": np.linspace(0, 1, 9)}, np.arange(9.0), name="u", unit="1", units=units)
    moved = GridField({"x": np.linspace(0, 2, 5)}, np.arange(5.0), name="u", unit="1", units=units)
    other = GridField(axes, np.arange(5.0), name="p", unit="Pa", units=units)
    told = [summary("a"), summary("b")]
    for wrong, message in ((finer, "expected one grid"), (moved, "other points on axis x"), (other, "is p in Pa")):
        with pytest.raises(InputError, match=message):
            compare(Problem(HIGH), [field, wrong], told)
    with pytest.raises(InputError, match="expected at least two"):
        compare(Problem(HIGH), [field], told[:1])
    with pytest.raises(InputError, match="a solver agrees with itself"):
        compare(Problem(HIGH), [field, field], [told[0], told[0]])
    with pytest.raises(InputError, match="lacks error_estimate"):
        compare(
            Problem(HIGH), [field, field], [Metrics({"problem": HIGH["title"], "solver": "a", "residual": 0}), told[1]]
        )
    with pytest.raises(InputError, match="is of the problem 'sin 6x cos 100x'; expected 'another'"):
        compare(Problem({**HIGH, "title": "another"}), [field, field], told)


def test_a_solver_that_does_not_fit_or_is_unknown_is_told() -> None:
    with pytest.raises(
        SettingsError, match="solver fourier does not fit this problem: an axis has ends; use chebyshev"
    ):
        solve(Problem(HIGH), solver="fourier")
    with pytest.raises(SettingsError, match="'chebychev' is unknown; the nearest known one is 'chebyshev'"):
        solve(Problem(HIGH), solver="chebychev")
    with pytest.raises(InputError, match=r"points has 2 numbers; the problem has the axes x"):
        solve(Problem(HIGH), points=(100, 100))


@pytest.mark.parametrize("solver", ["chebyshev", "finite_volume"])
def test_a_frequency_beyond_the_grid_is_named_by_every_solver(solver: str) -> None:
    with pytest.raises(InputError, match=rf"solver {solver}: .* 105 over the axis; a grid of 120 points"):
        solve(Problem(HIGH), solver=solver, points=(120,))


def test_a_given_forcing_is_solved_for() -> None:
    """u'' = -pi^2 sin pi x on a grid of 200 points."""
    x = np.linspace(0, 1, 200)
    forcing = GridField({"x": x}, -(np.pi**2) * np.sin(np.pi * x), name="f", unit="1/m2", units={"x": "m"})
    statement = {
        "unit": "1", "box": {"x": [0, 1]}, "length_unit": "m", "operator": "poisson", "forcing": "given",
        "boundary": {"all": {"dirichlet": 0}},
    }  # fmt: skip
    found = solve(Problem(statement), forcing=forcing, samples=(51,))
    np.testing.assert_allclose(found.field.values, np.sin(np.pi * np.linspace(0, 1, 51)), atol=1e-5)
    assert found.metrics.values["error_l2"] is None


class TestSolve(StageContract):
    """A high frequency on an interval."""

    name = "pde.solve"

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        return {"problem": Problem(HIGH)}

    def make_settings(self) -> Mapping[str, Any]:
        return {"samples": [101]}


class TestCompare(StageContract):
    """The same by two solvers."""

    name = "pde.compare"

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        fields, summaries = solutions(HIGH, ("chebyshev", "finite_volume"), samples=(101,))
        return {"problem": Problem(HIGH), "solutions": fields, "summaries": summaries}
