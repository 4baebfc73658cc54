"""A pre-training, for `test_pretrain_processes`: `python -m segmentation.shared_pretraining FOLDER`."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from segmentation.tubes import tube
from voxfield import processes
from voxfield.segmentation._optimise import Schedule, optimise
from voxfield.segmentation.networks import build
from voxfield.segmentation.pretraining._siblings import OUTPUTS, Siblings
from voxfield.segmentation.pretraining._task import Task
from voxfield.workspace import Workspace

CPU = torch.device("cpu")


class Double(nn.Module):
    """A network in double precision, where rounding hides nothing."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, images: Tensor) -> Tensor:
        """Of any precision."""
        said: Tensor = self.network(images.double())
        return said


def pretrained(folder: Path | None = None) -> dict[str, Tensor]:
    """Weights and losses of two steps of three pairs, which two processes do not share evenly."""
    scans = [[torch.from_numpy(tube(seed)[0]) / 100] for seed in range(2)]
    task = Task(scans, (16, 16, 16), batch=3, cell=4, share=0.6, align=0.1, steps=2)
    both = Siblings(Double(build("unet", {"in_channels": 1, "channels": [4, 8], "classes": OUTPUTS}, seed=1)))
    history = optimise(
        both, lambda step: task.loss(both, step, 7, CPU), Schedule(2, 0.005, 1), device=CPU, workspace=Workspace(folder)
    )
    return {"losses": torch.tensor(history.losses), **{k: v.contiguous() for k, v in both.student.state_dict().items()}}


if __name__ == "__main__":
    processes.join(CPU)
    place = Path(sys.argv[1])
    found = pretrained(place / "work")
    resumed = pretrained(place / "work")  # from the checkpoint of the first step
    assert all(torch.equal(found[name], resumed[name]) for name in found)
    save_file(found, place / f"{processes.rank()}.safetensors")
    processes.leave()
