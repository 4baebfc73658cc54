"""Scans without labels on one grid."""

from collections.abc import Sequence
from statistics import median

import torch
from torch import Tensor

from voxfield.artifacts import Image
from voxfield.segmentation import _preprocess
from voxfield.segmentation._preprocess import Normalisation
from voxfield.segmentation._scans import voxels


def prepared(
    images: Sequence[Image], spacing_mm: tuple[float, float, float] | None, mode: str
) -> tuple[list[list[Tensor]], tuple[float, ...]]:
    """The channels of every scan on the model's grid, and the spacing of that grid, mm; files are read one by one."""
    spacings, moments = [], []
    for image in images:
        spacings.append(_preprocess.frame(image.shape, image.affine).own_spacing)
        moments.append(_preprocess.moments(voxels(image)))
        image.release()
    grid = spacing_mm or tuple(median(s[axis] for s in spacings) for axis in range(3))
    norm = Normalisation.of(mode, moments)
    scans = []
    for image in images:
        frame = _preprocess.frame(image.shape, image.affine, grid)
        scans.append([frame.to_model(torch.from_numpy(norm.apply(voxels(image))))])
        image.release()
    return scans, grid
