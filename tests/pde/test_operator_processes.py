"""Two processes train the learned operators that one process trains, up to rounding."""

from pathlib import Path

import pytest
import torch

from core.partners import require_weights_of_one
from pde.shared_operators import all_trainings

ROUNDING = 1e-11  # of a weight in double precision, after five steps that move weights by up to .05


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    first = require_weights_of_one(all_trainings, "pde.shared_operators", tmp_path, ROUNDING)
    assert torch.equal(first["resumed"], first["fno"])  # it went on from its last checkpoint
