"""What a stage may know about the run that it is part of: seed, device, progress, findings, workspace."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from voxfield import processes
from voxfield.errors import MachineError
from voxfield.findings import Finding, Findings, Level
from voxfield.workspace import Workspace

if TYPE_CHECKING:
    import numpy
    import torch

T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """The surroundings of one call of a stage. Frozen; what a stage finds is written into `findings`.

    seed        every random number of the stage follows from it
    device      "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1"
    show        draw progress bars on standard error
    findings    things worth telling (see `finding`)
    workspace   checkpoints that survive a kill; keeps nothing when the stage is called in memory
    """

    seed: int = 0
    device: str = "auto"
    show: bool = False
    findings: Findings = field(default_factory=Findings)
    workspace: Workspace = field(default_factory=Workspace)

    def finding(self, code: str, level: Level, message: str, *, file: object = None, value: Any = None) -> Finding:
        """Record something worth telling; see `voxfield.findings`."""
        return self.findings.add(code, level, message, file=file, value=value)

    def progress(self, items: Iterable[T], *, total: int | None = None, desc: str = "") -> Iterator[T]:
        """Iterate over `items` with a progress bar where one is wanted."""
        if not self.show:
            yield from items
            return
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=desc, file=sys.stderr, leave=False)

    def rng(self) -> "numpy.random.Generator":
        """A fresh numpy generator; the same stream at every call."""
        import numpy as np

        return np.random.default_rng(self.seed)

    def generator(self) -> "torch.Generator":
        """A fresh torch generator on the CPU; the same stream at every call."""
        import torch

        return torch.Generator().manual_seed(self.seed)

    def torch_device(self) -> "torch.device":
        """The device to compute on; raises MachineError where the one asked for is missing."""
        import torch

        if self.device == "auto" and not torch.cuda.is_available():
            return torch.device("cpu")
        device = torch.device("cuda" if self.device == "auto" else self.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            message = f"device {self.device!r} was asked for, but torch finds no GPU; use --device auto or cpu"
            raise MachineError(message)
        if device.type == "cuda" and processes.count() > 1:
            return _own_gpu(torch.cuda.device_count())
        return device


def _own_gpu(found: int) -> "torch.device":
    """The GPU of this process, one of several on its machine."""
    import torch

    if processes.local_rank() >= found:
        raise MachineError(
            f"process {processes.local_rank()} of this machine has no GPU of its own, torch finds {found}; start "
            "fewer processes, or use --device cpu"
        )
    return torch.device("cuda", processes.local_rank())
