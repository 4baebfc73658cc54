"""What the rules of the report say on the command line about jobs that failed.

Standard library only: planning a run imports no stage.
"""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from voxfield.failure import LAST_WORDS
from voxfield.runs.failures import failures

LONGEST_REASON = 240  # characters of a failure's reason that a page tells
FOLDER = re.compile(r"(?<![^\s'\"(=])(?:~|file:/)?/(?=\S)[^\n:'\"]*/")  # up to its last slash: names may hold spaces


def failed(run: Path = Path()) -> list[list[str]]:
    """Subject, stage, reason and log of every job that failed."""
    return [[f["subject"], f["stage"], public(f["reason"]), f["log"]] for f in failures(run)]


def public(reason: str) -> str:
    """What a page may tell of a reason: no folder of the machine, and only words of our own; its log has the rest."""
    return FOLDER.sub("", reason.partition(LAST_WORDS)[0])[:LONGEST_REASON]


def settings(values: Mapping[str, object]) -> str:
    """`--set name=value ...`, quoted for the shell."""
    words = [word for name, value in values.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    return " ".join(shlex.quote(word) for word in words)
