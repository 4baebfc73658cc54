"""Adaptation to another site: the contract, what changes and what must not, and what is refused."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from grading.cohorts import tubes
from voxfield.artifacts import Cohort, Model, Table
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.grading import adapt, predict, train
from voxfield.grading.grader import Grader
from voxfield.testing import StageContract

QUICK: dict[str, Any] = {"steps": 6, "batch": 4, "cells": 8, "channels": (4, 8), "hidden": 4, "bootstrap": 20}


def trained() -> Model:
    cohort, images, _ = tubes(80, labelled=0.9)
    made: Model = train(cohort, images, calibration_fraction=0.4, **QUICK, ctx=Context(seed=1, device="cpu")).model
    return made


@pytest.fixture(scope="module")
def model() -> Model:
    """A grader with 14 calibration patients."""
    return trained()


def site(count: int = 40) -> tuple[Cohort, list[Any]]:
    """Another site: scans without grades, two of each patient."""
    cohort, images, _ = tubes(count, labelled=0.0, seed=7)
    return Cohort({name: cohort.columns[name] for name in ("subject", "patient")}), images


class TestAdapt(StageContract):
    name = "grading.adapt"

    def make_inputs(self) -> Mapping[str, Any]:
        cohort, images = site()
        return {"model": trained(), "cohort": cohort, "images": images}

    def make_settings(self) -> Mapping[str, Any]:
        return {"directions": 1}


def test_sets_are_those_of_the_other_site_and_grades_stay(model: Model) -> None:
    cohort, images = site()
    ctx = Context(device="cpu")
    made = adapt(model, cohort, images, directions=1, ctx=ctx)
    facts = made.metrics.values
    assert facts["patients"] == 20
    assert facts["divergence"] >= 0
    assert "covariate shift alone" in facts["meaning"]
    assert "coverage_range_5_95" not in facts
    old, new = (predict(images[0], m, ctx=ctx).grade.values for m in (model, made.adapted))
    assert new["probabilities"] == old["probabilities"]
    assert "20 unlabelled patients" in new["claim"]
    assert "exchangeable" not in new["claim"]
    with pytest.raises(SettingsError, match="adapted to another site"):
        predict(images[0], made.adapted, coverage_of="per_grade", ctx=ctx)


def test_a_model_keeps_its_threshold_through_a_file(model: Model) -> None:
    cohort, images = site()
    made = adapt(model, cohort, images, directions=1, ctx=Context(device="cpu")).adapted
    grader = Grader.from_model(made, "cpu")
    again = Grader.from_model(grader.to_model("x"), "cpu")
    assert again.conformal.shift is not None
    assert grader.conformal.shift is not None
    points = np.random.default_rng(0).normal(size=(3, grader.conformal.embedding.shape[1]))
    np.testing.assert_array_equal(again.conformal.shift.threshold(points), grader.conformal.shift.threshold(points))


def test_rows_of_a_patient_weigh_as_one(model: Model) -> None:
    cohort, images = site()
    twice = Cohort({name: [*values, *values[:2]] for name, values in cohort.columns.items() if name == "patient"}
                   | {"subject": [*cohort.columns["subject"], "again0", "again1"]})  # fmt: skip
    one, two = (
        adapt(model, c, i, directions=1, ctx=Context(device="cpu")).metrics.values
        for c, i in ((cohort, images), (twice, [*images, *images[:2]]))
    )
    assert two["scans"] == 42
    assert two["divergence"] == pytest.approx(one["divergence"], abs=1e-9)


def test_too_little_is_refused(model: Model) -> None:
    cohort, images = site()
    with pytest.raises(SettingsError, match="directions is 3, which wants 30 patients of either site"):
        adapt(model, cohort, images)
    with pytest.raises(InputError, match="at least 99 are needed"):
        adapt(model, cohort, images, coverage=0.99)
    with pytest.raises(InputError, match="39 images for 40 rows"):
        adapt(model, cohort, images[:-1])
    plain, scans, tables = tubes(80, labelled=0.9)
    both = train(plain, scans, tables, inputs="both", calibration_fraction=0.4, **QUICK, ctx=Context(device="cpu"))
    with pytest.raises(InputError, match="trained with features and none were given"):
        adapt(both.model, cohort, images, directions=1)
    with pytest.raises(InputError, match="no column radius_mm"):
        adapt(both.model, cohort, images, [Table({"empty": [1.0]})] * 40, directions=1)
