"""The stages: the contract, and what they say when they must not claim anything."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from grading.cohorts import tube, tubes
from voxfield.artifacts import Cohort, Image, Metrics, Model, Table
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.grading import anatomy, evaluate, features, predict, train
from voxfield.grading._features import NEEDED
from voxfield.testing import StageContract

QUICK: dict[str, Any] = {"steps": 6, "batch": 4, "cells": 8, "channels": (4, 8), "hidden": 4, "bootstrap": 20}


def trained(count: int = 120, **settings: Any) -> tuple[Any, Context]:
    cohort, images, _ = tubes(count)
    ctx = Context(seed=1, device="cpu")
    return train(cohort, images, **{**QUICK, **settings}, ctx=ctx), ctx


@pytest.fixture(scope="module")
def model() -> Model:
    """A model that learnt a little: 60 tubes, features beside the images."""
    cohort, images, tables = tubes(120, labelled=0.9)
    made: Model = train(cohort, images, tables, inputs="both", **QUICK, ctx=Context(seed=1, device="cpu")).model
    return made


class TestTrain(StageContract):
    name = "grading.train"

    def make_inputs(self) -> Mapping[str, Any]:
        cohort, images, tables = tubes(24, labelled=0.9, grades=3)
        return {"cohort": cohort, "images": images, "features": tables}

    def make_settings(self) -> Mapping[str, Any]:
        return {**QUICK, "checkpoint_every": 2, "inputs": "both"}


class TestPredict(StageContract):
    name = "grading.predict"

    def make_inputs(self) -> Mapping[str, Any]:
        cohort, images, tables = tubes(24, labelled=0.9, grades=3)
        made = train(cohort, images, tables, **QUICK, ctx=Context(seed=1, device="cpu"))
        return {"image": images[0], "model": made.model, "features": tables[0]}


class TestFeatures(StageContract):
    name = "grading.features"

    def make_inputs(self) -> Mapping[str, Any]:
        return {
            "branches": branches(),
            "drops": Table({"opening": [2, 3], "pressure_pa": [0.0, -30.0], "sd_pa": [0.0, 4.0]}),
        }


def branches() -> Table:
    """A root of two branches, one of them with a stenosis, and a bridge without radius beyond it."""
    return Table(
        {
            "branch": [0, 1, 2, 3],
            "parent": [-1, 0, 0, 1],
            "generation": [0, 1, 1, 2],
            "length_mm": [10.0, 8.0, 4.0, 3.0],
            "radius_mean_mm": [2.0, 1.0, 1.0, None],
            "radius_min_mm": [1.8, 0.5, 0.9, None],
            "radius_distal_mm": [2.0, 1.0, 1.0, None],
            "stenosis": [0.1, 0.5, 0.1, None],
            "bridge": [0, 0, 0, 1],
        }
    )


def test_features_by_hand() -> None:
    ctx = Context()
    row = features(branches(), None, ctx=ctx).features.rows()[0]
    assert list(row) == list(anatomy.COLUMNS)
    assert row["branches"] == 3
    assert row["bridges"] == 1
    assert row["length_total_mm"] == 22
    assert row["radius_min_mm"] == 0.5
    assert row["radius_mean_mm"] == pytest.approx((20 + 8 + 4) / 22)
    assert row["stenosis_sum"] == pytest.approx(0.7)
    assert row["narrowing_max"] == 0.5
    # the daughters share the flow alike; the root adds its own small throat
    viscous, throat = 10 / 16 + 0.5 * 8, (1 / 1.8**2 - 1 / 4) ** 2 + 0.25 * (4 - 1) ** 2 + 1e-3
    assert row["viscous_loss_log10"] == pytest.approx(np.log10(viscous))
    assert row["throat_loss_log10"] == pytest.approx(np.log10(throat))
    flow = np.pi * 100 * 0.0035 * 2e-3 / (2 * 1060)
    drop = 8 * 0.0035 * flow / np.pi * viscous * 1e9 + 1.52 * 530 * (flow / np.pi) ** 2 * throat * 1e12
    assert row["nominal_drop_log10"] == pytest.approx(np.log10(drop))
    assert row["pressure_range_pa"] is None
    assert ctx.findings.codes() == ["bridges"]


def test_features_of_next_to_nothing() -> None:
    bare = Table({name: [None] for name in NEEDED})
    row = features(bare, Table({"opening": [], "pressure_pa": []})).features.rows()[0]
    assert row["branches"] == 1
    assert row["radius_min_mm"] is None
    assert row["openings"] == 0
    with pytest.raises(InputError, match="no column 'bridge'"):
        features(Table({name: [1] for name in NEEDED[:-1]}))


def test_a_loop_of_parents_ends() -> None:
    ones = {name: [1.0, 1.0] for name in NEEDED}
    loop = Table({**ones, "branch": [0, 1], "parent": [1, 0], "bridge": [0, 0]})
    assert features(loop).features.column("viscous_loss_log10") == [None]


def test_prediction_says_what_it_claims(model: Model) -> None:
    _, images, tables = tubes(120)
    ctx = Context(device="cpu")
    values = predict(images[0], model, tables[0], ctx=ctx).grade.values
    assert sum(values["probabilities"]) == pytest.approx(1)
    assert values["set"][0] <= values["grade"] <= values["set"][1]
    assert values["certified"]
    assert "marginal coverage under exchangeable patients" in values["claim"]
    assert values["coverage"] == 0.9
    assert not len(ctx.findings)
    predict(images[0], model, Table({"radius_mm": [None], "empty": [None]}), ctx=ctx)
    assert "feature-missing" in ctx.findings.codes()


def test_the_grader_abstains_and_says_why(model: Model) -> None:
    _, images, tables = tubes(120)
    ctx = Context(device="cpu")
    values = predict(images[0], model, tables[0], ctx=ctx).grade.values
    size = values["set"][1] - values["set"][0] + 1
    assert size > 1, "six steps of training decide nothing"
    wide = predict(images[0], model, tables[0], abstain_beyond=size - 1, ctx=ctx).grade.values
    assert wide["abstained"]
    assert wide["abstention"] == f"the set spans {size} grades, more than {size - 1}"
    assert wide["grade"] == values["grade"]
    narrow = predict(images[0], model, tables[0], abstain_beyond=size, ctx=ctx).grade.values
    assert not narrow["abstained"]
    assert narrow["abstention"] is None


def test_coverage_of_each_grade_is_chosen_in_prediction(model: Model) -> None:
    _, images, tables = tubes(2)
    ctx = Context(device="cpu")
    values = predict(images[0], model, tables[0], coverage=0.6, coverage_of="per_grade", ctx=ctx).grade.values
    assert values["coverage_of"] == "per_grade"
    counts = {g: one["calibration_patients"] for g, one in values["per_grade"].items()}
    assert all(one["certified"] == (counts[g] >= 2) for g, one in values["per_grade"].items())
    for grade, one in values["per_grade"].items():
        if one["certified"]:
            low, high = one["coverage_range_5_95"]
            assert f"grade {grade} {low:.2f} to {high:.2f} (5 to 95 %)" in values["claim"]


def test_no_set_without_enough_calibration_patients(model: Model) -> None:
    _, images, tables = tubes(2)
    ctx = Context(device="cpu")
    values = predict(images[0], model, tables[0], coverage=0.99, ctx=ctx).grade.values
    assert values["set"] is None
    assert not values["certified"]
    assert values["claim"].startswith("not certifiable: ")
    assert "at least 99 are needed" in values["claim"]
    assert "not-certifiable" in ctx.findings.codes()


def test_training_says_when_nothing_can_be_certified() -> None:
    made, ctx = trained(24, calibration_fraction=0.1)
    assert "not-certifiable" in ctx.findings.codes()
    facts = made.metrics.values["conformal"]
    assert not facts["certified"]
    assert facts["needed_patients"] == 9
    assert "sets" not in made.metrics.values["test"]


@pytest.mark.parametrize("change", ["spacing", "size", "intensity", "picture"])
def test_a_scan_unlike_the_training_is_told(model: Model, change: str) -> None:
    image = tube(3.0, np.random.default_rng(5))
    data, affine = image.data.copy(), np.eye(4)
    if change == "spacing":
        affine = np.diag([0.5, 0.5, 0.5, 1.0])
    elif change == "size":
        data = np.pad(data, 10)
    elif change == "intensity":
        data = 300 * data + 1000
    else:
        data = np.random.default_rng(0).normal(size=data.shape)
    ctx = Context(device="cpu")
    values = predict(Image(data, affine), model, Table({"radius_mm": [3.0], "empty": [None]}), ctx=ctx).grade.values
    assert "unlike-training" in ctx.findings.codes()
    assert values["set"] is not None
    assert not values["certified"]
    assert values["claim"].startswith("no coverage is claimed")
    assert values["abstained"]
    assert "the scan is unlike the training scans, its " in values["abstention"]


def test_a_familiar_scan_is_not_told(model: Model) -> None:
    told = 0
    for seed in range(20):
        rng = np.random.default_rng(100 + seed)
        ctx = Context(device="cpu")
        radius = rng.uniform(1.2, 4.8)
        predict(tube(radius, rng), model, Table({"radius_mm": [radius], "empty": [None]}), ctx=ctx)
        told += "unlike-training" in ctx.findings.codes()
    assert told <= 1


def test_patients_of_temperature_quantile_and_test_are_apart() -> None:
    made, _ = trained()
    values = made.metrics.values
    split = values["split"]
    assert len(split) == 60
    rows = values["rows"]
    assert sum(rows[r]["patients"] for r in rows) == 60
    assert values["conformal"]["calibration_patients"] == rows["calibration"]["patients"]
    assert rows["calibration"]["rows"] == 2 * rows["calibration"]["patients"]


def test_evaluation_looks_at_test_patients_only() -> None:
    cohort = Cohort({"subject": ["a", "b", "c"], "grade": [0, 1, None], "split": ["train", "test", "test"]})
    sure = {"probabilities": [0.9, 0.1], "set": [0, 0], "certified": True, "abstained": False}
    predictions = [Metrics({**sure, "coverage": 0.9, "coverage_of": "marginal", "meaning": "coverage"})] * 3
    card = evaluate(predictions, cohort, bootstrap=10).metrics.values
    assert card["rows"] == 1
    assert card["mean_absolute_error"]["value"] == 1
    assert card["sets"]["coverage"]["value"] == 0
    ctx = Context()
    known = Metrics({"split": {"a": "test", "b": "train", "c": "train"}})
    assert evaluate(predictions, cohort, known, ctx=ctx).metrics.values["mean_absolute_error"]["value"] == 0
    assert not len(ctx.findings)
    shouted = Cohort({**cohort.columns, "split": ["Training", "TEST ", "test"]})
    assert evaluate(predictions, shouted, bootstrap=10).metrics.values["rows"] == 1
    with pytest.raises(InputError, match="'tset' is no split; allowed are train, val, calibration, test, n/a"):
        evaluate(predictions, Cohort({**cohort.columns, "split": ["train", "tset", "test"]}))
    nobody = Cohort({"subject": ["a", "b"], "grade": [0, 1]})
    evaluate(predictions[:2], nobody, ctx=ctx)
    assert ctx.findings.codes() == ["not-held-out"]
    with pytest.raises(InputError, match="3 predictions for 2 rows"):
        evaluate(predictions, nobody)


def test_mistakes_are_told(model: Model) -> None:
    cohort, images, tables = tubes(24)
    with pytest.raises(InputError, match="23 images for 24 rows"):
        train(cohort, images[:-1], **QUICK)
    with pytest.raises(InputError, match="no features were given"):
        train(cohort, images, inputs="both", **QUICK)
    with pytest.raises(SettingsError, match="multiple of 4"):
        train(cohort, images, **{**QUICK, "channels": (6,)})
    with pytest.raises(InputError, match="trained with features and none were given"):
        predict(images[0], model)
    named = Table({"subject": ["s000"] * 25, "radius_mm": [1.0] * 25})
    with pytest.raises(InputError, match="has 25 rows of subject s000; expected one for each"):
        train(cohort, images, [named], inputs="both", **QUICK)
    with pytest.raises(InputError, match="has no column radius_mm"):
        predict(images[0], model, Table({"empty": [1.0]}))
    foreign = Model(model.weights, model.config, family="segmentation", architecture="unet", licence="none")
    with pytest.raises(InputError, match="family 'segmentation'"):
        predict(images[0], foreign)
    del tables


@pytest.mark.gpu
def test_a_gpu_gives_what_a_cpu_gives() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    cohort, images, tables = tubes(40, labelled=0.9)
    found = []
    for device in ("cpu", "cuda"):
        ctx = Context(seed=1, device=device)
        made = train(cohort, images, tables, inputs="both", **QUICK, ctx=ctx)
        values = [predict(i, made.model, t, ctx=ctx).grade.values for i, t in zip(images, tables, strict=True)]
        found.append(np.array([v["probabilities"] for v in values]))
    np.testing.assert_allclose(found[0], found[1], atol=0.02)  # six steps of Adam amplify round-off


def test_features_alone_and_images_alone() -> None:
    cohort, images, tables = tubes(40)
    for choice, dims in (("features", 0), ("image", 3), ("auto", 0)):
        made = train(cohort, images, tables, inputs=choice, **QUICK, ctx=Context(device="cpu"))
        assert made.model.config["network"]["dims"] == dims
        predict(images[0], made.model, tables[0], ctx=Context(device="cpu"))
