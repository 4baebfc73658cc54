"""What the rules of the report say on the command line about jobs that failed.

Standard library only: planning a run imports no stage.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from voxfield.runs.failures import failures

LONGEST_REASON = 240  # characters of a failure's reason that a page tells; its log has the rest
FOLDER = re.compile(r"(?<![^\s'\"(])/(?:[^\s/:'\"]+/)+")


def failed(run: Path = Path()) -> list[list[str]]:
    """Subject, stage, reason and log of every job that failed; absolute folders are cut off, records hold none."""
    return [[f["subject"], f["stage"], FOLDER.sub("", f["reason"])[:LONGEST_REASON], f["log"]] for f in failures(run)]


def settings(values: Mapping[str, object]) -> str:
    """`--set name=value ...`, quoted for the shell."""
    words = [word for name, value in values.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    return " ".join(shlex.quote(word) for word in words)


def look() -> str:
    """A hash of the templates, which no code hash sees: pages are made anew when their look changes."""
    files = sorted((Path(__file__).parent / "templates").iterdir())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
