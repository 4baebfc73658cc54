"""What unlabelled images add to strongly augmented supervision: scikit-learn's digits, five labels a class.

8 x 8 images of ten classes without an order, so the head is a softmax and labels cost cross entropy alone, nothing is
mirrored, and `fixmatch_ordinal` has no place here. Every seed draws its own 500 test images, labels and weights; all
methods of a seed share them. All get as many steps of as many labelled images, the last moving average is judged, and
no setting was chosen by test images of these seeds. The reference is supervision in the same strong views; weak views,
which flatter whatever comes after them, six times as many labels and Cutout alone are listed beside it.

`--quick` takes few steps and judges no gain. With `--json FILE`, finished runs are kept in FILE.parts, and a benchmark
that was stopped goes on from them.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from _common import Claim, finish, options
from _parts import kept, remembered
from voxfield.grading import augment
from voxfield.grading.algorithms import ALGORITHMS
from voxfield.grading.components import make
from voxfield.grading.losses.ordinal import Ordinal
from voxfield.grading.metrics import scores
from voxfield.grading.networks import build
from voxfield.grading.rows import TrainingSet, infer
from voxfield.grading.schedule import Method, Plan
from voxfield.grading.trainer import Training
from voxfield.workspace import Workspace

CLASSES, TEST, LABELS = 10, 500, 5
STEPS, QUICK_STEPS = 2000, 150
CPU = torch.device("cpu")
NETWORK = {"name": "convolutional", "dims": 2, "channels": [16, 32], "features": 0, "hidden": 0, "grades": CLASSES}
REFERENCE, CLAIMED = "supervised", "fixmatch"


@dataclass(frozen=True)
class Row:
    """A method of the table: an algorithm, its options, labels a class."""

    name: str
    algorithm: str
    options: tuple[str, ...] = ()
    labels: int = LABELS


ROWS = (
    Row(REFERENCE, "supervised"),
    Row(CLAIMED, "fixmatch"),
    Row("supervised, weak views", "supervised", ("views=weak",)),
    Row("supervised, Cutout alone", "supervised", ("views=cutout",)),
    Row("mixup", "mixup"),
    Row("adamixup", "adamixup"),
    Row("pi", "pi"),
    Row("interpolation", "interpolation"),
    Row("semixup", "semixup"),
    Row("simmatchv2", "simmatchv2"),
    Row("supervised, 30 labels a class", "supervised", labels=30),
)


def digits(seed: int, labels: int) -> tuple[TrainingSet, TrainingSet]:
    """Training images, of which `labels` a class have theirs, and test images."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(seed).permutation(len(found.target))
    images = torch.from_numpy(found.images[order] / 8 - 1).float().unsqueeze(1)
    truth = torch.from_numpy(found.target[order]).long()
    known = torch.full_like(truth, -1)
    for digit in range(CLASSES):
        rows = torch.nonzero(truth[TEST:] == digit).flatten()[:labels] + TEST
        known[rows] = digit
    test = TrainingSet(images[:TEST], None, truth[:TEST], CLASSES)
    return TrainingSet(images[TEST:], None, known[TEST:], CLASSES), test


def run(row: Row, seed: int, steps: int) -> dict[str, Any]:
    """Train once and look at the test images."""
    train, test = digits(seed, row.labels)
    algorithm = make("algorithms", ALGORITHMS, row.algorithm, row.options)
    network = build({**NETWORK, "normalised": algorithm.normalised_embedding}, seed)
    plan = Plan(steps, 20, 2e-3, 1e-2, 0.99, augment.strong(0.1, 0, 0), (), steps, seed)
    started = time.process_time()
    training = Training(network, Method(algorithm, Ordinal(ranked=0.0)), train, plan, CPU)
    average = training.run(Workspace(), lambda todo: todo)
    seconds = time.process_time() - started
    probabilities = np.exp(infer(average, test, CPU)[0])
    truth = test.grades.numpy()
    matrix = scores.confusion(truth, probabilities.argmax(1), CLASSES)
    return {
        "method": row.name,
        "seed": seed,
        "balanced accuracy": float(scores.balanced_accuracy(matrix)),
        "ECE": float(scores.calibration_error(probabilities, truth)),
        "accepted": training.log[-1].get("accepted"),
        "CPU s": seconds,
    }


def done(row: Row, seed: int, steps: int, folder: Path) -> dict[str, Any]:
    """The figures of a run: those in the folder, or new ones, which are then written there."""
    found: dict[str, Any] = remembered(
        folder / f"{row.name}, seed {seed}, {steps} steps.json", lambda: run(row, seed, steps)
    )
    print(found, flush=True)
    return found


def summary(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the seeds by method, and the gain over the reference in each."""
    reference = {run["seed"]: run["balanced accuracy"] for run in runs if run["method"] == REFERENCE}
    rows = []
    for name in dict.fromkeys(run["method"] for run in runs):
        own = [run for run in runs if run["method"] == name]
        gains = [run["balanced accuracy"] - reference[run["seed"]] for run in own]
        rows.append(
            {"method": name}
            | {column: mean(run[column] for run in own) for column in ("balanced accuracy", "ECE", "CPU s")}
            | {"gain, each seed": " ".join(f"{gain:+.3f}" for gain in gains), "least gain": min(gains)}
        )
    return rows


def compare(chosen: argparse.Namespace, folder: Path) -> None:
    """Every method on every seed, those of the claim first."""
    rows, steps, seeds = (ROWS[:2], QUICK_STEPS, 1) if chosen.quick else (ROWS, STEPS, chosen.seeds)
    runs = [done(row, seed, steps, folder) for row in rows for seed in range(seeds)]
    table = summary(runs)
    gain = next(row["least gain"] for row in table if row["method"] == CLAIMED)
    reference = next(row["balanced accuracy"] for row in table if row["method"] == REFERENCE)
    learns = Claim("balanced accuracy of the reference", reference, 0.6 if chosen.quick else 0.85, ">=")
    gains = Claim("balanced accuracy that FixMatch adds, worst seed", gain, 0.02, ">=")
    finish(chosen, [learns] if chosen.quick else [learns, gains], table, runs)


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    with kept(chosen.json) as folder:
        compare(chosen, folder)


if __name__ == "__main__":
    main()
