"""Several processes that run one call of a stage, one a GPU: how many there are, and how they meet and part.

`voxfield STAGE --processes 4 ...` starts them on one machine (see `launcher`), `torchrun -m voxfield STAGE ...` on
several; either tells each its number. All of them run the stage, the first one alone writes and speaks. What they share
while they train is in `sharing`.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.errors import MachineError, SettingsError

if TYPE_CHECKING:
    import torch

COMPLAINTS = "VOXFIELD_COMPLAINTS"  # a folder, where a launcher collects why its processes failed
PATIENCE = timedelta(hours=6)  # the others wait while the first one validates


class PartnerLost(MachineError):
    """Another of the processes ended before its time, and says itself why."""


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
    import torch
    import torch.distributed as dist

    if count() == 1 or dist.is_initialized():
        return
    _die_with_launcher()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with together():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


def leave() -> None:
    """Part from the others when all is done."""
    if count() > 1:
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def together() -> Iterator[None]:
    """Whatever needs the other processes; raises PartnerLost where one of them is gone."""
    try:
        yield
    except RuntimeError as error:  # the one type that torch has for it
        raise PartnerLost("another of the processes is gone; its own message tells why") from error


def agreed(value: Any) -> Any:
    """What the first process says, so that all do the same."""
    if count() == 1:
        return value
    import torch.distributed as dist

    said = [value]
    with together():
        dist.broadcast_object_list(said)
    return said[0]


def require_same_step(step: int) -> None:
    """Raises MachineError where not all processes go on from the same checkpoint."""
    if count() == 1:
        return
    import torch.distributed as dist

    steps = [0] * count()
    with together():
        dist.all_gather_object(steps, step)
    if len(set(steps)) > 1:
        raise MachineError(
            f"the processes go on from the steps {steps}: not all of them see the same checkpoint; the folder of the "
            "outputs has to lie on a disk that all machines share"
        )


def require_share(batch: int) -> None:
    """Raises SettingsError where a batch can not be cut into equal shares."""
    if batch % count():
        raise SettingsError(f"batch is {batch}; {count()} processes share it: expected a multiple of that")


def complain(line: str, code: int) -> int:
    """Say why this process fails, where its launcher reads it or on standard error; gives the exit code back."""
    folder = os.environ.get(COMPLAINTS)
    if folder:
        Path(folder, str(rank())).write_text(f"{code} {line}\n")
    else:
        sys.stderr.write(f"{line}\n")
    return code


def _die_with_launcher() -> None:
    """A launcher that is killed leaves no processes behind that write checkpoints beside those of the next try."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
