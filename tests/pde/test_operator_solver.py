"""The solver `learned` of pde.solve: the answer of another solver, from a start that was learnt."""

import numpy as np
import pytest

from pde.darcy import pairs, problem
from voxfield.artifacts import GridField, Model
from voxfield.errors import SettingsError
from voxfield.pde import operator_train, solve

UNITS = {"x": "km", "y": "km"}


@pytest.fixture(scope="module")
def model() -> Model:
    settings = {"width": 8, "modes": 3, "layers": 2}
    return operator_train(problem(), *pairs(), network="fno", arguments=settings, steps=20).model


def conductivity() -> GridField:
    points = np.linspace(0, 1, 33)
    x, y = np.ix_(points, points)
    return GridField({"x": points, "y": points}, 6 + 3 * np.sin(3 * x) * np.cos(4 * y), name="a", unit="1", units=UNITS)


def test_the_answer_does_not_depend_on_what_was_learnt(model: Model) -> None:
    """Finite volumes on cells, another code, within the error that two grids tell."""
    ours = solve(
        problem(), conductivity=conductivity(), model=model, solver="learned", samples=(21, 21), points=(65, 65)
    )
    theirs = solve(problem(), conductivity=conductivity(), solver="finite_volume", samples=(21, 21))
    told = ours.metrics.values
    assert told["error_estimate"] < 1e-5
    assert told["residual"] < 1e-8
    assert told["iterations"] <= told["facts"]["iterations_from_zero"] + 1
    assert ours.field is not None
    assert theirs.field is not None
    bar = 3 * (told["error_estimate"] + theirs.metrics.values["error_estimate"])
    assert np.abs(ours.field.values - theirs.field.values).max() <= bar


def test_what_the_solver_does_not_take(model: Model) -> None:
    with pytest.raises(SettingsError, match="it needs the input `model`"):
        solve(problem(), conductivity=conductivity(), solver="learned")
    with pytest.raises(SettingsError, match="trained with another forcing"):
        solve(problem(forcing=-2), conductivity=conductivity(), model=model, solver="learned")
    with pytest.raises(SettingsError, match="trained on the box"):
        solve(problem(box={"x": [0, 1], "y": [0, 0.5]}), conductivity=conductivity(), model=model, solver="learned")
    with pytest.raises(SettingsError, match="u zero on all faces; this operator has no such term"):
        solve(problem(operator="poisson"), model=model, solver="learned")
    with pytest.raises(SettingsError, match="finite_volume works without a model"):
        solve(problem(), conductivity=conductivity(), model=model)
