"""Roles are given by patient; what holds for every cohort, and the mistakes that are refused."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfield.artifacts import Cohort
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.grading.splits import ROLES, Fractions, assign_roles, limit_labels
from voxfield.grading.study import plan_study

GRADES = st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=8, max_size=60)


@given(GRADES, st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_every_patient_has_one_role_and_unlabelled_ones_train(grades: list[int | None], seed: int) -> None:
    patients = [f"p{i // 2}" for i in range(len(grades))]
    roles = assign_roles(patients, grades, None, Fractions(0.2, 0.2, 0.2), np.random.default_rng(seed))
    assert set(roles) == set(patients)
    assert set(roles.values()) <= set(ROLES)
    labelled = {p for p, g in zip(patients, grades, strict=True) if g is not None}
    assert all(roles[p] == "train" for p in set(patients) - labelled)
    counts = Counter(roles[p] for p in labelled)
    for role in ROLES[1:]:
        assert counts[role] == round(0.2 * len(labelled))


def test_draw_is_stratified_by_the_worse_grade() -> None:
    grades = [0] * 100 + [4] * 20
    patients = [f"p{i}" for i in range(120)]
    roles = assign_roles(patients, grades, None, Fractions(0.25, 0.25, 0.25), np.random.default_rng(0))
    severe = Counter(roles[f"p{i}"] for i in range(100, 120))
    assert severe["train"] in (4, 5, 6)
    assert severe["val"] in (4, 5, 6)
    assert severe["calibration"] + severe["test"] in (9, 10, 11)


def test_given_split_is_obeyed_and_missing_roles_come_from_its_training() -> None:
    patients = [f"p{i}" for i in range(40)]
    split = ["test"] * 10 + ["Training"] * 30
    roles = assign_roles(
        patients, [i % 3 for i in range(40)], split, Fractions(0.2, 0.3, 0.5 - 0.1), np.random.default_rng(0)
    )
    assert all(roles[p] == "test" for p in patients[:10])
    assert Counter(roles[p] for p in patients[10:]) == {"train": 15, "val": 6, "calibration": 9}


def test_mistakes_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="'hold' is no split; allowed are train, val"):
        assign_roles(["a"], [1], ["hold"], Fractions(), rng)
    with pytest.raises(InputError, match="patient a has rows in train and test"):
        assign_roles(["a", "a"], [1, 1], ["train", "test"], Fractions(), rng)
    with pytest.raises(SettingsError, match="below 1"):
        assign_roles(["a"], [1], None, Fractions(0.5, 0.3, 0.2), rng)


def test_labels_are_limited_per_grade() -> None:
    kept = limit_labels([0, 0, 0, 1, None, 2, 2], range(7), 2, np.random.default_rng(0))
    assert sorted([0, 0, 0, 1, None, 2, 2][i] for i in kept) == [0, 0, 1, 2, 2]  # type: ignore[type-var]


def cohort(grades: list[int | None], split: list[str] | None = None) -> Cohort:
    columns: dict[str, list[object]] = {"subject": [f"s{i}" for i in range(len(grades))], "grade": list(grades)}
    return Cohort(columns if split is None else {**columns, "split": list(split)})


def test_validation_is_no_larger_than_what_trains() -> None:
    ctx = Context()
    split = ["train"] * 4 + ["val"] * 10 + ["calibration", "test"]
    study = plan_study(cohort([0, 1] * 8, split), Fractions(), grades=None, labels_per_grade=None, ctx=ctx)
    assert len(study.rows("val")) == 4
    assert study.roles.count("spare") == 6
    assert ctx.findings.codes() == ["validation-trimmed"]


def test_labels_set_aside_count_as_unlabelled_training_rows() -> None:
    study = plan_study(cohort([0, 1] * 20), Fractions(), grades=None, labels_per_grade=3, ctx=Context())
    assert study.summary()["train"]["labels_per_grade"] == [3, 3]
    assert len(study.rows("train")) == 16
    assert study.summary()["calibration"]["labelled"] == 10


def test_what_can_not_be_learnt_is_refused() -> None:
    with pytest.raises(InputError, match="grades reach 3 and 2 grades are expected"):
        plan_study(cohort([0, 3] * 9), Fractions(), grades=2, labels_per_grade=None, ctx=Context())
    with pytest.raises(SettingsError, match=r"hold the grades \[1\]"):
        plan_study(cohort([1] * 20), Fractions(), grades=2, labels_per_grade=None, ctx=Context())
    ctx = Context()
    plan_study(cohort([0, 1] * 9), Fractions(0, 0.2, 0.2), grades=3, labels_per_grade=None, ctx=ctx)
    assert ctx.findings.codes() == ["grades-absent", "no-validation"]
