"""Which voxels moved the grade: integrated gradients of the expected grade, on the scan's own grid.

Sundararajan, Taly and Yan 2017 ("Axiomatic Attribution for Deep Networks", ICML), equation 1. With the expected grade E
of the calibrated distribution, the scan x, and a baseline b that has the mean of the scan in every voxel,

    a_v = (x_v - b_v) int_0^1 dE/dx_v (b + t (x - b)) dt,    sum_v a_v = E(x) - E(b).

Attributions are grades, and complete: together they are what the scan's structure adds to the grade of an image without
any. They tell what the network used, not what made the patient ill.

The network sees cells, each a mean of voxels, W x, scaled by s of the scan's normalisation, which is taken as fixed.
Then dE/dx = s W' dE/dcell, so that the integral is taken on cells and pulled back to voxels once, and stays complete
there. It is computed by the midpoint rule; what that misses of the sum is told.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from voxfield.artifacts import Image
from voxfield.grading.calibration import Temperature
from voxfield.grading.grader import Grader
from voxfield.grading.inputs import HIGH, LOW, InputGrid, normalise, overlap_weights, ras_axes, resample, to_ras

Floats = NDArray[np.float64]
AT_ONCE = 16  # points of the path in one batch


@dataclass(frozen=True)
class Attribution:
    """What each voxel adds to the expected grade.

    voxels    (x, y, z) on the scan's grid, in grades
    expected  grade of the scan              baseline  of the image without structure
    """

    voxels: Floats
    expected: float
    baseline: float

    @property
    def missed(self) -> float:
        """How far the voxels' sum is from what it should be, in grades."""
        return float(abs(self.voxels.sum() - (self.expected - self.baseline)))


def attribute(grader: Grader, image: Image, features: Floats | None, points: int, device: Any) -> Attribution:
    """Integrated gradients of one scan.

    features  (1, f) as the model knows them, or None; the same all along the path
    points    of the path from the baseline to the scan
    """
    volume, spacing = to_ras(np.asarray(image.data, dtype=np.float64), image.affine)
    weights = cell_weights(volume.shape, spacing, grader.grid)
    cells = resample(volume, spacing, grader.grid)
    low, high = np.percentile(cells, [LOW, HIGH])
    scale = 2 / (high - low) if high > low else 0.0
    structure = volume - volume.mean()
    seen = normalise(cells)
    path = Path(grader, seen - scale * along(weights, structure), seen, features, device)
    pulled = along([w.T for w in weights], path.gradient(points))
    voxels = from_ras(scale * structure * pulled, image.affine)
    return Attribution(voxels, path.expected(1.0), path.expected(0.0))


@dataclass(frozen=True)
class Path:
    """The straight way from the baseline's cells to the scan's, (x, y, z) each."""

    grader: Grader
    start: Floats
    end: NDArray[np.float32]
    features: Floats | None
    device: Any

    def expected(self, place: float) -> float:
        """The expected grade at a place from 0 to 1 of the way."""
        with torch.no_grad():
            return float(self._grades(self._images(np.array([place])))[0])

    def gradient(self, points: int) -> Floats:
        """Mean gradient of the expected grade by the cells, (x, y, z)."""
        total = np.zeros(self.end.shape)
        places = (np.arange(points) + 0.5) / points
        for first in range(0, points, AT_ONCE):
            images = self._images(places[first : first + AT_ONCE]).requires_grad_()
            (slope,) = torch.autograd.grad(self._grades(images).sum(), images)
            total += slope.sum(0).cpu().double().numpy().reshape(self.end.shape)
        return total / points

    def _images(self, places: Floats) -> Tensor:
        on_the_way = self.start + places[:, None, None, None] * (self.end - self.start)
        return torch.from_numpy(self.grader.grid.as_input(on_the_way.astype(np.float32))).to(self.device)

    def _grades(self, images: Tensor) -> Tensor:
        table = None
        if self.grader.scaler is not None and self.features is not None:
            row = torch.from_numpy(self.grader.scaler.apply(self.features)).to(self.device)
            table = row.expand(len(images), -1)
        return expected_grade(self.grader.network(images, table), self.grader.temperature)


def expected_grade(log_probability: Tensor, temperature: Temperature) -> Tensor:
    """Mean of the calibrated distribution, (n,) from (n, k): sum_j sigmoid(logit P(y > j) / T), see `calibration`."""
    log_p = log_probability.double()
    if temperature.of == "classes":
        return torch.softmax(log_p / temperature.value, dim=1) @ torch.arange(log_p.shape[1]).to(log_p)
    below = torch.logcumsumexp(log_p, dim=1)[:, :-1]
    above = torch.logcumsumexp(log_p.flip(1), dim=1).flip(1)[:, 1:]
    return torch.sigmoid((above - below) / temperature.value).sum(1)


def cell_weights(shape: tuple[int, ...], spacing_mm: ArrayLike, grid: InputGrid) -> list[Floats]:
    """Share of each voxel in each cell, (cells, voxels) for each axis: `inputs.resample` as matrices."""
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if tuple(shape) == grid.shape and np.allclose(spacing, grid.spacing_mm, rtol=1e-3):
        return [np.eye(n) for n in shape]
    return [overlap_weights(n, mm, m, cell) for n, mm, m, cell in zip(shape, spacing, grid.shape, grid.spacing_mm,
                                                                     strict=True)]  # fmt: skip


def along(weights: list[Floats], volume: Floats) -> Floats:
    """A matrix for each axis of a volume (x, y, z), one after the other."""
    for axis, matrix in enumerate(weights):
        volume = np.moveaxis(np.tensordot(matrix, volume, axes=(1, axis)), 0, axis)
    return volume


def from_ras(volume: Floats, affine: ArrayLike) -> Floats:
    """The inverse of `inputs.to_ras`: a volume along RAS+ axes on the axes of a scan."""
    order, backwards, _ = ras_axes(affine)
    turned = np.flip(volume, tuple(axis for axis in range(3) if backwards[axis]))
    return np.ascontiguousarray(np.transpose(turned, np.argsort(order)))
