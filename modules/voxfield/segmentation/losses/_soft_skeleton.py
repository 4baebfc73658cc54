"""The soft skeleton of Shit et al., clDice, CVPR 2021 (arXiv 2003.07311), light on memory and time.

With E_0 = p, E_(k+1) = erode(E_k) (least value of a voxel and its 6 face neighbours) and O_k = dilate(E_(k+1)) (largest
value of the 3 x 3 x 3 box), the paper collects what each opening removes, d_k = max(0, E_k - O_k), by
S <- S + max(0, d_k - S d_k). Since d_k and S lie in [0, 1] that is a product,

    1 - S = prod_k (1 - d_k),   k = 0 ... iterations.

Different from the paper's code in how the gradient is had, not in the value: automatic differentiation keeps a dozen
volumes and index maps per iteration; here one eroded volume in four is kept, the others and the openings are made again
on the way back, and the gradient of an extreme goes to the voxels that attain it, in equal shares (a subgradient;
the plain gradient where no two voxels tie by chance). Erosion and dilation are minima and maxima of shifted views
instead of poolings, which is what saves the time.

A voxel that nobody annotated is passed over by every minimum and maximum, as voxels outside the patch are.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from voxfield.segmentation.losses._shifts import Slices, views

LINES = tuple(tuple(views([s * (a == axis) for a in range(3)]) for s in (-1, 1)) for axis in range(3))
SELF = ((...,), (...,))
CROSS = tuple(shift for line in LINES for shift in line)
STRETCH = 4  # erosions from one volume that is kept to the next
SMALL = 1e-6  # least 1 - d: keeps the quotient of products finite where d is 1

Shifts = Sequence[tuple[Slices, Slices]]
Extreme = Callable[..., Tensor]


def soft_skeleton(probability: Tensor, known: Tensor | None, iterations: int) -> Tensor:
    """Soft skeleton of volumes, differentiable.

    probability  (b, c, x, y, z) in [0, 1]
    known        (b, 1, x, y, z) bool, False where nobody annotated; None where everything is known
    iterations   erosions: at least half the voxels across the thickest part
    returns      (b, c, x, y, z) in [0, 1], 0 where nothing is known
    """
    if known is not None:
        known = known.to(probability.dtype)
        probability = probability * known
    rest: Tensor = _Rest.apply(probability, known, iterations)
    return 1 - rest


def hard_skeleton(member: Tensor, known: Tensor | None, iterations: int) -> Tensor:
    """The same of a mask: bool in, bool out; bytes instead of floats, and done once nothing is left to erode."""
    volume = member.to(torch.uint8)
    known = None if known is None else known.to(torch.uint8)
    skeleton = torch.zeros_like(member)
    for _ in range(iterations + 1):
        thinner = _erode(volume, known)
        skeleton |= volume > _dilate(thinner, known)
        volume = thinner
        if not volume.any():
            break
    return skeleton


class _Rest(torch.autograd.Function):  # type: ignore[misc]  # torch tells no types here
    """What the skeleton leaves: prod_k (1 - d_k)."""

    @staticmethod
    def forward(ctx: Any, volume: Tensor, known: Tensor | None, iterations: int) -> Tensor:
        kept = []
        rest = torch.ones_like(volume)
        for iteration in range(iterations + 1):
            if iteration % STRETCH == 0:
                kept.append(volume)
            thinner = _erode(volume, known)
            rest *= _left(_removed(volume, thinner, known))
            volume = thinner
        ctx.known, ctx.openings = known, iterations + 1
        ctx.save_for_backward(rest, *kept)
        return rest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        rest, *kept = ctx.saved_tensors
        upstream = -gradients[0] * rest
        passed = torch.zeros_like(rest)  # gradient of the thinner volume
        for start in reversed(range(0, ctx.openings, STRETCH)):
            eroded = [kept[start // STRETCH]]
            for _ in range(start, min(start + STRETCH, ctx.openings)):
                eroded.append(_erode(eroded[-1], ctx.known))
            for volume, thinner in reversed(list(pairwise(eroded))):
                removed = _removed(volume, thinner, ctx.known)
                direct = upstream / _left(removed) * (removed > 0)
                passed = _erode_back(volume, thinner, passed + _dilate_back(thinner, -direct), ctx.known) + direct
        return passed, None, None


def _removed(volume: Tensor, thinner: Tensor, known: Tensor | None) -> Tensor:
    return (volume - _dilate(thinner, known)).clamp_min_(0)


def _left(removed: Tensor) -> Tensor:
    return (1 - removed).clamp_min_(SMALL)


def _erode(volume: Tensor, known: Tensor | None) -> Tensor:
    thinner = _extreme(torch.minimum, _filled(volume, known), CROSS)
    return thinner if known is None else torch.minimum(thinner, known)


def _filled(volume: Tensor, known: Tensor | None) -> Tensor:
    """With 1, which no minimum notices, where nothing is known."""
    return volume if known is None else torch.maximum(volume, 1 - known)


def _dilate(volume: Tensor, known: Tensor | None) -> Tensor:
    for line in LINES:
        volume = _extreme(torch.maximum, volume, line)
    return volume if known is None else torch.minimum(volume, known)


def _erode_back(volume: Tensor, thinner: Tensor, gradient: Tensor, known: Tensor | None) -> Tensor:
    if known is None:
        return _route(volume, thinner, gradient, CROSS)
    return _route(_filled(volume, known), thinner, gradient * known, CROSS) * known


def _dilate_back(volume: Tensor, gradient: Tensor) -> Tensor:
    stages = [volume]
    for line in LINES:
        stages.append(_extreme(torch.maximum, stages[-1], line))
    for line, before, after in zip(LINES[::-1], stages[-2::-1], stages[:0:-1], strict=True):
        gradient = _route(before, after, gradient, line)
    return gradient


def _extreme(choose: Extreme, volume: Tensor, shifts: Iterable[tuple[Slices, Slices]]) -> Tensor:
    result = volume.clone()
    for here, there in shifts:
        choose(result[here], volume[there], out=result[here])
    return result


def _route(volume: Tensor, extreme: Tensor, gradient: Tensor, shifts: Shifts) -> Tensor:
    """Hand the gradient of each extreme to the voxels that attain it, in equal shares."""
    candidates = [SELF, *shifts]
    attained = torch.empty_like(gradient)  # 1.0 or 0.0, made twice: cheaper than memory for one a candidate

    def compare(here: Slices, there: Slices) -> Tensor:
        return torch.eq(volume[there], extreme[here], out=attained[here])

    count = torch.zeros_like(gradient)
    for here, there in candidates:
        count[here] += compare(here, there)
    share = gradient / count.clamp_min_(1)  # 0 attain it where nothing is known, and its gradient is 0
    result = torch.zeros_like(gradient)
    for here, there in candidates:
        result[there].addcmul_(share[here], compare(here, there))
    return result
