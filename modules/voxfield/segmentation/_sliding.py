"""Sliding-window inference that keeps one slab of class probabilities at a time.

Windows of the training patch's size are laid over the volume with a given overlap; their class
probabilities are averaged with Gaussian weights (standard deviation 1/8 of the window, as nnU-Net does)
because a network is surest in the middle of what it sees. Windows run along the first axis in ascending
order, so a plane is finished once no later window reaches it. Only the planes of the current windows are
held: memory is (classes + networks) x window x plane, not classes x volume. A finished plane is reduced at once to
the probability of any foreground, the most probable foreground class and the spread between networks.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

# torch's fast convolutions on a CPU begin at two samples when there are few channels.
_BATCH = 2
Progress = Callable[[list[int]], Iterable[int]]


def starts(length: int, window: int, overlap: float) -> list[int]:
    """First voxels of the windows along one axis, evenly spread, the last one flush with the end.

    length   voxels; at least `window`
    overlap  least share of a window that its neighbour covers too, in [0, 1)
    """
    step = max(1, int(window * (1 - overlap)))
    count = -(-(length - window) // step) + 1
    if count == 1:
        return [0]
    return [round(i * (length - window) / (count - 1)) for i in range(count)]


def gaussian(window: Sequence[int], sd: float = 0.125) -> Tensor:
    """Window weights (x, y, z), largest 1, never 0.

    sd  standard deviation as a share of the window's length
    """
    result = torch.ones(1)
    for n in window:
        offset = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) / (sd * n)
        result = result[..., None] * torch.exp(-0.5 * offset**2)
    # In a corner the product underflows the average's precision: a floor keeps one-window voxels exact.
    return (result[0] / result.max()).clamp_min(1e-4).float()


class Voxels(NamedTuple):
    """What windows say of a volume, on the CPU.

    probability  (x, y, z) float32, of any foreground: the mean over members
    label        (x, y, z) uint8 in [1, c), most probable foreground class
    spread       (x, y, z) float32, standard deviation of the probability between members; None for a single one
    """

    probability: Tensor
    label: Tensor
    spread: Tensor | None


def predict_volume(
    members: Sequence[Callable[[Tensor], Tensor]],
    channels: Sequence[Tensor],
    window: Sequence[int],
    classes: int,
    *,
    overlap: float = 0.5,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Voxels:
    """Foreground of every voxel, as one or several networks see it.

    members   each (b, channels, x, y, z) -> (b, c, x, y, z) logits, c >= 2, class 0 background
    channels  each (x, y, z) float32, on any device; views of a line take no memory
    window    (3,) voxels
    classes   c
    """
    device = device or channels[0].device
    shape = channels[0].shape
    channels = [_pad(channel, window) for channel in channels]
    padded = channels[0].shape
    xs, ys, zs = (starts(n, w, overlap) for n, w in zip(padded, window, strict=True))
    weight = gaussian(window).to(device)
    result = _empty(padded, spread=len(members) > 1)
    columns = [(slice(y, y + window[1]), slice(z, z + window[2])) for y, z in product(ys, zs)]
    # Weighted sums of the weights, of every class's probability over members, of every member's foreground.
    slab = torch.zeros(1 + classes + len(members), window[0], *padded[1:], device=device)
    ends = dict(zip(xs, [*xs[1:], padded[0]], strict=True))
    for x in progress(xs) if progress else xs:
        for first in range(0, len(columns), _BATCH):
            some = columns[first : first + _BATCH]
            boxes = [(slice(x, x + window[0]), *column) for column in some]
            parts = torch.stack([torch.stack([channel[box] for channel in channels]) for box in boxes]).to(device)
            for column in some:
                slab[(0, slice(None), *column)] += weight
            for number, member in enumerate(members):
                scores = member(parts).float().softmax(dim=1)
                for column, score in zip(some, scores, strict=True):
                    slab[(slice(1, 1 + classes), slice(None), *column)] += score * weight
                    slab[(1 + classes + number, slice(None), *column)] += score[1:].sum(dim=0) * weight
        done = ends[x] - x
        _finish(result, slice(x, ends[x]), slab[:, :done], classes)
        slab = torch.cat([slab[:, done:], torch.zeros_like(slab[:, :done])], dim=1)
    inside = tuple(slice(a, a + n) for a, n in zip(_margins(shape, window), shape, strict=True))
    return Voxels(*(None if volume is None else volume[inside].contiguous() for volume in result))


def _empty(shape: Sequence[int], *, spread: bool) -> Voxels:
    return Voxels(
        torch.empty(*shape, dtype=torch.float32),
        torch.empty(*shape, dtype=torch.uint8),
        torch.empty(*shape, dtype=torch.float32) if spread else None,
    )


def _finish(result: Voxels, planes: slice, sums: Tensor, classes: int) -> None:
    """Reduce finished planes, (1 + classes + members, x, y, z)."""
    foreground = sums[1 + classes :] / sums[0]
    result.probability[planes] = foreground.mean(dim=0).clamp_(0, 1).cpu()
    result.label[planes] = (sums[2 : 1 + classes].argmax(dim=0) + 1).to(torch.uint8).cpu()
    if result.spread is not None:
        result.spread[planes] = foreground.std(dim=0).cpu()


def _margins(shape: Sequence[int], window: Sequence[int]) -> list[int]:
    return [max(0, w - n) // 2 for n, w in zip(shape, window, strict=True)]


def _pad(image: Tensor, window: Sequence[int]) -> Tensor:
    """Repeat the edge until a window fits."""
    for axis, (first, w) in enumerate(zip(_margins(image.shape, window), window, strict=True)):
        n = image.shape[axis]
        if n < w:
            index = (torch.arange(w, device=image.device) - first).clamp(0, n - 1)
            image = image.index_select(axis, index)
    return image
