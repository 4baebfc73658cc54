"""Write down why a job failed, in `failures/`.

    python -m voxfield.failure FILE SUBJECT STAGE LOG CODE
    python -m voxfield.failure --rows TABLE MANIFEST RULE STAGE LOG CODE

Called by the shell line of a rule after its stage ended with an error, so that a stage that was killed from outside is
written down like one that refused its input. The second form is for a batch: a note for every scan that is to blame,
and for no other. Imports the standard library only.
"""

import csv
import json
import shutil
import signal
import sys
from pathlib import Path


def main(words: list[str]) -> int:
    """Write the notes; returns the exit code of the failed stage."""
    if words[0] != "--rows":
        place, subject, stage, log, code = words
        _note(Path(place), subject, stage, _reason(Path(log), int(code)), log, int(code))
        return int(code)
    table, manifest, rule, stage, log, code = words[1:]
    for subject, reason in _blamed(Path(table), Path(manifest), _reason(Path(log), int(code)), int(code)).items():
        # The batch goes on without the scan and writes its log anew: what it said of the scan is kept beside.
        own = Path("logs", f"sub-{subject}", f"{stage}.log")
        own.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, own)
        _note(Path("failures", f"{subject}.{rule}.json"), subject, stage, reason, str(own), int(code))
    return int(code)


def _note(place: Path, subject: str, stage: str, reason: str, log: str, code: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    content = {"subject": subject, "stage": stage, "exit_code": code, "reason": reason, "log": Path(log).as_posix()}
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
    return lines[-1] if lines else f"ended with exit code {code}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
