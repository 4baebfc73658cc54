"""A knee as a radiograph shows it from the front, with the signs by which Kellgren and Lawrence (1957) grade it.

Everything lies in a plane of millimetres: u from medial to lateral, z upwards, the joint line at the origin. Femur and
tibia are soft-edged regions, so that a pixel at an edge holds its share of bone. With the severity (0 to 5, whole
numbers where a grade begins) the space of the worse compartment narrows, osteophytes grow at the four margins, the bone
below the cartilage gets denser, and the leg tilts towards the worse compartment; how much each of them does so differs
from knee to knee. That is all it shows: no cysts, no patella, no projection of depth.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]
# At the severities 0, 1, ... 5: what the grades are defined by. Osteophytes are "possible" at 1, definite at 2;
# narrowing is definite at 3; grade 4 has both in full, and marked sclerosis.
NARROWING = (0.0, 0.06, 0.2, 0.42, 0.7, 1.0)  # share of the healthy space that is lost
OSTEOPHYTES_MM = (0.0, 0.6, 1.8, 3.0, 4.4, 5.8)
SCLEROSIS = (0.0, 0.02, 0.06, 0.16, 0.3, 0.42)  # of the contrast between bone and tissue
TILT_DEG = (0.0, 0.0, 0.5, 1.5, 3.0, 5.0)
EDGE_MM = 0.45


@dataclass(frozen=True)
class Knee:
    """One knee.

    size         of all lengths but the joint space, relative
    space_mm     between the bones, medial and lateral
    growths_mm   osteophytes: femur medial, femur lateral, tibia medial, tibia lateral
    sclerosis    of the bone at the joint line, medial and lateral
    tilt_deg     of the femur against the tibia
    pose         turn of the picture in degrees, shift to the lateral side and upwards in mm
    """

    size: float
    space_mm: tuple[float, float]
    growths_mm: tuple[float, float, float, float]
    sclerosis: tuple[float, float]
    tilt_deg: float
    pose: tuple[float, float, float]

    @classmethod
    def draw(cls, severity: float, patient: np.random.Generator, own: np.random.Generator) -> Self:
        """A knee of this severity; what both knees of a patient share comes from `patient`."""
        size = float(np.exp(0.06 * patient.standard_normal()))
        healthy = 5.2 + 0.5 * float(patient.standard_normal())
        worse = 0 if own.random() < 0.8 else 1
        lost = _at(severity, NARROWING) * float(_spread(own, 0.12)[0])
        space = [healthy * (1 - 0.25 * lost), healthy * (1 - 0.25 * lost)]
        space[worse] = max(healthy * (1 - lost), 0.0)
        growths = _at(severity, OSTEOPHYTES_MM) * _spread(own, 0.25, 4)
        dense = _at(severity, SCLEROSIS) * _spread(own, 0.2, 2) * np.where(np.arange(2) == worse, 1.0, 0.35)
        tilt = _at(severity, TILT_DEG) * (1 if worse else -1) + float(own.normal(0, 0.7))
        pose = (float(own.normal(0, 2.5)), float(own.normal(0, 1.5)), float(own.normal(0, 1.5)))
        a, b, c, d = growths.tolist()
        return cls(size, (space[0], space[1]), (a, b, c, d), (float(dense[0]), float(dense[1])), tilt, pose)


def plane_mm(cells: int, spacing_mm: float) -> tuple[Floats, Floats]:
    """Places of the pixels of a square plane about the origin: u (cells, 1) and z (1, cells)."""
    axis: Floats = (np.arange(cells) - (cells - 1) / 2) * np.float64(spacing_mm)
    return axis[:, None], axis[None, :]


def attenuation(knee: Knee, u: Floats, z: Floats) -> Floats:
    """What the beam loses, (u, z): 0 in air, about .35 in soft tissue, about 1 in dense bone."""
    turn, right, up = knee.pose
    u, z = _turned((u - right) / knee.size, (z - up) / knee.size, turn)
    medial = _soft(-u, 4.0)
    half = 0.5 * (knee.space_mm[0] * medial + knee.space_mm[1] * (1 - medial)) / knee.size
    femur = _femur(*_turned(u, z - half, knee.tilt_deg), knee.growths_mm[:2])
    tibia = _tibia(u, z + half, knee.growths_mm[2:])
    dense = knee.sclerosis[0] * medial + knee.sclerosis[1] * (1 - medial)
    layer = np.exp(-((np.maximum(np.abs(z) - half, 0.0) / 3.0) ** 2)) * np.exp(-((u / 24.0) ** 4))
    bone = np.maximum(femur, tibia)
    edge = 0.25 * bone * (1 - bone) * 4  # the cortex
    tissue = 0.35 * _soft(38.0 - np.abs(u), 3.0)
    return np.asarray(tissue + bone * (0.4 + dense * layer) + 0.3 * edge)


def radiograph(knee: Knee, cells: int, spacing_mm: float, noise: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The exposed picture (u, z), grey values 0 to 255, bone bright; exposure and texture are drawn."""
    picture = attenuation(knee, *plane_mm(cells, spacing_mm))
    coarse = rng.standard_normal((2, cells, cells))
    texture = ndimage.gaussian_filter(coarse[0], 1.2 / spacing_mm) * (2.4 / spacing_mm)
    uneven = ndimage.gaussian_filter(coarse[1], cells / 4, mode="wrap") * (cells / 2)
    picture = picture * (1 + 0.05 * texture + 0.04 * uneven)
    picture = ndimage.gaussian_filter(picture, 0.5 / spacing_mm)
    gain, offset = 190 * np.exp(0.1 * rng.standard_normal()), 12 + 8 * rng.standard_normal()
    noisy = offset + gain * (picture + noise * rng.standard_normal(picture.shape))
    return np.asarray(np.clip(np.rint(noisy), 0, 255), dtype=np.uint8)


def _femur(u: Floats, z: Floats, growths: tuple[float, ...]) -> Floats:
    """Two condyles under a shaft, their lowest points at z = 0."""
    condyles = [_ellipse(u, z, centre, 17.0, 15.5, 17.0) for centre in (-13.5, 13.5)]
    shaft = np.minimum(_soft(19.0 - np.abs(u) + 0.12 * np.minimum(z - 14, 14.0), EDGE_MM), _soft(z - 13.0, EDGE_MM))
    spurs = [_ellipse(u, z, side * (28.0 + 0.5 * g), 8.0, g, 0.8 * g) for side, g in zip((-1, 1), growths, strict=True)]
    return _union(*condyles, shaft, *spurs)


def _tibia(u: Floats, z: Floats, growths: tuple[float, ...]) -> Floats:
    """A plateau at z = 0 with two spines, tapering to a shaft."""
    width = 30.0 - 9.0 * _soft(-z - 13.0, 4.0)
    plateau = np.minimum(_soft(width - np.abs(u), EDGE_MM), _soft(-z, EDGE_MM))
    spines = [_ellipse(u, z, place, -1.0, 2.2, 3.6) for place in (-4.0, 4.0)]
    spurs = [
        _ellipse(u, z, side * (29.0 + 0.5 * g), -2.5, g, 0.7 * g) for side, g in zip((-1, 1), growths, strict=True)
    ]
    return _union(plateau, *spines, *spurs)


def _ellipse(u: Floats, z: Floats, centre_u: float, centre_z: float, half_u: float, half_z: float) -> Floats:
    """Share of bone in an ellipse; nothing where it is thinner than its edge."""
    if min(half_u, half_z) < EDGE_MM:
        return np.zeros(np.broadcast_shapes(u.shape, z.shape))
    radius = np.hypot((u - centre_u) / half_u, (z - centre_z) / half_z)
    return _soft((1 - radius) * min(half_u, half_z), EDGE_MM)


def _union(*parts: Floats) -> Floats:
    return np.asarray(np.maximum.reduce(np.broadcast_arrays(*parts)))


def _soft(inside_mm: Floats, width_mm: float) -> Floats:
    """1 inside, 0 outside, 1/2 on the edge."""
    return np.asarray(0.5 * (1 + np.tanh(inside_mm / width_mm)))


def _turned(u: Floats, z: Floats, degrees: float) -> tuple[Floats, Floats]:
    angle = np.radians(degrees)
    return u * np.cos(angle) + z * np.sin(angle), z * np.cos(angle) - u * np.sin(angle)


def _at(severity: float, values: tuple[float, ...]) -> float:
    return float(np.interp(severity, np.arange(len(values)), values))


def _spread(rng: np.random.Generator, sd: float, count: int = 1) -> Floats:
    """Factors about 1, never below 0; (count,)."""
    return np.asarray(np.exp(sd * rng.standard_normal(count)))
