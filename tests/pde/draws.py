"""Random flows of known pressure drop on voxels as a scan would give them: means over voxels that the wall cuts.

Tubes hold Poiseuille flow in any direction, in masks up to half a voxel too narrow or two thirds too wide. Wedges hold
Jeffery-Hamel flow, converging up to Reynolds number 150, whose boundary layers are thinner than a voxel, or diverging
up to 12; they are as many voxels deep as their throat is wide, without walls in depth.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pde.exact import BLOOD, Floats, Wedge, centres
from voxfield.pde import Lumen

INLET, OUTLET = 2, 3
RADIUS, LENGTH, MEAN_SPEED = 4e-3, 24e-3, 0.05
PARTS = 3  # along the edge of a voxel that is averaged over


class Draw(NamedTuple):
    """A lumen weighted by its flow, the velocity (n, 3) in it and the pressure of the outlet over that of the inlet."""

    lumen: Lumen
    velocity: Floats
    drop: float


def random_tube(rng: np.random.Generator, across: int) -> Draw:
    """`across` voxels fit into the diameter."""
    step = 2 * RADIUS / across
    axis = rng.standard_normal(3)
    axis /= np.linalg.norm(axis)
    sides = np.abs(axis) * LENGTH + 3.2 * RADIUS + 6 * step
    steps = tuple(np.ceil(sides / step).astype(int).tolist())
    middle = np.array(steps) * step / 2 + rng.uniform(-0.5, 0.5, 3) * step
    loose = rng.uniform(-0.5, 0.7) * step

    def cylinder(points: Floats) -> tuple[Floats, Floats]:
        along = (points - middle) @ axis
        return np.linalg.norm(points - middle - along[..., None] * axis, axis=-1), along

    def flow(points: Floats) -> Floats:
        speed = 2 * MEAN_SPEED * (1 - (cylinder(points)[0] / RADIUS) ** 2)
        return np.maximum(speed, 0)[..., None] * axis

    points = centres(steps, (step,) * 3)
    away, along = cylinder(points)
    mask = (away < RADIUS + loose) & (np.abs(along) < LENGTH / 2)
    caps = (away < RADIUS + loose + step) & (np.abs(along) < LENGTH / 2 + 3 * step) & ~mask
    marks = _marks(mask, caps & (along <= -LENGTH / 2), caps & (along >= LENGTH / 2))
    velocity = _averaged(flow, points, away < RADIUS + 2 * step, step)
    drop = -8 * BLOOD.viscosity * MEAN_SPEED * LENGTH / RADIUS**2
    return _draw(mask, marks, step, velocity, drop)


def random_wedge(rng: np.random.Generator, across: int) -> Draw:
    """`across` voxels fit into the throat."""
    half_angle, converging = rng.uniform(0.08, 0.22), bool(rng.random() < 0.5)
    reynolds = (
        -np.exp(rng.uniform(np.log(5), np.log(150))) if converging else np.exp(rng.uniform(np.log(5), np.log(12)))
    )
    wedge = Wedge(half_angle, reynolds, 4e-3, BLOOD, tilt=rng.uniform(-0.5, 0.5))
    inner, outer = wedge.inner, 2 * wedge.inner
    step = 2 * half_angle * inner / across
    steps = (int(np.ceil(1.05 * outer / step)), int(np.ceil(1.5 * outer / step)), across)
    points = centres(steps, (step,) * 3) - np.array([0, steps[1] * step / 2, 0]) + rng.uniform(-0.5, 0.5, 3) * step
    radius, angle = wedge._polar(points)

    def flow(places: Floats) -> Floats:
        found = np.zeros_like(places)
        fluid = np.abs(wedge._polar(places)[1]) < half_angle
        found[fluid] = wedge(places[fluid])[0]
        return found

    mask = (np.abs(angle) < half_angle) & (radius > inner) & (radius < outer)
    caps = (np.abs(angle) < 1.2 * half_angle) & ~mask
    near, far = caps & (radius <= inner) & (radius > 0.7 * inner), caps & (radius >= outer)
    marks = _marks(mask, far, near) if converging else _marks(mask, near, far)
    close = (np.abs(angle) < 1.3 * half_angle) & (radius > 0.7 * inner)
    lumen = Lumen(mask, marks, (step,) * 3, INLET)
    planes = {}
    for label, plane in lumen.openings.items():
        faces = plane.faces
        outward = (np.arange(3) == faces.axes[:, None]) * (faces.signs * plane.half_steps)[:, None]
        planes[label] = float(plane.weights @ wedge(points[lumen.domain.mask][faces.cells] + outward)[1])
    velocity = _averaged(flow, points, close, step)
    return _draw(mask, marks, step, velocity, planes[OUTLET] - planes[INLET])


def _marks(mask: NDArray[np.bool_], inlet: NDArray[np.bool_], outlet: NDArray[np.bool_]) -> NDArray[np.int16]:
    marks = np.where(mask, 0, 1).astype(np.int16)
    marks[inlet], marks[outlet] = INLET, OUTLET
    return marks


def _averaged(flow: Callable[[Floats], Floats], points: Floats, where: NDArray[np.bool_], step: float) -> Floats:
    shifts = ((np.arange(PARTS) + 0.5) / PARTS - 0.5) * step
    places = np.stack(np.meshgrid(shifts, shifts, shifts), axis=-1).reshape(-1, 3)
    velocity = np.zeros_like(points)
    velocity[where] = np.mean([flow(points[where] + place) for place in places], axis=0)
    return velocity


def _draw(mask: NDArray[np.bool_], marks: NDArray[np.int16], step: float, velocity: Floats, drop: float) -> Draw:
    lumen = Lumen(mask, marks, (step,) * 3, INLET, np.linalg.norm(velocity, axis=-1))
    return Draw(lumen, velocity[lumen.domain.mask], drop)
