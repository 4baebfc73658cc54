"""One step of several processes, for `test_sharing`: `python -m core.shared_step FILE` writes loss and gradients."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from voxfield import processes, sharing
from voxfield.errors import MachineError

ROWS = 5  # which two processes can not share evenly


def step() -> dict[str, Tensor]:
    """Weights before, inside and after `shared`, a loss that mixes all rows; its gradients by name."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    parts = nn.ModuleDict({"before": nn.Linear(3, 3), "inside": nn.Linear(3, 4), "after": nn.Linear(4, 2)})
    parts["spectral"] = nn.ParameterList([torch.randn(4, dtype=torch.complex128)])
    rows = torch.randn(ROWS, 3)

    def network(given: Tensor, nothing: None) -> Tensor:
        waves = torch.fft.fft(parts["inside"](given).sin()) * parts["spectral"][0]
        return torch.fft.ifft(waves).real

    seen = sharing.shared(network, parts["before"](rows).tanh(), None)
    said = parts["after"](seen)
    loss = (said @ said.T).softmax(1).square().mean() + said.var(0).sum()
    loss.backward()
    sharing.average_gradients(parts)
    grown = {name: weight.grad for name, weight in parts.named_parameters()}
    return {"loss": loss.detach(), "outputs": seen.detach().clone()} | grown


def refuse_different_checkpoints() -> None:
    """Processes on the same step go on, others do not."""
    processes.require_same_step(4)
    with pytest.raises(MachineError, match=r"the processes go on from the steps \[0, 1"):
        processes.require_same_step(processes.rank())


if __name__ == "__main__":
    processes.join(torch.device("cpu"))
    refuse_different_checkpoints()
    found = {name: torch.view_as_real(t) if t.is_complex() else t for name, t in step().items()}
    save_file({name: t.contiguous() for name, t in found.items()}, Path(f"{sys.argv[1]}.{processes.rank()}"))
    if processes.rank() == 1 and len(sys.argv) > 2:
        sys.exit(5)
    if len(sys.argv) > 2:
        processes.agreed(1.0)
        sharing.gathered(torch.ones(1))  # of a process that is gone
    processes.leave()
