"""Conformal sets of grades on real knees: coverage, size and contiguity; calibration error; another site.

A cheap model gives the probabilities, principal components and logistic regression, because the claims are about the
sets and not about the model. Of the training knees half of the patients train, 200 give the temperature, and the others
are divided again and again into calibration patients and test patients, since one division says little. The 826 test
knees are looked at once, beside. Without the data, knees are simulated: a latent severity, read with noise.

References, written here: the least ambiguous sets (LAC, Sadinle et al. 2019: 1 - p_y), which are the smallest on
average, and the adaptive ones (APS, Romano et al. 2020: the mass of all likelier grades and a random part of its own).
Neither knows that grades have an order, so that sets may have gaps. Where MAPIE is installed, its own of both stand
beside them, with the settings that it has by default (its APS is not randomised then).

Another site: its patients are drawn from the same pool with a chance that grows with the severity that the model sees
in the scan, so that the likelihood ratio is a function of the scan alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _common import Claim, finish, options
from _knees import GRADES, public
from _sets import adaptive_scores, mapie_sets, members, with_gaps
from voxfield.grading import conformal
from voxfield.grading.calibration import Temperature, fit_temperature
from voxfield.grading.conformal_predictor import ConformalPredictor
from voxfield.grading.covariate_shift import fit_shift
from voxfield.grading.metrics import scores
from voxfield.grading.metrics.smooth import smooth_error

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
COVERAGE = 0.9
TEMPERATURE_PATIENTS = 200


@dataclass(frozen=True)
class Rows:
    """Knees that the model did not learn from: probabilities (n, 5), grades, patients, and what it saw (n, 4)."""

    p: Floats
    truth: Ints
    patient: Ints
    embedding: Floats

    def of(self, chosen: NDArray[np.bool_] | Ints) -> "Rows":
        """Some of the rows."""
        return Rows(self.p[chosen], self.truth[chosen], self.patient[chosen], self.embedding[chosen])


def graded(file: Path, training_patients: int, seed: int) -> tuple[Rows, Rows]:
    """Raw probabilities of the knees of other training patients, and of the test knees."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = public(file)
    tests, truth = np.isin(np.arange(len(found.pictures)), found.rows("test")), found.truth
    _, patient = np.unique(found.cohort.patients, return_inverse=True)
    learning = np.random.default_rng(seed).permutation(np.unique(patient[~tests]))[:training_patients]
    learns = np.isin(patient, learning)
    pixels = found.pictures.reshape(len(truth), -1).astype(np.float32) / 255
    components = PCA(60, svd_solver="randomized", random_state=seed)
    model = make_pipeline(components, StandardScaler(), LogisticRegression(max_iter=300))
    p = model.fit(pixels[learns], truth[learns]).predict_proba(pixels)
    rows = Rows(p, truth, patient, np.log(p[:, 1:] / p[:, :1]))
    return rows.of(~learns & ~tests), rows.of(tests)


def simulated(patients: int, seed: int) -> Rows:
    """Two knees a patient, correlated; an overconfident model of a noisy view of their severity."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=patients).repeat(2)
    severity = 1.3 + 1.2 * (0.7 * shared + 0.7 * rng.normal(size=2 * patients))
    truth = np.clip(np.round(severity + rng.normal(0, 0.3, severity.size)), 0, GRADES - 1).astype(np.int64)
    seen = severity + rng.normal(0, 0.7, severity.size)
    logits = -1.6 * (np.arange(GRADES) - seen[:, None]) ** 2
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return Rows(p, truth, np.arange(patients).repeat(2), np.stack([seen, seen**2], axis=1))


def calibrated(raw: Rows, seed: int) -> tuple[Rows, Temperature, list[dict[str, Any]]]:
    """The rows without the patients that gave the temperature, calibrated; and calibration errors before and after."""
    rng = np.random.default_rng([seed, 1])
    gives = np.isin(raw.patient, rng.permutation(np.unique(raw.patient))[:TEMPERATURE_PATIENTS])
    some, rest = raw.of(gives), raw.of(~gives)
    temperature = fit_temperature(some.p, some.truth, some.patient.tolist())
    after = Rows(temperature.apply(rest.p), rest.truth, rest.patient, rest.embedding)
    rows = [{"probabilities": name, **errors(one)} for name, one in (("before temperature", rest), ("after", after))]
    return after, temperature, rows


def errors(rows: Rows) -> dict[str, float]:
    """Calibration errors of the likeliest grade, and scores of the model."""
    matrix = scores.confusion(rows.truth, scores.median_grade(rows.p), GRADES)
    return {
        "ECE": float(scores.calibration_error(rows.p, rows.truth)),
        "smooth ECE": float(smooth_error(*scores.top_label(rows.p, rows.truth))),
        "RPS": float(scores.ranked_probability(rows.p, rows.truth).mean()),
        "balanced accuracy": float(scores.balanced_accuracy(matrix)),
        "kappa": float(scores.quadratic_kappa(matrix)),
    }


def divide(rows: Rows, patients: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Rows of so many calibration patients, and those of the others."""
    chosen = np.isin(rows.patient, rng.permutation(np.unique(rows.patient))[:patients])
    return rows.of(chosen), rows.of(~chosen)


def fit(rows: Rows, score: conformal.Score, rng: np.random.Generator) -> ConformalPredictor:
    """The conformal predictor of calibration rows."""
    return ConformalPredictor.fit(
        rows.p, rows.truth, rows.patient.tolist(), rows.embedding, score=score, rule="random", rng=rng
    )


def judge(inside: NDArray[np.bool_], truth: Ints) -> dict[str, float]:
    """Coverage, in all and of each grade, size, and share of sets with gaps, from membership (n, k)."""
    hit = inside[np.arange(len(truth)), truth]
    figures = {"coverage": hit.mean(), "size": inside.sum(1).mean(), "with gaps": with_gaps(inside).mean()}
    return figures | {f"grade {g}": hit[truth == g].mean() for g in range(GRADES)}


def one_division(rows: Rows, patients: int, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Every kind of set after one division."""
    calibration, test = divide(rows, patients, rng)
    found = {}
    for score in ("ranked", "cdf"):
        made = fit(calibration, score, rng)
        for of in ("marginal", "per_grade"):
            sets = made.sets(test.p, test.embedding, COVERAGE, of)
            assert sets is not None
            found[f"ours, {score}, {of}"] = judge(members(*sets, GRADES), test.truth)
    rivals: dict[str, Callable[[Floats], Floats]] = {
        "LAC": lambda p: 1 - p,
        "APS": lambda p: adaptive_scores(p, rng.random((len(p), 1))),
    }
    for name, rival in rivals.items():
        own = rival(calibration.p)[np.arange(len(calibration.truth)), calibration.truth]
        limit = conformal.threshold(conformal.patient_scores(own, calibration.patient.tolist(), rng), 1 - COVERAGE)
        assert limit is not None
        found[name] = judge(rival(test.p) <= limit, test.truth)
    seen = calibration.of(conformal.patient_rows(np.zeros(len(calibration.p)), calibration.patient.tolist(), rng))
    peers = mapie_sets(seen.p, seen.truth, test.p, COVERAGE, int(rng.integers(2**31)))
    return found | {name: judge(inside, test.truth) for name, inside in peers.items()}


def divisions(rows: Rows, patients: int, count: int, seed: int) -> list[dict[str, Any]]:
    """Means over divisions, one row a kind of set."""
    made = [one_division(rows, patients, np.random.default_rng([seed, patients, i])) for i in range(count)]
    return [
        {"calibration patients": patients, "sets": name}
        | {key: float(np.nanmean([one[name][key] for one in made])) for key in made[0][name]}
        for name in made[0]
    ]


def another_site(rows: Rows, count: int, seed: int, patients: int = 200) -> list[dict[str, Any]]:
    """Coverage at a site of severer patients, with and without the correction; means over divisions."""
    severity = rows.p @ np.arange(GRADES)
    worst = np.full(rows.patient.max() + 1, 0.0)
    np.maximum.at(worst, rows.patient, severity)
    names = np.unique(rows.patient)
    lift = np.exp(1.2 * worst[names])
    found: dict[str, list[dict[str, float]]] = {}
    for i in range(count):
        rng = np.random.default_rng([seed, 7, i])
        site = rng.choice(names, len(names) // 3, replace=False, p=lift / lift.sum())
        home = rng.permutation(np.setdiff1d(names, site))[:patients]
        unlabelled, judged = (rows.of(np.isin(rows.patient, part)) for part in np.array_split(rng.permutation(site), 2))
        made = fit(rows.of(np.isin(rows.patient, home)), "ranked", rng)
        times = np.bincount(unlabelled.patient)[unlabelled.patient]
        shift = fit_shift(
            made.embedding, made.scores, unlabelled.embedding, 1.0 / times, coverage=COVERAGE, directions=2,
            target_patients=len(np.unique(unlabelled.patient)), rng=rng,
        )  # fmt: skip
        plain = conformal.threshold(made.scores, 1 - COVERAGE)
        assert plain is not None
        limits = np.array(plain), shift.threshold(judged.embedding)[:, None]
        for name, limit in zip(("as at home", "corrected (LR-QR)"), limits, strict=True):
            sets = members(*conformal.grade_sets(judged.p, limit), GRADES)
            found.setdefault(name, []).append(judge(sets, judged.truth) | {"divergence": shift.divergence})
    return [
        {
            "another site": name,
            **{k: float(np.mean([one[k] for one in some])) for k in ("coverage", "size", "divergence")},
        }
        for name, some in found.items()
    ]


def measure(file: Path, training_patients: int, count: int, seed: int) -> list[list[dict[str, Any]]]:
    """The tables of one seed: calibration, divisions with 100 and with 400 patients, another site."""
    if file.is_file():
        raw, tests = graded(file, training_patients, seed)
    else:
        raw, tests = simulated(1400, seed), simulated(400, seed + 1000)
    rows, temperature, calibration = calibrated(raw, seed)
    once = Rows(temperature.apply(tests.p), tests.truth, tests.patient, tests.embedding)
    calibration.append({"probabilities": "after, test knees", **errors(once)})
    return [calibration, *(divisions(rows, n, count, seed) for n in (100, 400)), another_site(rows, count, seed)]


def averaged(tables: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Row by row the mean over seeds of one table."""
    return [
        {key: float(np.mean([row[key] for row in rows])) if isinstance(value, float) else value
         for key, value in rows[0].items()}
        for rows in zip(*tables, strict=True)
    ]  # fmt: skip


def claims_of(tables: Sequence[Sequence[Mapping[str, Any]]]) -> list[Claim]:
    """What we hold the sets to."""
    hundred, many = tables[1][0], tables[2][1]
    assert hundred["sets"] == "ours, ranked, marginal"
    assert many["sets"] == "ours, ranked, per_grade"
    grades = [many[f"grade {g}"] for g in range(GRADES)]
    gaps = sum(row["with gaps"] for table in tables[1:3] for row in table if row["sets"].startswith("ours"))
    return [
        Claim("mean coverage at 90 %, 100 calibration patients", hundred["coverage"], 0.88, ">="),
        Claim("mean coverage at 90 %, 100 calibration patients, not wasteful", hundred["coverage"], 0.93, "<="),
        Claim("mean coverage of the worst grade, per grade, 400 patients", min(grades), 0.88, ">="),
        Claim("mean coverage of the best grade, per grade, 400 patients, not wasteful", max(grades), 0.93, "<="),
        Claim("share of our sets with gaps", gaps, 0.0, "<="),
        Claim("calibration error after temperature", tables[0][1]["ECE"], 0.05, "<="),
        Claim("mean coverage at 90 % at another site, corrected", tables[3][1]["coverage"], 0.88, ">="),
    ]


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    file = chosen.data / "grading" / "knee_kl_64.npz"
    patients, count, seeds = (500, 20, 1) if chosen.quick else (1444, 100, chosen.seeds)
    every = [measure(file, patients, count, seed) for seed in range(seeds)]
    tables = [averaged(some) for some in zip(*every, strict=True)]
    print("real knees" if file.is_file() else "simulated knees")
    finish(chosen, claims_of(tables), *tables)


if __name__ == "__main__":
    main()
