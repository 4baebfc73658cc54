"""Look a finished run over: are its files what their records say, and where is its report?"""

import json
import sys
from pathlib import Path

from voxfield.errors import CohortError, InputError
from voxfield.paths import RUN_MARKER
from voxfield.records import hash_file, read_record, record_path


def verify_run(run: Path) -> int:
    """Hash every recorded file anew. Raises InputError naming each file that differs from its record."""
    _require_run(run)
    bad: list[str] = []
    count = 0
    for place in sorted(run.rglob("*.json")):
        path = _recorded_file(place, run)
        if path is None:
            continue
        count += 1
        record = read_record(path)
        found = hash_file(path)[0] if path.exists() else "nothing"
        expected = record["output"]["sha256"] if record else ""
        if found != expected:
            bad.append(f"{path.relative_to(run)}: found {found[:12]}, its record says {expected[:12]}")
    if bad:
        listing = "\n".join(bad)
        raise InputError(f"{len(bad)} of {count} files differ from their records\n{listing}", file=run)
    sys.stdout.write(f"{count} files agree with their records\n")
    return 0


def report_run(run: Path) -> int:
    """Print where the report is and which subjects failed; raises CohortError when some did."""
    _require_run(run)
    page = run / "report" / "index.html"
    sys.stdout.write(f"{page}\n" if page.is_file() else "no report yet; `voxfield run` makes it\n")
    failed = failures(run)
    if failed:
        raise CohortError(failure_text(failed))
    return 0


def failures(run: Path) -> list[dict[str, str]]:
    """The failures that the jobs of a run left behind: subject, stage, reason, log."""
    return [json.loads(file.read_text()) for file in sorted((run / "failures").glob("*.json"))]


def failure_text(failed: list[dict[str, str]]) -> str:
    """One line per failure."""
    lines = [f"{f['subject'] or 'cohort'}: {f['stage']}: {f['reason']} (log: {f['log']})" for f in failed]
    return f"{len(failed)} job(s) failed; everything that does not depend on them is finished\n" + "\n".join(lines)


def _require_run(run: Path) -> None:
    if not (run / RUN_MARKER).is_file():
        raise InputError(f"is no run folder: it holds no {RUN_MARKER}; name the folder of a run", file=run)


def _recorded_file(place: Path, run: Path) -> Path | None:
    """The artifact that a record in `place` speaks of, or None where the JSON is no record."""
    try:
        content = json.loads(place.read_text())
        name = content["voxfield"]["output"]["path"]
    except (ValueError, KeyError, TypeError):
        return None
    path = run / name
    return path if record_path(path) == place else None
