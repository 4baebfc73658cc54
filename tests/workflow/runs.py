"""Running a light pipeline on a cohort of random volumes."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxfield.artifacts import Image, Table


def make_cohort(folder: Path, subjects: Sequence[str], side: int = 6) -> Path:
    """Write a volume a subject, where there is none yet, and the table that lists them."""
    folder.mkdir(exist_ok=True)
    for number, subject in enumerate(subjects):
        path = folder / f"{subject}.nii.gz"
        if not path.exists():
            data = np.random.default_rng(number).random((side,) * 3).astype("f4")
            Image(data, np.eye(4)).save(path)
    table = folder / "cohort.tsv"
    Table({"subject": list(subjects), "image": [f"{s}.nii.gz" for s in subjects]}).save(table)
    return table


def command(pipeline: Path, table: Path, run: Path, *more: str) -> list[str]:
    """The words of `voxfield run`."""
    words = ["run", str(pipeline), "--directory", str(run), "--cores", "2", "--set", f"cohort={table}", *more]
    return [sys.executable, "-m", "voxfield", *words]


def voxfield(pipeline: Path, table: Path, run: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(command(pipeline, table, run, *more), capture_output=True, text=True, check=False)


def run_pipeline(name: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a pipeline that ships, on one core, to its end."""
    words = [sys.executable, "-m", "voxfield", "run", name, "--cores", "1", "--directory", str(folder), *more]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def mtimes(run: Path) -> dict[str, int]:
    """When each volume of a run was written."""
    return {str(p.relative_to(run)): p.stat().st_mtime_ns for p in run.rglob("*.nii.gz")}
