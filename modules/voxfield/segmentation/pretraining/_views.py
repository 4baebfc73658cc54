"""Patches of scans at corresponding places."""

from collections.abc import Sequence

import torch
from torch import Tensor

from voxfield.segmentation import _augment

JITTER = 0.1  # of the field of view, by which candidates lie apart from the corresponding place


def start_of(place: Tensor, shape: Sequence[int], patch: Sequence[int]) -> list[int]:
    """First voxel of the patch around a place, within the scan where it is large enough.

    place  (3,) relative coordinates, from 0 to 1
    """
    first = []
    for at, n, side in zip(place.tolist(), shape, patch, strict=True):
        low, high = min(0, (n - side) // 2), max(n - side, (n - side) // 2)
        first.append(min(max(round(at * n - side / 2), low), high))
    return first


def cut(channels: Sequence[Tensor], place: Tensor, patch: Sequence[int]) -> Tensor:
    """The patch (channels, x, y, z) around a place; the edge goes on outside."""
    where = _augment.positions(start_of(place, channels[0].shape, patch), patch, (False,) * 3)
    return torch.stack([_augment.read_image(channel, where) for channel in channels])


def vary(patch: Tensor, generator: torch.Generator) -> Tensor:
    """The patch with the intensities of its first channel varied."""
    return torch.cat([_augment.vary_intensity(patch[0], generator)[None], patch[1:]])


def around(place: Tensor, count: int, generator: torch.Generator) -> list[Tensor]:
    """The place itself, and further ones nearby."""
    offsets = JITTER * (2 * torch.rand(count - 1, 3, generator=generator) - 1)
    return [place, *(place + offsets).clamp(0, 1).unbind()]
