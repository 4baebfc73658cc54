"""Flow through the openings as measured, before any constraint hides what does not balance.

The measured velocity is linear between the voxels that were measured (weights of those that were not go to the others),
and averaged over frames. Noise is independent between voxels, so that the variance of a flow is that of the noise times
the sum of the squares of what every voxel contributes, faces of one opening sharing voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxfield.artifacts import PartialVectorImage
from voxfield.fields._faces import LumenFaces
from voxfield.fields._observation import Observation
from voxfield.fields._prior import Real
from voxfield.fields._setting import Window


@dataclass(frozen=True)
class RawFlow:
    """Outflow through some openings, velocity times mm^2, and its standard deviation from noise."""

    outflow: float
    sd: float


class RawFlows:
    """Flows of one measurement through the faces of a lumen.

    noise_sd  of a component of the velocity in a voxel of one frame
    """

    def __init__(
        self, velocity: PartialVectorImage, window: Window, observation: Observation, faces: LumenFaces, noise_sd: float
    ) -> None:
        values = velocity.data.astype(np.float64) @ velocity.grid.axes
        measured = np.asarray(np.isfinite(values).all(axis=-1))
        self._count = measured.sum(axis=3)
        self._mean = np.where(measured[..., None], values, 0.0).sum(axis=3) / np.maximum(self._count, 1)[..., None]
        self._window = window
        self._observation = observation
        self._faces = faces
        self._noise_sd = noise_sd

    def through(self, labels: Sequence[int]) -> RawFlow:
        """Flow out of the lumen through all openings with these labels."""
        flow, variance = 0.0, 0.0
        for axis in range(3):
            weights = self._weights(axis, labels)
            flow += float(np.sum(weights * self._mean[..., axis]))
            seen = weights[self._count > 0] ** 2 / self._count[self._count > 0]
            variance += self._noise_sd**2 * float(seen.sum())
        return RawFlow(flow, float(np.sqrt(variance)))

    def _weights(self, axis: int, labels: Sequence[int]) -> Real:
        """What the velocity of every voxel along an axis contributes to the flow, mm^2."""
        area = float(np.prod(self._faces.spacing)) / self._faces.spacing[axis]
        face = np.argwhere(np.isin(self._faces.labels[axis], labels))
        before = np.pad(self._faces.lumen, [(1, 1) if a == axis else (0, 0) for a in range(3)])[tuple(face.T)]
        fine = self._window.start + face - 0.5 * (np.arange(3) == axis)
        place = (fine - self._observation.offset) / self._observation.box.refine
        place = np.clip(place, 0, np.array(self._count.shape) - 1)
        base = np.minimum(np.floor(place).astype(np.int64), np.maximum(np.array(self._count.shape) - 2, 0))
        corners = np.array(list(np.ndindex(2, 2, 2)))
        share = np.prod(np.where(corners, (place - base)[:, None], 1 - (place - base)[:, None]), axis=2)
        voxels = np.minimum(base[:, None] + corners, np.array(self._count.shape) - 1)
        share = np.where(self._count[tuple(np.moveaxis(voxels, -1, 0))] > 0, share, 0.0)
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
        weights = np.zeros(self._count.shape)
        signed = area * np.where(before, 1.0, -1.0)[:, None] * share
        np.add.at(weights, tuple(voxels.reshape(-1, 3).T), signed.ravel())
        return weights
