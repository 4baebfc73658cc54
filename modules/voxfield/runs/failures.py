"""The failures of a run, as its jobs wrote them down."""

from pathlib import Path

from voxfield.runs.state import read_state

NOTE = dict.fromkeys(("subject", "stage", "reason", "log"), str)  # what a note says at the least
TOLD = 20  # failures that are listed on the terminal; the report lists all


def failures(run: Path) -> list[dict[str, str]]:
    """The failures that the jobs of a run left behind: subject, stage, reason, log."""
    return [read_state(file, NOTE) for file in sorted((run / "failures").glob("*.json"))]


def failure_text(failed: list[dict[str, str]], run: Path) -> str:
    """How many jobs failed, one line about each of the first, and what to do."""
    lines = [f"{f['subject'] or 'cohort'}: {f['stage']}: {f['reason']} (log: {_logs(f)})" for f in failed[:TOLD]]
    if len(failed) > TOLD:
        lines.append(f"and {len(failed) - TOLD} more, see the report and {run.name}/failures")
    head = f"{len(failed)} {'job' if len(failed) == 1 else 'jobs'} failed; all that does not depend on them is finished"
    return "\n".join([head, *lines, f"when the cause is mended, `voxfield retry {run.name}` repeats what failed"])


def _logs(failure: dict[str, str]) -> str:
    """Where to read on: what the stage said, and what Slurm kept."""
    return f"{failure['log']}, and {failure['slurm_log']}" if failure.get("slurm_log") else failure["log"]
