"""Several processes that train one model, one a GPU; `torchrun` starts them and tells each its number.

    torchrun --nproc-per-node 4 -m voxfield segmentation.train ...

The patches of a step are shared out, and the network's outputs are gathered before the loss: every process then has the
loss of the whole batch, with a gradient for its own part. Summed over processes these are the gradients of one process,
whatever the loss, sums over a batch and topology included; only rounding differs. All of them run the stage, the first
one alone writes.
"""

import os
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

PATIENCE = timedelta(hours=6)  # the others wait while the first one validates


def count() -> int:
    """How many processes work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """The number of this process on its machine, from 0: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def join(device: "torch.device") -> None:
    """Meet the other processes, where there are any."""
    import torch.distributed as dist

    if count() > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


def gathered(part: "Tensor") -> "Tensor":
    """Every process's part (b, ...) as one (processes * b, ...), in the order of `mine`; ours keeps its gradient."""
    import torch
    import torch.distributed as dist

    if count() == 1:
        return part
    parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(count())]
    dist.all_gather(parts, part.detach().contiguous())
    parts[rank()] = part
    return torch.stack(parts, dim=1).flatten(0, 1)


def mine(size: int) -> range:
    """Which of the `size` members of a batch are this process's."""
    return range(rank(), size, count())


def sum_gradients(network: "nn.Module") -> None:
    """Add up what the processes found."""
    import torch.distributed as dist

    if count() > 1:
        for weight in network.parameters():
            if weight.grad is not None:
                dist.all_reduce(weight.grad)
