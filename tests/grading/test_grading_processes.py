"""Two processes train the graders that one process trains, up to rounding, whatever the algorithm remembers."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.partners import run_together
from grading.shared_trainings import all_trainings
from voxfield.grading.networks.siamese import PairDropout

ROUNDING = 1e-11  # of a weight in double precision, after four steps that move weights by up to .2


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    try:
        alone = all_trainings(tmp_path / "alone")
    finally:
        torch.set_default_dtype(torch.float32)
    for done in run_together(2, [sys.executable, "-m", "grading.shared_trainings", str(tmp_path)]):
        assert done.returncode == 0, done.stderr
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    for name, weights in alone.items():
        assert torch.equal(first[name], second[name]), name
        np.testing.assert_allclose(first[name], weights, rtol=0, atol=ROUNDING, err_msg=name)
    assert torch.equal(first["resumed"], first["simmatchv2"])  # a killed training ends with the same bytes


def test_pairwise_dropout_is_dropout() -> None:
    rows = torch.randn(6, 5)
    torch.manual_seed(3)
    expected = torch.nn.functional.dropout(rows, 0.4)
    torch.manual_seed(3)
    assert torch.equal(PairDropout(0.4)(rows), expected)
    assert torch.equal(PairDropout(0.4).eval()(rows), rows)
