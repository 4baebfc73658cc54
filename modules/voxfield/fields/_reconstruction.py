"""One reconstruction on arrays: choose the model, then mean, draws, standard deviation and fluxes.

The variance of a cell is that within a level of the wall plus that between the means of the levels, see `_levels`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import face_labels
from voxfield.fields._choice import Choice, choose, choose_modes
from voxfield.fields._evidence import Evidence
from voxfield.fields._faces import Faces, LumenFaces
from voxfield.fields._frames import Modes, one_by_one
from voxfield.fields._levels import Drawn, Levels, between, draw_walls, lowest_cut
from voxfield.fields._outliers import Quality, present, settled, suspects
from voxfield.fields._posterior import Posterior
from voxfield.fields._prior import Int, Real, centred, divergence
from voxfield.fields._problem import Problem
from voxfield.fields._solver import Solution
from voxfield.fields._walls import wall_points

MOST_FRAMES = 6
"""Frames that the evidence is computed from."""

Progress = Callable[[Iterable[int]], Iterable[int]]


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
    solutions   of all systems that were solved
    spread_ratio  mean square of the draws over the variance of kriging, by component; 1 where that is exact
    time_length   of the kernel over the cycle; None where frames are told one by one
    at_bound      whether the length scale is the longest that was allowed
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
    quality: Quality = field(default_factory=Quality)
    time_length: float | None = None
    at_bound: bool = False

    @property
    def lumen(self) -> NDArray[np.bool_]:
        """(x, y, z) the lumen at the level chosen."""
        return self.faces.lumen


def reconstruct_arrays(problem: Problem, samples: int, rng: np.random.Generator, progress: Progress) -> Result:
    """Choose a model by its evidence, and condition on the data; with a number of samples."""
    learned = learn(problem)
    evidence, choice, modes = learned.evidence, learned.choice, learned.modes
    drawn = draw_walls(choice.level_weight, samples, rng)
    result = _empty_result(problem, choice, drawn)
    result.quality, result.time_length = learned.quality, learned.time_length
    run = _Run(result, drawn, evidence.measured.values, rng)
    # means of the levels and variances, by mode
    means: dict[float, Real] = {}
    variance = np.zeros_like(result.sd)
    for share, columns in modes.groups():
        levels = Levels(evidence, choice, share)
        for column in columns:
            for level, faces in run.means(levels, int(column)).items():
                means.setdefault(level, np.zeros_like(result.mean))[column] = run.told(centred(faces))
        own = means[levels.key(choice.model.level)]
        square = np.zeros(own.shape[1:])
        for column in progress(columns.tolist()):
            square += run.draw(levels, column, means) / len(columns)
        variance[columns] = _within(levels[choice.model.level], run.cells, square, result)
    return _in_frames(result, modes, means, variance)


@dataclass
class _Run:
    """What all modes share while they are reconstructed one by one."""

    result: Result
    drawn: list[Drawn]
    values: Real
    rng: np.random.Generator

    @cached_property
    def cells(self) -> Int:
        """(n, 3) cells told."""
        return np.argwhere(self.result.told)

    @cached_property
    def _union(self) -> Int:
        return np.argwhere(self.result.union)

    def told(self, centres: Real) -> Real:
        """Values (3, *box) at the cells told, (n, 3)."""
        return _at(centres, self.cells)

    def means(self, levels: Levels, column: int) -> dict[float, Real]:
        """Faces of the posterior mean by level, for the level chosen and those drawn."""
        own = self.result.choice.model.level
        means = {}
        for level in dict.fromkeys(levels.key(level) for level in [own, *(wall.level for wall in self.drawn)]):
            means[level], solution = levels[level].mean(self.values[:, :, column])
            _note(self.result, means[level], solution)
        self.result.flux.append(_flux(self.result, means[levels.key(own)]))
        return means

    def draw(self, levels: Levels, column: int, means: dict[float, Real]) -> Real:
        """Draw the samples of a mode into the result; returns their mean square deviation from the mean, (n, 3)."""
        result, square = self.result, np.zeros((len(self.cells), 3))
        for level in means:
            chosen = [index for index, wall in enumerate(self.drawn) if levels.key(wall.level) == level]
            draws = levels[level].draws(self.values[:, :, column], len(chosen), self.rng)
            for index, (faces, solution) in zip(chosen, draws, strict=True):
                _note(result, faces, solution)
                centres = centred(faces)
                everywhere = _at(centres, self._union)
                result.samples[index, column] = np.where(result.inside[index][:, None], everywhere, 0.0)
                square += np.square(self.told(centres) - means[level][column]) / len(self.drawn)
        return square


def _in_frames(result: Result, modes: Modes, means: dict[float, Real], variance: Real) -> Result:
    """Turn the modes of a result into frames."""
    choice = result.choice
    frames = {level: modes.frames(mean) for level, mean in means.items()}
    result.mean = frames[choice.model.level]
    result.sd = np.sqrt(modes.frame_variance(variance) + between(frames, choice.level_weight))
    result.samples = np.stack([modes.frames(sample) for sample in result.samples])
    u, v, w = (modes.frames(np.stack([flux[axis] for flux in result.flux])) for axis in range(3))
    result.flux = list(zip(u, v, w, strict=True))
    return result


@dataclass(frozen=True)
class Learned:
    """What the evidence tells of a problem.

    evidence     of the sound data, in their modes
    quality      what was not sound
    time_length  of the kernel over the cycle; None where frames are told one by one
    """

    evidence: Evidence
    choice: Choice
    modes: Modes
    quality: Quality
    time_length: float | None


def learn(problem: Problem) -> Learned:
    """Choose the model, leave out what is not sound, and join the frames where the evidence wants it."""
    evidence, choice, quality = _chosen(problem)
    modes, length = one_by_one(problem.measured.values.shape[2]), None
    if problem.joined:
        evidence, modes, length = choose_modes(evidence, choice.model)
        choice = replace(choice, score=evidence(choice.model))
    return Learned(evidence, choice, modes, quality, length)


def _chosen(problem: Problem) -> tuple[Evidence, Choice, Quality]:
    window, box = problem.window, problem.observation.box
    walls = {
        level: wall_points(
            window.probability, level, window.lumen(level), window.openings, spacing=box.spacing, refine=box.refine
        )
        for level in problem.wishes.levels
    }
    every = Evidence(problem.observation, present(problem.measured), walls, problem.noise_sd)
    found = suspects(every.measured)
    few = np.unique(np.linspace(0, problem.measured.values.shape[2] - 1, MOST_FRAMES).round().astype(int))
    trusted = found.sound
    first = replace(every, measured=replace(trusted, values=trusted.values[:, :, few]))
    choice = choose(first, problem.wishes)
    sound, quality = settled(every, choice.model, choice.score.variance, found)
    return replace(every, measured=sound), choice, quality


def told_cells(problem: Problem, choice: Choice) -> NDArray[np.bool_]:
    """(x, y, z) where mean and standard deviation are told, see `Result`."""
    if choice.model.condition != "none":
        return problem.window.lumen(choice.model.level)
    return problem.window.told(lowest_cut(problem.wishes.levels), problem.observation.box.refine)


def _empty_result(problem: Problem, choice: Choice, drawn: list[Drawn]) -> Result:
    window, frames = problem.window, problem.measured.values.shape[2]
    lumen = window.lumen(choice.model.level)
    walls = np.stack([window.lumen(wall.cut) for wall in drawn])
    union = lumen | walls.any(axis=0)
    spacing = problem.observation.box.spacing
    told = told_cells(problem, choice)
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


def _note(result: Result, faces: Real, solution: Solution) -> None:
    spacing = result.faces.spacing
    per_cell = np.abs(divergence(faces, spacing)).max() * min(spacing) / np.abs(faces).max()
    result.divergence = max(result.divergence, float(per_cell))
    result.solutions.append(solution)


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
