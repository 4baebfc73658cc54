"""From a study and its scans to a calibrated grader and the figures about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from voxfield.artifacts import Image, Model, Table
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.grading import conformal
from voxfield.grading.calibration import Temperature
from voxfield.grading.conformal_predictor import ConformalPredictor, CoverageOf
from voxfield.grading.examples import Examples
from voxfield.grading.familiarity import Bank
from voxfield.grading.grader import Grader
from voxfield.grading.inputs import InputGrid, Scaler
from voxfield.grading.judging import Seen, calibrate, card
from voxfield.grading.metrics.scores import ranked_probability
from voxfield.grading.networks import build
from voxfield.grading.rows import TrainingSet, infer
from voxfield.grading.scans import choose_grid, feature_rows, read_scans
from voxfield.grading.schedule import Method, Plan
from voxfield.grading.start import take_over, tell_of_leak
from voxfield.grading.study import Study
from voxfield.grading.trainer import Training

Floats = NDArray[np.float64]
AXES = "xyz"


@dataclass(frozen=True)
class Recipe:
    """What to train and how to judge it; see the settings of `grading.train`."""

    plan: Plan
    network: dict[str, Any]
    inputs: Literal["auto", "image", "features", "both"]
    cells: int
    mirror: tuple[str, ...]
    coverage: float
    coverage_of: CoverageOf
    score: conformal.Score
    per_patient: conformal.Rule
    bootstrap: int
    method: Method


def fit(
    study: Study,
    images: Sequence[Image],
    tables: Sequence[Table] | None,
    start: Model | None,
    recipe: Recipe,
    ctx: Context,
) -> tuple[Grader, dict[str, Any]]:
    """Read, train, calibrate, then look at the test patients once.

    start  a model to go on from
    """
    uses_image, uses_features = _inputs(recipe.inputs, bool(tables))
    train = study.rows("train")
    grid = choose_grid([images[i] for i in train], recipe.cells)
    volumes, summaries = read_scans(ctx.progress(images, total=len(images), desc="reading"), grid)
    scaler, values = _features(tables or (), study, ctx) if uses_features else (None, None)
    grader = _untrained(study, grid, scaler, uses_image, recipe)
    if start is not None:
        take_over(grader.network, grader.network_config, grid, start, ctx)
        tell_of_leak(start, study, ctx)
    data = grader.rows(volumes, values, [-1 if g is None else g for g in study.grades])
    if (numbers := study.reader_numbers()) is not None:
        data = replace(data, readers=torch.tensor(numbers))
    mirror = tuple(grid.axes.index(AXES.index(a)) for a in recipe.mirror if AXES.index(a) in grid.axes)
    plan = replace(recipe.plan, mirror=mirror)
    device = ctx.torch_device()
    judge = _judge(_part(data, study.rows("val", labelled=True)), device)
    training = Training(grader.network, recipe.method, _part(data, train), plan, device, judge)
    steps = ctx.progress
    grader.network = training.run(ctx.workspace, lambda todo: steps(todo, desc="training"))
    raw, embedding = grader.look(data, device)
    scans = study.scans(train)
    grader.scan_bank, grader.embedding_bank = Bank.fit(summaries[scans]), Bank.fit(embedding[scans])
    grader.examples = Examples.of(study, scans)
    rng = np.random.default_rng([ctx.seed, 2])
    seen = Seen(raw, embedding)
    figures = calibrate(grader, study, seen, recipe.per_patient, rng, ctx)
    figures |= {role: card(grader, study, seen, role, recipe.bootstrap, rng) for role in ("val", "test")}
    figures["input"] = {"grid_shape": list(grid.shape), "grid_spacing_mm": list(grid.spacing_mm)}
    figures["input"] |= {"image": uses_image, "features": [] if scaler is None else list(scaler.columns)}
    figures["labels"] = {"readers": study.reader_names, **recipe.method.loss.account()}
    return grader, {**figures, "log": training.log, "best_step": training.best.step or training.step}


def _judge(data: TrainingSet, device: Any) -> Callable[[Any], float] | None:
    """Mean ranked probability score on labelled validation rows, or None where there are none."""
    if not len(data.grades):
        return None
    return lambda network: float(ranked_probability(np.exp(infer(network, data, device)[0]), data.grades).mean())


def _inputs(choice: str, given: bool) -> tuple[bool, bool]:
    if choice in ("features", "both") and not given:
        raise InputError(f"inputs is {choice!r}, but no features were given; give them, or set inputs to image")
    if choice == "auto":
        # With few labels an image beside good features costs more than it brings (benchmarks/grading.py).
        return not given, given
    return choice != "features", choice != "image"


def _features(tables: Sequence[Table], study: Study, ctx: Context) -> tuple[Scaler, Floats]:
    """The scaler, fitted on training rows, and the columns that it keeps, for all rows."""
    names, values = feature_rows(tables, study.subjects)
    scaler = Scaler.fit(names, values[study.rows("train")])
    if not scaler.columns:
        raise InputError(f"no feature of {', '.join(names) or 'an empty table'} has a value in a training row")
    left_out = [name for name in names if name not in scaler.columns]
    if left_out:
        ctx.finding("features-empty", "info", f"no training row has {', '.join(left_out)}", value=left_out)
    return scaler, values[:, [names.index(name) for name in scaler.columns]]


def _untrained(study: Study, grid: InputGrid, scaler: Scaler | None, uses_image: bool, recipe: Recipe) -> Grader:
    dims = len(grid.axes) if uses_image else 0
    if dims == 1:
        raise SettingsError(f"the grid {grid.shape} is a line; images to grade are planes or volumes")
    config: dict[str, Any] = {**recipe.network, "dims": dims}
    config |= {"features": 0 if scaler is None else scaler.width, "grades": study.count}
    config["normalised"] = recipe.method.algorithm.normalised_embedding
    network = build(config, recipe.plan.seed)
    return Grader(
        network,
        config,
        study.count,
        grid,
        uses_image,
        scaler,
        Temperature(),
        ConformalPredictor.empty(recipe.score, study.count),
        recipe.coverage,
        recipe.coverage_of,
        None,
        None,
        {},
    )


def _part(data: TrainingSet, rows: Sequence[int]) -> TrainingSet:
    index = list(rows)
    images = None if data.images is None else data.images[index]
    features = None if data.features is None else data.features[index]
    readers = None if data.readers is None else data.readers[index]
    return replace(data, images=images, features=features, grades=data.grades[index], readers=readers)
