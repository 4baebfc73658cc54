"""A knee in its two compartments: the lateral patch and the mirrored medial one through the same trunk.

Tiulpin et al. 2018 ("Automatic Knee Osteoarthritis Diagnosis from Plain Radiographs: A Deep Learning-Based Approach",
Scientific Reports 8:1727) with the layers of Semixup (Nguyen et al. 2020, arXiv 2003.01944): 3x3 convolutions, three on
the first level and two on the others, each level but the first at half the resolution of the one before, instance
normalisation, LeakyReLU; HV pooling, which takes the maximum along each row, a 1x1 convolution, then the maximum along
the column; dropout before the head. Both compartments wear alike, so that one trunk learns from twice as many patches;
they are concatenated in order, so that the head may still tell them apart.

Different here: patches are a share of the image instead of 128 pixels, cut at half its height, where the joint is; the
weights start as torch starts them. The paper's network is `channels` 32, 64, 128, 256 on images of 224 pixels
(`cells`). It runs on 64 pixels too, where osteophytes and the joint space of a grade can no longer be told: such a
network compares methods and reads no knee.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Unpack

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from voxfield.errors import SettingsError
from voxfield.grading.networks.base import Beside, GradeNetwork
from voxfield.processes import count
from voxfield.sharing import mine

LEAST_CELLS = 2  # along a side of the last maps: instance normalisation of one cell is always 0


class SiameseNet(GradeNetwork):
    """Two compartments; x runs from one to the other, and a cohort stores left and right knees so that they agree.

    dims      2
    channels  of the levels; each but the first halves the resolution
    patch     side of a patch as a share of the width of the image; above 1/2 the two overlap
    dropout   share of the embedding's image part that is hidden while training
    beside    see `GradeNetwork`
    """

    def __init__(
        self,
        *,
        dims: int,
        channels: Sequence[int],
        patch: Annotated[float, Gt(0), Le(1)] = 4 / 7,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.35,
        **beside: Unpack[Beside],
    ) -> None:
        if dims != 2:
            what = "none are given" if dims == 0 else "these are volumes"
            raise SettingsError(f"network 'siamese' grades planar images of a knee; {what}: choose another network")
        super().__init__(
            _trunk(channels),
            RowsThenColumn(channels[-1]),
            pooled=2 * channels[-1],
            stride=2 ** (len(channels) - 1),
            **beside,
        )
        self.patch, self.dropout = patch, PairDropout(dropout)

    def look(self, image: Tensor) -> Tensor:
        """What the head sees of images (n, 1, x, y): (n, 2 c), one compartment after the other."""
        both = torch.cat(compartments(image, self.patch))
        side = min(both.shape[2:])
        least = self.stride * (LEAST_CELLS - 1) + 1
        if side < least:
            raise SettingsError(
                f"patches of {side} cells, {self.patch:g} of the width of images of {tuple(image.shape[2:])}, are too "
                f"small for {self.stride.bit_length()} levels; expected {least} or more: raise cells or patch, or give "
                "fewer channels"
            )
        pooled: Tensor = self.dropout(self.pool(self.trunk(both)))
        return torch.cat(pooled.chunk(2), dim=1)


class PairDropout(nn.Module):  # type: ignore[misc]
    """Dropout of (2 n, c), both compartments of n images: what is drawn does not hang on who goes through which.

    Of several processes each draws for the images of all and takes its own.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, rows: Tensor) -> Tensor:
        """Entries hidden while training, the others scaled up."""
        if not self.training:
            return rows
        images, width = len(rows) // 2, rows.shape[1]
        kept = nn.functional.dropout(rows.new_ones(2, images * count(), width), self.share)
        return rows * kept[:, list(mine(images * count()))].flatten(0, 1)


class RowsThenColumn(nn.Module):  # type: ignore[misc]
    """HV pooling: the maximum along x, a 1x1 convolution, the maximum along y."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(n, c, x', y') to (n, c)."""
        mixed: Tensor = self.mix(maps.amax(2))
        return mixed.amax(2)


def compartments(image: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """The patch at the low end of x, and the one at its high end, mirrored: (n, 1, s, s') each from (n, 1, x, y).

    share  of the width, for both sides of a patch; s' is no longer than y, and y is cut around its middle
    """
    wide, high = image.shape[2:]
    side = max(round(share * wide), 1)
    tall = min(side, high)
    start = (high - tall) // 2
    rows = image[..., start : start + tall]
    return rows[:, :, :side], rows[:, :, wide - side :].flip(2)


def _trunk(channels: Sequence[int]) -> Any:
    layers: list[Any] = []
    width = 1
    for level, wide in enumerate(channels):
        for place in range(2 if level else 3):
            step = 2 if level and place == 0 else 1
            layers += [
                nn.Conv2d(width, wide, 3, stride=step, padding=1, bias=False),
                nn.InstanceNorm2d(wide),
                nn.LeakyReLU(0.2),
            ]
            width = wide
    return nn.Sequential(*layers)
