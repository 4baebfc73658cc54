"""Two processes train the learned operators that one process trains, up to rounding."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.partners import run_together
from pde.shared_operators import all_trainings

ROUNDING = 1e-11  # of a weight in double precision, after five steps that move weights by up to .05


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    try:
        alone = all_trainings(tmp_path / "alone")
    finally:
        torch.set_default_dtype(torch.float32)
    for done in run_together(2, [sys.executable, "-m", "pde.shared_operators", str(tmp_path)]):
        assert done.returncode == 0, done.stderr
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    for name, weights in alone.items():
        assert torch.equal(first[name], second[name]), name
        np.testing.assert_allclose(first[name], weights, rtol=0, atol=ROUNDING, err_msg=name)
    assert torch.equal(first["resumed"], first["fno"])  # it went on from its last checkpoint
