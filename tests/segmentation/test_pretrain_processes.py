"""Two processes pre-train the network that one process pre-trains, up to rounding."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.partners import run_together
from segmentation.shared_pretraining import pretrained

ROUNDING = 1e-11  # in double precision, after two steps that move weights by up to .01
# A bias before a normalisation moves nothing, and AdamW, which divides gradients by their size, moves it by noise.
IDLE = {"network.model.0.conv.bias", "network.model.1.submodule.conv.bias"}


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    alone = pretrained()
    for done in run_together(2, [sys.executable, "-m", "segmentation.shared_pretraining", str(tmp_path)]):
        assert done.returncode == 0, done.stderr
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    for name in set(alone) - IDLE:
        assert torch.equal(first[name], second[name]), name
        np.testing.assert_allclose(first[name], alone[name], rtol=0, atol=ROUNDING, err_msg=name)
