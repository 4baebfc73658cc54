"""A batch that several processes go through together, so that they train the network that one process trains.

`shared(network, rows)` takes each process through its own rows and gives every process the outputs of all. What comes
after, heads and memories and the loss of the whole batch, all of them compute alike; sums over a batch, topology and
contrasts between rows included, it is the loss of one process.

Gradients: each process differentiates the whole loss. For weights outside of `shared` it finds the whole gradient, for
weights inside the part that goes through its own rows. That part is multiplied by the number of processes on its way
back, so that the mean over processes, `average_gradients`, is the gradient of one process for either; only rounding
differs. Networks whose rows depend on each other can not be shared: `require_rowwise`.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from voxfield.errors import SettingsError
from voxfield.processes import count, rank, together


def mine(size: int) -> range:
    """Which of the `size` members of a batch are this process's."""
    return range(rank(), size, count())


def gathered(part: Tensor) -> Tensor:
    """Every process's rows (b, ...) as one (processes * b, ...), in the order of `mine`."""
    return part if count() == 1 else _Gathered.apply(part)


def shared(network: Callable[..., Tensor], *rows: Tensor | None) -> Tensor:
    """What a network says of all rows of a batch, (n, ...), each process going through its own.

    network  takes the tensors, or None, and gives one row for each of theirs
    rows     (n, ...) the same on every process; a gradient goes back to all of them
    """
    if count() == 1:
        return network(*rows)
    size = next(len(each) for each in rows if each is not None)
    full = -(-size // count()) * count()
    places = [min(place, size - 1) for place in mine(full)]  # the last row fills up; what is said of it twice is cut
    return gathered(network(*(None if each is None else _Mine.apply(each, places) for each in rows)))[:size]


def average_gradients(network: nn.Module) -> None:
    """The mean over the processes of every gradient; see the module."""
    if count() == 1:
        return
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    with together():
        flying = [dist.all_reduce(_real(gradient), async_op=True) for gradient in gradients]
        for each in flying:
            each.wait()
    for gradient in gradients:
        gradient.div_(count())


def require_rowwise(network: nn.Module) -> None:
    """Raises SettingsError for several processes and a network that mixes rows, or draws anew in each process."""
    mixing = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    if count() == 1:
        return
    for name, module in network.named_modules():
        if isinstance(module, mixing) and getattr(module, "p", True):
            raise SettingsError(
                f"the network's layer {name!r} is a {type(module).__name__}, which {count()} processes can not share: "
                "each would see its own rows only; start one process, or use a network without such layers"
            )


class _Gathered(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        return _gather(part)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient[list(mine(len(gradient)))] * count()


class _Mine(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: list[int]) -> Tensor:
        ctx.size = len(rows)
        return rows[places]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # What filled up was cut from the outputs: its gradient is zero, here it is cut again.
        return _gather(gradient)[: ctx.size] / count(), None


def _gather(part: Tensor) -> Tensor:
    parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(count())]
    with together():
        dist.all_gather(parts, part.detach().contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
