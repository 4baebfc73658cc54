"""Which model the evidence prefers: smoothness, scale, noise, correlation of the noise, and the wall."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from voxfield.fields._evidence import Evidence
from voxfield.fields._frames import Modes, one_by_one, periodic
from voxfield.fields._model import Model
from voxfield.fields._score import Score
from voxfield.fields._search import Bounds, fit
from voxfield.fields._walls import Condition

EVALUATIONS = 28
"""Models tried in a first search; later ones start near the optimum and try half."""
WALL_RATIOS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Variances with which a wall condition is observed, over that of the noise."""
FIRST_RATIO = 10.0
FOUR_POINT = 0.5
"""Correlation of the noise of two components in four-point encoding."""
FEWEST_FRAMES = 4
"""Frames of a cycle from which a correlation in time is looked for."""
TIME_LENGTHS = (0.15, 10.0)
"""Of the periodic kernel, see `_frames`."""
CONDITIONS: tuple[Condition, ...] = ("no-penetration", "no-slip")


@dataclass(frozen=True)
class Wishes:
    """What is set by hand; None and empty leave it to the evidence.

    levels  of the wall, ascending
    """

    length_mm: float | None = None
    smoothness: float | None = None
    correlation: float | None = None
    condition: Condition | None = None
    levels: Sequence[float] = (0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Choice:
    """The model chosen, its score, and the walls that the data leave open.

    rivals        other models that were fitted, with their evidence
    level_weight  posterior weight of the levels, all equal a priori
    at_bound      whether the length scale is the longest that was allowed
    """

    model: Model
    score: Score
    rivals: list[dict[str, Any]]
    level_weight: dict[float, float]
    at_bound: bool


def choose(evidence: Evidence, wishes: Wishes) -> Choice:
    """Search smoothness and scale without a wall first, then ask whether a wall explains the data better."""
    rivals: list[dict[str, Any]] = []
    middle = wishes.levels[len(wishes.levels) // 2]
    bounds = _bounds(evidence, wishes)
    start = _start(evidence, wishes, bounds, middle)
    free = _best_free(evidence, wishes, start, bounds, rivals)
    walls = [c for c in CONDITIONS if wishes.condition in (None, c)] if wishes.condition != "none" else []
    chosen = free
    if walls:
        bound = _best_bound(evidence, walls, wishes.levels, free, bounds, rivals)
        # A condition that fits best when it is loosened to the end of the scale is one that the data do not show.
        shown = bound.wall_ratio < WALL_RATIOS[-1] and evidence(bound).log_evidence > evidence(free).log_evidence
        if wishes.condition is not None or shown:
            chosen = bound
    weights = level_weights(evidence, chosen, wishes.levels)
    longest = wishes.length_mm is None and chosen.length_mm > 0.99 * bounds.length_mm[1]
    return Choice(chosen, evidence(chosen), rivals, weights, longest)


def choose_modes(evidence: Evidence, model: Model) -> tuple[Evidence, Modes, float | None]:
    """Whether the frames are told together, by the evidence of all of them.

    returns  the evidence of the modes, the modes, and their length, None where frames are told one by one
    """
    measured, frames = evidence.measured, evidence.measured.values.shape[2]

    def of(modes: Modes) -> Evidence:
        values = modes.of(measured.values)
        return replace(evidence, measured=replace(measured, values=values), shares=modes.shares)

    alone = one_by_one(frames)
    if frames < FEWEST_FRAMES:
        return evidence, alone, None

    def loss(log_length: float) -> float:
        return -of(periodic(frames, float(np.exp(log_length))))(model).log_evidence

    shortest, longest = (float(np.log(length)) for length in TIME_LENGTHS)
    found = minimize_scalar(loss, bounds=(shortest, longest), method="bounded", options={"maxiter": 12, "xatol": 0.05})
    if -found.fun <= evidence(model).log_evidence:
        return evidence, alone, None
    length = float(np.exp(found.x))
    modes = periodic(frames, length)
    return of(modes), modes, length


def level_weights(evidence: Evidence, model: Model, levels: Sequence[float]) -> dict[float, float]:
    """Posterior weights of the levels. Without a wall condition the data do not speak about the wall."""
    scores = np.array([evidence(replace(model, level=level)).log_evidence for level in levels])
    weights = np.exp(scores - scores.max())
    return dict(zip(levels, (weights / weights.sum()).tolist(), strict=True))


def _bounds(evidence: Evidence, wishes: Wishes) -> Bounds:
    """Lengths from half a measured voxel to half the mean side of the box, beyond which its period would show."""
    box = evidence.observation.box
    sides = np.array(box.shape) * np.array(box.spacing)
    if wishes.length_mm is not None:
        return Bounds((wishes.length_mm, wishes.length_mm))
    return Bounds((0.5 * box.refine * min(box.spacing), 0.5 * float(np.prod(sides) ** (1 / 3))))


def _start(evidence: Evidence, wishes: Wishes, bounds: Bounds, level: float) -> Model:
    box = evidence.observation.box
    length = wishes.length_mm or min(5.0 * box.refine * min(box.spacing), bounds.length_mm[1])
    correlation = wishes.correlation or 0.0
    return Model(length, wishes.smoothness or 2.5, 1e-2, 1.0, correlation, "none", level)


def _best_free(evidence: Evidence, wishes: Wishes, start: Model, bounds: Bounds, rivals: list[dict[str, Any]]) -> Model:
    best = _fitted(evidence, start, bounds, EVALUATIONS, rivals)
    if evidence.measured.signal is not None:
        best = _better(evidence, [best, replace(best, signal=1.0)])
    if wishes.correlation is None:
        best = _better(evidence, [best, replace(best, correlation=FOUR_POINT)])
    if wishes.smoothness is None:
        others = [replace(best, smoothness=nu, length_mm=_same_bend(best, nu)) for nu in (1.5, 4.5)]
        tried = [_fitted(evidence, other, bounds, EVALUATIONS // 2, rivals) for other in others]
        best = _better(evidence, [best, *tried])
    return best


def _best_bound(
    evidence: Evidence,
    conditions: Sequence[Condition],
    levels: Sequence[float],
    free: Model,
    bounds: Bounds,
    rivals: list[dict[str, Any]],
) -> Model:
    """The best model with a wall; only the condition and level that start best are fitted anew."""
    first = [replace(free, condition=c, wall_ratio=FIRST_RATIO, level=level) for c in conditions for level in levels]
    for condition in conditions:
        rivals.append(_row(evidence, _better(evidence, [m for m in first if m.condition == condition])))
    best = _tightened(evidence, _better(evidence, first))
    best = _fitted(evidence, best, bounds, EVALUATIONS // 2, rivals)
    other = [c for c in conditions if c != best.condition]
    best = _better(evidence, [best, *(replace(best, condition=c) for c in other)])
    best = _tightened(evidence, best)
    best = _better(evidence, [best, *(replace(best, level=level) for level in levels if level != best.level)])
    rivals.append(_row(evidence, best))
    return best


def _tightened(evidence: Evidence, start: Model) -> Model:
    """The model with the wall ratio that is best among its neighbours on the scale."""
    place, best = WALL_RATIOS.index(start.wall_ratio), start
    for step in (-1, 1):
        for ratio in WALL_RATIOS[place + step :: step] if 0 <= place + step < len(WALL_RATIOS) else ():
            tried = replace(start, wall_ratio=ratio)
            if evidence(tried).log_evidence <= evidence(best).log_evidence:
                break
            best = tried
    return best


def _fitted(evidence: Evidence, start: Model, bounds: Bounds, evaluations: int, rivals: list[dict[str, Any]]) -> Model:
    model = fit(evidence, start, bounds, evaluations=evaluations)
    rivals.append(_row(evidence, model))
    return model


def _row(evidence: Evidence, model: Model) -> dict[str, Any]:
    return {**asdict(model), "log_evidence": float(evidence(model).log_evidence)}


def _same_bend(model: Model, smoothness: float) -> float:
    """The length at which another smoothness has about the same correlation nearby."""
    return float(model.length_mm * (smoothness / model.smoothness) ** -0.6)


def _better(evidence: Evidence, models: Iterable[Model]) -> Model:
    """The model of largest evidence; the first of equals."""
    return max(models, key=lambda model: evidence(model).log_evidence)
