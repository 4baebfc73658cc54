"""`keep:` of a configuration: which files of a scan stay once everything about it is finished.

    keep: all              all of them (the default)
    keep: results          all but what the pipeline calls intermediate
    keep: ["lumen.*"]      what has such a name

Tables, metrics and pages always stay: they are small, and gathers go back to them when a cohort grows. A scan with a
failure keeps everything, since another try needs it. What is let go leaves its record (`voxfield.removed`), so that it
still counts as made.

    python -m voxfield.runs.keep TABLE drop|keep PATTERN ...

is called by the last rule of a scan, for those of its batch.
"""

import csv
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from voxfield.errors import SettingsError
from voxfield.records import record_path
from voxfield.removed import let_go, removed_place
from voxfield.workflow import PYTHON

ALWAYS = ("*.json", "*.tsv")


def words_of(keep: Any, intermediate: Sequence[str]) -> list[str]:
    """What to let go, as words of the command above; none where everything stays.

    keep          the setting: `all`, `results` or name patterns
    intermediate  name patterns of what is no result of the pipeline
    """
    if keep == "all":
        return []
    if keep == "results":
        return ["drop", *intermediate]
    if isinstance(keep, list) and keep and all(isinstance(name, str) for name in keep):
        return ["keep", *keep]
    raise SettingsError(f"setting 'keep' is {keep!r}; expected all, results or a list of name patterns")


def line(words: Sequence[str]) -> str:
    """What follows in the shell line of the last rule of a scan, with `words` in its params as `let_go`."""
    return f" && {PYTHON} -m voxfield.runs.keep {{input.table:q}} {{params.let_go}} 2>> {{log:q}}" if words else ""


def dropped(words: Sequence[str], name: str) -> bool:
    """Whether a file of this name is let go."""
    if not words or any(fnmatchcase(name, pattern) for pattern in ALWAYS):
        return False
    named = any(fnmatchcase(name, pattern) for pattern in words[1:])
    return named == (words[0] == "drop")


def prune(subjects: Sequence[str], words: Sequence[str], run: Path = Path()) -> tuple[int, int]:
    """Let go what scans that are finished no longer need; how many files, and their bytes."""
    failed = {note.name.split(".")[0] for note in (run / "failures").glob("*.json")}
    folders = [run / f"sub-{subject}" for subject in subjects if subject not in failed]
    freed = [let_go(file) for folder in folders for file in _made(folder) if dropped(words, file.name)]
    return len(freed), sum(freed)


def _made(folder: Path) -> Iterator[Path]:
    """The files of a scan that stages made: those with a record, or that a kill left when it had been put away."""
    for file in sorted(folder.iterdir()):
        if file.is_file() and (record_path(file).is_file() or removed_place(file).is_file()):
            yield file


def main(words: list[str]) -> int:
    """The command."""
    with Path(words[0]).open(newline="", encoding="utf-8") as stream:
        subjects = [row["subject"] for row in csv.DictReader(stream, delimiter="\t")]
    count, size = prune(subjects, words[1:])
    sys.stderr.write(f"{count} files let go, {size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
