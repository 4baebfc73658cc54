"""Sliding-window inference that keeps one slab of class probabilities at a time.

Windows of the training patch's size are laid over the volume with a given overlap; their class
probabilities are averaged with Gaussian weights (standard deviation 1/8 of the window, as nnU-Net does)
because a network is surest in the middle of what it sees. Windows run along the first axis in ascending
order, so a plane is finished once no later window reaches it. Only the planes of the current windows are
held: memory is classes x window x plane, not classes x volume. A finished plane is reduced at once to the
    probability of any foreground and the most probable
foreground class.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product

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


def predict_volume(
    network: Callable[[Tensor], Tensor],
    channels: Sequence[Tensor],
    window: Sequence[int],
    classes: int,
    *,
    overlap: float = 0.5,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor]:
    """Probability of foreground and most probable foreground class of every voxel.

    network   (b, channels, x, y, z) -> (b, c, x, y, z) logits, c >= 2, class 0 background
    channels  each (x, y, z) float32, on any device; views of a line take no memory
    window    (3,) voxels
    classes   c
    returns   probability (x, y, z) float32 and class (x, y, z) uint8 in [1, c), both on the CPU
    """
    device = device or channels[0].device
    shape = channels[0].shape
    channels = [_pad(channel, window) for channel in channels]
    padded = channels[0].shape
    xs, ys, zs = (starts(n, w, overlap) for n, w in zip(padded, window, strict=True))
    weight = gaussian(window).to(device)
    probability = torch.empty(padded, dtype=torch.float32)
    label = torch.empty(padded, dtype=torch.uint8)
    columns = [(slice(y, y + window[1]), slice(z, z + window[2])) for y, z in product(ys, zs)]
    # Sums of weighted class probabilities, and of the weights in the last channel.
    slab = torch.zeros(classes + 1, window[0], *padded[1:], device=device)
    ends = dict(zip(xs, [*xs[1:], padded[0]], strict=True))
    for x in progress(xs) if progress else xs:
        for first in range(0, len(columns), _BATCH):
            some = columns[first : first + _BATCH]
            boxes = [(slice(x, x + window[0]), *column) for column in some]
            parts = torch.stack([torch.stack([channel[box] for channel in channels]) for box in boxes])
            scores = network(parts.to(device)).float().softmax(dim=1)
            for column, score in zip(some, scores, strict=True):
                slab[(slice(-1), slice(None), *column)] += score * weight
                slab[(-1, slice(None), *column)] += weight
        done = ends[x] - x
        mean = slab[1:-1, :done] / slab[-1, :done]
        probability[x : ends[x]] = mean.sum(dim=0).clamp_(0, 1).cpu()
        label[x : ends[x]] = (mean.argmax(dim=0) + 1).to(torch.uint8).cpu()
        slab = torch.cat([slab[:, done:], torch.zeros_like(slab[:, :done])], dim=1)
    inside = tuple(slice(a, a + n) for a, n in zip(_margins(shape, window), shape, strict=True))
    return probability[inside].contiguous(), label[inside].contiguous()


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
