"""Local patches of a manifold from scattered points: tangent frames, and which neighbours lie on the same sheet.

Around every point the surface is fitted as a graph over its tangent plane, offset(u) = S u + quadratic(u) (osculating
jets; Cazals and Pouget, CAGD 22, 2005), by weighted least squares. The slope S turns the frame, so that a frame is
far more accurate than principal components (RVGP, arXiv 2309.16746: of the 15 nearest points, unweighted).

A patch grows from the plane of the principal components: first the laterally nearest points that lie close to the
plane, then more that lie close to the fitted jet, then all that do. Closeness is a fraction of the mean spacing, so
that points of a second sheet, a spacing or more away, are left out; nearest neighbours alone would take them in. Where
a patch disagrees with its neighbours, it is grown anew from their consensus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import gamma

from voxfield.errors import InputError
from voxfield.fields._neighbours import nearest

Real = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

CANDIDATES = 32
"""Nearest points that a patch is chosen from."""
STEPS = ((2, 8, 0.5), (2, 14, 0.4), (3, CANDIDATES, 0.3))
"""Degree of the jet of a growing patch, its most points, and their largest offset from the jet before, in spacings."""
SCALES = (8, 12, 20, 32)
"""Numbers of nearest points whose principal axes are tried."""
CONSENSUS = 8
"""Neighbours that vote on where a patch begins to grow."""
JUDGES = 16
"""Neighbours over which the flatness of a scale is averaged."""
REPAIRS = 2
"""Times that patches which disagree with their neighbours are grown anew."""
ODD = 0.9
"""Product of cosines between a frame and the consensus of its neighbours below which it is grown anew."""
FRAME_SCALE = 0.1
"""Error of a frame, radian, at which its vote counts half."""
FLAT_DROP = np.log(3.5)
"""Drop of the log variance from one principal axis to the next that makes the first of them the last tangent one."""
RIDGE = 1e-6


@dataclass(frozen=True)
class Patches:
    """Patches around n points.

    frames   (n, d, m) orthonormal tangent bases, each with a sign of its own
    near     (n, c) candidates, nearest first
    member   (n, c) whether a candidate lies on the sheet of the point
    spacing  (n,) mean distance of neighbours along the sheet, unit of the points
    error    (n,) error of the frame, radian: what the last degree of the jet changed; rather too large than too small
    """

    frames: Real
    near: Int
    member: Bool
    spacing: Real
    error: Real


def patches(points: Real, dimension: int | None, frames: Real | None, *, refine: bool = False) -> Patches:
    """Patches around points (n, d); frames (n, d, m) that are given are kept, or with `refine` begun with."""
    count = min(CANDIDATES, len(points) - 1)
    distance, near = nearest(cKDTree(points), points, count + 1)
    _refuse_duplicates(points, distance)
    distance, near = distance[:, 1:], near[:, 1:]
    offset = points[near] - points[:, None]
    weight = np.exp(-2 * np.square(distance / distance[:, -1:]))
    if frames is None:
        scales = [_principal_axes(offset, distance, size) for size in SCALES if size <= count]
        m = dimension or tangent_dimension([values for values, _ in scales])
        start = _consensus(*_flattest(scales, m, near), near)
    else:
        m, start = frames.shape[2], frames
    spacing = _spacing(distance, np.ones_like(distance, dtype=bool), m)
    grown = _grow(start, near, offset, weight, spacing, keep_frames=frames is not None and not refine)
    for _ in range(REPAIRS if frames is None and m < points.shape[1] else 0):
        start = _consensus(grown.frames, 1 / (1 + np.square(grown.error / FRAME_SCALE)), near)
        odd = np.flatnonzero(np.abs(np.linalg.det(start.transpose(0, 2, 1) @ grown.frames)) < ODD)
        if not len(odd):
            break
        again = _grow(start[odd], near[odd], offset[odd], weight[odd], spacing[odd], keep_frames=False)
        for name in ("frames", "member", "spacing", "error"):
            getattr(grown, name)[odd] = getattr(again, name)
    return grown


def tangent_dimension(scales: Sequence[Real]) -> int:
    """Dimension of a manifold from the principal variances (n, d) of its patches, largest first, at several scales.

    The first axis after which the variance drops enough, by the mean logarithm over the patches of the scale that shows
    it best; where it never does, all axes are tangent.
    """
    logs = [np.log(np.maximum(values, 1e-12 * values[:, :1])).mean(axis=0) for values in scales]
    drops = np.max([log[:-1] - log[1:] for log in logs], axis=0)
    steep = np.flatnonzero(drops > FLAT_DROP)
    return int(steep[0]) + 1 if len(steep) else scales[0].shape[1]


def _refuse_duplicates(points: Real, distance: Real) -> None:
    twice = np.flatnonzero(distance[:, 1] <= 1e-9 * np.ptp(points, axis=0).max())
    if len(twice):
        raise InputError(
            f"{len(twice)} points lie on top of another, the first is point {twice[0]}; expected distinct points"
        )


def _principal_axes(offset: Real, distance: Real, size: int) -> tuple[Real, Real]:
    """Variances (n, d) of the nearest `size` points, weighted by distance, largest first; axes (n, d, d) in columns."""
    weight = np.exp(-2 * np.square(distance[:, :size] / distance[:, size - 1 : size]))
    share = weight / weight.sum(axis=1, keepdims=True)
    part = offset[:, :size]
    centred = part - np.einsum("nc,ncd->nd", share, part)[:, None]
    values, axes = np.linalg.eigh(np.matmul((share[:, :, None] * centred).transpose(0, 2, 1), centred))
    return np.maximum(values[:, ::-1], 0), axes[:, :, ::-1]


def _flattest(scales: Sequence[tuple[Real, Real]], m: int, near: Int) -> tuple[Real, Real]:
    """Tangent bases (n, d, m) at the scale where the neighbourhood is flattest, and how flat it is (n,), 0 to 1."""
    if m == scales[0][0].shape[1]:
        return scales[0][1], np.ones(len(near))
    thickness = np.stack([values[:, m] / np.maximum(values[:, m - 1], 1e-300) for values, _ in scales])
    # Few points are flat by chance: a scale is judged by its neighbourhood.
    best = np.argmin(np.log(thickness + 1e-6)[:, near[:, :JUDGES]].mean(axis=2), axis=0)
    everyone = np.arange(len(near))
    bases = np.stack([axes[:, :, :m] for _, axes in scales])[best, everyone]
    return bases, 1 - thickness[best, everyone].clip(max=1)


def _consensus(bases: Real, flatness: Real, near: Int) -> Real:
    """Bases of the mean projector of the nearest points: what a few patches that span two sheets can not tilt."""
    around = np.concatenate([np.arange(len(near))[:, None], near[:, :CONSENSUS]], axis=1)
    votes = bases * np.square(flatness)[:, None, None]
    stacked = votes[around].transpose(0, 2, 1, 3).reshape(len(near), bases.shape[1], -1)
    _, axes = np.linalg.eigh(stacked @ stacked.transpose(0, 2, 1))
    return axes[:, :, : -bases.shape[2] - 1 : -1]


def _spacing(distance: Real, member: Bool, m: int) -> Real:
    """(V r^m / count)^(1/m), with V the volume of the unit ball: the side of the cell that a point has to itself."""
    ball = np.pi ** (m / 2) / gamma(m / 2 + 1)
    reach = np.where(member, distance, 0).max(axis=1)
    spacing: Real = reach * (ball / np.maximum(member.sum(axis=1), 1)) ** (1 / m)
    return spacing


def _grow(frames: Real, near: Int, offset: Real, weight: Real, spacing: Real, *, keep_frames: bool) -> Patches:
    m = frames.shape[2]
    if m == frames.shape[1]:
        return Patches(frames, near, np.ones(near.shape, dtype=bool), spacing, np.zeros(len(near)))
    distance = np.linalg.norm(offset, axis=2)
    size = distance[:, -1]
    inside = offset @ frames
    height = offset - inside @ frames.transpose(0, 2, 1)
    scaled, lateral = inside / size[:, None, None], np.linalg.norm(inside, axis=2)
    left = np.linalg.norm(height, axis=2)
    for degree, most, closeness in STEPS:
        close = left < closeness * spacing[:, None]
        rank = np.argsort(np.argsort(np.where(close, lateral, np.inf), axis=1, kind="stable"), axis=1)
        member = close & (rank < most)
        basis = monomials(scaled, degree)
        jet = _fit(basis[:, :, m if keep_frames else 0 :], height, weight * member)
        left = np.linalg.norm(height - basis[:, :, m if keep_frames else 0 :] @ jet, axis=2)
    alone = ~member.any(axis=1)
    member[alone, 0] = True
    spacing = _spacing(distance, member, m)
    if keep_frames:
        return Patches(frames, near, member, spacing, np.zeros(len(near)))
    slope = jet[:, :m].transpose(0, 2, 1) / size[:, None, None]
    coarser = (
        _fit(monomials(scaled, degree - 1), height, weight * member)[:, :m].transpose(0, 2, 1) / size[:, None, None]
    )
    turned, _ = np.linalg.qr(frames + slope)
    return Patches(turned, near, member, spacing, np.linalg.norm(slope - coarser, axis=(1, 2)))


def monomials(places: Real, degree: int) -> Real:
    """Products of 1 to `degree` coordinates of places (..., m), as (..., q)."""
    m = places.shape[-1]
    exponents = [c for size in range(1, degree + 1) for c in combinations_with_replacement(range(m), size)]
    return np.stack([np.prod(places[..., list(axes)], axis=-1) for axes in exponents], axis=-1)


def _fit(basis: Real, height: Real, weight: Real) -> Real:
    """Jets (n, q, d) through the points, by weighted least squares with a small ridge."""
    weighted = (basis * weight[:, :, None]).transpose(0, 2, 1)
    ridge = RIDGE * weight.sum(axis=1)[:, None, None] + 1e-12
    jet: Real = np.linalg.solve(weighted @ basis + ridge * np.eye(basis.shape[2]), weighted @ height)
    return jet
