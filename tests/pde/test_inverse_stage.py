"""pde.invert and pde.inverse_train from artifacts: what they promise, find and refuse."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from pde.inversions import as_table, seen
from voxfield.artifacts import Artifact, Model, Table
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.pde import inverse_train, invert
from voxfield.testing import StageContract

PROBLEM: dict[str, Any] = {"cells": 13, "waves": 5}
QUICK: dict[str, Any] = {**PROBLEM, "draws": 32, "moves": 2}
TRUTH, SEEN = seen(3, 59, 0.03)


class TestInvertContract(StageContract):
    """Fifty-nine observations of a small grid."""

    name = "pde.invert"

    def make_inputs(self) -> Mapping[str, Artifact]:
        return {"observations": as_table(SEEN)}

    def make_settings(self) -> Mapping[str, Any]:
        return {**QUICK, "draws": 16, "moves": 1}


class TestInverseTrainContract(StageContract):
    """A few steps."""

    name = "pde.inverse_train"

    def make_inputs(self) -> Mapping[str, Artifact]:
        return {}

    def make_settings(self) -> Mapping[str, Any]:
        return {**PROBLEM, "steps": 3, "batch": 4, "latent": 4, "width": 8, "judged": 2}


@pytest.fixture(scope="module")
def model() -> Model:
    return inverse_train(**PROBLEM, steps=100, batch=16, latent=8, width=16, judged=4).model


def test_posterior_holds_the_truth_where_there_is_much_to_see() -> None:
    found = invert(as_table(SEEN), **{**PROBLEM, "draws": 100, "moves": 5}, ctx=Context(seed=1))
    mean, guess = found.permeability.values, np.full_like(TRUTH, 7.5)
    assert np.linalg.norm(mean - TRUTH) < 0.6 * np.linalg.norm(guess - TRUTH)
    assert found.metrics.values["residual"] == pytest.approx(1, abs=0.25)
    assert found.samples.values.shape == (200, 13, 13)
    np.testing.assert_allclose(found.samples.values.mean(axis=0), mean)
    assert found.permeability.sd is not None
    np.testing.assert_allclose(found.permeability.sd, found.samples.values.std(axis=0, ddof=1))


@pytest.mark.parametrize("method", ["learned", "corrected"])
@pytest.mark.parametrize("prior", ["level_set", "latent"])
def test_a_model_tells_its_errors(model: Model, method: str, prior: str) -> None:
    values = invert(as_table(SEEN), model, method=method, prior=prior, **QUICK).metrics.values
    assert 0 < values["forward_error"] < 1.5
    assert 0 <= values["cycle_error"] < 1
    assert values["method"] == method
    assert any("zero of a Gaussian field" in line for line in values["assumed"])


def test_observations_that_nothing_explains_are_told() -> None:
    table = as_table(SEEN)
    table.columns["value"] = [3 * value for value in table.columns["value"]]
    ctx = Context()
    invert(table, **QUICK, ctx=ctx)
    assert "misfit" in [finding.code for finding in ctx.findings]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sd": [0.0]}, "positive sd"),
        ({"x": [1.5]}, "inside the unit square"),
        ({"y": [0.0]}, "inside the unit square"),
        ({"value": [None]}, "expected a number"),
        ({"value": ["high"]}, "expected a number"),
        ({name: [] for name in ("x", "y", "value", "sd")}, "at least one row"),
    ],
)
def test_bad_observations_are_refused(change: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        invert(Table({"x": [0.5], "y": [0.5], "value": [0.1], "sd": [0.01], **change}), **QUICK)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="no column 'sd'"):
        invert(Table({"x": [0.5], "y": [0.5], "value": [0.1]}), **QUICK)


def test_settings_that_contradict_are_refused(model: Model) -> None:
    table = as_table(SEEN)
    with pytest.raises(SettingsError, match="needs a model"):
        invert(table, method="learned", **QUICK)
    with pytest.raises(SettingsError, match="the model was made for"):
        invert(table, model, forcing=3.0, **QUICK)
    with pytest.raises(SettingsError, match="larger"):
        invert(table, low=10.0, high=5.0, **QUICK)
    with pytest.raises(SettingsError, match="larger"):
        inverse_train(low=2.0, high=2.0)
