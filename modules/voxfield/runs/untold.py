"""Failures that only Snakemake knows of: a job that was refused by the scheduler, or cancelled while it waited.

Nothing of such a job has run, so nothing wrote its failure down. Snakemake's log of the run shows its shell line, and
in that stands what it would have told `voxfield.failure`.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voxfield.failure import write_notes
from voxfield.runs import slurm
from voxfield.runs.failures import failures

GROUP = re.compile(r"message: Error in group \w+\n +log: \S*?/(\w+)\.log ")
ERROR = re.compile(r"^( *)Error in rule \w+:\n((?:\1    .*\n)+)", re.MULTILINE)
TOLD = re.compile(r"printf '%s\\n' \"\$\{SLURM_JOB_ID:-\}\" (.+?) > \S+\.started;")


@dataclass(frozen=True)
class Refused:
    """A job as Snakemake's log tells of its failure."""

    words: tuple[str, ...]
    inputs: frozenset[str]
    outputs: frozenset[str]
    number: str
    message: str

    @property
    def log(self) -> str:
        """Where its stage would have written."""
        return self.words[3 if self.words[0] == "--steps" else -1]


def note_untold_failures(run: Path) -> None:
    """Write down the failures of the last start of Snakemake that left neither a note nor a mark."""
    logs = sorted((run / ".snakemake" / "log").glob("*.snakemake.log"))
    if not logs:
        return
    last = {job.words: job for job in _errors(logs[-1].read_text(errors="replace"))}
    failed = [job for job in last.values() if not all((run / output).exists() for output in job.outputs)]
    numbers = {note.get("slurm_job") for note in failures(run)} - {None}
    missing = frozenset[str]().union(*(job.outputs for job in failed))
    for job in failed:
        if job.number in numbers or job.inputs & missing or _is_noted(job, run):
            continue
        reason = slurm.ending(job.number) if job.number else f"its job never began: {job.message}"
        _begin_log(run / job.log, reason)
        write_notes(job.words, 1, reason=reason, slurm_job=job.number, run=run)


def _errors(text: str) -> Iterator[Refused]:
    """The jobs of stages that a log calls failed, in its order; those of an earlier attempt come first."""
    groups = [(found.start(), found[1]) for found in GROUP.finditer(text)]
    for found in ERROR.finditer(text):
        block = found[2]
        told = TOLD.search(block)
        if told is None:
            continue
        inside = [number for start, number in groups if found[1] and start < found.start()]
        yield Refused(
            tuple(shlex.split(told[1])),
            frozenset(_field("input", block).split(", ")),
            frozenset(_field("output", block).split(", ")),
            inside[-1] if inside else _field("external_jobid", block),
            _message(block),
        )


def _message(block: str) -> str:
    """What Snakemake says of a job; of one that is part of a group it says nothing."""
    told = " ".join(_field("message", block).split())
    return told if told not in {"", "None"} else "does it ask for more than there is?"


def _field(name: str, block: str) -> str:
    found = re.search(rf"^ +{name}: (.+)$", block, re.MULTILINE)
    return found[1] if found else ""


def _begin_log(log: Path, reason: str) -> None:
    """Let the log that the failure names say at least this."""
    if not log.is_file():
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"error: {reason}\n")


def _is_noted(job: Refused, run: Path) -> bool:
    return job.words[0].endswith(".json") and (run / job.words[0]).is_file()
