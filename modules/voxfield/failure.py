"""Write down why a job failed: `python -m voxfield.failure FILE SUBJECT STAGE LOG CODE`.

Called by the shell line of a rule after its stage ended with an error, so that a stage that was killed from outside is
written down like one that refused its input. Imports the standard library only.
"""

import json
import signal
import sys
from pathlib import Path


def main(words: list[str]) -> int:
    """Write `FILE`; returns the exit code of the failed stage."""
    place, subject, stage, log, code = Path(words[0]), words[1], words[2], Path(words[3]), int(words[4])
    place.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "subject": subject,
        "stage": stage,
        "exit_code": code,
        "reason": _reason(log, code),
        "log": log.as_posix(),
    }
    partial = place.with_suffix(".tmp")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(place)
    return code


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
