"""What pre-training on ungraded radiographs is worth to a grader with few labels: `grading.pretrain` (PEAC).

The 826 knees that the public set keeps apart are the test; of the 2,889 training patients 100 validate and 100
calibrate, drawn by seed. The pre-training sees the pictures of all others and no grade. Supervised learning then begins
from its weights or afresh, with the same labels, 10 or 50 a grade, the same views and as many steps; and afresh for as
many steps as take the time of pre-training and training together, since time is what a pre-training costs.

Nothing was tuned on the test. Intervals are patient-bootstrap intervals of means over the seeds; the least of a seed
stands beside them. 64 x 64 pixels: the figures compare methods.

`--quick` pre-trains on phantoms for seconds and judges no gain. With `--json FILE`, finished trainings are kept in
FILE.parts, and a run that was stopped goes on from them.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _common import Claim, finish, options
from _grade_scores import gains, predictions, row_of
from _knees import GRADES, Knees, phantoms, public
from _parts import Clocked, finished, kept
from voxfield.artifacts import Model
from voxfield.grading import pretrain, train
from voxfield.grading.grader import Grader
from voxfield.grading.scans import read_scans

Floats = NDArray[np.float64]
FRESH, LONGER, PRETRAINED = "afresh", "afresh, as long in all", "pre-trained"
STARTS = (FRESH, PRETRAINED, LONGER)
SETTINGS: dict[str, Any] = {"network": "convolutional", "learning_rate": 2e-3}


@dataclass(frozen=True)
class Effort:
    """How large a run is.

    source             the .npz of the public set, or None for phantoms
    labels             a grade
    alone, steps       of pre-training and of training; `longer` are those that take the time of both
    settings           of both, over SETTINGS
    """

    source: Path | None
    labels: tuple[int, ...]
    alone: int
    steps: int
    longer: int
    settings: tuple[tuple[str, Any], ...]

    def knees(self) -> Knees:
        """The data."""
        return phantoms(60) if self.source is None else public(self.source)


@dataclass(frozen=True)
class Job:
    """One training."""

    effort: Effort
    start: str
    labels: int
    seed: int


@cache
def pretrained(effort: Effort, seed: int) -> tuple[Model, float, float]:
    """The weights of a seed, their spread and the CPU seconds of their steps."""
    data, clock = effort.knees(), Clocked(seed=seed, device="cpu", stage="pre-training")
    images = [data.image(row) for row in range(len(data.cohort))]
    settings: dict[str, Any] = {**SETTINGS, **dict(effort.settings)}
    made = pretrain(data.divided(seed), images, steps=effort.alone, batch=32, ctx=clock, **settings)
    return made.model, made.metrics.values["log"][-1]["spread"], clock.ticks[-1] - clock.ticks[0]


def work(job: Job) -> dict[str, Any]:
    """Train, and grade the test knees."""
    effort, data, clock = job.effort, job.effort.knees(), Clocked(seed=job.seed, device="cpu")
    before: dict[str, Any] = {}
    start = None
    if job.start == PRETRAINED:
        start, before["spread"], before["CPU s before"] = pretrained(effort, job.seed)
    settings: dict[str, Any] = {**SETTINGS, "scaling": 0.1, **dict(effort.settings)}
    steps = effort.longer if job.start == LONGER else effort.steps
    images = [data.image(row) for row in range(len(data.cohort))]
    model = train(
        data.divided(job.seed), images, from_=start, algorithm="supervised", steps=steps, labels_per_grade=job.labels,
        grades=GRADES, checkpoint_every=steps, bootstrap=20, ctx=clock, **settings,
    ).model  # fmt: skip
    found = graded(model, [images[row] for row in data.rows("test")])
    return {"probabilities": found.tolist(), "steps": steps, "CPU s": clock.ticks[-1] - clock.ticks[0], **before}


def graded(model: Model, images: Sequence[Any]) -> Floats:
    """Calibrated distributions of scans, (n, k), as `grading.predict` gives them one by one."""
    device = Clocked(device="cpu").torch_device()
    grader = Grader.from_model(model, device)
    volumes, _ = read_scans(images, grader.grid)
    return grader.calibrated(grader.look(grader.rows(volumes, None, [-1] * len(images)), device)[0])


def compare(chosen: argparse.Namespace, effort: Effort, folder: Path) -> None:
    """Every start at every number of labels."""
    seeds = 1 if chosen.quick else chosen.seeds
    data = effort.knees()
    test = data.rows("test")
    truth, patients = data.truth[test], [data.cohort.patients[row] for row in test]
    jobs = {
        f"{start}, {labels} a grade, seed {seed}": Job(effort, start, labels, seed)
        for seed in range(seeds) for labels in effort.labels for start in STARTS
    }  # fmt: skip
    started = time.process_time()
    done = finished(jobs, work, folder, workers=1)
    print(f"{time.process_time() - started:.0f} CPU s", flush=True)
    table, won = [], []
    for labels in effort.labels:
        runs = {start: [done[f"{start}, {labels} a grade, seed {seed}"] for seed in range(seeds)] for start in STARTS}
        table += [{"labels a grade": labels, "start": start, **means(some, truth)} for start, some in runs.items()]
        tables = {
            start: [predictions(np.array(run["probabilities"]), truth, patients) for run in some]
            for start, some in runs.items()
        }
        for reference in (FRESH, LONGER):
            pair = {start: tables[start] for start in (reference, PRETRAINED)}
            about = {"labels a grade": labels, "over": reference}
            won += [{**about, **row} for row in gains(pair, reference, 200 if chosen.quick else 2000)]
    finish(chosen, claims(table, won, chosen.quick), table, won)


def means(runs: Sequence[Mapping[str, Any]], truth: NDArray[np.int64]) -> dict[str, float]:
    """Scores and costs of one start, means over the seeds."""
    scored = [row_of(np.array(run["probabilities"]), truth) for run in runs]
    costs = [name for name in ("steps", "CPU s", "CPU s before", "spread") if name in runs[0]]
    return {name: mean(one[name] for one in scored) for name in scored[0]} | {
        name: mean(float(run[name]) for run in runs) for name in costs
    }


def claims(table: Sequence[Mapping[str, Any]], won: Sequence[Mapping[str, Any]], quick: bool) -> list[Claim]:
    """What we hold ourselves to: that it is worth its time."""
    spread = next(row["spread"] for row in table if row["start"] == PRETRAINED)
    found = [Claim("spread of what crops are mapped to, 0 is collapse", spread, 0.3, ">=")]
    if quick:
        return found
    for row in won:
        where = f"kappa gained over {row['over']}, {row['labels a grade']} a grade"
        found.append(Claim(where, row["kappa gained"], 0.02, ">="))
        found.append(Claim(f"{where}, least of a seed", row["kappa least of a seed"], 0.0, ">="))
    return found


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    source = chosen.data / "grading" / "knee_kl_64.npz"
    if chosen.quick:
        effort = Effort(None, (6,), 30, 10, 20, (("cells", 24), ("channels", (4, 8))))
    else:
        effort = Effort(source, (10, 50), 1500, 1000, 5000, (("cells", 64), ("channels", (16, 32, 64))))
        if not source.is_file():
            print(f"the data set is not at {source}; give --data FOLDER")
            return
    with kept(chosen.json) as folder:
        compare(chosen, effort, folder)


if __name__ == "__main__":
    main()
