"""From a scan's own grid to the grid a network works on, and back.

Three steps, each with its inverse: voxel axes are permuted and flipped to the closest RAS+ order (exact), the
volume is resampled along its axes to the model's spacing (linear; a triangle as wide as the coarser voxel, so
that shrinking does not alias), and intensities are shifted and scaled. An oblique scan stays oblique: only
the order and the sign of its axes change. Both grids share the corner of the field of view, not a voxel
centre, so that resampling does not move the anatomy by half a voxel. Spacings that agree within 1 % are
taken as equal and no voxel is interpolated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SAME_SPACING = 0.01  # relative difference below which two spacings count as equal
_SAMPLE = 1_000_000  # voxels that percentiles are computed from


def canonical_axes(affine: NDArray[np.float64]) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Which voxel axis runs closest to each world axis, and whether it runs backwards.

    affine   (4, 4)  voxel index to world, mm, RAS+
    returns  (axes, flips): canonical axis k is voxel axis axes[k], reversed where flips[k]
    """
    matrix = np.asarray(affine, dtype=np.float64)[:3, :3]
    directions = matrix / np.linalg.norm(matrix, axis=0)
    # Over all six orders at once: taking each world axis's best in turn can hand one voxel axis out twice.
    best = max(permutations(range(3)), key=lambda order: sum(abs(directions[k, order[k]]) for k in range(3)))
    flips = [bool(directions[k, best[k]] < 0) for k in range(3)]
    return (best[0], best[1], best[2]), (flips[0], flips[1], flips[2])


@dataclass(frozen=True)
class Frame:
    """The map between a scan's own grid and a model's grid.

    axes, flips      as `canonical_axes` gives them
    own_shape        (3,) voxels of the scan in canonical order
    own_spacing      (3,) mm of the scan in canonical order
    shape, spacing   (3,) of the model's grid
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    own_shape: tuple[int, ...]
    own_spacing: tuple[float, ...]
    shape: tuple[int, ...]
    spacing: tuple[float, ...]

    @property
    def resamples(self) -> bool:
        """Whether the two grids differ in more than the order of their axes."""
        return self.spacing != self.own_spacing

    def to_model(self, volume: Tensor) -> Tensor:
        """Reorient (x, y, z) of the scan and resample it linearly to (x', y', z') of the model's grid."""
        volume = self._reorient(volume)
        if not self.resamples:
            return volume
        return _resample(volume, self.own_spacing, self.shape, self.spacing)

    def labels_to_model(self, labels: Tensor) -> Tensor:
        """Like `to_model` by nearest neighbour, for integers."""
        labels = self._reorient(labels)
        if not self.resamples:
            return labels
        return _nearest(labels, self.own_spacing, self.shape, self.spacing)

    def from_model(self, volume: Tensor) -> Tensor:
        """Bring (x', y', z') of the model's grid back to the scan's own voxels, linearly."""
        if self.resamples:
            volume = _resample(volume, self.spacing, self.own_shape, self.own_spacing)
        return self._restore(volume)

    def labels_from_model(self, labels: Tensor) -> Tensor:
        """Like `from_model` by nearest neighbour, for integers."""
        if self.resamples:
            labels = _nearest(labels, self.spacing, self.own_shape, self.own_spacing)
        return self._restore(labels)

    def _reorient(self, volume: Tensor) -> Tensor:
        return volume.permute(self.axes).flip([k for k in range(3) if self.flips[k]]).contiguous()

    def _restore(self, volume: Tensor) -> Tensor:
        order = tuple(int(k) for k in np.argsort(self.axes))
        return volume.flip([k for k in range(3) if self.flips[k]]).permute(order).contiguous()


def frame(shape: Sequence[int], affine: NDArray[np.float64], spacing: Sequence[float] | None = None) -> Frame:
    """The frame of a scan.

    shape    (3,)    voxels along the scan's own axes
    affine   (4, 4)  voxel index to world, mm
    spacing  (3,)    mm of the model's grid along R, A, S; None keeps the scan's own
    """
    axes, flips = canonical_axes(affine)
    lengths = np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, :3], axis=0)
    own_shape = tuple(int(shape[k]) for k in axes)
    own_spacing = tuple(float(lengths[k]) for k in axes)
    target = own_spacing if spacing is None else tuple(float(s) for s in spacing)
    if all(abs(a / b - 1) <= SAME_SPACING for a, b in zip(own_spacing, target, strict=True)):
        return Frame(axes, flips, own_shape, own_spacing, own_shape, own_spacing)
    new = tuple(max(1, round(n * a / b)) for n, a, b in zip(own_shape, own_spacing, target, strict=True))
    return Frame(axes, flips, own_shape, own_spacing, new, target)


def _positions(n_out: int, out_mm: float, n_in: int, in_mm: float) -> NDArray[np.float64]:
    """Centres of the output voxels as input indices, held inside the first and last input centre."""
    centres = (np.arange(n_out) + 0.5) * (out_mm / in_mm) - 0.5
    return np.clip(centres, 0, n_in - 1)


def axis_weights(n_out: int, out_mm: float, n_in: int, in_mm: float) -> NDArray[np.float64]:
    """Interpolation matrix of one axis (n_out, n_in); rows are >= 0 and sum to 1.

    A triangle of half width one input voxel (linear interpolation), or one output voxel where that is larger.
    """
    distance = np.abs(_positions(n_out, out_mm, n_in, in_mm)[:, None] - np.arange(n_in))
    weights = np.clip(1 - distance / max(1.0, out_mm / in_mm), 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _resample(volume: Tensor, spacing: Sequence[float], shape: Sequence[int], new: Sequence[float]) -> Tensor:
    for axis in range(3):
        weights = axis_weights(shape[axis], new[axis], volume.shape[axis], spacing[axis])
        matrix = torch.from_numpy(weights).to(device=volume.device, dtype=volume.dtype)
        volume = torch.tensordot(volume, matrix, dims=([axis], [1])).movedim(-1, axis)
    return volume.contiguous()


def _nearest(labels: Tensor, spacing: Sequence[float], shape: Sequence[int], new: Sequence[float]) -> Tensor:
    for axis in range(3):
        centres = _positions(shape[axis], new[axis], labels.shape[axis], spacing[axis])
        index = torch.from_numpy(np.floor(centres + 0.5).astype(np.int64)).to(labels.device)
        labels = labels.index_select(axis, index.clamp_max(labels.shape[axis] - 1))
    return labels.contiguous()


def percentiles(volume: NDArray[np.float32], q: Sequence[float]) -> list[float]:
    """Percentiles of a volume, from at most a million voxels at a regular stride."""
    flat = volume.reshape(-1)
    return [float(v) for v in np.percentile(flat[:: max(1, flat.size // _SAMPLE)].astype(np.float64), q)]


def moments(volume: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation of the values between the 0.5 and 99.5 percentile; (mean, 0) if
    constant."""
    flat = volume.reshape(-1)
    values = flat[:: max(1, flat.size // _SAMPLE)].astype(np.float64)
    low, high = np.percentile(values, (0.5, 99.5))
    values = values[(values >= low) & (values <= high)]
    return float(values.mean()), float(values.std())


@dataclass(frozen=True)
class Normalisation:
    """Shift and scale of intensities.

    mode           "volume": by each volume's own moments, for scanners without units (MR);
                   "cohort": by those of the training cohort, where numbers mean something (CT)
    centre, scale  used by "cohort"
    """

    mode: str = "volume"
    centre: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(cls, mode: str, moments: Sequence[tuple[float, float]]) -> "Normalisation":
        """The normalisation of a cohort whose scans have these means and standard deviations."""
        if mode == "volume":
            return cls()
        means, sds = np.array(moments).T
        # The variance over all scans: within plus between.
        return cls(mode, float(means.mean()), float(np.sqrt((sds**2 + (means - means.mean()) ** 2).mean())))

    def terms(self, own: tuple[float, float]) -> tuple[float, float]:
        """Shift and scale for a volume of the given moments; scale 1 for a constant one."""
        centre, scale = (self.centre, self.scale) if self.mode == "cohort" else own
        # A scale lost in rounding (a constant image) would turn noise of the last bit into signal.
        usable = scale > 1e-6 * max(abs(centre), float(np.finfo(np.float32).tiny))
        return centre, scale if usable else 1.0

    def apply(self, volume: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise an array of any shape; a constant volume becomes zero by "volume"."""
        centre, scale = self.terms(moments(volume))
        result = np.subtract(volume, np.float32(centre), dtype=np.float32)
        return np.asarray(np.divide(result, np.float32(scale), out=result))
