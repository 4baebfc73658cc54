"""Temperature, conformal sets and report cards of a trained grader, each from patients of its own."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.context import Context
from voxfield.grading import conformal
from voxfield.grading.calibration import fit_temperature
from voxfield.grading.conformal_predictor import ConformalPredictor
from voxfield.grading.grader import Grader
from voxfield.grading.metrics.card import report_card, set_card
from voxfield.grading.study import Study

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What the network says of every row of the study: probabilities (n, k) before temperature, embeddings (n, d)."""

    raw: Floats
    embedding: Floats


def calibrate(
    grader: Grader, study: Study, seen: Seen, rule: conformal.Rule, rng: np.random.Generator, ctx: Context
) -> dict[str, Any]:
    """Temperature from validation patients, then conformal scores from the calibration patients."""
    val, rows = study.rows("val", labelled=True), study.rows("calibration", labelled=True)
    grader.temperature = fit_temperature(seen.raw[val], study.grades_of(val), study.patients_of(val))
    grader.conformal = ConformalPredictor.fit(
        grader.calibrated(seen.raw[rows]),
        study.grades_of(rows),
        study.patients_of(rows),
        seen.embedding[rows],
        score=grader.conformal.score,
        rule=rule,
        rng=rng,
    )
    stated, of = grader.coverage, grader.coverage_of
    facts = grader.conformal.account(stated, of, _test_patients(study))
    if not facts["certified"]:
        count = facts["calibration_patients"]
        ctx.finding("not-certifiable", "warning", grader.conformal.claim(stated, of), value=count)
    elif of == "per_grade" and (refused := grader.conformal.refused(stated)):
        message = (
            f"coverage of its own is not certifiable for grade {', '.join(map(str, refused))}: fewer than "
            f"{facts['needed_patients']} calibration patients have it"
        )
        ctx.finding("not-certifiable", "warning", message, value=refused)
    return {"temperature": asdict(grader.temperature), "conformal": {**facts, "per_patient": rule}}


def card(grader: Grader, study: Study, seen: Seen, role: str, draws: int, rng: np.random.Generator) -> dict[str, Any]:
    """The report card of the labelled rows of a role, with that of their sets where these can be certified."""
    rows = study.rows(role, labelled=True)
    if not rows:
        return {"rows": 0, "patients": 0}
    probabilities, truth = grader.calibrated(seen.raw[rows]), study.grades_of(rows)
    patients = study.patients_of(rows)
    found = report_card(probabilities, truth, patients, rng=rng, draws=draws)
    sets = grader.conformal.sets(probabilities, seen.embedding[rows], grader.coverage, grader.coverage_of)
    if sets is not None:
        found["sets"] = set_card(*sets, truth, study.count, patients, rng=rng, draws=draws)
    return found


def _test_patients(study: Study) -> list[int]:
    """Labelled test patients in all, and those that have each grade."""
    rows = study.rows("test", labelled=True)
    owned = set(zip(study.patients_of(rows), study.grades_of(rows), strict=True))
    return [len({p for p, _ in owned}), *(sum(g == grade for _, g in owned) for grade in range(study.count))]
