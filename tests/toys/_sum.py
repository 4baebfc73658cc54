"""A toy stage that several processes run together, and that fails in many ways."""

import os
import signal
import time
from typing import Literal, NamedTuple

from voxfield import processes
from voxfield.artifacts import Metrics, Table
from voxfield.errors import InputError
from voxfield.stage import Context, stage


class Summed(NamedTuple):
    """What `toys.add` makes."""

    metrics: Metrics


@stage(distributed=True)
def add(
    table: Table,
    *,
    mode: Literal["plain", "refuse", "refuse-one", "bug-one", "kill-one", "wait"] = "plain",
    ctx: Context = Context(),
) -> Summed:
    """Add up the numbers of all processes.

    Settings
    mode: how to fail: all with an InputError, or only the second process: with one, a bug, a kill; or wait for long
    """
    import torch

    from voxfield import sharing

    processes.join(ctx.torch_device())
    ctx.finding("joined", "info", f"{processes.count()} processes met")
    if mode == "refuse":
        raise InputError("column 'x' is empty", file=table.file)
    if processes.rank() == 1:
        _fail(mode)
    if mode == "wait":
        time.sleep(600)
    numbers = sharing.gathered(torch.tensor([float(processes.rank())]))
    return Summed(Metrics({"sum": float(numbers.sum()), "agreed": processes.agreed(processes.rank())}))


def _fail(mode: str) -> None:
    if mode == "refuse-one":
        raise InputError("the second process can not read it")
    if mode == "bug-one":
        raise ZeroDivisionError("of the second process")
    if mode == "kill-one":
        os.kill(os.getpid(), signal.SIGKILL)
