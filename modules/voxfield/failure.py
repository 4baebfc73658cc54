"""Write down why a job failed, in `failures/`.

    python -m voxfield.failure FILE SUBJECT STAGE LOG CODE
    python -m voxfield.failure --rows TABLE MANIFEST RULE STAGE LOG CODE
    python -m voxfield.failure --steps TABLE MANIFEST LOG RULE=STAGE ... CODE

Called by the shell line of a rule after its stage ended with an error, so that a stage that was killed from outside is
written down like one that refused its input. The second form is for a batch: a note for every scan that is to blame,
and for no other; notes of an earlier attempt at the rest are removed. The third is for a batch whose scans go through
several stages. Imports the standard library only.
"""

import csv
import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

LAST_WORDS = "; last words: "  # of somebody else: they may name hosts, users and folders, and go into no report


def main(words: list[str]) -> int:
    """Write the notes; returns the exit code of the failed stage."""
    *job, code = words
    write_notes(job, int(code), slurm_job=os.environ.get("SLURM_JOB_ID", ""))
    return int(code)


def write_notes(job: Sequence[str], code: int, *, reason: str = "", slurm_job: str = "", run: Path = Path()) -> None:
    """Write the notes of a job, given as above without the code.

    code       exit code of its stage; above 128, a signal ended it
    reason     why it failed; by its log and code if empty
    slurm_job  its number on Slurm, empty elsewhere
    run        the run folder, which the job's paths are relative to
    """
    if job[0] == "--steps":
        _write_steps(job[1:], code, reason, slurm_job, run)
    elif job[0] == "--rows":
        _write_rows(job[1:], code, reason, slurm_job, run)
    else:
        place, subject, stage, log = job
        _note(run / place, _content(subject, stage, reason or _reason(run / log, code), log, code, slurm_job, run))


def _write_rows(job: Sequence[str], code: int, reason: str, slurm_job: str, run: Path) -> None:
    """The notes of a batch of one stage."""
    table, manifest, rule, stage, log = job
    blamed = _blamed(run / table, run / manifest, reason or _reason(run / log, code), code)
    for row in _rows(run / table):
        subject = row["subject"]
        place = run / "failures" / f"{subject}.{rule}.json"
        if subject not in blamed:
            place.unlink(missing_ok=True)
            continue
        own = _own_log(subject, stage, log, run)
        _note(place, _content(subject, stage, blamed[subject], own, code, slurm_job, run))


def _write_steps(job: Sequence[str], code: int, reason: str, slurm_job: str, run: Path) -> None:
    """The notes of a batch whose scans go through several stages."""
    table, manifest, log, *told = job
    stages = dict(step.split("=", 1) for step in told)
    over = _rows(run / manifest) if (run / manifest).is_file() else []
    blamed = {(row["subject"], row["step"]): row["message"] for row in over if row["outcome"] == "failed"}
    left = [(row["subject"], step) for row in _rows(run / table) for step in stages][len(over) :]
    first = [pair for number, pair in enumerate(left) if number == 0 or left[number - 1][0] != pair[0]]
    blamed |= dict.fromkeys(first[:1] if code > 128 else first, reason or _reason(run / log, code))
    for row in over:
        if row["outcome"] in {"done", "skipped"}:
            (run / "failures" / f"{row['subject']}.{row['step']}.json").unlink(missing_ok=True)
    for (subject, step), why in blamed.items():
        own = _own_log(subject, stages[step], log, run)
        content = _content(subject, stages[step], why, own, code, slurm_job, run)
        _note(run / "failures" / f"{subject}.{step}.json", content)


def _own_log(subject: str, stage: str, log: str, run: Path) -> str:
    """The log of a batch, kept for a scan that failed: the batch goes on without it and writes its log anew."""
    own = Path("logs", f"sub-{subject}", f"{stage}.log")
    (run / own).parent.mkdir(parents=True, exist_ok=True)
    if (run / log).is_file():
        shutil.copyfile(run / log, run / own)
    return str(own)


def _content(
    subject: str, stage: str, reason: str, log: str, code: int, slurm_job: str, run: Path
) -> dict[str, object]:
    content = {"subject": subject, "stage": stage, "exit_code": code, "reason": reason, "log": Path(log).as_posix()}
    if slurm_job:
        content |= {"slurm_job": slurm_job, "slurm_log": _slurm_log(slurm_job, run)}
    return content


def _slurm_log(number: str, run: Path) -> str:
    """What Slurm kept of a job, relative to the run folder."""
    found = sorted((run / "logs" / "slurm").rglob(f"{number}.log"))
    return found[0].relative_to(run).as_posix() if found else ""


def _note(place: Path, content: dict[str, object]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(".tmp")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(place)


def _blamed(table: Path, manifest: Path, reason: str, code: int) -> dict[str, str]:
    """Scans of a batch that failed, and why.

    Those that its manifest calls failed; the one that was running when the process was killed; and where the process
    gave up before it came to them, all that are left.
    """
    over = _rows(manifest) if manifest.is_file() else []
    blamed = {row["subject"]: row["message"] for row in over if row["outcome"] == "failed"}
    left = [row["subject"] for row in _rows(table)[len(over) :]]
    return blamed | dict.fromkeys(left[:1] if code > 128 else left, reason)


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def _reason(log: Path, code: int) -> str:
    if code > 128:
        known = {s.value: s.name for s in signal.Signals}
        name = known.get(code - 128, str(code - 128))
        return f"killed by {name}{' (often: out of memory)' if name == 'SIGKILL' else ''}"
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    errors = [line for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1].removeprefix("error: ")
    ended = f"ended with exit code {code}"
    return f"{ended}{LAST_WORDS}{lines[-1]}" if lines else ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
