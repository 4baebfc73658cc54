"""Every algorithm trains on planes, volumes, features and both, and with no row unlabelled."""

import pytest
import torch

from voxfield.errors import SettingsError
from voxfield.grading import augment
from voxfield.grading.algorithms import ALGORITHMS
from voxfield.grading.components import make
from voxfield.grading.losses.ordinal import Ordinal
from voxfield.grading.networks import build
from voxfield.grading.rows import TrainingSet
from voxfield.grading.schedule import Method, Plan
from voxfield.grading.trainer import Training

INPUTS = {"plane": ((8, 10), 0), "volume": ((6, 8, 8), 0), "features": ((), 3), "both": ((8, 8), 3)}


def training(algorithm: str, inputs: str, unlabelled: int) -> Training:
    shape, features = INPUTS[inputs]
    generator = torch.Generator().manual_seed(1)
    grades = torch.cat([torch.arange(9) % 3, torch.full((unlabelled,), -1)])
    count = len(grades)
    data = TrainingSet(
        torch.rand(count, 1, *shape, generator=generator) if shape else None,
        torch.randn(count, features, generator=generator) if features else None,
        grades,
        3,
        values=features,
    )
    network = {"name": "convolutional", "dims": len(shape), "channels": [4, 8], "features": features, "hidden": 4}
    plan = Plan(20, 4, 1e-3, 1e-2, 0.9, augment.strong(0.1, 0.1, 0.1), (), 20, 3)
    made = make("algorithms", ALGORITHMS, algorithm, [])
    return Training(build({**network, "grades": 3}, 3), Method(made, Ordinal()), data, plan, torch.device("cpu"))


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.parametrize("inputs", INPUTS)
def test_every_weight_learns(algorithm: str, inputs: str) -> None:
    run = training(algorithm, inputs, unlabelled=12)
    for step in range(2):  # what SimMatchV2 remembers of the first step, the second one uses
        figures = run.advance(step)
    assert figures["supervised"] > 0
    modules = {"network": run.student, **dict(run.parts.items())}
    still = [f"{m} {n}" for m, module in modules.items() for n, p in module.named_parameters() if not p.grad.any()]
    assert not still


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_labelled_rows_are_enough(algorithm: str) -> None:
    run = training(algorithm, "both", unlabelled=0)
    figures = [run.advance(step) for step in range(2)]
    assert all(told["loss"] > 0 for told in figures)


@pytest.mark.parametrize(
    ("algorithm", "option"),
    [("mixup", "alpha=0"), ("fixmatch", "threshold=1.5"), ("simmatchv2", "spread=1"), ("pi", "unlabelled_ratio=-1")],
)
def test_options_out_of_bounds_are_told(algorithm: str, option: str) -> None:
    name, _, value = option.partition("=")
    with pytest.raises(SettingsError, match=f"algorithm '{algorithm}': setting '{name}' is {value}.*input should be"):
        make("algorithms", ALGORITHMS, algorithm, [option])
