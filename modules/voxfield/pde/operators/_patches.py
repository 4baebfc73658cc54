"""Grids cut into patches, and padded to what can be cut."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def pad_to_multiple(values: Tensor, multiple: int) -> Tensor:
    """Zeros (b, c, *grid) at the high end of every axis, up to the next multiple."""
    missing = [-n % multiple for n in reversed(values.shape[2:])]
    return nn.functional.pad(values, [amount for one in missing for amount in (0, one)])


def crop(values: Tensor, grid: Sequence[int]) -> Tensor:
    """The first `grid` points (b, c, *grid) of every axis."""
    return values[(..., *(slice(n) for n in grid))]


def split(values: Tensor, patch: int) -> Tensor:
    """(b, c, *grid) -> (b * patches, pixels of a patch, c); the grid is a multiple of `patch` points a side."""
    batch, channels, *grid = values.shape
    dims = len(grid)
    parts = values.reshape(batch, channels, *(size for n in grid for size in (n // patch, patch)))
    blocks, pixels = range(2, 2 + 2 * dims, 2), range(3, 3 + 2 * dims, 2)
    return parts.permute(0, *blocks, *pixels, 1).reshape(-1, patch**dims, channels)


def merge(patches: Tensor, patch: int, grid: Sequence[int]) -> Tensor:
    """What `split` took apart, (b, c, *grid)."""
    dims = len(grid)
    parts = patches.reshape(-1, *(n // patch for n in grid), *[patch] * dims, patches.shape[-1])
    pairs = [axis for k in range(dims) for axis in (1 + k, 1 + dims + k)]
    return parts.permute(0, 1 + 2 * dims, *pairs).reshape(-1, patches.shape[-1], *grid)
