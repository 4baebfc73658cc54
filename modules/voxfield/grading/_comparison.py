"""Differences between methods that graded the same test patients, and the labels at which one reaches another.

A method is its runs (seeds). Its score is the mean over them; the interval of a difference is a bootstrap over patients
with all runs of both methods on the same draws. The test exchanges the two methods' predictions of a patient, of all
its scans and in all runs at once, by the toss of a coin: under the null hypothesis nothing is changed by that. For a
score that is a mean over scans this is the sign-flip test of `voxfield.paired`; kappa, balanced accuracy and the AUC
are no means, and are computed anew for every pattern. Patients are the cases: seeds are few, and say nothing of other
patients. What the seeds say alone is the exact Wilcoxon test of their differences, 2 / 2^n at best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from voxfield.bootstrap import patient_weights
from voxfield.grading.metrics.card import SCORES, entry
from voxfield.paired import holm, sign_flip_p

Floats = NDArray[np.float64]
LOWER_IS_BETTER = ("mean_absolute_error", "mean_squared_error", "ranked_probability_score")


@dataclass(frozen=True)
class Cases:
    """The test scans that all runs graded: patients (n,) and true grades (n,)."""

    patients: Sequence[str]
    truth: NDArray[np.int64]


@dataclass(frozen=True)
class Method:
    """Runs of one way of training with one number of labels; probabilities (n, k) each."""

    name: str
    label: str
    labels: int | None
    runs: Sequence[Floats]


@dataclass(frozen=True)
class Judge:
    """A score on the cases, and draws of patients that all methods share."""

    score: str
    cases: Cases
    weights: Floats

    @classmethod
    def make(cls, score: str, cases: Cases, draws: int, rng: np.random.Generator) -> "Judge":
        """With its own draws."""
        return cls(score, cases, patient_weights(cases.patients, draws, rng))

    def values(self, method: Method) -> Floats:
        """The score of every run, (runs,)."""
        ones = np.ones(len(self.cases.truth))
        return np.array([float(SCORES[self.score](p, self.cases.truth, ones)) for p in method.runs])

    def drawn(self, method: Method) -> Floats:
        """Mean score of the runs in every draw, (draws,)."""
        every = [SCORES[self.score](p, self.cases.truth, self.weights) for p in method.runs]
        return np.asarray(np.mean(every, axis=0))


def exchange_p(score: str, a: Method, b: Method, cases: Cases, rng: np.random.Generator, draws: int) -> float:
    """Two-sided p-value that two methods with as many runs do not differ, from patterns of exchanged patients."""
    names = {patient: i for i, patient in enumerate(dict.fromkeys(cases.patients))}
    owner = np.array([names[patient] for patient in cases.patients])
    kept = rng.random((draws, len(names))) < 0.5
    kept[0] = True  # the pattern that was observed
    stay = kept[:, owner].astype(np.float64)
    truth = np.concatenate([cases.truth, cases.truth])
    gap = np.zeros(draws)
    for p, q in zip(a.runs, b.runs, strict=True):
        both = np.concatenate([p, q])
        left, right = (np.concatenate(pair, axis=1) for pair in ((stay, 1 - stay), (1 - stay, stay)))
        gap += SCORES[score](both, truth, left) - SCORES[score](both, truth, right)
    # Equal by arithmetic, not by rounding, as in voxfield.paired.
    return float(np.mean(np.abs(gap) >= np.abs(gap[0]) * (1 - 1e-9)))


def wilcoxon_p(differences: Floats, rng: np.random.Generator) -> float:
    """Two-sided p-value of the signed-rank test over runs: sign flips of the ranks; exact up to 14 runs."""
    changed = differences[differences != 0]
    return sign_flip_p(np.sign(changed) * rankdata(np.abs(changed)), rng) if changed.size else 1.0


def labels_to_reach(labels: Sequence[int], values: Floats, level: Floats) -> Floats:
    """The least number of labels with a score of at least `level`, linear in log labels; infinite where never.

    labels  (m,) increasing    values  (m, draws), higher is better    level  (draws,)
    """
    reached = values >= level
    first = reached.argmax(0)
    before = np.maximum(first - 1, 0)
    column = np.arange(values.shape[1])
    low, high = values[before, column], values[first, column]
    share = np.divide(level - low, high - low, out=np.ones_like(low), where=high > low)
    logs = np.log(np.asarray(labels, dtype=np.float64))
    found = np.exp(logs[before] + share * (logs[first] - logs[before]))
    return np.where(reached.any(0), np.where(first == 0, labels[0], found), np.inf)


def differences(
    methods: Sequence[Method], reference: Method | None, judge: Judge, patterns: int, rng: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """Every method minus the reference, or every pair; p-values held together by Holm's rule."""
    pairs = [(m, reference) for m in methods if m is not reference] if reference else list(combinations(methods, 2))
    drawn = {m.label: judge.drawn(m) for m in methods}
    found: dict[str, dict[str, Any]] = {}
    for a, b in pairs:
        own, other = judge.values(a), judge.values(b)
        facts: dict[str, Any] = entry(float(own.mean() - other.mean()), drawn[a.label] - drawn[b.label])
        if len(own) == len(other):
            facts["p"] = exchange_p(judge.score, a, b, judge.cases, rng, patterns)
            facts["p_seeds"] = wilcoxon_p(own - other, rng) if len(own) > 1 else None
            facts["differences_per_seed"] = (own - other).tolist()
        found[f"{a.label} - {b.label}"] = facts
    tested = [facts for facts in found.values() if "p" in facts]
    for facts, p in zip(tested, holm([facts["p"] for facts in tested]), strict=True):
        facts["p"] = p
    return found


def equals_reference(methods: Sequence[Method], reference: Method, judge: Judge) -> dict[str, dict[str, Any]]:
    """For every name with two or more numbers of labels: how many of them equal the reference."""
    sign = -1.0 if judge.score in LOWER_IS_BETTER else 1.0
    by_name: dict[str, dict[int, Method]] = {}
    for method in methods:
        if method.labels is not None:
            by_name.setdefault(method.name, {})[method.labels] = method
    found = {}
    for name, curve in by_name.items():
        if len(curve) < 2:
            continue
        counts = sorted(curve)
        values = np.array([[judge.values(curve[n]).mean(), *judge.drawn(curve[n])] for n in counts])
        level = np.array([judge.values(reference).mean(), *judge.drawn(reference)])
        reach = labels_to_reach(counts, sign * values, sign * level)
        low, high = np.quantile(reach[1:], [0.025, 0.975], method="inverted_cdf")
        found[name] = {
            "value": _finite(reach[0]),
            "low": _finite(low),
            "high": _finite(high),
            "reached_in_draws": float(np.isfinite(reach[1:]).mean()),
            "most_labels": counts[-1],
        }
    return found


def verdict(found: Mapping[str, Mapping[str, Any]], score: str, level: float, patients: int) -> str:
    """The differences that were shown, in words."""
    shown = [
        f"{name} = {facts['value']:+.3f} (p {facts['p']:.2g})"
        for name, facts in found.items()
        if facts.get("p", 1.0) < level
    ]
    if not shown:
        return f"no difference in {score} is shown over {patients} patients"
    return f"{score} differs over {patients} patients: " + "; ".join(shown)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
