"""What topology terms cost in a training step: time and memory beside Dice and cross entropy, and MONAI's clDice.

A step is forward, Dice and cross entropy, backward and AdamW of MONAI's U-Net with 1.19 M parameters (16, 32, 64, 128;
two residual units) on a 64^3 patch, batch 1, with six tubes in noise. A term's added time is CPU seconds of its forward
and backward over those of the step; step and terms are run in turn, and the median of the ratios over the rounds is
printed as 1 + ratio. The network trains as it goes, so noise and half-learnt tubes are both among the rounds. Memory is
the peak of a process of its own over what it held after its imports, three steps long.

The connectivity head is a network, not a term: its whole step is set against that of the same U-Net with a plain head.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.losses.cldice import SoftclDiceLoss
from monai.networks.nets import UNet
from torch import Tensor, nn

from _common import Claim, finish, options
from voxfield.segmentation.losses import Objective, Truth, dice_cross_entropy, objective
from voxfield.segmentation.losses._objective import REGULARIZERS
from voxfield.segmentation.losses._tube import tube
from voxfield.segmentation.networks import ARCHITECTURES, build
from voxfield.segmentation.networks._backbone import Backbone, pointwise

CHANNELS = (16, 32, 64, 128)
PEER = "cldice of MONAI"
MEMORY_OF = "--memory-of"
ROUNDS = 9
HEAD, PLAIN_HEAD = "connectivity head", "plain head"
TERMS = [name for name, target in REGULARIZERS.items() if target.startswith("voxfield.")]
AIMS_TIME = {"skeleton_recall": 1.05, "persistence": 1.15, "cldice": 1.6}

Step = Callable[[], object]
Loss = Callable[[Tensor], Tensor]


def patch(side: int, device: str) -> tuple[Tensor, Truth]:
    """Image (1, 1, side, side, side) of six tubes in noise, and its annotation."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1)
    mask = np.zeros((side,) * 3, dtype=np.uint8)
    for _ in range(6):
        start, end = rng.uniform(0.06 * side, 0.94 * side, (2, 3))
        radius = rng.uniform(1, 3)
        for t in np.linspace(0, 1, 2 * side):
            mask[((grid - start - (end - start) * t) ** 2).sum(-1) < radius**2] = 1
    image = torch.from_numpy(mask + rng.normal(0, 0.4, mask.shape)).float()[None, None]
    target, widened = (torch.from_numpy(labels).long()[None].to(device) for labels in (mask, tube(mask, 255)))
    return image.to(device), Truth(target, torch.ones_like(target, dtype=torch.float32), (0.8, 0.8, 1.5), widened)


class PlainHead(nn.Module):  # type: ignore[misc]
    """The U-Net under the connectivity head, with two classes instead."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = Backbone(3, 1, CHANNELS), pointwise(CHANNELS[0], 2)

    def forward(self, images: Tensor) -> Tensor:
        """Class logits."""
        logits: Tensor = self.head(self.backbone(images)[0])
        return logits


@cache
def network(row: str, device: str) -> nn.Module:
    """The network of a row."""
    torch.manual_seed(0)
    if row == HEAD:
        return build("airwaynet", {"in_channels": 1, "classes": 2, "channels": list(CHANNELS)}).to(device)
    if row == PLAIN_HEAD:
        return PlainHead().to(device)
    return UNet(3, 1, 2, CHANNELS, (2, 2, 2), num_res_units=2).to(device)


def step(row: str, images: Tensor, truth: Truth) -> Step:
    """One update of the weights; of a term's row with the term in the sum."""
    net = network(row, images.device.type)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    aim = objective({row: 1.0}) if row in TERMS else Objective()

    def update() -> Tensor:
        loss, _ = aim(net, images, truth)
        if row == PEER:
            logits = net(images)
            loss = dice_cross_entropy(logits, truth.target, truth.weight) + peer(truth)(logits)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return update


def peer(truth: Truth) -> Loss:
    """MONAI's clDice with as many erosions, on the foreground class alone as ours."""
    loss = SoftclDiceLoss(iter_=10, include_background=False, to_onehot_y=True, softmax=True)
    return lambda logits: loss(logits, truth.target.unsqueeze(1))


def term(row: str, truth: Truth) -> Loss:
    """A term as a function of the logits."""
    if row == PEER:
        return peer(truth)
    regularizer = objective({row: 1.0}).terms[row][1]
    return lambda logits: regularizer(logits, truth)


def seconds(run: Step, device: str) -> float:
    """CPU seconds; on a GPU wall seconds, since the CPU only waits."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - started


def added_times(side: int, rounds: int, device: str) -> dict[str, float]:
    """Median over the rounds of 1 + term / step, and of connectivity head / plain head."""
    images, truth = patch(side, device)
    plain = step("base", images, truth)
    losses = {row: term(row, truth) for row in [*TERMS, PEER]}
    heads = [step(row, images, truth) for row in (HEAD, PLAIN_HEAD)] if "airwaynet" in ARCHITECTURES else []
    for run in [plain, *heads]:
        run()
    found: dict[str, list[float]] = {row: [] for row in losses}
    for _ in range(rounds):
        base = seconds(plain, device)
        with torch.no_grad():
            logits = network("base", device)(images)
        for row, loss in losses.items():
            given = logits.clone().requires_grad_()
            found[row].append(1 + seconds(lambda loss=loss, given=given: loss(given).backward(), device) / base)
        if heads:
            head, bare = (seconds(run, device) for run in heads)
            found.setdefault(HEAD, []).append(head / bare)
    return {row: statistics.median(values) for row, values in found.items()}


def peak_mb(row: str, side: int, device: str) -> float:
    """Peak memory of three steps over what the process held before them, MB."""
    before = resident_mb("VmRSS")
    run = step(row, *patch(side, device))
    for _ in range(3):
        run()
    return resident_mb("VmHWM") - before if device == "cpu" else torch.cuda.max_memory_allocated() / 2**20


def resident_mb(which: str) -> float:
    """VmRSS, memory held now, or VmHWM, its peak, MB; the peak of getrusage would be that of the parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{which}:")[1].split()[0]) / 2**10


def in_a_process(row: str, side: int, device: str) -> float:
    """`peak_mb` in a process of its own."""
    words = [sys.executable, __file__, MEMORY_OF, row, str(side), device]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "", seeds=1)
    side = 32 if chosen.quick else 64
    times = added_times(side, ROUNDS, chosen.device)
    against = {row: PLAIN_HEAD if row == HEAD else "base" for row in times}
    listed = [row for row in times if not chosen.quick or row in ("cldice", PEER)]
    peaks = {row: in_a_process(row, side, chosen.device) for row in {*listed, *(against[row] for row in listed)}}
    rows: list[dict[str, Any]] = [
        {
            "row": row,
            "time, x": ratio,
            "peak MB": peaks.get(row),
            "memory, x": peaks[row] / peaks[against[row]] if row in peaks else None,
        }
        for row, ratio in times.items()
    ]
    finish(chosen, claims(times, peaks), [{"row": "base", "time, x": 1.0, "peak MB": peaks["base"]}, *rows])


def claims(times: dict[str, float], peaks: dict[str, float]) -> list[Claim]:
    """Aims of the full patch; of a small one, whose fixed costs weigh more, only what compares with the peer."""
    found = [
        Claim("clDice: added time over that of MONAI's", (times["cldice"] - 1) / (times[PEER] - 1), 0.25, "<="),
        Claim("clDice: peak memory over that of the step", peaks["cldice"] / peaks["base"], 1.1, "<="),
    ]
    found += [Claim(f"{row}: time over that of the step", times[row], aim, "<=") for row, aim in AIMS_TIME.items()]
    if HEAD in peaks:
        found += [
            Claim("connectivity head: time over that of a plain head", times[HEAD], 2.0, "<="),
            Claim("connectivity head: memory over that of a plain head", peaks[HEAD] / peaks[PLAIN_HEAD], 1.35, "<="),
        ]
    return found


if __name__ == "__main__":
    if MEMORY_OF in sys.argv[1:2]:
        print(peak_mb(sys.argv[2], int(sys.argv[3]), sys.argv[4]))
    else:
        main()
