"""The failures of a run, as its jobs wrote them down."""

import json
import sys
from pathlib import Path

from voxfield.errors import CohortError
from voxfield.runs.folder import require_run


def report_run(run: Path) -> int:
    """Print where the report is and which subjects failed; raises CohortError when some did."""
    require_run(run)
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
