"""`--threads` of the benchmarks reaches libraries that were loaded before the flags were read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPT = """
import numpy
import torch

from _common import options

print(options("").threads, torch.get_num_threads())
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_reach_what_is_already_loaded(threads: int, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "3", "PYTHONPATH": str(BENCHMARKS)}
    words = [sys.executable, str(script), "--threads", str(threads)]
    said = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(threads), str(threads)]
