"""Drawing training patches that favour annotated foreground."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from voxfield.segmentation import _augment
from voxfield.segmentation._augment import UNANNOTATED

_CENTRES = 20_000  # positions kept per class: enough to cover a tree, bounded for a CT


@dataclass(frozen=True)
class Volume:
    """One scan on the model's grid.

    channels  each (x, y, z) float32: normalised intensities, then what else the network sees
    target    (x, y, z)  uint8 class index; 255 where nobody annotated
    centres   per class present, background first if there is any: (n, 3) voxel indices
    tube      (x, y, z)  uint8 class index on the widened skeleton; None where no loss asks for it
    reader    number of whoever annotated
    """

    channels: tuple[Tensor, ...]
    target: Tensor
    centres: tuple[Tensor, ...]
    has_background: bool
    tube: Tensor | None = None
    reader: int = 0

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes; a channel that is a view of a line counts as the line."""
        held = [*self.channels, self.target, *self.centres, *([] if self.tube is None else [self.tube])]
        return sum(tensor.untyped_storage().nbytes() for tensor in held)


class Patch(NamedTuple):
    """A part of a scan.

    image   (channels, x, y, z) float32
    target  (x, y, z) uint8 class index; 255 where nobody annotated
    tube    (x, y, z) uint8, where the scan has one
    reader  () int64, number of whoever annotated
    """

    image: Tensor
    target: Tensor
    tube: Tensor | None
    reader: Tensor


def volume(channels: Sequence[Tensor], target: Tensor, tube: Tensor | None = None, reader: int = 0) -> Volume:
    """Gather the positions that patches may be centred on."""
    centres = []
    classes = [int(c) for c in target.unique() if c != UNANNOTATED]
    for value in classes:
        centres.append(_some_of(target, value))
    return Volume(tuple(channels), target, tuple(centres), bool(classes) and classes[0] == 0, tube, reader)


def _some_of(target: Tensor, value: int) -> Tensor:
    """About `_CENTRES` evenly counted voxels of one class, (n, 3); plane by plane, since indices are large."""
    stride = max(1, int((target == value).sum()) // _CENTRES)
    kept, seen = [], 0
    for x, plane in enumerate(target):
        where = torch.nonzero(plane == value)
        picked = where[-seen % stride :: stride]
        kept.append(torch.nn.functional.pad(picked, (1, 0), value=x))
        seen += len(where)
    return torch.cat(kept).to(torch.int32)


@dataclass(frozen=True)
class Recipe:
    """How patches are drawn and varied.

    shape            (3,) voxels of a patch
    foreground       probability that a patch is centred on a foreground voxel
    elastic          probability of an elastic deformation
    elastic_sd       voxels, of the control displacements
    elastic_spacing  voxels between control points
    flip             mirror each axis with probability 1/2
    intensity        vary intensities
    """

    shape: tuple[int, int, int]
    foreground: float = 0.67
    elastic: float = 0.5
    elastic_sd: float = 2.0
    elastic_spacing: float = 16.0
    flip: bool = True
    intensity: bool = True


def draw(source: Volume, recipe: Recipe, generator: torch.Generator) -> Patch:
    """One patch, drawn and varied."""
    start = _start(source, recipe, generator)
    chance = torch.rand(4, generator=generator).tolist()
    flips = [recipe.flip and c < 0.5 for c in chance[:3]]
    where = _augment.positions(start, recipe.shape, flips)
    if chance[3] < recipe.elastic:
        where = where + _augment.elastic(recipe.shape, recipe.elastic_spacing, recipe.elastic_sd, generator)
    channels = [_augment.read_image(channel, where) for channel in source.channels]
    target = _augment.read_labels(source.target, where)
    tube = None if source.tube is None else _augment.read_labels(source.tube, where, outside=0)
    if recipe.intensity:
        channels[0] = _augment.vary_intensity(channels[0], generator)
    return Patch(torch.stack(channels), target, tube, torch.tensor(source.reader))


def _start(source: Volume, recipe: Recipe, generator: torch.Generator) -> list[int]:
    """First voxel of a patch: a chosen voxel lies anywhere in its middle half, clipped to the volume."""
    chance = torch.rand(6, generator=generator).tolist()
    foreground = source.centres[1:] if source.has_background else source.centres
    wanted: Sequence[Tensor] = source.centres
    if foreground and chance[0] < recipe.foreground:
        wanted = foreground
    elif source.has_background:
        wanted = source.centres[:1]
    pool = wanted[min(int(chance[1] * len(wanted)), len(wanted) - 1)]
    centre = pool[min(int(chance[2] * len(pool)), len(pool) - 1)].tolist()
    start = []
    for axis, (size, length) in enumerate(zip(recipe.shape, source.target.shape, strict=True)):
        offset = int(size * (0.25 + 0.5 * chance[3 + axis]))
        low, high = min(0, (length - size) // 2), max(length - size, (length - size) // 2)
        start.append(min(max(centre[axis] - offset, low), high))
    return start
