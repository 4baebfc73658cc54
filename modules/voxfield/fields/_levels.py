"""The wall is uncertain: lumens that are drawn, posteriors by level of the wall, and the variance between them.

Every draw has a lumen of its own, the cells with a probability above a cut; the level of the wall condition is drawn by
its posterior weight (all levels equal a priori), the cut evenly between the neighbouring levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from voxfield.fields._choice import Choice
from voxfield.fields._evidence import Evidence
from voxfield.fields._posterior import Posterior
from voxfield.fields._prior import Real


@dataclass(frozen=True)
class Drawn:
    """What belongs to one sample: the level of its wall condition, and the probability at which its lumen ends."""

    level: float
    cut: float


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


class Levels:
    """Posteriors by level of the wall, made when they are asked for; without a wall condition they are all one.

    share  of the prior's variance that the data of these posteriors have, see `_frames`
    """

    def __init__(self, evidence: Evidence, choice: Choice, share: float) -> None:
        self._evidence = evidence
        self._choice = choice
        self._share = share
        self._made: dict[float, Posterior] = {}

    def key(self, level: float) -> float:
        """The level that stands for a level."""
        model = self._choice.model
        return model.level if model.condition == "none" else level

    def __getitem__(self, level: float) -> Posterior:
        key = self.key(level)
        if key not in self._made:
            model = replace(self._choice.model, level=key, noise_ratio=self._choice.model.noise_ratio / self._share)
            self._made[key] = Posterior(self._evidence, model, self._choice.score.variance * self._share)
        return self._made[key]


def between(means: dict[float, Real], weights: dict[float, float]) -> Real:
    """Variance of the means over those levels that were computed."""
    if len(means) == 1:
        return np.zeros_like(next(iter(means.values())))
    total = sum(weights[level] for level in means)
    average = sum(weights[level] / total * mean for level, mean in means.items())
    return np.asarray(sum(weights[level] / total * np.square(mean - average) for level, mean in means.items()))
