"""Processes that know of each other, without a launcher."""

import os
import socket
import subprocess
from pathlib import Path

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
