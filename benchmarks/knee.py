"""How far unlabelled radiographs take a grader of knees that has 50 labels a grade, and what all labels would bring.

The 826 knees that the public set keeps apart are the test. Of the 2,889 training patients 100 validate and 100
calibrate, drawn by seed; of the others 50 knees a grade are labelled (all methods of a seed share them) and the rest is
unlabelled. Kellgren-Lawrence grades as read, 64 x 64 pixels of which the rows with the joint are used, right knees
mirrored.

Equal time: CPU seconds of a step are measured for every algorithm in turn, median of the rounds, and each gets as many
steps as fill the same seconds on one core; full supervision gets four times as many. Reading and judging come on top.
Everything but the algorithm is the same (SETTINGS), the strong augmentation too; nothing is tuned to the test. With few
labels supervised learning that goes on for so long learns them by heart: one row stops where the validation patients
score best, and tells how much of a gain that alone would be.

The method that is claimed is named by the validation patients: the least mean ranked probability score over the seeds,
of the methods that use unlabelled knees. It is then trained with more labels, as long each; `grading.compare` tells at
how many it equals full supervision.

Floors on the same split and labels: the majority grade, PCA with 120 components and logistic regression, our network
with weak views, a softmax and cross entropy for 350 steps (250 labels) and 1,100 steps (all).

Intervals are patient-bootstrap intervals of means over the seeds: they say how much the test patients matter, not how
much the seeds do; the least of a seed stands beside them. There is no external cohort, and osteophytes can't be read at
64 pixels: the figures compare methods.

`--quick` grades phantoms for seconds and judges no gain. With `--json FILE`, finished trainings are kept in FILE.parts,
and a run that was stopped goes on from them.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _common import Claim, finish, options
from _grade_scores import gains, labels_that_equal, predictions, row_of, sets_of
from _knees import GRADES, Knees, phantoms, public
from _parts import Clocked, finished, kept, remembered
from voxfield.artifacts import Model, Table
from voxfield.context import Context
from voxfield.grading import predict, train
from voxfield.grading.algorithms import ALGORITHMS
from voxfield.grading.components import make

Floats = NDArray[np.float64]
REFERENCE, FULL_LABELS, ROUNDS, WARM = "supervised", "supervised, all labels", 3, 4
STOPPED, CHECKS, PATIENCE = "supervised, stopped by validation", 40, 8
SETTINGS: dict[str, Any] = {
    "network": "residual", "network_options": ("depth=2",), "channels": (16, 32, 64), "cells": 64, "batch": 16,
    "learning_rate": 2e-3, "balance": 0.5, "scaling": 0.1, "bootstrap": 50,
}  # fmt: skip
"""Of every training. Network and balance were chosen on 500 training patients, with all labels of the others."""
PLAIN: dict[str, Any] = {
    "network": "convolutional", "network_options": (), "balance": 0.0, "options": ("views=weak",), "head": "softmax",
    "loss_options": ("ranked=0.0",),
}  # fmt: skip
"""Of the small network among the floors: cross entropy alone."""


@dataclass(frozen=True)
class Effort:
    """How large a run is.

    source            the .npz of the public set, or None for phantoms
    algorithms        those that are compared
    labels            a grade, of every method; `more` are those of the learning curve
    seconds           of the steps of a training, CPU; with all labels `longer` times as many
    components        of the principal components
    settings          over SETTINGS
    draws             of bootstraps and tests
    workers           processes
    """

    source: Path | None
    algorithms: tuple[str, ...]
    labels: int
    more: tuple[int, ...]
    seconds: float
    longer: float
    components: int
    settings: Mapping[str, Any]
    draws: int = 2000
    workers: int = 2

    def knees(self) -> Knees:
        """The data."""
        return phantoms(60) if self.source is None else public(self.source)


@dataclass(frozen=True)
class Job:
    """One training: settings of `grading.train` over SETTINGS, labels a grade or None for all, and its steps."""

    effort: Effort
    settings: Mapping[str, Any]
    labels: int | None
    seed: int
    steps: int


def trained(job: Job, rows: Sequence[int] | None = None) -> tuple[Model, dict[str, Any], list[float]]:
    """The grader, its training's metrics, and the CPU seconds of its steps; `rows` are those that are used."""
    data, clock = job.effort.knees(), Clocked(seed=job.seed, device="cpu")
    cohort = data.divided(job.seed)
    used = list(rows) if rows is not None else list(range(len(cohort)))
    part = type(cohort)({name: [values[row] for row in used] for name, values in cohort.columns.items()})
    settings = {**SETTINGS, **job.effort.settings, **job.settings}
    made = train(
        part, [data.image(row) for row in used], steps=job.steps, labels_per_grade=job.labels, grades=GRADES,
        checkpoint_every=max(job.steps // CHECKS, 1), ctx=clock, **settings,
    )  # fmt: skip
    return made.model, made.metrics.values, np.diff(clock.ticks).tolist()


def work(job: Job) -> dict[str, Any]:
    """Train and grade the test knees one by one, as `grading.predict` does."""
    model, metrics, seconds = trained(job)
    data = job.effort.knees()
    test = data.rows("test")
    started = time.process_time()
    found = [predict(data.image(row), model, ctx=Context(device="cpu")).grade.values["probabilities"] for row in test]
    elapsed = time.process_time() - started
    return {
        "probabilities": found,
        "validation RPS": metrics["val"]["ranked_probability_score"]["value"],
        "labels": sum(metrics["rows"]["train"]["labels_per_grade"]),
        "steps": len(seconds),
        "CPU s": sum(seconds),
        "images/s": len(test) / elapsed,
    }


def costs(effort: Effort) -> dict[str, float]:
    """CPU seconds of a step of each algorithm, median of the rounds; within a round they take turns."""
    data = effort.knees()
    some = data.rows("train")[:400]
    found: dict[str, list[float]] = {name: [] for name in effort.algorithms}
    for seed in range(ROUNDS):
        for name in effort.algorithms:
            job = Job(effort, {"algorithm": name}, None if effort.source is None else 20, seed, 3 * WARM)
            found[name].append(mean(trained(job, some)[2][WARM:]))
    return {name: median(seconds) for name, seconds in found.items()}


def logistic(effort: Effort, labels: int | None, seed: int) -> Floats:
    """PCA of all training pictures, then multinomial logistic regression on the labelled ones; test distributions."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    data = effort.knees()
    study = data.study(seed, labels)
    flat = data.pictures.reshape(len(data.pictures), -1).astype(np.float32) / 255
    known = study.rows("train", labelled=True)
    parts = PCA(effort.components, random_state=seed).fit(flat[study.rows("train")])
    model = LogisticRegression(max_iter=3000).fit(parts.transform(flat[known]), study.grades_of(known))
    found = np.zeros((len(data.rows("test")), GRADES))
    found[:, model.classes_] = model.predict_proba(parts.transform(flat[data.rows("test")]))
    return found


def majority(effort: Effort) -> Floats:
    """The shares of the training grades, for everybody."""
    data = effort.knees()
    counts = np.bincount(data.truth[data.rows("train")], minlength=GRADES)
    return np.tile(counts / counts.sum(), (len(data.rows("test")), 1))


def floors(effort: Effort, seed: int) -> dict[str, Any]:
    """Test distributions of what one would do anyway."""
    found = {
        "majority": majority(effort),
        f"PCA + logistic, {effort.labels} a grade": logistic(effort, effort.labels, seed),
        "PCA + logistic, all labels": logistic(effort, None, seed),
    }
    return {name: {"probabilities": p.tolist()} for name, p in found.items()}


Results = dict[str, list[dict[str, Any]]]
"""Of every method, one entry a seed."""


def run(rows: Mapping[str, Job], seeds: int, folder: Path, workers: int) -> Results:
    """Every row of the table, at every seed."""
    jobs = {f"{name}, seed {seed}": replace(job, seed=seed) for seed in range(seeds) for name, job in rows.items()}
    done = finished(jobs, work, folder, workers)
    return {name: [done[f"{name}, seed {seed}"] for seed in range(seeds)] for name in rows}


def planned(effort: Effort, cost: Mapping[str, float]) -> dict[str, Job]:
    """The rows of the table: every algorithm, full supervision, and the small network."""

    def job(algorithm: str, labels: int | None, seconds: float, **settings: Any) -> Job:
        steps = max(round(seconds / cost[algorithm]), 2)
        return Job(effort, {"algorithm": algorithm, **settings}, labels, 0, steps)

    rows = {name: job(name, effort.labels, effort.seconds) for name in effort.algorithms}
    rows[FULL_LABELS] = job(REFERENCE, None, effort.longer * effort.seconds)
    rows[STOPPED] = job(REFERENCE, effort.labels, effort.seconds, patience=PATIENCE)
    small = Job(effort, {"algorithm": REFERENCE, **PLAIN}, effort.labels, 0, 350 if effort.source else 2)
    rows["small network, weak views"] = small
    rows["small network, all labels"] = replace(small, labels=None, steps=1100 if effort.source else 2)
    return rows


def claimed_by_validation(results: Results, algorithms: Sequence[str]) -> str:
    """Of the methods that use unlabelled knees that with the least mean ranked probability score of validation."""
    candidates = [name for name in algorithms if make("algorithms", ALGORITHMS, name, ()).unlabelled_ratio]
    return min(candidates, key=lambda name: mean(entry["validation RPS"] for entry in results[name]))


def distributions(entries: Sequence[Mapping[str, Any]]) -> list[Floats]:
    """Test distributions of every seed."""
    return [np.array(entry["probabilities"]) for entry in entries]


def as_tables(entries: Sequence[Mapping[str, Any]], truth: NDArray[np.int64], patients: Sequence[str]) -> list[Table]:
    """The same as tables."""
    return [predictions(p, truth, patients) for p in distributions(entries)]


def table_of(results: Results, truth: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Means over the seeds, one row a method."""
    rows = []
    for name, entries in results.items():
        scored = [row_of(p, truth) for p in distributions(entries)]
        told = [key for key in ("labels", "validation RPS", "steps", "CPU s", "images/s") if key in entries[0]]
        rows.append(
            {"method": name, **{key: mean(s[key] for s in scored) for key in scored[0]}}
            | {key: mean(float(entry[key]) for entry in entries) for key in told}
        )
    return rows


def compare(chosen: argparse.Namespace, effort: Effort, folder: Path) -> None:
    """The whole comparison; what is finished stands in the folder."""
    seeds = 1 if chosen.quick else chosen.seeds
    data = effort.knees()
    test = data.rows("test")
    truth, patients = data.truth[test], [data.cohort.patients[row] for row in test]
    cost = remembered(folder / "costs.json", partial(costs, effort))
    results = run(planned(effort, cost), seeds, folder, effort.workers)
    best = claimed_by_validation(results, effort.algorithms)
    print(f"named by validation: {best}", flush=True)
    steps = max(round(effort.seconds / cost[best]), 2)
    more = {f"{best}, {n} a grade": Job(effort, {"algorithm": best}, n, 0, steps) for n in effort.more}
    curve = {best: results[best], **run(more, seeds, folder, effort.workers)}
    for seed in range(seeds):
        for name, entry in remembered(folder / f"floors, seed {seed}.json", partial(floors, effort, seed)).items():
            results.setdefault(name, []).append(entry)
    tables = {name: as_tables(entries, truth, patients) for name, entries in {**results, **curve}.items()}
    compared = {name: tables[name] for name in (*effort.algorithms, STOPPED, FULL_LABELS)}
    won = gains(compared, REFERENCE, effort.draws)
    reached = labels_that_equal(
        {entries[0]["labels"]: tables[name] for name, entries in curve.items()},
        tables[FULL_LABELS], results[FULL_LABELS][0]["labels"], effort.draws,
    )  # fmt: skip
    sets = [
        {
            "method": name,
            **_mean_of([sets_of(p, truth, patients, n) for n, p in enumerate(distributions(results[name]))]),
        }
        for name in (best, FULL_LABELS)
    ]
    steps_table = [
        {"method": name, "CPU s of a step": s, "of supervised": s / cost[REFERENCE]} for name, s in cost.items()
    ]
    table = table_of({**results, **curve}, truth)
    finish(chosen, claims(table, won, sets, best, chosen.quick), steps_table, table, won, [reached], sets)


def _mean_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: mean(row[key] for row in rows) for key in rows[0]}


def claims(
    table: Sequence[Mapping[str, Any]], won: Sequence[Mapping[str, Any]], sets: Sequence[Mapping[str, Any]],
    best: str, quick: bool,
) -> list[Claim]:  # fmt: skip
    """What we hold ourselves to."""
    rows = {row["method"]: row for row in table}
    ours = next(row for row in won if row["method"] == best)
    size, coverage = sets[0]["ours size"], sets[0]["ours coverage"]
    certain = [Claim("sets with gaps", sets[0]["ours with gaps"], 0, "<=")]
    if quick:
        return [*certain, Claim("images graded a second", rows[best]["images/s"], 20, ">=")]
    return [
        Claim("balanced accuracy, all labels", rows[FULL_LABELS]["balanced accuracy"], 0.62, ">="),
        Claim("kappa, all labels", rows[FULL_LABELS]["kappa"], 0.76, ">="),
        Claim(f"balanced accuracy gained by {best}", ours["balanced accuracy gained"], 0.04, ">="),
        Claim(f"kappa gained by {best}", ours["kappa gained"], 0.06, ">="),
        Claim("balanced accuracy gained, least of a seed", ours["balanced accuracy least of a seed"], 0, ">="),
        Claim("kappa gained, least of a seed", ours["kappa least of a seed"], 0, ">="),
        Claim("mean coverage at 90 %", coverage, 0.88, ">="),
        Claim("mean coverage at 90 %, not wasteful", coverage, 0.93, "<="),
        *certain,
        Claim("size of the sets over least-ambiguous ones", size / sets[0]["LAC size"], 1.0, "<="),
        Claim("calibration error", rows[best]["ECE"], 0.05, "<="),
    ]


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    source = chosen.data / "grading" / "knee_kl_64.npz"
    if chosen.quick:
        small = {"cells": 24, "channels": (4, 8), "batch": 8}
        effort = Effort(None, (REFERENCE, "fixmatch_ordinal"), 6, (10,), 0.5, 2, 20, small, 200, 1)
    else:
        effort = Effort(source, tuple(ALGORITHMS), 50, (100, 200, 400), 300, 4, 120, {})
        if not source.is_file():
            print(f"the data set is not at {source}; give --data FOLDER")
            return
    with kept(chosen.json) as folder:
        compare(chosen, effort, folder)


if __name__ == "__main__":
    main()
