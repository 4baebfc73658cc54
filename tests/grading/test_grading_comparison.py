"""Comparisons by patient and by seed, against enumerated patterns, scipy and curves whose crossing is known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from voxfield.artifacts import Table
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.grading import _comparison, compare
from voxfield.grading.metrics import scores
from voxfield.paired import sign_flip_p
from voxfield.testing import StageContract

GRADES = 4


def graded(sharpness: float, rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    """Probabilities around a noisy reading of the truth; a larger sharpness is a better method."""
    seen = truth + rng.normal(0, 1 / sharpness, truth.size)
    p = np.exp(-((np.arange(GRADES) - seen[:, None]) ** 2))
    return p / p.sum(1, keepdims=True)


def table(p: np.ndarray, truth: np.ndarray) -> Table:
    columns: dict[str, Any] = {"subject": [f"s{i:03}" for i in range(truth.size)]}
    columns |= {"patient": [f"p{i // 2:03}" for i in range(truth.size)], "grade": truth.tolist()}
    return Table(columns | {f"probability_{g}": p[:, g].tolist() for g in range(p.shape[1])})


def tables(sharpness: tuple[float, ...], count: int = 120, seed: int = 0) -> list[Table]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, GRADES, count)
    return [table(graded(s, rng, truth), truth) for s in sharpness]


class TestCompare(StageContract):
    name = "grading.compare"

    def make_inputs(self) -> Mapping[str, Any]:
        return {"predictions": tables((1.0, 2.0, 4.0), 20)}

    def make_settings(self) -> Mapping[str, Any]:
        return {"methods": ["a", "a", "b"], "labels": [50, 100, 200], "reference": "b@200", "bootstrap": 100}


def test_a_better_method_is_told_and_an_equal_one_is_not() -> None:
    made = compare(
        tables((1.0, 1.0, 1.0, 3.0, 3.0, 3.0)), methods=("weak",) * 3 + ("strong",) * 3, bootstrap=500
    ).metrics.values
    found = made["differences"]["weak - strong"]
    assert found["high"] < 0
    assert found["p"] < 0.01
    assert found["p_seeds"] == 0.25  # all three one way: 2 / 2^3, the best that three seeds can do
    assert made["differ"] == ["weak - strong"]
    assert made["verdict"].startswith("quadratic_kappa differs over 60 patients: weak - strong = -")
    assert made["methods"]["weak"]["seeds"] == 3
    same = compare(tables((2.0, 2.0)), methods=("a", "b"), bootstrap=500).metrics.values
    assert same["differ"] == []
    assert same["differences"]["a - b"]["low"] < 0 < same["differences"]["a - b"]["high"]
    assert same["differences"]["a - b"]["p_seeds"] is None


def test_exchanges_are_sign_flips_where_a_score_is_a_mean() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, GRADES, 20)
    p, q = graded(2.0, rng, truth), graded(1.2, rng, truth)
    cases = _comparison.Cases([f"p{i // 2}" for i in range(20)], truth)
    a, b = (_comparison.Method(name, name, None, [x]) for name, x in (("a", p), ("b", q)))
    each = scores.ranked_probability(p, truth) - scores.ranked_probability(q, truth)
    exact = sign_flip_p(each.reshape(10, 2).sum(1), rng)  # all 2^10 patterns
    drawn = _comparison.exchange_p("ranked_probability_score", a, b, cases, rng, 20_000)
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


def test_p_values_of_equal_methods_are_uniform() -> None:
    """Kappa is no mean: its p-values are still below alpha in a share alpha of the draws."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(150):
        truth = rng.integers(0, GRADES, 40)
        a, b = (_comparison.Method(n, n, None, [graded(1.5, rng, truth)]) for n in "ab")
        cases = _comparison.Cases([str(i // 2) for i in range(40)], truth)
        found.append(_comparison.exchange_p("quadratic_kappa", a, b, cases, rng, 200))
    assert stats.kstest(found, "uniform").pvalue > 0.01


@pytest.mark.parametrize("differences", [[1.0, 2.0, 3.0], [0.4, -0.1, 0.3, 0.9, -0.2], [-3.0, 1.0, 2.0, 5.0, 6.0, 4.0]])
def test_wilcoxon_over_seeds_equals_scipy(differences: list[float]) -> None:
    found = _comparison.wilcoxon_p(np.array(differences), np.random.default_rng(0))
    assert found == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_no_change_over_seeds_is_no_difference() -> None:
    assert _comparison.wilcoxon_p(np.zeros(3), np.random.default_rng(0)) == 1.0


def test_labels_at_which_a_curve_reaches_a_level() -> None:
    # score = log10(labels) / 4 at 10, 100, 1000; a level of .375 is reached at 10^1.5
    values = np.array([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.5, 0.5], [0.75, 0.75, 0.75, 0.75]])
    found = _comparison.labels_to_reach([10, 100, 1000], values, np.array([0.375, 0.1, 0.75, 0.9]))
    np.testing.assert_allclose(found, [10**1.5, 10, 1000, np.inf])


@pytest.mark.parametrize("score", ["quadratic_kappa", "mean_absolute_error"])
def test_the_curve_says_where_a_method_equals_full_supervision(score: Any) -> None:
    made = compare(
        tables((1.0, 2.0, 4.0, 2.0), 400), methods=("few",) * 3 + ("full",), labels=(50, 100, 200, 5000),
        reference="full@5000", score=score, bootstrap=300,
    )  # fmt: skip
    found = made.metrics.values["equals_reference"]
    assert list(found) == ["few"]
    assert 75 < found["few"]["value"] < 135
    assert found["few"]["low"] <= found["few"]["value"]
    assert found["few"]["reached_in_draws"] == 1.0
    assert [row["labels"] for row in made.curve.rows()] == [50, 100, 200, 5000]
    never = compare(
        tables((1.0, 1.1, 4.0), 400), methods=("few", "few", "full"), labels=(50, 100, 5000), reference="full@5000",
        bootstrap=100,
    ).metrics.values["equals_reference"]["few"]  # fmt: skip
    assert never["value"] is None
    assert never["reached_in_draws"] == 0.0


def test_every_reading_of_a_scan_counts() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, GRADES, 60)
    predicted = [graded(s, rng, truth) for s in (1.0, 2.0)]
    second = np.clip(truth + rng.integers(-1, 2, 60), 0, GRADES - 1)  # another reader of the same scans
    both, p = np.concatenate([truth, second]), [np.concatenate([one, one]) for one in predicted]
    read = [table(one, both) for one in p]
    for one in read:
        one.columns["subject"][60:], one.columns["patient"][60:] = (one.columns[c][:60] for c in ("subject", "patient"))
    made = compare(read, methods=("a", "b"), score="mean_absolute_error", bootstrap=100).metrics.values
    assert (made["rows"], made["patients"]) == (120, 30)
    expected = np.abs(scores.median_grade(p[0]) - both).mean()
    assert made["methods"]["a"]["value"] == pytest.approx(expected)


def test_what_can_not_be_compared_is_refused() -> None:
    two = tables((1.0, 2.0))
    with pytest.raises(SettingsError, match="2 tables of predictions, 1 names in methods"):
        compare(two, methods=("a",))
    with pytest.raises(SettingsError, match="methods names a alone"):
        compare(two, methods=("a", "a"))
    with pytest.raises(SettingsError, match="reference is 'c'; there are a, b"):
        compare(two, methods=("a", "b"), reference="c")
    with pytest.raises(InputError, match="grades 100 scans, not the same 120"):
        compare([two[0], tables((1.0,), 100)[0]], methods=("a", "b"))
    with pytest.raises(InputError, match="no column probability_0"):
        compare([two[0], Table({"subject": ["s"], "patient": ["p"], "grade": [0]})], methods=("a", "b"))
    mild = [Table({**one.columns, "grade": [g % 2 for g in one.columns["grade"]]}) for one in two]
    with pytest.raises(InputError, match="auc_grade_2_or_more of a does not exist on test scans of grade 0, 1 alone"):
        compare(mild, methods=("a", "b"), score="auc_grade_2_or_more")
    ctx = Context()
    compare(tables((1.0, 2.0), 8), methods=("a", "b"), bootstrap=100, ctx=ctx)
    assert ctx.findings.codes() == ["few-patients"]
