"""Processes that know of each other, without a launcher, and what they have to agree on."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

TESTS = Path(__file__).parents[1]


def run_together(count: int, command: list[str]) -> list["subprocess.CompletedProcess[str]"]:
    """What became of a command that as many processes ran together."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    shared |= {"WORLD_SIZE": str(count), "PYTHONPATH": str(TESTS)}
    started = [
        subprocess.Popen(command, env={**shared, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(count)
    ]
    said = [each.communicate(timeout=500)[1] for each in started]
    return [subprocess.CompletedProcess(command, p.returncode, "", s) for p, s in zip(started, said, strict=True)]


def require_weights_of_one(
    train: Callable[[Path], Mapping[str, torch.Tensor]], module: str, folder: Path, atol: float
) -> dict[str, torch.Tensor]:
    """Two processes of `python -m module FOLDER` find the weights of `train`, up to `atol`; returns theirs.

    train  trains in double precision in a folder; weights by name
    """
    try:
        alone = train(folder / "alone")
    finally:
        torch.set_default_dtype(torch.float32)
    for done in run_together(2, [sys.executable, "-m", module, str(folder)]):
        assert done.returncode == 0, done.stderr
    first, second = (load_file(folder / f"{rank}.safetensors") for rank in (0, 1))
    for name, weights in alone.items():
        assert torch.equal(first[name], second[name]), name
        np.testing.assert_allclose(first[name], weights, rtol=0, atol=atol, err_msg=name)
    return first
