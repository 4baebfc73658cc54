"""Cohorts in which a scan has a row for each of several readers."""

from typing import Any

import pytest

from grading.cohorts import tubes
from voxfield.artifacts import Cohort, Image, Table
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.grading import train
from voxfield.grading.splits import Fractions
from voxfield.grading.study import plan_study

FRACTIONS = Fractions(0.15, 0.25, 0.2)
QUICK: dict[str, Any] = {"steps": 12, "batch": 8, "cells": 8, "channels": (4,), "hidden": 4, "bootstrap": 5}


def twice_read(count: int) -> tuple[Cohort, list[Image], list[Table]]:
    """Every scan read by Ann, and by Bob, who writes one grade more."""
    cohort, images, tables = tubes(count, labelled=0.8, grades=3)
    columns = {name: list(values) * 2 for name, values in cohort.columns.items()}
    columns["grade"][count:] = [None if g is None else min(g + 1, 2) for g in columns["grade"][count:]]
    columns["reader"] = ["ann"] * count + ["bob"] * count
    return Cohort(columns), images * 2, tables * 2


def test_rows_of_a_scan_stay_with_their_patient() -> None:
    cohort, _, _ = twice_read(40)
    study = plan_study(cohort, FRACTIONS, grades=None, labels_per_grade=None, ctx=Context())
    assert study.roles[:40] == study.roles[40:]
    assert study.reader_names == ["ann", "bob"]
    assert study.reader_numbers() == [0] * 40 + [1] * 40
    train_rows = study.rows("train")
    scans = study.scans(train_rows)
    assert scans == [i for i in train_rows if i < 40]
    assert len(train_rows) == 2 * len(scans)


def test_readers_of_unlabelled_rows_need_no_name() -> None:
    cohort, _, _ = twice_read(40)
    names = [
        None if g is None else name for g, name in zip(cohort.column("grade"), cohort.column("reader"), strict=True)
    ]
    study = plan_study(
        Cohort({**cohort.columns, "reader": names}), FRACTIONS, grades=3, labels_per_grade=None, ctx=Context()
    )
    numbers = study.reader_numbers()
    assert numbers is not None
    assert {numbers[i] for i in study.rows("train", labelled=True)} == {0, 1}
    nobody = Cohort({**cohort.columns, "reader": [None] * 80})
    with pytest.raises(InputError, match="names no reader; expected one in every row with a grade"):
        plan_study(nobody, FRACTIONS, grades=3, labels_per_grade=None, ctx=Context())


def test_a_cohort_without_readers_tells_none_apart() -> None:
    cohort, _, _ = tubes(40)
    study = plan_study(cohort, FRACTIONS, grades=None, labels_per_grade=None, ctx=Context())
    assert study.reader_numbers() is None
    assert study.scans([3, 4]) == [3, 4]


def test_the_metrics_tell_the_chances_of_each_reader() -> None:
    cohort, images, tables = twice_read(60)
    made = train(cohort, images, tables, algorithm="supervised", loss="readers", **QUICK, ctx=Context(device="cpu"))
    told = made.metrics.values["labels"]
    assert told["readers"] == ["ann", "bob"]
    for matrix in told["reader_chances"]:
        assert [sum(row) for row in matrix] == pytest.approx([1, 1, 1])


def test_readers_are_asked_for() -> None:
    cohort, images, tables = tubes(40, labelled=0.8, grades=3)
    with pytest.raises(SettingsError, match="no column `reader`"):
        train(cohort, images, tables, loss="readers", **QUICK, ctx=Context(device="cpu"))
