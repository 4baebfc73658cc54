"""pde.operator_pairs, operator_train and operator_predict: contracts, resuming, certificates, and what is refused."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pde.darcy import STATEMENT, darcy, pairs, problem
from voxfield.artifacts import Artifact, GridField, Model, Problem
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.findings import Findings
from voxfield.pde import operator_pairs, operator_predict, operator_train
from voxfield.pde.operators import build
from voxfield.pde.operators._fit import examples
from voxfield.pde.operators._learned import LearnedOperator, Scales
from voxfield.pde.operators._pairs import read_pairs
from voxfield.pde.operators._training import Plan, Training
from voxfield.testing import StageContract
from voxfield.workspace import Workspace

SMALL: dict[str, Any] = {"network": "fno", "arguments": {"width": 8, "modes": 3, "layers": 2}, "steps": 30}


@cache
def trained(network: str = "fno") -> Model:
    own = {"arguments": {"width": 8, "levels": 2, "patch": 2}, "steps": 2} if network == "lsm" else SMALL
    return operator_train(problem(), *pairs(), **{**own, "network": network}).model


def changed(field: GridField, values: Any, **axes: Any) -> GridField:
    return GridField({**field.axes, **axes}, values, name=field.name, unit=field.unit or "1", units=field.units)


class TestOperatorPairs(StageContract):
    name = "pde.operator_pairs"

    def make_inputs(self) -> Mapping[str, Artifact]:
        return {"problem": problem()}

    def make_settings(self) -> Mapping[str, Any]:
        return {"samples": 2, "points": [5, 5], "refine": 2}


class TestOperatorTrain(StageContract):
    name = "pde.operator_train"

    def make_inputs(self) -> Mapping[str, Any]:
        inputs, solutions = pairs()
        finer = pairs(2, 17)
        return {
            "problem": problem(), "inputs": inputs, "solutions": solutions, "test_inputs": [finer[0]],
            "test_solutions": [finer[1]],
        }  # fmt: skip

    def make_settings(self) -> Mapping[str, Any]:
        return {"arguments": {"width": 8, "levels": 2, "patch": 2}, "steps": 3}


class TestOperatorPredict(StageContract):
    name = "pde.operator_predict"

    def make_inputs(self) -> Mapping[str, Artifact]:
        inputs, solutions = pairs(3)
        return {"model": trained(), "inputs": inputs, "known": solutions}


@pytest.mark.parametrize("name", ["lsm", "fno"])
def test_a_killed_training_ends_with_the_same_weights(name: str, tmp_path: Path) -> None:
    found = darcy()
    made = read_pairs(*pairs(), found.box)
    shown, device = examples(found, made, Scales.of(made)), torch.device("cpu")
    plan = Plan(steps=7, batch=4, learning_rate=0.01, average=0.9, checkpoint_every=3, seed=5)

    def training() -> Training:
        return Training(build(name, 1, 2, {"width": 8}, seed=1), shown, plan, device)

    whole = training()
    whole.run(Workspace())
    killed = training()

    def until_five(steps: range) -> Any:
        for step in steps:
            if step == 5:
                raise KeyboardInterrupt
            yield step

    with pytest.raises(KeyboardInterrupt):
        killed.run(Workspace(tmp_path, "key"), until_five)
    again = training()
    again.run(Workspace(tmp_path, "key"))
    assert again.losses == whole.losses
    for ours, theirs in ((again.network, whole.network), (again.average, whole.average)):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)


def test_every_pair_is_drawn_once_an_epoch() -> None:
    found = darcy()
    made = read_pairs(*pairs(), found.box)
    shown = examples(found, made, Scales.of(made))
    marked = replace(shown, inputs=torch.arange(6.0)[:, None, None, None].expand(6, 1, 9, 9))
    plan = Plan(steps=9, batch=2, learning_rate=0.01, average=0.9, checkpoint_every=3, seed=5)
    for epoch in range(3):
        drawn = torch.cat([marked.draw(plan, 3 * epoch + step)[0][:, 0, 0, 0] for step in range(3)])
        assert sorted(drawn.tolist()) == [0, 1, 2, 3, 4, 5]


def test_training_learns_and_is_told_beside_the_classical_solve() -> None:
    ctx = Context(seed=1)
    inputs, solutions = pairs(40)
    finer = pairs(4, 17)
    settings = {**SMALL, "arguments": {"width": 12, "modes": 4, "layers": 2}, "steps": 150, "learning_rate": 0.01}
    told = operator_train(
        problem(), inputs, solutions, [finer[0]], [finer[1]], **settings, ctx=ctx
    ).metrics.values  # fmt: skip
    here, there = told["judged"]
    assert (here["points"], there["points"], told["samples"], here["samples"]) == ([9, 9], [17, 17], 36, 4)
    assert here["learned"] < 0.3
    assert there["learned"] < 0.5
    assert here["classical"] < 0.1
    assert told["loss_curve"]["loss"][-1] < 0.5 * told["loss_curve"]["loss"][0]
    assert {finding.code for finding in ctx.findings} == {"classical-better"}


def test_predictions_are_certified_on_any_grid() -> None:
    model = trained()
    inputs, solutions = pairs(2, 29)
    found = operator_predict(model, inputs, solutions)
    operator = LearnedOperator.from_model(model)
    (x, y), given = list(inputs.axes.values())[1:], inputs.values
    grid = operator.problem.grid((x, y))
    for number, row in enumerate(found.samples.rows()):
        exact = grid.solve(operator.contrast(given[number]), operator.problem.source((x, y)))
        error = np.sqrt(np.mean(np.square(found.solutions.values[number] - exact)[grid.unknown]))
        assert error <= row["bound"] + 1e-12
        assert row["residual"] < 1e-7
        assert row["iterations"] <= row["iterations_from_zero"]
        assert row["classical_l2"] < row["learned_l2"]
    assert found.solutions.unit == "m"
    assert found.solutions.units == {"sample": "1", "x": "km", "y": "km"}
    found.picture.check(Findings())


def test_one_field_without_samples() -> None:
    inputs, _ = pairs(1, 9)
    single = GridField(
        {"x": inputs.axes["x"], "y": inputs.axes["y"]}, inputs.values[0], name="a", unit="1",
        units={"x": "km", "y": "km"},
    )  # fmt: skip
    found = operator_predict(trained(), single)
    assert found.solutions.values.shape == (9, 9)
    assert len(found.samples) == 1


def test_a_network_of_one_spacing_answers_on_other_grids_by_interpolation() -> None:
    model = trained("lsm")
    operator, device = LearnedOperator.from_model(model), torch.device("cpu")
    coarse, fine = np.linspace(0, 1, 9), np.linspace(0, 1, 17)
    inputs = pairs(2, 17)[0].values
    here = operator.predict(inputs[:, ::2, ::2], (coarse, coarse), device)
    there = operator.predict(inputs, (fine, fine), device)
    np.testing.assert_allclose(there[:, ::2, ::2], here, atol=1e-9)


def test_strange_inputs_are_told() -> None:
    inputs, _ = pairs(1)
    ctx = Context()
    operator_predict(trained(), changed(inputs, 30 * inputs.values), ctx=ctx)
    assert [finding.code for finding in ctx.findings] == ["unfamiliar-input"]


def test_bad_pairs_are_refused() -> None:
    inputs, solutions = pairs()
    broken = solutions.values.copy()
    broken[1, 2, 3] = np.nan
    wrong: list[tuple[GridField, GridField, str]] = [
        (inputs, changed(solutions, broken), "1 values that are not finite"),
        (inputs, changed(solutions, solutions.values[:5], sample=np.arange(5.0)), "expected one solution on the grid"),
        (inputs, changed(solutions, solutions.values, x=np.linspace(0, 0.9, 9)), "at other points than its inputs"),
        (inputs, changed(solutions, 0 * solutions.values), "zero everywhere"),
        (changed(inputs, 0 * inputs.values + 1), solutions, "1 everywhere; there is nothing to learn from"),
        (inputs, changed(solutions, -solutions.values), "may have the other sign"),
    ]
    for given, known, message in wrong:
        with pytest.raises(InputError, match=message):
            operator_train(problem(), given, known, **SMALL)
    renamed = GridField(
        {"sample": np.arange(6.0), "a": inputs.axes["x"], "b": inputs.axes["y"]}, inputs.values, name="a", unit="1",
        units={"sample": "1", "a": "km", "b": "km"},
    )  # fmt: skip
    with pytest.raises(InputError, match="has the axes sample, a, b; expected sample, x, y"):
        operator_train(problem(), renamed, solutions, **SMALL)
    with pytest.raises(InputError, match="1 test_inputs and 0 test_solutions"):
        operator_train(problem(), inputs, solutions, [inputs], [], **SMALL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operator": "poisson"}, "this operator has no such term"),
        ({"operator": {"div(a grad u)": "given", "u": 1}}, "has other terms too"),
        ({"boundary": {"all": {"dirichlet": 1}}}, "face x- has another condition"),
        ({"boundary": {"all": {"dirichlet": 0}, "y+": {"neumann": 0}}}, r"face y\+ has another condition"),
        ({"boundary": {"y": "periodic", "all": {"dirichlet": 0}}}, "axis y is periodic"),
        ({"forcing": 0}, "the forcing is zero"),
    ],
)
def test_other_problems_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        operator_pairs(Problem({**STATEMENT, **changes}), samples=1)


def test_unknown_networks_and_foreign_models_are_refused() -> None:
    with pytest.raises(SettingsError, match="'fnn' is unknown; the nearest known one is 'fno'"):
        operator_train(problem(), *pairs(), network="fnn")
    with pytest.raises(SettingsError, match="the nearest known one is 'modes'"):
        operator_train(problem(), *pairs(), network="fno", arguments={"mode": 2})
    model = trained()
    foreign = Model(model.weights, model.config, family="segmentation", architecture="fno", licence="unknown")
    with pytest.raises(InputError, match=r"is a model of segmentation; expected one of pde\.operator_train"):
        operator_predict(foreign, pairs()[0])

    emptied = {key: value for key, value in model.config.items() if key != "scales"}
    with pytest.raises(InputError, match="its configuration lacks scales"):
        operator_predict(
            Model(model.weights, emptied, family=model.family, architecture="fno", licence="unknown"), pairs()[0]
        )


@pytest.mark.parametrize("network", ["lsm", "fno"])
def test_three_axes(network: str) -> None:
    """The same on a block whose forcing grows with z: pairs of this very grid, so that the certified ones are they."""
    block = problem(box={"x": [0, 1], "y": [0, 1], "z": [0, 2]}, forcing="-1 - z")
    made = operator_pairs(block, samples=4, points=(5, 6, 7), refine=1)
    arguments = {"width": 8, "levels": 2, "patch": 2} if network == "lsm" else SMALL["arguments"]
    trained_on = operator_train(block, made.inputs, made.solutions, network=network, arguments=arguments, steps=3)
    assert trained_on.metrics.values["judged"][0]["classical"] < 1e-2  # two fitted numbers, on the grid of the pairs
    found = operator_predict(trained_on.model, made.inputs, made.solutions)
    assert max(row["classical_l2"] for row in found.samples.rows()) < 1e-2
    found.picture.check(Findings())


def test_pairs_need_a_number_of_points_an_axis() -> None:
    with pytest.raises(SettingsError, match="points has 3 numbers; the box has the axes x, y"):
        operator_pairs(problem(), points=(5, 5, 5))
