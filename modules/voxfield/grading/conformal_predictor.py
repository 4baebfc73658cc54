"""What the calibration patients say: sets at any coverage, on what terms they are given, and in which words."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxfield.errors import SettingsError
from voxfield.grading import conformal
from voxfield.grading.covariate_shift import Shift

Floats = NDArray[np.float64]
CoverageOf = Literal["marginal", "per_grade"]
MEANING = {
    "marginal": "marginal coverage under exchangeable patients",
    "per_grade": "coverage of each grade under exchangeable patients",
}


@dataclass(frozen=True)
class ConformalPredictor:
    """Scores of calibration patients.

    score         nonconformity, see `conformal`
    scores        (p,) one a patient      embedding  (p, d) the network's, of the row that gave the score
    grade_scores  (m,) one a patient and grade that the patient has      grade  (m,) that grade
    grades        number of grades, k
    shift         the threshold for another site, see `covariate_shift`; None where none was fitted
    """

    score: conformal.Score
    scores: Floats
    embedding: Floats
    grade_scores: Floats
    grade: NDArray[np.int64]
    grades: int
    shift: Shift | None = None

    @classmethod
    def fit(
        cls,
        probabilities: Floats,
        truth: ArrayLike,
        patients: Sequence[Hashable],
        embedding: Floats,
        *,
        score: conformal.Score,
        rule: conformal.Rule,
        rng: np.random.Generator,
    ) -> "ConformalPredictor":
        """From labelled calibration rows.

        probabilities  (n, k) calibrated    truth  (n,)    patients  (n,)    embedding  (n, d)
        rule           which row stands for a patient, and which for a patient's rows of one grade
        """
        y = np.asarray(truth, dtype=np.int64)
        own = conformal.grade_scores(probabilities, score)[np.arange(y.size), y]
        rows = conformal.patient_rows(own, patients, rng, rule)
        graded = conformal.patient_rows(own, list(zip(patients, y.tolist(), strict=True)), rng, rule)
        return cls(score, own[rows], embedding[rows], own[graded], y[graded], probabilities.shape[1])

    @classmethod
    def empty(cls, score: conformal.Score, grades: int) -> "ConformalPredictor":
        """Of no patient: certifies nothing."""
        nothing = np.zeros(0)
        return cls(score, nothing, np.zeros((0, 0)), nothing, np.zeros(0, dtype=np.int64), grades)

    def sets(
        self, probabilities: Floats, embedding: Floats, coverage: float, of: CoverageOf
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Lowest and highest grade of each set, (n,) each, or None where no set can be certified.

        probabilities  (n, k) calibrated    embedding  (n, d)
        """
        thresholds = self._thresholds(embedding, coverage, of)
        return None if thresholds is None else conformal.grade_sets(probabilities, thresholds, self.score)

    def account(self, coverage: float, of: CoverageOf, test_patients: Sequence[int] | None = None) -> dict[str, Any]:
        """On what terms sets are given, as JSON.

        test_patients  how many are tested in all and of each grade, (1 + k,): adds the range of the coverage to be
                       seen among so many
        """
        alpha = 1.0 - coverage
        counts = [len(self.scores), *np.bincount(self.grade, minlength=self.grades).tolist()]
        terms = [_terms(n, alpha, 0 if test_patients is None else test_patients[i]) for i, n in enumerate(counts)]
        facts: dict[str, Any] = {
            "coverage": coverage,
            "coverage_of": of,
            "meaning": MEANING[of] if self.shift is None else self.shift.meaning,
            "score": self.score,
            "needed_patients": conformal.needed_patients(alpha),
            **terms[0],
        }
        if self.shift is None and of == "marginal":
            return facts
        # The range of one threshold for all is neither that of several nor, after a shift, known.
        facts = {name: value for name, value in facts.items() if not name.endswith("range_5_95")}
        if self.shift is None:
            facts["per_grade"] = {str(g): one for g, one in enumerate(terms[1:])}
        return facts

    def claim(self, coverage: float, of: CoverageOf) -> str:
        """What is claimed of a set, or why nothing is, in words."""
        facts = self.account(coverage, of)
        if not facts["certified"]:
            return (
                f"not certifiable: {len(self.scores)} calibration patients, at least {facts['needed_patients']} are "
                f"needed for a coverage of {100 * coverage:g} %"
            )
        stated = f"at {100 * coverage:g} %: {facts['meaning']}, from {len(self.scores)} calibration patients"
        if self.shift is not None:
            return stated
        if of == "marginal":
            return f"{stated}; over draws of these {_words(facts)}"
        known = {g: one for g, one in facts["per_grade"].items() if one["certified"]}
        ranges = ", ".join(f"grade {g} {_words(one)}" for g, one in known.items()) or "none"
        refused = self.refused(coverage)
        less = f"; not certifiable for grade {', '.join(map(str, refused))}, judged marginally" if refused else ""
        return f"{stated}; over draws of these: {ranges}{less}"

    def refused(self, coverage: float) -> list[int]:
        """Grades with too few calibration patients for a coverage of their own."""
        counts = np.bincount(self.grade, minlength=self.grades)
        return np.flatnonzero(counts < conformal.needed_patients(1.0 - coverage)).tolist()

    def _thresholds(self, embedding: Floats, coverage: float, of: CoverageOf) -> Floats | None:
        """Thresholds that broadcast to (n, k)."""
        alpha = 1.0 - coverage
        marginal = conformal.threshold(self.scores, alpha)
        if marginal is None:
            return None
        if self.shift is not None:
            self._check_shift(coverage, of)
            return self.shift.threshold(embedding)[:, None]
        if of == "marginal":
            return np.full(self.grades, marginal)
        own = [conformal.threshold(self.grade_scores[self.grade == g], alpha) for g in range(self.grades)]
        return np.array([marginal if q is None else q for q in own])

    def _check_shift(self, coverage: float, of: CoverageOf) -> None:
        if self.shift is not None and (of != "marginal" or abs(coverage - self.shift.coverage) > 1e-9):
            asked = f"coverage_of {of} at {coverage:g}"
            raise SettingsError(
                f"the model was adapted to another site for marginal coverage at {self.shift.coverage:g}, and {asked} "
                "was asked for; ask for what it was adapted to, or adapt the original model again"
            )


def _terms(patients: int, alpha: float, test_patients: int) -> dict[str, Any]:
    """What so many calibration patients can certify, and within which range."""
    certified = patients >= conformal.needed_patients(alpha)
    facts: dict[str, Any] = {"calibration_patients": patients, "certified": certified}
    if certified:
        facts["coverage_range_5_95"] = list(conformal.coverage_range(patients, alpha))
        if test_patients:
            facts["test_coverage_range_5_95"] = list(conformal.coverage_range(patients, alpha, test_patients))
    return facts


def _words(facts: dict[str, Any]) -> str:
    low, high = facts["coverage_range_5_95"]
    return f"{low:.2f} to {high:.2f} (5 to 95 %)"
