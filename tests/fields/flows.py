"""Small flows with exact answers: Poiseuille flow in a tube, and small problems for dense algebra."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Image, LabelMap, VectorImage
from voxfield.fields._model import Measured
from voxfield.fields._observation import Observation, Operator
from voxfield.fields._prior import MEAN_VARIANCE, Box, Real

SPACING_MM = 0.8


@dataclass(frozen=True)
class Tube:
    """Poiseuille flow along a tilted axis, measured with noise; everything on one grid."""

    velocity: VectorImage
    truth: NDArray[np.float64]
    lumen: NDArray[np.bool_]
    probability: Image
    openings: LabelMap

    def error(self, field: NDArray[Any]) -> float:
        """Relative L2 error of a field (x, y, z, 3) in the lumen."""
        return float(np.linalg.norm((field - self.truth)[self.lumen]) / np.linalg.norm(self.truth[self.lumen]))


def tube(*, radius_mm: float = 3.2, noise: float = 0.1, length: int = 16, seed: int = 0) -> Tube:
    """A tube that leaves the field of view at both ends; noise in units of the peak speed, 1 m/s."""
    half = int(np.ceil(radius_mm / SPACING_MM)) + 3
    shape = (2 * half + 1, 2 * half + 1, length)
    direction = np.array([0.12, -0.08, 1.0])
    direction /= np.linalg.norm(direction)
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    x, y, z = np.meshgrid(*(SPACING_MM * (np.arange(n) - (n - 1) / 2) for n in shape), indexing="ij")
    places = np.stack([x, y, z], axis=-1)
    along = places @ direction
    distance = np.linalg.norm(places - along[..., None] * direction, axis=-1)
    lumen = distance < radius_mm
    truth = np.maximum(1 - (distance / radius_mm) ** 2, 0)[..., None] * direction
    measured = truth + noise * np.random.default_rng(seed).standard_normal(truth.shape)
    chance = np.clip(0.5 + (radius_mm - distance) / SPACING_MM, 0, 1)
    openings = np.zeros(shape, dtype=np.uint8)
    openings[..., 0] = np.where(lumen[..., 0], 2, 0)
    openings[..., -1] = np.where(lumen[..., -1], 3, 0)
    return Tube(
        VectorImage(measured, affine, unit="m/s"),
        truth,
        lumen,
        Image(chance.astype(np.float32), affine),
        LabelMap(openings, affine, labels={1: "wall", 2: "inlet", 3: "outlet"}),
    )


def small_box(refine: int = 2, operator: Operator = "cell-average") -> Observation:
    """A box that dense algebra can handle."""
    box = Box((4 * refine, 6 * refine, 4 * refine), (0.5, 0.6, 0.7), refine)
    return Observation(box, operator, "corner" if operator == "corner-aligned" else "cell")


def small_data(observation: Observation, count: int = 12, seed: int = 0) -> Measured:
    """Some voxels of the box, with values of unit size and unequal fill."""
    rng = np.random.default_rng(seed)
    every = np.argwhere(np.ones(observation.box.coarse, dtype=bool))
    voxels = every[rng.permutation(len(every))[:count]]
    return Measured(voxels, rng.standard_normal((count, 3, 1)), rng.uniform(0.5, 1, count), np.eye(3))


def dense_covariance(observation: Observation, length_mm: float, smoothness: float) -> Real:
    """Covariance of the components at all cell centres, (cells * 3)^2, by explicit matrices in place of FFT.

    The potential has the covariance F^H S F on edges; curl and averaging are matrices with two entries a row. A uniform
    velocity comes on top.
    """
    box = observation.box
    shape, cells = box.shape, int(np.prod(box.shape))
    place = np.argwhere(np.ones(shape, dtype=bool))
    angles = [2 * np.pi * np.fft.fftfreq(n) for n in shape]
    waves = [2 * np.sin(a / 2) / h for a, h in zip(angles, box.spacing, strict=True)]
    q = sum(np.square(w).reshape([-1 if a == b else 1 for b in range(3)]) for a, w in enumerate(waves))
    density = (1 + q * length_mm**2 / (2 * smoothness)) ** -(smoothness + 2.5)
    fourier = np.ones((cells, cells), dtype=complex)
    for axis in range(3):
        wave = np.outer(place[:, axis], np.arange(shape[axis])) * 2 * np.pi / shape[axis]
        fourier *= np.exp(1j * wave)[:, place[:, axis]]
    scalar = (fourier * density.ravel() @ fourier.conj().T).real / cells
    step = [_shift(shape, axis) for axis in range(3)]
    ahead = [(s - np.eye(cells)) / h for s, h in zip(step, box.spacing, strict=True)]
    zero = np.zeros((cells, cells))
    curl = np.block([[zero, -ahead[2], ahead[1]], [ahead[2], zero, -ahead[0]], [-ahead[1], ahead[0], zero]])
    average = np.block([[(np.eye(cells) + step[a]) / 2 if a == b else zero for b in range(3)] for a in range(3)])
    to_centres = average @ curl
    covariance: Real = to_centres @ np.kron(np.eye(3), scalar) @ to_centres.T
    return covariance / np.mean(np.diag(covariance)) + MEAN_VARIANCE * np.kron(np.eye(3), np.ones((cells, cells)))


def dense_observation(observation: Observation, voxels: NDArray[np.int64]) -> Real:
    """The rows of H for some voxels, (voxels, cells), by its definition as a weighted mean."""
    from voxfield.fields._observation import weights

    box = observation.box
    along = weights(observation.operator, box.refine)
    rows = np.zeros((len(voxels), *box.shape))
    for row, voxel in zip(rows, voxels, strict=True):
        for i, a in along.items():
            for j, b in along.items():
                for k, c in along.items():
                    cell = (box.refine * voxel + [i, j, k]) % box.shape
                    row[tuple(cell)] += a * b * c
    return rows.reshape(len(voxels), -1)


def _shift(shape: tuple[int, int, int], axis: int) -> Real:
    """The matrix that takes a field to its neighbour above."""
    cells = int(np.prod(shape))
    source = np.roll(np.arange(cells).reshape(shape), -1, axis).ravel()
    return np.eye(cells)[source]
