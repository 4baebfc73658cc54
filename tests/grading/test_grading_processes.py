"""Two processes train the graders that one process trains, up to rounding, whatever the algorithm remembers."""

from pathlib import Path

import pytest
import torch

from core.partners import require_weights_of_one
from grading.shared_trainings import all_trainings
from voxfield.grading.networks.siamese import PairDropout

ROUNDING = 1e-11  # of a weight in double precision, after four steps that move weights by up to .2


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    first = require_weights_of_one(all_trainings, "grading.shared_trainings", tmp_path, ROUNDING)
    assert torch.equal(first["resumed"], first["simmatchv2"])  # a killed training ends with the same bytes


def test_pairwise_dropout_is_dropout() -> None:
    rows = torch.randn(6, 5)
    torch.manual_seed(3)
    expected = torch.nn.functional.dropout(rows, 0.4)
    torch.manual_seed(3)
    assert torch.equal(PairDropout(0.4)(rows), expected)
    assert torch.equal(PairDropout(0.4).eval()(rows), rows)
