"""Processes that share a batch: gradients of one process, whatever stands before, inside and after what is shared."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from core.partners import run_together
from core.shared_step import ROWS, step
from voxfield import processes, sharing
from voxfield.errors import SettingsError

STEP = [sys.executable, "-m", "core.shared_step"]


@pytest.mark.parametrize("count", [2, 3])
def test_gradients_are_those_of_one_process(count: int, tmp_path: Path) -> None:
    try:
        alone = {name: torch.view_as_real(t) if t.is_complex() else t for name, t in step().items()}
    finally:
        torch.set_default_dtype(torch.float32)
    assert alone["outputs"].shape == (ROWS, 4)
    for done in run_together(count, [*STEP, str(tmp_path / "found")]):
        assert done.returncode == 0, done.stderr
    each = [load_file(tmp_path / f"found.{rank}") for rank in range(count)]
    for name, tensor in alone.items():
        for found in each:
            torch.testing.assert_close(found[name], tensor, rtol=1e-12, atol=1e-14)
            assert torch.equal(found[name], each[0][name])  # or the processes would train different networks


def test_a_lost_partner_is_told(tmp_path: Path) -> None:
    first, second = run_together(2, [*STEP, str(tmp_path / "found"), "fail"])
    assert second.returncode == 5
    assert "PartnerLost: another of the processes is gone" in first.stderr


def test_networks_that_mix_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mixing = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    sharing.require_rowwise(mixing)
    monkeypatch.setenv("WORLD_SIZE", "4")
    sharing.require_rowwise(nn.Sequential(nn.GroupNorm(1, 2), nn.Dropout(0.0)))
    with pytest.raises(SettingsError, match="'1' is a BatchNorm1d, which 4 processes can not share"):
        sharing.require_rowwise(mixing)
    with pytest.raises(SettingsError, match="Dropout"):
        sharing.require_rowwise(nn.Dropout(0.1))
    with pytest.raises(SettingsError, match="batch is 6; 4 processes share it"):
        processes.require_share(6)
