"""Two overlapping crops of each image whose maps fall onto the same cells.

A network's maps have one cell for every `stride` cells of the image. Two crops that lie a whole number of strides apart
therefore show their overlap in cells of the maps that correspond one to one: no interpolation stands between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxfield.errors import SettingsError


@dataclass(frozen=True)
class Crops:
    """Sizes, in cells of the maps.

    stride  cells of the image for each cell of the maps
    side    of a crop along each axis     room  farthest that two crops may lie apart along each axis
    """

    stride: int
    side: tuple[int, ...]
    room: tuple[int, ...]

    @classmethod
    def fit(cls, shape: Sequence[int], stride: int) -> "Crops":
        """For images of a shape; raises SettingsError where they are too small to be cropped twice."""
        cells = [size // stride for size in shape]
        side = tuple(-(-2 * n // 3) for n in cells)  # two thirds: the overlap is never less than half a crop
        room = tuple(n - s for n, s in zip(cells, side, strict=True))
        if not min(cells) or not any(room):
            raise SettingsError(
                f"images of {tuple(shape)} cells are {tuple(cells)} cells of this network's maps; two crops of them "
                "need 1 along each axis and 3 along one: raise cells, or give fewer channels"
            )
        return cls(stride, side, room)

    def draw(self, shape: Sequence[int], count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, list[int]]:
        """Where the crops of some images lie.

        returns  the corners of the first crops and of the second (n, dims), in cells of the image, and how many cells
                 of the maps the second lies beyond the first along each axis, the same for all images
        """
        shift = [int(torch.randint(-r, r + 1, (), generator=generator)) for r in self.room]
        corners = []
        for size, side, move in zip(shape, self.side, shift, strict=True):
            slack = size - (side + abs(move)) * self.stride
            corners.append(torch.randint(0, slack + 1, (count,), generator=generator))
        low = torch.stack(corners, dim=1)
        ahead = torch.tensor(shift) * self.stride
        return low + (-ahead).clamp_min(0), low + ahead.clamp_min(0), shift

    def cut(self, images: Tensor, corners: Tensor) -> Tensor:
        """One crop of each image (n, c, x, y[, z]) from its corner (n, dims)."""
        spans = [side * self.stride for side in self.side]
        crops = []
        for image, corner in zip(images, corners.tolist(), strict=True):
            place = [slice(start, start + span) for start, span in zip(corner, spans, strict=True)]
            crops.append(image[:, *place])
        return torch.stack(crops)

    def overlap(self, maps: Tensor, shift: Sequence[int]) -> Tensor:
        """The cells of a crop's maps (n, c, x', y'[, z']) that the other crop shows too, as (n, cells, c).

        shift  of the other crop beyond this one, in cells of the maps
        """
        place = [slice(max(s, 0), side + min(s, 0)) for s, side in zip(shift, self.side, strict=True)]
        return maps[:, :, *place].flatten(2).transpose(1, 2)
