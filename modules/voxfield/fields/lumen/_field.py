"""The posterior velocity in a lumen: fit, predict, sample, at the centres of cells and between them.

Between the centres each component of mean and samples is linear between its faces, and the variance is linear between
the centres; at the centres all are those of `fields.reconstruct`, whose modules say where they come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import PartialVectorImage
from voxfield.errors import InputError
from voxfield.fields._choice import Choice, Wishes
from voxfield.fields._levels import Levels, between, draw_walls
from voxfield.fields._prior import Int, Real, centred
from voxfield.fields._problem import Problem, Scan, Viewing, make_problem
from voxfield.fields._reconstruction import Learned, learn, told_cells
from voxfield.fields.lumen._places import Places, find_places
from voxfield.fields.manifold import Prediction

LEAST_WEIGHT = 0.01
"""Weight of a level of the wall below which its mean is not computed."""
PROBES = 4
"""Draws that scale the variance of kriging where that is not exact."""


def fit(
    scan: Scan,
    *,
    viewing: Viewing = Viewing(),
    wishes: Wishes = Wishes(),
    noise_sd: float | None = None,
    joined: bool = True,
    seed: int = 0,
) -> LumenGP:
    """Choose settings and wall by evidence, and condition on the voxels in the lumen.

    noise_sd  standard deviation of the noise of a component where it is known, unit of the velocity
    joined    frames cover one cycle evenly, and are told together where the evidence wants it
    """
    problem = make_problem(scan, viewing, wishes, np.random.default_rng(seed), noise_sd=noise_sd, joined=joined)
    return LumenGP(problem, learn(problem), scan.velocity, seed)


class LumenGP:
    """Posterior of the velocity in a lumen. Made by `fit`."""

    def __init__(self, problem: Problem, learned: Learned, velocity: PartialVectorImage, seed: int) -> None:
        self.window = problem.window
        self.told: NDArray[np.bool_] = told_cells(problem, learned.choice)
        self.frames = problem.measured.values.shape[2]
        self.seed = seed
        self._learned = learned
        self._axes = velocity.grid.axes
        self._levels = {share: Levels(learned.evidence, learned.choice, share) for share, _ in learned.modes.groups()}
        self._faces: dict[tuple[float, int], Real] = {}

    @property
    def choice(self) -> Choice:
        """The model of largest evidence, its rivals, and the weights of the levels of the wall."""
        return self._learned.choice

    @cached_property
    def points(self) -> Real:
        """(n, 3) centres of the cells told, mm in the world."""
        return np.asarray(self.window.grid.world(np.argwhere(self.told) + self.window.start))

    def predict(self, points: Real | None = None, frame: int = 0) -> Prediction:
        """Mean and standard deviation (p, 3) along the world axes, at points (p, 3) in mm, by default all centres."""
        places = self._places(points)
        means = {level: places.of_faces(self._mean(level, frame)) for level in self._likely}
        variance = between(means, self.choice.level_weight)
        for share, modes in self._modes(frame):
            kriged = self._levels[share][self.choice.model.level].kriging_variance(places.cells)
            weight = sum(np.square(list(modes.values())))
            variance = variance + weight * self._spread_ratio(share) * places.of_cells(kriged)
        mean = means[self.choice.model.level]
        return Prediction(mean @ self._axes.T, np.sqrt(variance @ np.square(self._axes).T))

    def sample(self, count: int, rng: np.random.Generator, points: Real | None = None, frame: int = 0) -> Real:
        """Joint draws (count, p, 3), each with a lumen of its own, outside of which it is 0."""
        places = self._places(points)
        walls = draw_walls(self.choice.level_weight, count, rng)
        draws = np.zeros((count, len(places), 3))
        for share, modes in self._modes(frame):
            levels = self._levels[share]
            for level in dict.fromkeys(levels.key(wall.level) for wall in walls):
                chosen = [number for number, wall in enumerate(walls) if levels.key(wall.level) == level]
                for mode, weight in modes.items():
                    drawn = levels[level].draws(self._values(mode), len(chosen), rng)
                    for number, (faces, _) in zip(chosen, drawn, strict=True):
                        draws[number] += weight * places.of_faces(faces)
        chance = places.of_window(np.where(self.window.caps, 0.0, self.window.probability))
        inside = chance > np.array([wall.cut for wall in walls])[:, None]
        return np.where(inside[..., None], draws @ self._axes.T, 0.0)

    def _places(self, points: Real | None) -> Places:
        return find_places(self.points if points is None else np.asarray(points), self.window, self.told)

    def _values(self, mode: int) -> Real:
        return self._learned.evidence.measured.values[:, :, mode]

    @cached_property
    def _likely(self) -> list[float]:
        """Levels of the wall whose means differ and count, the chosen one among them."""
        model, weights = self.choice.model, self.choice.level_weight
        if model.condition == "none":
            return [model.level]
        return [level for level, weight in weights.items() if weight >= LEAST_WEIGHT or level == model.level]

    def _modes(self, frame: int) -> Iterator[tuple[float, dict[int, float]]]:
        """Shares of the prior's variance, and the weights of the modes with that share in a frame."""
        if not 0 <= frame < self.frames:
            raise InputError(f"frame {frame} is asked for; expected 0 to {self.frames - 1}")
        basis = self._learned.modes.basis
        weight = np.eye(self.frames)[frame] if basis is None else basis[frame]
        for share, columns in self._learned.modes.groups():
            used = {int(column): float(weight[column]) for column in columns if weight[column] != 0}
            if used:
                yield share, used

    def _mean(self, level: float, frame: int) -> Real:
        """Face velocities of the posterior mean in a frame, (3, *box)."""
        total: Real = np.zeros((3, *self._learned.evidence.observation.box.shape))
        for share, modes in self._modes(frame):
            for mode, weight in modes.items():
                if (level, mode) not in self._faces:
                    self._faces[level, mode] = self._levels[share][level].mean(self._values(mode))[0]
                total += weight * self._faces[level, mode]
        return total

    def _spread_ratio(self, share: float) -> Real:
        """(3,) mean square of draws over the variance of kriging, which is too wide where it takes few neighbours."""
        if share not in self._ratios:
            self._ratios[share] = self._measured_ratio(share)
        return self._ratios[share]

    @cached_property
    def _ratios(self) -> dict[float, Real]:
        return {}

    def _measured_ratio(self, share: float) -> Real:
        posterior = self._levels[share][self.choice.model.level]
        if posterior.is_small:
            return np.ones(3)
        cells: Int = np.argwhere(self.told)
        at = (slice(None), *cells.T)
        nothing = np.zeros_like(self._values(0))
        drawn = posterior.draws(nothing, PROBES, np.random.default_rng(self.seed))
        square = np.mean([np.square(centred(faces)[at]).mean(axis=1) for faces, _ in drawn], axis=0)
        ratio: Real = square / posterior.kriging_variance(cells).mean(axis=0)
        return ratio
