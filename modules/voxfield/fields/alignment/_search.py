"""From several starts at the coarsest resolution to one motion at the finest.

The cost has more than one minimum. Starts on a lattice of turns and shifts are judged on the coarsest level, the best
few of them go down, and what is left there goes on from level to level. Where two of them arrive at different places
with costs that hardly differ, or where turning or shifting the result hardly matters, it is ambiguous, and said to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from voxfield.fields.alignment._levels import Level, Picture, make_level
from voxfield.fields.alignment._match import Match, covariance, descend, score
from voxfield.fields.alignment._rigid import Rigid, start_at

Floats = NDArray[np.float64]

COARSENESS = (4.0, 2.0, 1.0, 0.0)
"""Smoothing of the levels, in voxels of the coarser of the two images."""
FEW_POINTS, MOST_POINTS = 3000, 24_000
"""Points on the coarsest level, where hundreds of starts are judged, and on the others."""
KEPT = 6
"""Matches that leave the coarsest level, where twice as many starts go down; half as many leave each that follows."""
PROBED = 2.5
"""Voxels by which the motion found is altered, to see whether that matters."""
CLOSE = 0.02
"""Loss of fit below which a rival counts as nearly as good."""
LEAST_RATIO = 0.15
"""Correlation ratio below which an alignment is called weak."""
APART = 1.5
"""Voxels between two motions that count as different."""
BLOCK = 8.0
"""Voxels a side of the blocks whose residuals are independent."""


@dataclass(frozen=True)
class Alignment:
    """The result.

    covariance  (6, 6) of rotation vector, radians, and shift, mm
    rival       the best other match: one that ended elsewhere, or the one found turned or shifted by PROBED voxels
    """

    match: Match
    covariance: Floats
    rival: Match
    starts: int


def align_images(
    fixed: Picture, moving: Picture, *, turn_deg: float, shift_mm: float, rng: np.random.Generator
) -> Alignment:
    """Search motions up to a turn and a shift along each axis."""
    voxel = float(max(fixed.grid.spacing.max(), moving.grid.spacing.max()))
    centre = fixed.grid.world((np.array(fixed.grid.shape) - 1) / 2)
    corners = fixed.grid.world(np.array(list(product(*((0, n - 1) for n in fixed.grid.shape)))))
    starts = _starts(centre, np.radians(turn_deg), shift_mm)
    motions, kept = starts, KEPT
    for number, coarse in enumerate(COARSENESS):
        most = FEW_POINTS if number == 0 else MOST_POINTS
        level = make_level(fixed, moving, coarse * voxel, most, rng)
        if number == 0:
            motions = [match.motion for match in _ranked(level, motions)[: 2 * KEPT]]
        ends = [descend(level, motion).motion for motion in motions]
        found = _distinct(_ranked(level, ends), corners, APART * voxel)
        motions, kept = [match.motion for match in found[:kept]], max(2, kept // 2)
    best = found[0]
    steps = _probes(PROBED * voxel, float(np.linalg.norm(corners - centre, axis=1).max()))
    around = [score(level, best.motion.then_by(step), best.scale) for step in steps]
    rival = min([*found[1:], *around], key=lambda match: match.cost)
    return Alignment(best, covariance(level, best.motion, BLOCK * voxel), rival, len(starts))


def _probes(away_mm: float, radius_mm: float) -> Floats:
    """(12, 6) turns and shifts about and along each axis, to both sides, that carry a corner so far away."""
    step = np.diag([away_mm / radius_mm] * 3 + [away_mm] * 3)
    return np.concatenate([step, -step])


def _starts(centre: Floats, turn: float, shift: float) -> list[Rigid]:
    """No motion first, then .6 of the range to either side in every axis of turn and shift."""
    sides = (0.0, -0.6, 0.6)
    return [start_at(centre, turn * np.array(way[:3]), shift * np.array(way[3:])) for way in product(sides, repeat=6)]


def _ranked(level: Level, motions: Sequence[Rigid]) -> list[Match]:
    """Cheapest first, all judged by the scale of the one whose residuals are least."""
    scale = min(score(level, motion).scale for motion in motions)
    return sorted((score(level, motion, scale) for motion in motions), key=lambda match: match.cost)


def _distinct(matches: Sequence[Match], corners: Floats, apart: float) -> list[Match]:
    """The best match of each place, of matches in order of cost."""
    found: list[Match] = []
    for match in matches:
        if all(match.motion.away_from(other.motion, corners) > apart for other in found):
            found.append(match)
    return found


def is_ambiguous(found: Alignment) -> bool:
    """Whether the rival costs hardly more, measured by what aligning gains over no explanation at all (cost 1)."""
    return (1 - found.rival.cost) > (1 - CLOSE) * (1 - found.match.cost)


def is_weak(found: Alignment) -> bool:
    """Whether the moving image explains so little that any motion might do."""
    return found.match.ratio < LEAST_RATIO
