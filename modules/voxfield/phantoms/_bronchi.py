"""Random airway trees that fill a pair of lungs.

Growth follows Tawhai, Pullan and Hunter (Ann. Biomed. Eng. 28, 2000): a region of the lung, given by points
spread evenly in it, belongs to every branch; the branch grows 40 % of the way to the centre of mass of its
region, then a plane through its direction splits the region in two, one part a daughter. Calibres follow the
flow, taken as proportional to the region: d_daughter = d_mother share^(1/3), so that d^3 is kept (Murray 1926)
and equal daughters have the ratio 2^(-1/3) = 0.79 of Weibel (Morphometry of the Human Lung, 1963) and
Horsfield. Different from Tawhai's: the split lies across the widest direction of the region, at a random
share, and a pair of daughters that would touch other branches is not grown at all, so the lumen is one tree.

Coordinates: mm in a box with x to the patient's right, y to the front and z upwards; the trachea enters
through its top.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from voxfield.phantoms._anatomy import Branch
from voxfield.phantoms._lungs import Lungs, sample_lungs, sample_points

Real = NDArray[np.float64]

STEP_MM = 0.5
"""Distance of centerline points."""
TOWARDS_CENTER = 0.4
"""Share of the way to the centre of mass that a branch grows (Tawhai et al.)."""
STEEPEST = np.deg2rad(65)
LENGTH_RATIOS = (1.4, 4.0)
"""Shortest and longest branch in its diameters."""
POINTS_A_LUNG = 4000
FEWEST_POINTS = 8
"""A region with fewer is not split."""
CARINA_HEIGHT = 0.66
"""Over the height of the box."""


@dataclass(frozen=True)
class Limits:
    """Where growth ends.

    generations      the trachea is generation 0
    min_diameter_mm  no branch is thinner
    clearance_mm     least distance between the lumens of branches that are not joined
    """

    generations: int
    min_diameter_mm: float
    clearance_mm: float


@dataclass(frozen=True)
class _Bud:
    """A branch to be, with the region that it will supply."""

    parent: int
    region: Real
    share: float
    radius: float


def grow_airway(
    rng: np.random.Generator, size_mm: tuple[float, float, float], trachea_mm: float, limits: Limits
) -> tuple[Lungs, tuple[Branch, ...]]:
    """Lungs in a box of `size_mm` and the airway in them; parents stand before their children."""
    lungs = sample_lungs(rng, size_mm)
    regions = sample_points(rng, lungs, POINTS_A_LUNG, margin_mm=0.03 * size_mm[0])
    branches = [_trachea(rng, size_mm, trachea_mm / 2)]
    shares = [len(region) / sum(map(len, regions)) for region in regions]
    pairs = deque([(_bud(0, regions[0], shares[0], branches[0]), _bud(0, regions[1], shares[1], branches[0]))])
    while pairs:
        pair = pairs.popleft()
        grown = [_grow(rng, branches, bud) for bud in pair]
        if any(branch.radii[-1] < limits.min_diameter_mm / 2 for branch in grown):
            continue
        if any(_collides(branches, a, b, limits.clearance_mm) for a, b in (grown, grown[::-1])):
            continue
        for bud, branch in zip(pair, grown, strict=True):
            branches.append(branch)
            if branch.generation < limits.generations and len(bud.region) >= FEWEST_POINTS:
                pairs.append(_split(rng, bud, branch, len(branches) - 1))
    return lungs, tuple(branches)


def _trachea(rng: np.random.Generator, size_mm: tuple[float, float, float], radius: float) -> Branch:
    width, depth, height = size_mm
    middle = np.array([width / 2, 0.45 * depth])
    top = np.append(middle + rng.uniform(-0.02, 0.02, 2) * width, height)
    carina = np.append(middle + rng.uniform(-0.01, 0.01, 2) * width, CARINA_HEIGHT * height)
    points = _line(rng, top, carina)
    return _branch(points, radius, -1, 0, 1.0)


def _bud(parent: int, region: Real, share: float, mother: Branch) -> _Bud:
    return _Bud(parent, region, share * mother.share, float(mother.radii[-1] * share ** (1 / 3)))


def _grow(rng: np.random.Generator, branches: list[Branch], bud: _Bud) -> Branch:
    """A branch from the end of its mother towards the middle of its region."""
    mother = branches[bud.parent]
    start = mother.points[-1]
    away = bud.region.mean(axis=0) - start
    distance = float(np.linalg.norm(away))
    ahead = mother.points[-1] - mother.points[-2]
    direction = _bent(away / distance, ahead / np.linalg.norm(ahead))
    shortest, longest = (ratio * 2 * bud.radius for ratio in LENGTH_RATIOS)
    # It has to leave the lumen of its mother before its own length begins to count.
    length = float(np.clip(TOWARDS_CENTER * distance, shortest, longest)) + mother.radii[-1]
    return _branch(
        _line(rng, start, start + length * direction), bud.radius, bud.parent, mother.generation + 1, bud.share
    )


def _bent(wanted: Real, ahead: Real) -> Real:
    """The direction nearest to `wanted` that leaves `ahead` by at most the steepest angle; unit vectors."""
    cosine = float(wanted @ ahead)
    if cosine >= np.cos(STEEPEST):
        return wanted
    side = wanted - cosine * ahead
    side /= np.linalg.norm(side)
    bent: Real = np.cos(STEEPEST) * ahead + np.sin(STEEPEST) * side
    return bent


def _line(rng: np.random.Generator, start: Real, end: Real) -> Real:
    """Points every half millimetre of a line that swings a little to one side, (n, 3)."""
    length = float(np.linalg.norm(end - start))
    t = np.linspace(0, 1, max(4, round(length / STEP_MM)) + 1)[:, None]
    side = np.cross(end - start, rng.standard_normal(3))
    side *= rng.uniform(0, 0.05) * length / np.linalg.norm(side)
    points: Real = start + t * (end - start) + np.sin(np.pi * t) ** 2 * side
    return points


def _branch(points: Real, radius: float, parent: int, generation: int, share: float) -> Branch:
    radii = np.full(len(points), radius)
    return Branch(points, radii, radii, radius, parent, generation, share, ())


def _split(rng: np.random.Generator, bud: _Bud, branch: Branch, index: int) -> tuple[_Bud, _Bud]:
    """Halve a region across its widest direction at right angles to the branch, at a random share."""
    ahead = branch.points[-1] - branch.points[-2]
    ahead /= np.linalg.norm(ahead)
    flat = bud.region - bud.region.mean(axis=0)
    flat -= np.outer(flat @ ahead, ahead)
    widest = np.linalg.svd(flat, full_matrices=False)[2][0]
    place = flat @ widest
    share = float(rng.uniform(0.35, 0.65))
    first = place < np.quantile(place, share)
    share = float(first.mean())
    return _bud(index, bud.region[first], share, branch), _bud(index, bud.region[~first], 1 - share, branch)


def _collides(branches: list[Branch], new: Branch, sibling: Branch, clearance_mm: float) -> bool:
    """Whether a branch comes too near to any other; those that it is joined to may touch all but its far end."""
    tip = cKDTree(new.points[-len(new.points) // 4 :])
    tree = cKDTree(new.points)
    for index, other in enumerate([*branches, sibling]):
        joined = new.parent in {index, other.parent}
        distance = np.asarray((tip if joined else tree).query(other.points)[0])
        clearance = clearance_mm * (not joined)
        if distance.min() < new.radii[0] + other.radii[0] + clearance:
            return True
    return False
