"""Grades under readers' errors: what is won back by early learning, co-teaching, frequencies, and readers told apart.

Two data sets whose true grades are known: handwritten digits (scikit-learn, ten "grades", whose neighbours look nothing
alike), and severities on a line, cut into five grades, seen through sixteen noisy curves (neighbours look alike). A
share of the training labels is moved by one grade, up or down. Every method trains as long on the same rows, long
enough to learn errors by heart; scores are against the true grades of unseen rows. Co-teaching is told the share of
wrong labels, which nobody knows in practice.

Three readers err in 10, 30 and 60 % of their readings; rows are read by one of them or by all three.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from _common import Claim, finish, options
from voxfield.grading import augment
from voxfield.grading.algorithms import Algorithm
from voxfield.grading.algorithms.co_teaching import CoTeaching
from voxfield.grading.algorithms.supervised import Supervised
from voxfield.grading.losses.base import LabelLoss
from voxfield.grading.losses.early_learning import EarlyLearning
from voxfield.grading.losses.ordinal import Ordinal
from voxfield.grading.losses.probability import Probability
from voxfield.grading.losses.readers import Readers
from voxfield.grading.metrics import scores
from voxfield.grading.networks import build
from voxfield.grading.rows import TrainingSet, infer
from voxfield.grading.schedule import Method, Plan
from voxfield.grading.trainer import Training
from voxfield.workspace import Workspace

Grades = NDArray[np.int64]
WRONG = 0.4
READERS = (0.1, 0.3, 0.6)
GAINS = (
    ("- early learning, by grade", "40 % wrong"),
    ("- co-teaching", "40 % wrong"),
    ("- told which", "one of three readers"),
    ("- told apart", "three readers, pooled"),  # needs more steps than the quick run has
)


@dataclass(frozen=True)
class Case:
    """Rows to train on, with their true grades, rows to test on, and the network for both."""

    name: str
    train: TrainingSet
    test: TrainingSet
    network: Mapping[str, Any]
    strength: augment.Strength


def digits(seed: int) -> Case:
    """1297 digits of 8 x 8 pixels to train on, 500 to test on."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng([seed, 0]).permutation(len(data.target))
    images = torch.from_numpy(data.images[order] / 8 - 1).float()[:, None]
    grades = torch.from_numpy(data.target[order].astype(np.int64))
    network = {"dims": 2, "channels": [16, 32], "features": 0, "hidden": 0, "head_name": "softmax"}
    return Case("digits", *_halves(TrainingSet(images, None, grades, 10), 1297), network, augment.strong(0.1, 0.0, 0.0))


def severity(seed: int) -> Case:
    """600 severities to train on, 1000 to test on."""
    rng = np.random.default_rng([seed, 1])
    true = rng.uniform(0, 5, 1600)
    pace, phase = rng.uniform(0.3, 1.5, 16), rng.uniform(0, 2 * np.pi, 16)
    seen = np.sin(np.outer(true, pace) + phase) + rng.normal(0, 0.3, (1600, 16))
    features, grades = torch.from_numpy(seen).float(), torch.from_numpy(np.floor(true).astype(np.int64))
    network = {"dims": 0, "channels": [4], "features": 16, "hidden": 128, "head_name": "ordered"}
    rows = TrainingSet(None, features, grades, 5, values=16)
    return Case("severity", *_halves(rows, 600), network, augment.strong(0.0, 0.1, 0.0))


def _halves(rows: TrainingSet, count: int) -> tuple[TrainingSet, TrainingSet]:
    def part(where: slice) -> TrainingSet:
        images = None if rows.images is None else rows.images[where]
        features = None if rows.features is None else rows.features[where]
        return replace(rows, images=images, features=features, grades=rows.grades[where])

    return part(slice(0, count)), part(slice(count, None))


def read(true: Grades, wrong: float, count: int, rng: np.random.Generator) -> Grades:
    """Grades with a share moved by one, up or down; at the ends inwards."""
    moved = np.where(true == 0, 1, np.where(true == count - 1, -1, rng.choice((-1, 1), true.size)))
    return np.asarray(np.where(rng.random(true.size) < wrong, true + moved, true))


def fit(case: Case, rows: TrainingSet, method: Method, steps: int, seed: int) -> dict[str, float]:
    """Scores of one training."""
    plan = Plan(steps, 32, 3e-3, 1e-3, 0.99, case.strength, (), steps, seed)
    config = {"name": "convolutional", **case.network, "grades": rows.count}
    started = time.process_time()
    training = Training(build(config, seed), method, rows, plan, torch.device("cpu"))
    network = training.run(Workspace(), lambda todo: todo)
    seconds = time.process_time() - started
    outputs, _ = infer(network, case.test, torch.device("cpu"), 500)
    matrix = scores.confusion(case.test.grades.tolist(), outputs.argmax(1), rows.count)
    accuracy, error = scores.balanced_accuracy(matrix), scores.mean_absolute_error(matrix)
    return {"balanced accuracy": float(accuracy), "mean error": float(error), "CPU s": seconds}


def ways(case: Case, steps: int, seed: int) -> dict[str, dict[str, float]]:
    """Every method on one draw of rows, readings and weights."""
    rng = np.random.default_rng([seed, 2])
    rows, true = case.train, case.train.grades.numpy()

    def labelled(grades: Grades) -> TrainingSet:
        return replace(rows, grades=torch.from_numpy(grades))

    def run(of: TrainingSet, loss: LabelLoss | None = None, algorithm: Algorithm | None = None) -> dict[str, float]:
        return fit(case, of, Method(algorithm or Supervised(), loss or Ordinal()), steps, seed)

    one = labelled(read(true, WRONG, rows.count, rng))
    three = np.stack([read(true, wrong, rows.count, rng) for wrong in READERS])
    who = rng.integers(0, 3, true.size)
    single = replace(labelled(three[who, np.arange(true.size)]), readers=torch.from_numpy(who))
    pooled = thrice(rows, three)
    return {
        "true grades": run(rows),
        "40 % wrong": run(one),
        "- frequencies (CaPE)": run(one, Probability()),
        "- early learning, by grade": run(one, EarlyLearning()),
        "- early learning, from the first step": run(one, EarlyLearning(adaptive=False)),
        "- co-teaching": run(one, algorithm=CoTeaching(forget=WRONG)),
        "one of three readers": run(single),
        "- told which": run(single, Readers()),
        "three readers, pooled": run(pooled),
        "- their median": run(labelled(np.median(three, axis=0).astype(np.int64))),
        "- told apart": run(pooled, Readers()),
    }


def thrice(rows: TrainingSet, grades: Grades) -> TrainingSet:
    """Every row once for each of three readers, whose grades are (3, n)."""
    images = None if rows.images is None else rows.images.repeat(3, 1, 1, 1)
    features = None if rows.features is None else rows.features.repeat(3, 1)
    readers = torch.arange(3).repeat_interleave(grades.shape[1])
    return replace(rows, images=images, features=features, grades=torch.from_numpy(grades.ravel()), readers=readers)


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    draws, seeds, steps = ((severity,), 1, 300) if chosen.quick else ((digits, severity), chosen.seeds, 1500)
    tables, claims = [], []
    for draw in draws:
        found = [ways(draw(seed), steps, seed) for seed in range(seeds)]
        tables.append([_row(draw.__name__, name, [one[name] for one in found]) for name in found[0]])
        for better, than in GAINS[: 3 if chosen.quick else None]:
            gains = [one[better]["balanced accuracy"] - one[than]["balanced accuracy"] for one in found]
            name = f"{draw.__name__}: least gain in accuracy, {better.strip('- ')} over {than}"
            claims.append(Claim(name, min(gains), 0.0, ">="))
    finish(chosen, claims, *tables)


def _row(data: str, name: str, runs: list[dict[str, float]]) -> dict[str, Any]:
    row = {"data": data, "trained on": name, **{key: mean(run[key] for run in runs) for key in runs[0]}}
    return row | {"worst accuracy": min(run["balanced accuracy"] for run in runs)}


if __name__ == "__main__":
    main()
