"""Weak and strong views of a batch, for planes and volumes alike.

Every random number is drawn on the CPU from the generator that is given, so that views are the same on every
device. Geometry stays mild: a change of size changes what a radius means, so scaling has a setting of its
own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Strength:
    """How far a view may go; all ranges are symmetric and uniform unless said otherwise.

    rotation   degrees           shift  share of the field of view
    scale      relative size     gain   relative contrast      offset  in units of the normalised intensity
    gamma      exponent range    noise  largest standard deviation (uniform in 0..noise)
    cutout     side of the erased square or cube as a share of the shortest side of the image, 0 for none
    jitter     standard deviation of noise on standardised features
    drop       probability with which a standardised feature is replaced by its mean
    """

    rotation: float = 0.0
    shift: float = 0.04
    scale: float = 0.0
    gain: float = 0.0
    offset: float = 0.0
    gamma: float = 0.0
    noise: float = 0.05
    cutout: float = 0.0
    jitter: float = 0.0
    drop: float = 0.0


WEAK = Strength()
CUTOUT = Strength(cutout=0.5)
"""The weak view with the square of half the side that the paper takes for ten classes."""


def strong(scale: float, jitter: float, drop: float, share: float = 1.0) -> Strength:
    """The strong view of the family, or a share of it; `scale`, `jitter` and `drop` depend on what the grades mean."""
    ranges = (share * full for full in (12.0, 0.08, 0.3, 0.2, 0.3, 0.2, 0.3))
    rotation, shift, gain, offset, gamma, noise, cutout = ranges
    return Strength(rotation, shift, scale, gain, offset, gamma, noise, cutout, jitter, drop)


def view_images(images: Tensor, how: Strength, mirror: Sequence[int], generator: torch.Generator) -> Tensor:
    """One random view of each image.

    images  (n, 1, x, y) or (n, 1, x, y, z), normalised
    mirror  spatial axes along which anatomy may be mirrored without a change of its grade
    """
    count = len(images)
    images = _move(mirror_images(images, mirror, generator), how, generator)
    if how.gamma:
        images = _bend(images, _uniform(count, how.gamma, generator))
    images = images * _column(1 + _uniform(count, how.gain, generator), images)
    images = images + _column(_uniform(count, how.offset, generator), images)
    if how.noise:
        sd = how.noise * torch.rand(count, generator=generator)
        noise = torch.randn(images.shape, generator=generator)
        images = images + _column(sd, images) * noise.to(images.device)
    return _erase(images, how.cutout, generator) if how.cutout else images


def mirror_images(images: Tensor, axes: Sequence[int], generator: torch.Generator) -> Tensor:
    """Each image (n, c, x, y[, z]) as it is or mirrored along each of some spatial axes, with equal chances."""
    for axis in axes:
        flip = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
        images = torch.where(_column(flip, images), images.flip(axis + 2), images)
    return images


def view_features(features: Tensor, count: int, how: Strength, generator: torch.Generator) -> Tensor:
    """One random view of features (n, f): `count` standardised values, then missing flags, which stay."""
    values, flags = features[:, :count], features[:, count:]
    if how.jitter:
        values = values + how.jitter * torch.randn(values.shape, generator=generator).to(values.device)
    if how.drop:
        keep = torch.rand(values.shape, generator=generator) >= how.drop
        values = values * keep.to(values.device)
    return torch.cat([values, flags], dim=1)


def _uniform(count: int, half_width: float, generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(count, generator=generator) - 1) * half_width


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.device).view(-1, *[1] * (like.ndim - 1))


def _move(images: Tensor, how: Strength, generator: torch.Generator) -> Tensor:
    """Rotate, scale and shift by linear interpolation; outside, the nearest value."""
    count, dims = len(images), images.ndim - 2
    matrix = torch.eye(dims).repeat(count, 1, 1)
    if how.rotation:
        for first in range(dims):
            for second in range(first + 1, dims):
                angle = _uniform(count, math.radians(how.rotation), generator)
                matrix = matrix @ _rotation(angle, dims, first, second)
    matrix = matrix * (1 + _uniform(count, how.scale, generator)).view(-1, 1, 1)
    shift = 2 * how.shift * (2 * torch.rand(count, dims, generator=generator) - 1)
    # grid_sample counts coordinates from the last axis to the first, each from -1 to 1 over its own extent.
    extent = torch.tensor(images.shape[:1:-1], dtype=torch.float32)
    theta = torch.cat([matrix * extent[None, None, :] / extent[None, :, None], shift.unsqueeze(2)], dim=2)
    grid = functional.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _rotation(angle: Tensor, dims: int, first: int, second: int) -> Tensor:
    turn = torch.eye(dims).repeat(len(angle), 1, 1)
    turn[:, first, first] = turn[:, second, second] = angle.cos()
    turn[:, first, second], turn[:, second, first] = -angle.sin(), angle.sin()
    return turn


def _bend(images: Tensor, exponent: Tensor) -> Tensor:
    """Gamma curve on the range -1..1; values outside keep their distance from it."""
    inside = images.clamp(-1, 1)
    curved = 2 * ((inside + 1) / 2).clamp_min(1e-6) ** _column(torch.exp(exponent), images) - 1
    return curved + (images - inside)


def _erase(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Cutout (DeVries and Taylor 2017): one square or cube of each image becomes 0, the middle of its range.

    Its side is the same for all images; its centre is uniform over the image, so that it may lie partly outside.
    """
    count, shape = len(images), images.shape[2:]
    half = share * min(shape) / 2
    inside = torch.ones(count, 1, *[1] * len(shape), dtype=torch.bool)
    for axis, size in enumerate(shape):
        centre = size * torch.rand(count, 1, generator=generator)
        near = (torch.arange(size) + 0.5 - centre).abs() < half
        inside = inside & near.view(count, 1, *[size if other == axis else 1 for other in range(len(shape))])
    return images.masked_fill(inside.to(images.device), 0.0)
