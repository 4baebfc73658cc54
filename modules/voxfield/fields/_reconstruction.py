"""One reconstruction on arrays: choose the model, then mean, draws, standard deviation and fluxes.

The wall is uncertain too. Every draw has a lumen of its own, the cells with a probability above a cut; the level of the
wall condition is drawn by its posterior weight (all levels equal a priori), the cut evenly between the neighbouring
levels. The variance is that within a level plus that between the means of the levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import face_labels
from voxfield.fields._choice import Choice, Wishes, choose
from voxfield.fields._evidence import EXACT_LIMIT, Evidence, Measured
from voxfield.fields._faces import Faces, LumenFaces
from voxfield.fields._observation import Observation
from voxfield.fields._posterior import Posterior, Solution
from voxfield.fields._prior import Int, Real, centred, divergence
from voxfield.fields._setting import Window
from voxfield.fields._walls import wall_points

MOST_FRAMES = 6
"""Frames that the evidence is computed from."""

Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class Problem:
    """What is to be reconstructed, in the window.

    measured  the voxels, with the values of all frames
    noise_sd  standard deviation of the noise of a component, or None where the evidence estimates it
    samples   number of draws
    """

    window: Window
    observation: Observation
    measured: Measured
    wishes: Wishes
    noise_sd: float | None
    samples: int


@dataclass(frozen=True)
class Drawn:
    """What belongs to one sample: the level of its wall condition, and the probability at which its lumen ends."""

    level: float
    cut: float


@dataclass
class Result:
    """Everything on the window of the fine grid; vectors along the voxel axes.

    lumen       (x, y, z) at the level chosen
    told        (x, y, z) where mean and standard deviation are told: the lumen; without a wall condition, in which
                case the field does not know of a wall, all cells that may be lumen
    union       (x, y, z) the lumen and those of all samples
    mean, sd    (t, n, 3) at the n cells told
    samples     (s, t, m, 3) at the m cells of the union, zero outside the lumen of the sample
    inside      (s, m)
    flux        of the mean, by frame
    divergence  largest over all samples and means, over speed per cell
    """

    choice: Choice
    faces: LumenFaces
    told: NDArray[np.bool_]
    union: NDArray[np.bool_]
    mean: Real
    sd: Real
    samples: NDArray[np.float32]
    inside: NDArray[np.bool_]
    flux: list[Faces] = field(default_factory=list)
    solutions: list[Solution] = field(default_factory=list)
    divergence: float = 0.0
    spread_ratio: list[float] = field(default_factory=list)

    exact_limit: int = EXACT_LIMIT
    at_bound: bool = False

    @property
    def lumen(self) -> NDArray[np.bool_]:
        """(x, y, z) the lumen at the level chosen."""
        return self.faces.lumen


def reconstruct_arrays(problem: Problem, rng: np.random.Generator, progress: Progress) -> Result:
    """Choose a model by its evidence, and condition on the data."""
    evidence = _evidence(problem)
    choice = choose(evidence, problem.wishes)
    drawn = draw_walls(choice.level_weight, problem.samples, rng)
    result = _empty_result(problem, choice, drawn)
    solver = _Levels(evidence, choice)
    cells = np.argwhere(result.told)
    frames = problem.measured.values.shape[2]
    square, between = np.zeros((len(cells), 3)), np.zeros((frames, len(cells), 3))
    for frame in range(frames):
        means = _means(solver, problem, frame, drawn, result)
        centres = {level: _at(centred(faces), cells) for level, faces in means.items()}
        own = solver.key(choice.model.level)
        result.mean[frame] = centres[own]
        between[frame] = _between(centres, choice, solver)
        result.flux.append(_flux(result, means[own]))
        for index in progress(range(len(drawn))):
            level = drawn[index].level
            deviation = _sample(solver[level], problem, frame, index, result, rng) - centres[solver.key(level)]
            square += np.square(deviation) / (frames * len(drawn))
    result.sd[:] = np.sqrt(_within(solver[choice.model.level], cells, square, result) + between)
    return result


def draw_walls(weights: dict[float, float], samples: int, rng: np.random.Generator) -> list[Drawn]:
    """Levels by weight; the cut even between the levels halfway to the neighbours (mirrored at the ends)."""
    levels = np.array(list(weights))
    middle = (levels[1:] + levels[:-1]) / 2
    if len(levels) == 1:
        return [Drawn(float(levels[0]), float(levels[0]))] * samples
    low = np.concatenate([[2 * levels[0] - middle[0]], middle])
    high = np.concatenate([middle, [2 * levels[-1] - middle[-1]]])
    chosen = rng.choice(len(levels), size=samples, p=list(weights.values()))
    cuts = np.clip(rng.uniform(low[chosen], high[chosen]), 0.01, 0.99)
    return [Drawn(float(levels[c]), float(cut)) for c, cut in zip(chosen, cuts, strict=True)]


def lowest_cut(levels: Sequence[float]) -> float:
    """The least probability at which a lumen can end."""
    return max(0.01, levels[0] - (levels[1] - levels[0]) / 2) if len(levels) > 1 else levels[0]


class _Levels:
    """Posteriors by level of the wall, made when they are asked for; without a wall condition they are all one."""

    def __init__(self, evidence: Evidence, choice: Choice) -> None:
        self._evidence = evidence
        self._choice = choice
        self._made: dict[float, Posterior] = {}

    def key(self, level: float) -> float:
        model = self._choice.model
        return model.level if model.condition == "none" else level

    def __getitem__(self, level: float) -> Posterior:
        key = self.key(level)
        if key not in self._made:
            model = replace(self._choice.model, level=key)
            self._made[key] = Posterior(self._evidence, model, self._choice.score.variance)
        return self._made[key]


def _evidence(problem: Problem) -> Evidence:
    window, box = problem.window, problem.observation.box
    walls = {
        level: wall_points(
            window.probability, level, window.lumen(level), window.openings, spacing=box.spacing, refine=box.refine
        )
        for level in problem.wishes.levels
    }
    values = problem.measured.values
    few = np.unique(np.linspace(0, values.shape[2] - 1, MOST_FRAMES).round().astype(int))
    return Evidence(problem.observation, replace(problem.measured, values=values[:, :, few]), walls, problem.noise_sd)


def _empty_result(problem: Problem, choice: Choice, drawn: list[Drawn]) -> Result:
    window, frames = problem.window, problem.measured.values.shape[2]
    lumen = window.lumen(choice.model.level)
    walls = np.stack([window.lumen(wall.cut) for wall in drawn])
    union = lumen | walls.any(axis=0)
    spacing = problem.observation.box.spacing
    told = lumen
    if choice.model.condition == "none":
        told = window.told(lowest_cut(problem.wishes.levels), problem.observation.box.refine)
    shape = (frames, int(told.sum()), 3)
    return Result(
        choice=choice,
        faces=LumenFaces(lumen, face_labels(lumen, window.openings), spacing),
        told=told,
        union=union,
        mean=np.zeros(shape),
        sd=np.zeros(shape),
        samples=np.zeros((len(drawn), frames, int(union.sum()), 3), dtype=np.float32),
        inside=walls[:, union],
        at_bound=choice.at_bound,
    )


def _means(solver: _Levels, problem: Problem, frame: int, drawn: list[Drawn], result: Result) -> dict[float, Real]:
    """Faces of the posterior mean by level, for the level chosen and those drawn."""
    levels = [result.choice.model.level, *(wall.level for wall in drawn)]
    means = {}
    for level in dict.fromkeys(solver.key(level) for level in levels):
        means[level], solution = solver[level].mean(problem.measured.values[:, :, frame])
        _note(result, means[level], solution)
    return means


def _sample(
    posterior: Posterior, problem: Problem, frame: int, index: int, result: Result, rng: np.random.Generator
) -> Real:
    """Draw one sample into the result; returns it at the cells told, (n, 3)."""
    faces, solution = posterior.draw(problem.measured.values[:, :, frame], rng)
    _note(result, faces, solution)
    centres = centred(faces)
    everywhere = _at(centres, np.argwhere(result.union))
    result.samples[index, frame] = np.where(result.inside[index][:, None], everywhere, 0.0)
    return _at(centres, np.argwhere(result.told))


def _note(result: Result, faces: Real, solution: Solution) -> None:
    spacing = result.faces.spacing
    per_cell = np.abs(divergence(faces, spacing)).max() * min(spacing) / np.abs(faces).max()
    result.divergence = max(result.divergence, float(per_cell))
    result.solutions.append(solution)


def _between(centres: dict[float, Real], choice: Choice, solver: _Levels) -> Real:
    """Variance of the means over the levels."""
    weight: dict[float, float] = dict.fromkeys(centres, 0.0)
    for level, share in choice.level_weight.items():
        if solver.key(level) in weight:
            weight[solver.key(level)] += share
    total = sum(weight.values())
    average = sum(w / total * centres[level] for level, w in weight.items())
    variance: Real = np.asarray(sum(w / total * np.square(centres[level] - average) for level, w in weight.items()))
    return variance


def _within(posterior: Posterior, cells: Int, square: Real, result: Result) -> Real:
    """Kriging variance of the cells, scaled to the mean square deviation of the draws where it is not exact."""
    variance = posterior.kriging_variance(cells)
    ratio = np.ones(3) if posterior.is_small else square.mean(axis=0) / variance.mean(axis=0)
    result.spread_ratio = [float(r) for r in ratio]
    return variance * ratio


def _flux(result: Result, faces: Real) -> Faces:
    own = result.faces.take(faces)
    return own if result.choice.model.condition == "none" else result.faces.close_walls(own)


def _at(field_: Real, cells: Int) -> Real:
    """Values (3, *box) at cells (n, 3), as (n, 3)."""
    return np.asarray(field_[(slice(None), *cells.T)]).T


def describe(choice: Choice) -> dict[str, Any]:
    """The choice as plain data."""
    return {
        "model": asdict(choice.model),
        "log_evidence": choice.score.log_evidence,
        "velocity_sd": float(np.sqrt(choice.score.variance)),
        "noise_sd": float(np.sqrt(choice.score.variance * choice.model.noise_ratio)),
        "level_weight": {f"{level:g}": weight for level, weight in choice.level_weight.items()},
        "rivals": choice.rivals,
    }
