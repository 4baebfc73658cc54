"""`voxfield toys.add --processes 2` in a folder, the toy being found by its entry point as that of a plug-in is."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def prepare(folder: Path) -> None:
    """A table, and what makes the toy an installed plug-in of whoever starts in this folder."""
    (folder / "table.tsv").write_text("subject\tx\na\t1\n")
    plugin = folder / "toy-1.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[voxfield.stages]\ntoys.add = toys._sum:add\n")


def start(folder: Path, *words: str, module: str = "voxfield") -> "subprocess.Popen[str]":
    """The command, running."""
    paths = os.pathsep.join([str(folder), str(TESTS)])
    command = [sys.executable, "-m", *module.split(), "toys.add", "--table", "table.tsv", "--out-metrics", "sum.json"]
    return subprocess.Popen(
        [*command, *words], cwd=folder, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "2"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def add(folder: Path, mode: str = "plain", *words: str) -> tuple[int, str]:
    """Exit code and standard error of two processes."""
    running = start(folder, "--processes", "2", "--set", f"mode={mode}", *words)
    said = running.communicate(timeout=300)[1]
    return running.returncode, said
