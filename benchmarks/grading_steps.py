"""What each grading algorithm costs in a training step, beside the supervised step of the same run.

64 x 64 images, 16 labelled and as many unlabelled ones a step as the algorithm asks for, the network that
`grading.train` has by default, one step with its views, optimiser and moving average. All are trained in turn, a few
steps a round; the ratio to the supervised steps of the same round is taken, and the median over the rounds. What is
remembered is full before the first round.

Beside it stands the ratio of the arithmetic, multiplications and additions of all layers, forward and backward: what
the method asks for. Time over that is what views, graphs and bookkeeping cost more.
"""

import statistics
import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from _common import Claim, finish, options
from voxfield.grading import augment
from voxfield.grading.algorithms import ALGORITHMS
from voxfield.grading.components import make
from voxfield.grading.losses.ordinal import Ordinal
from voxfield.grading.networks import build
from voxfield.grading.rows import TrainingSet
from voxfield.grading.schedule import Method, Plan
from voxfield.grading.trainer import Training

REFERENCE, ROUNDS, STEPS = "supervised", 9, 3


class Timed:
    """An algorithm in training, its seconds a step and its arithmetic."""

    def __init__(self, algorithm: str, data: TrainingSet, device: torch.device, warm: int) -> None:
        config = {"name": "convolutional", "dims": 2, "channels": [8, 16, 32], "features": 0, "hidden": 0, "grades": 5}
        plan = Plan(1000, 16, 1e-4, 1e-2, 0.99, augment.strong(0.05, 0, 0), (0,), 1000, 0)
        method = Method(make("algorithms", ALGORITHMS, algorithm, []), Ordinal())
        network = build({**config, "normalised": method.algorithm.normalised_embedding}, 0)
        self.training, self.step, self.seconds = Training(network, method, data, plan, device), 500, list[float]()
        for _ in range(warm):
            self.advance()
        with FlopCounterMode(display=False) as counted:
            self.advance()
        self.operations = counted.get_total_flops()

    def advance(self) -> None:
        """One step, in the second half of a training, where all ramps are over."""
        self.training.advance(self.step)
        self.step += 1

    def measure(self) -> None:
        """Note the seconds of a step; on a GPU wall seconds, since the CPU only waits."""
        on_cpu = self.training.device.type == "cpu"
        clock = time.process_time if on_cpu else time.perf_counter
        started = clock()
        for _ in range(STEPS):
            self.advance()
        if not on_cpu:
            torch.cuda.synchronize()
        self.seconds.append((clock() - started) / STEPS)


def cohort(side: int, device: torch.device) -> TrainingSet:
    """Noise will do: 200 images, of which 50 have a grade."""
    generator = torch.Generator().manual_seed(0)
    grades = torch.where(torch.arange(200) < 50, torch.arange(200) % 5, -1)
    images = torch.rand(200, 1, side, side, generator=generator) * 2 - 1
    return TrainingSet(images.to(device), None, grades, 5)


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "", seeds=1)
    device = torch.device(chosen.device)
    data = cohort(16 if chosen.quick else 64, device)
    timed = {name: Timed(name, data, device, 1 if chosen.quick else 32) for name in ALGORITHMS}
    for _ in range(ROUNDS):
        for one in timed.values():
            one.measure()
    base = timed[REFERENCE]
    rows: list[dict[str, Any]] = []
    for name, one in timed.items():
        ratio = statistics.median(own / other for own, other in zip(one.seconds, base.seconds, strict=True))
        arithmetic = one.operations / base.operations
        row = {"algorithm": name, "ms a step": 1000 * statistics.median(one.seconds), "time, x": ratio}
        rows.append(row | {"arithmetic, x": arithmetic, "time over arithmetic": ratio / arithmetic})
    worst = max(row["time over arithmetic"] for row in rows)
    # Small layers, graphs and memories cost little beside images of 64 x 64, but not beside those of 16 x 16.
    finish(chosen, [Claim("time over arithmetic, dearest algorithm", worst, 2.0 if chosen.quick else 1.2, "<=")], rows)


if __name__ == "__main__":
    main()
