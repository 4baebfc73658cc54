"""Jobs that were ended from outside, and could not say why: cancelled, out of memory, out of time, their node gone.

The shell line of a rule leaves a mark while its job is at work: the job's number on Slurm, and what it would have told
`voxfield.failure`. A mark that nobody works on any more is turned into a failure like any other.
"""

from collections.abc import Collection
from pathlib import Path

from voxfield.failure import write_notes
from voxfield.runs import slurm

KILLED = 137  # as a shell tells of SIGKILL
UNKNOWN = "ended from outside before it could say why (often: out of memory)"


def note_lost_jobs(run: Path) -> None:
    """Write down the failure of every job of a run that began and is gone without a word.

    To be called when Snakemake has ended; jobs that are live on Slurm all the same are left alone.
    """
    marks = sorted((run / "failures").glob("*.started"))
    live: Collection[str] = slurm.live_jobs(run) if marks else ()
    for mark in marks:
        number, *job = mark.read_text().splitlines() or [""]  # empty where the disk was full
        if not job or number in live:
            continue
        reason = slurm.ending(number) if number else UNKNOWN
        write_notes(job, KILLED, reason=reason, slurm_job=number, run=run)
        mark.unlink()
