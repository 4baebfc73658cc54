"""Exact lumens: tubes around curves with known centerlines, radii and ends."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]


class Vessel(NamedTuple):
    """A curve (n, 3) mm with a radius (n,) mm at each point."""

    curve: Floats
    radius: Floats

    @property
    def length(self) -> float:
        return float(np.linalg.norm(np.diff(self.curve, axis=0), axis=1).sum())


class Lumen(NamedTuple):
    """A mask (x, y, z) and its affine; centres of voxels nearer to a curve than its radius there are inside."""

    mask: Mask
    affine: Floats
    vessels: list[Vessel]

    @property
    def curve(self) -> Floats:
        return np.concatenate([v.curve for v in self.vessels])

    @property
    def radius(self) -> Floats:
        return np.concatenate([v.radius for v in self.vessels])

    def turned(self, rotation: Floats) -> "Lumen":
        """The same voxels in a world turned by a rotation (3, 3): an oblique grid."""
        affine = np.eye(4)
        affine[:3] = rotation @ self.affine[:3]
        return Lumen(self.mask, affine, [Vessel(v.curve @ rotation.T, v.radius) for v in self.vessels])

    def truth_at(self, points: Floats) -> tuple[Floats, Floats]:
        """Distance (n,) of points to the true centerline, and its radius (n,) there, mm."""
        distance, nearest = cKDTree(self.curve).query(points)
        return distance, self.radius[nearest]


def draw(
    vessels: list[Vessel], spacing: Floats, crop: tuple[Floats, Floats] | None = None, margin: float = 5.0
) -> Lumen:
    """Voxelise vessels whose free ends are cut flat; `crop` gives corners of the field of view in mm."""
    curve = np.concatenate([v.curve for v in vessels])
    widest = max(float(v.radius.max()) for v in vessels)
    low, high = curve.min(axis=0) - widest - margin, curve.max(axis=0) + widest + margin
    if crop is not None:
        low, high = np.maximum(low, crop[0]), np.minimum(high, crop[1])
    shape = np.ceil((high - low) / spacing).astype(int)
    points = np.indices(tuple(shape)).reshape(3, -1).T * spacing + low
    inside = np.zeros(len(points), bool)
    for number, vessel in enumerate(vessels):
        distance, nearest = cKDTree(vessel.curve).query(points, distance_upper_bound=widest + 1)
        near = np.flatnonzero(np.isfinite(distance))
        hit = near[distance[near] < vessel.radius[nearest[near]]]
        for end, inward in ((0, 1), (-1, -2)):
            if end == 0 and number > 0:
                continue
            out = vessel.curve[end] - vessel.curve[inward]
            at_end = nearest[hit] == (0 if end == 0 else len(vessel.curve) - 1)
            hit = hit[~(at_end & ((points[hit] - vessel.curve[end]) @ out > 0))]
        inside[hit] = True
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    return Lumen(inside.reshape(tuple(shape)), affine, vessels)


def bent_tube(radius: float, length: float, rng: np.random.Generator) -> Vessel:
    """A gently curved vessel in a random direction."""
    s = np.linspace(0, 1, 2000)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    wave = [length * s, 0.12 * length * np.sin(2.6 * np.pi * s), 0.1 * length * np.cos(1.8 * np.pi * s)]
    curve = np.stack(wave, axis=1) @ turn.T + rng.uniform(0, 1, 3)
    return Vessel(curve, np.full(len(s), radius))


def fork(radius: float = 2.5, narrowing: float = 0.5) -> list[Vessel]:
    """A trunk with a stenosis at its middle and two daughters of 0.8 and 0.7 times its radius."""
    s = np.linspace(0, 1, 1500)[:, None]
    split = np.array([0.0, 2.0, 30.0])
    trunk = _bezier(s, np.zeros(3), np.array([2.0, -1.0, 15.0]), split)
    way = trunk[-1] - trunk[-2]
    way *= 6 / np.linalg.norm(way)
    calibre = radius * (1 - narrowing * np.exp(-(((s[:, 0] - 0.5) / 0.1) ** 2)))
    left = _bezier(s, split, split + way, np.array([18.0, 3.0, 48.0]))
    right = _bezier(s, split, split + way, np.array([-16.0, -2.0, 50.0]))
    return [
        Vessel(trunk, calibre),
        Vessel(left, np.full(1500, 0.8 * radius)),
        Vessel(right, np.full(1500, 0.7 * radius)),
    ]


def straight_fork(
    degrees: tuple[float, ...], radii: tuple[float, ...], turn: Floats, length: float = 22.0
) -> list[Vessel]:
    """A trunk of radius 3 and straight daughters at angles to its direction, in one plane, turned by (3, 3)."""
    s = np.linspace(0, 1, 1200)[:, None]
    split = np.array([0.0, 0.0, length])
    vessels = [Vessel(s * split @ turn.T, np.full(1200, 3.0))]
    for angle, radius in zip(np.radians(degrees), radii, strict=True):
        way = np.array([np.sin(angle), 0.0, np.cos(angle)])
        vessels.append(Vessel((split + s * length * way) @ turn.T, np.full(1200, radius)))
    return vessels


def random_rotation(rng: np.random.Generator) -> Floats:
    """A rotation (3, 3), no reflection."""
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return np.asarray(turn * np.sign(np.linalg.det(turn)))


def _bezier(s: Floats, start: Floats, pull: Floats, end: Floats) -> Floats:
    return np.asarray((1 - s) ** 2 * start + 2 * s * (1 - s) * pull + s**2 * end)
