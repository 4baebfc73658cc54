"""One network at several scales: what it says should not depend on how large a voxel is.

ADELE (see `voxfield.memorisation`) asks predictions p_k of the image rescaled by s factors, brought back to the image's
grid, to agree with their mean q, and corrects labels by q alone,

    L = 1/s sum_k KL(p_k || q),       q = 1/s sum_k p_k
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SCALES = (1.0, 0.75, 1.25)  # the image's own first


def rescaled(images: Tensor, scale: float, multiple: Sequence[int]) -> Tensor:
    """Images (b, c, x, y, z) on a grid about `scale` times as fine, its sides multiples of what the network halves."""
    sides = [
        max(2 * m, round(n * scale / m) * m) if n > 1 else 1 for n, m in zip(images.shape[2:], multiple, strict=True)
    ]
    return torch.nn.functional.interpolate(images, size=sides, mode="trilinear")


def at_every_scale(network: nn.Module, images: Tensor, multiple: Sequence[int]) -> list[Tensor]:
    """Logits on the images' own grid, one for each of `SCALES`."""
    found = [network(images)]
    for scale in SCALES[1:]:
        logits = network(rescaled(images, scale, multiple))
        found.append(torch.nn.functional.interpolate(logits, size=images.shape[2:], mode="trilinear"))
    return found


def disagreement(logits: Sequence[Tensor]) -> Tensor:
    """Mean divergence from the mean, nats a voxel, ()."""
    logs = torch.stack([each.float().log_softmax(dim=1) for each in logits])
    mean = logs.exp().mean(dim=0)
    log_mean = mean.clamp_min(1e-12).log()
    return (logs.exp() * (logs - log_mean)).sum(dim=2).mean()
