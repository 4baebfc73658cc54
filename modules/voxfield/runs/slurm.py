"""What a run asks of Slurm: whose jobs are live, and how one ended.

The jobs of a run carry a name that follows from its folder, so that they are found again after the process that
submitted them is gone.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from voxfield.errors import MachineError

LOGS = Path("logs", "slurm")  # below the run folder; there as soon as a job was submitted
ENDINGS = {
    "CANCELLED": "was cancelled",
    "TIMEOUT": "ran past its time limit; raise `runtime` under `resources`",
    "OUT_OF_MEMORY": "needed more memory than it had asked for; raise `mem_mb` under `resources`",
    "NODE_FAIL": "lost its node",
    "PREEMPTED": "had to make room for another job",
}
PATIENCE_S = 60.0


def job_prefix(run: Path) -> str:
    """The beginning of the names of all jobs of a run folder."""
    return f"voxfield-{hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:12]}"


def options(run: Path) -> list[str]:
    """Words for Snakemake by which the jobs of a run, and what they say, are found again."""
    return ["--slurm-jobname-prefix", job_prefix(run), "--slurm-logdir", str(run.resolve() / LOGS)]


def live_jobs(run: Path) -> Mapping[str, str]:
    """Numbers and states of the Slurm jobs of a run folder that wait or work.

    Raises MachineError where the run has had jobs and Slurm does not answer: nobody knows then who works in the folder.
    """
    if not (run / LOGS).is_dir():
        return {}
    told = _ask("squeue", "--me", "--noheader", "--array", "--format", "%A|%j|%T")
    if told is None:
        raise MachineError("has jobs on Slurm, and squeue does not answer; try again where it does", file=run)
    rows = [line.split("|") for line in told.splitlines()]
    return {number: state for number, name, state in rows if name.startswith(job_prefix(run))}


def ending(job: str) -> str:
    """How a job ended, in words, as far as Slurm still knows."""
    told = _ask("sacct", "--noheader", "--parsable2", "--allocations", "--jobs", job, "--format", "State")
    told = told or _ask("squeue", "--noheader", "--states", "all", "--jobs", job, "--format", "%T")
    state = told.split()[0] if told and told.split() else ""
    if not state:
        return f"Slurm job {job} ended before it could say why"
    return f"Slurm job {job} {ENDINGS.get(state, 'ended before it could say why')} ({state})"


def _ask(*words: str) -> str | None:
    """What a command of Slurm says; None where it is missing, fails or hangs."""
    if shutil.which(words[0]) is None:
        return None
    try:
        asked = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return None
    return asked.stdout if asked.returncode == 0 else None
