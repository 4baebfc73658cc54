"""The stages grading.split and grading.choose: patients stay whole, repetitions are found, the test stays unseen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grading.cohorts import tubes
from voxfield.artifacts import Cohort, Image, Metrics, Model
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.grading import choose, split
from voxfield.testing import StageContract


class TestSplitContract(StageContract):
    name = "grading.split"

    def make_inputs(self) -> Mapping[str, Any]:
        cohort, images, _ = tubes(20, labelled=1.0)
        return {"table": cohort, "images": images}


class TestChooseContract(StageContract):
    name = "grading.choose"

    def make_inputs(self) -> Mapping[str, Any]:
        return {"models": [model("a"), model("b")], "trainings": [training(0.3, 0.1), training(0.2, 0.9)]}


def model(name: str) -> Model:
    return Model({"w": torch.zeros(1)}, {}, family="grading", architecture=name, licence="none")


def training(val: float, test: float) -> Metrics:
    cards = {part: {"rows": 9, "ranked_probability_score": {"value": v}} for part, v in (("val", val), ("test", test))}
    return Metrics({**cards, "rows": {"train": {"labelled": 5}}})


def blank(value: int = 0) -> Image:
    return Image(np.full((4, 1, 4), value, np.int16), np.eye(4))


def cohort(patients: list[str], split_of: Sequence[str | None] | None = None) -> Cohort:
    count = len(patients)
    columns: dict[str, list[Any]] = {
        "subject": [f"s{n}" for n in range(count)],
        "patient": patients,
        "grade": [n % 5 for n in range(count)],
    }
    return Cohort(columns if split_of is None else {**columns, "split": list(split_of)})


@given(st.lists(st.integers(0, 30), min_size=20, max_size=60), st.integers(0, 99))
def test_a_patient_lies_in_one_part_and_every_row_in_some(owners: list[int], seed: int) -> None:
    made = split(cohort([f"p{n}" for n in owners]), ctx=Context(seed=seed))
    parts: dict[str, set[str]] = {}
    for row in made.cohort.rows():
        parts.setdefault(row["patient"], set()).add(row["split"])
    assert all(len(found) == 1 for found in parts.values())
    assert sum(part["rows"] for part in made.metrics.values["parts"].values()) == len(owners)
    assert made.test.column("subject") == [r["subject"] for r in made.cohort.rows() if r["split"] == "test"]


def test_a_given_split_is_obeyed_and_the_rest_is_drawn_from_training() -> None:
    given_split = ["test" if n < 10 else "train" for n in range(60)]
    made = split(cohort([f"p{n // 2}" for n in range(60)], given_split), ctx=Context(seed=1))
    roles = made.cohort.column("split")
    assert {n for n, role in enumerate(roles) if role == "test"} == set(range(10))
    assert {"train", "val", "calibration"} <= set(roles[10:])


def test_images_that_stand_twice_are_found_and_told_apart() -> None:
    context = Context()
    images = [blank(1), blank(1), blank(2), blank(3), blank(2), *map(blank, range(4, 19))]
    made = split(cohort(["a", "a", "b", "c", "d", *"efghijklmnopqrs"]), images, ctx=context)
    assert made.metrics.values["images_repeated"] == [["s0", "s1"]]
    assert made.metrics.values["images_of_two_patients"] == [["s2", "s4"]]
    assert [(f.code, f.level) for f in context.findings] == [
        ("image-of-two-patients", "error"),
        ("image-repeated", "warning"),
    ]


def test_a_scan_of_two_readers_is_no_repetition_and_its_readings_count_as_labels() -> None:
    context = Context()
    once = cohort([f"p{n}" for n in range(20)])
    twice = Cohort({name: [*values, *values] for name, values in once.columns.items()} | {"reader": ["a", "b"] * 20})
    images = [blank(n) for n in range(20)]
    made = split(twice, [*images, *images], ctx=context)
    assert not len(context.findings)
    assert made.metrics.values["sizes"][0]["images"] == 20
    parts = made.metrics.values["parts"].values()
    assert sum(part["scans"] for part in parts) == 20
    assert sum(sum(part["labels_per_grade"]) for part in parts) == sum(part["rows"] for part in parts) == 40
    split(twice, [*images, *images[:-1], blank(0)], ctx=context)
    assert context.findings.codes() == ["image-of-two-patients"]


def test_two_sizes_are_told() -> None:
    context = Context()
    other = Image(np.zeros((4, 1, 5), np.int16), np.eye(4))
    made = split(cohort([f"p{n}" for n in range(20)]), [other, *map(blank, range(1, 20))], ctx=context)
    assert context.findings.codes() == ["several-sizes"]
    assert [size["images"] for size in made.metrics.values["sizes"]] == [19, 1]


def test_excluded_rows_are_gone_and_strangers_are_refused() -> None:
    people = cohort([f"p{n}" for n in range(20)])
    made = split(people, [blank(n) for n in range(19)], excluded=("s3",))
    assert "s3" not in made.cohort.column("subject")
    assert made.metrics.values["excluded"] == ["s3"]
    with pytest.raises(SettingsError, match="'s99', which is no subject"):
        split(people, excluded=("s99",))
    with pytest.raises(InputError, match="19 images for 20 rows"):
        split(people, [blank(n) for n in range(19)])


def test_the_method_is_chosen_by_validation_over_its_seeds() -> None:
    trainings = [training(0.30, 0.0), training(0.10, 0.0), training(0.18, 9.0), training(0.19, 9.0)]
    found = choose([model(name) for name in "abcd"], trainings, names=("noisy", "noisy", "steady", "steady"))
    assert found.metrics.values["chosen"] == "steady"
    assert found.model.architecture == "c"
    assert [m["val"] for m in found.metrics.values["methods"]] == pytest.approx([0.2, 0.185])


def test_trainings_of_other_splits_are_refused() -> None:
    def of(split: dict[str, str]) -> Metrics:
        return Metrics({**training(0.2, 0.1).values, "split": split})

    one, trimmed = of({"a": "train", "b": "val", "c": "test"}), of({"a": "train", "b": "spare", "c": "test"})
    models = [model("a"), model("b")]
    assert choose(models, [one, trimmed]).metrics.values["run"] == 0
    leak = of({"a": "test", "b": "val", "c": "train"})
    with pytest.raises(InputError, match=r"divides 2 patients otherwise .*: a is of train there and of test here"):
        choose(models, [one, leak])
    with pytest.raises(InputError, match="c is of test there and of no part here"):
        choose(models, [one, of({"a": "train", "b": "val"})])


def test_a_training_without_validation_can_not_be_chosen() -> None:
    unknown = Metrics({"val": {"rows": 0}, "test": {}, "rows": {"train": {"labelled": 5}}})
    with pytest.raises(InputError, match="no scores of validation patients"):
        choose([model("a")], [unknown])
    with pytest.raises(SettingsError, match="2 models, 1 trainings"):
        choose([model("a"), model("b")], [unknown])
