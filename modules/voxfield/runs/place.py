"""Which folder a run lives in: results of other settings are never written over.

A folder NAME keeps the settings that its results were made with. The same command with other settings goes to NAME-2,
NAME-3 and so on; one of these that was made with the very same settings is taken up again. How a run is carried out
(memory, batches, the share of scans that must finish) may change in its folder, and so may the rows of its table.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from voxfield.errors import InputError
from voxfield.runs.configuration import changes, of_results, saved_config
from voxfield.runs.folder import SETTINGS, files_of, read_marker, recorded_output

Changes = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Place:
    """Where a run lives.

    run      its folder
    origin   the run whose results it begins with; None where it goes on with its own or has none to begin with
    changed  settings that differ from those of `origin`, or from those saved in `run`: old value and new
    """

    run: Path
    origin: Path | None
    changed: Changes

    def tell(self, named: Path) -> None:
        """Say on the terminal what the person who named the folder may not expect."""
        if self.origin is not None:
            sys.stderr.write(f"settings differ from those of {self.origin.name}: a new run {self.run.name}\n")
        elif self.run != named:
            sys.stderr.write(f"these are the settings of {self.run.name}, which goes on\n")
        elif self.changed:
            sys.stderr.write(f"{self.run.name} goes on, with other settings of how it is carried out\n")
        for name, (old, new) in self.changed.items():
            sys.stderr.write(f"  {name}: {old} -> {new}\n")


def place_for(named: Path, home: Path, settings: Mapping[str, Any]) -> Place:
    """The place of a run of the pipeline in `home` with these settings, asked for under the folder `named`.

    Raises InputError where the folder holds a run of another pipeline.
    """
    pipeline = read_marker(named).get("pipeline", home.name)
    if pipeline != home.name:
        raise InputError(f"holds a run of {pipeline}, not of {home.name}; name another folder", file=named)
    if not _has_results(named):
        return Place(named, None, {})
    found = {run: changes(saved_config(home, run / SETTINGS), settings) for run in _family(named, home)}
    for run in sorted(found, key=lambda run: run != named):  # the folder that was named comes first
        if not of_results(found[run]):
            return Place(run, None, found[run])
    nearest = min(reversed(found), key=lambda run: len(of_results(found[run])))
    return Place(_next(_root(named)), nearest, of_results(found[nearest]))


def _has_results(run: Path) -> bool:
    """Whether anything was made in a folder; a run whose settings were refused is nothing to keep."""
    return (run / SETTINGS).is_file() and any(recorded_output(file, run) for file in files_of(run))


def _root(run: Path) -> Path:
    """The folder whose name a run continues: NAME for NAME-3, where that was begun from one of NAME's."""
    base, dash, number = run.name.rpartition("-")
    continues = dash and number.isdecimal() and "origin" in read_marker(run)
    return run.with_name(base) if continues else run


def _family(named: Path, home: Path) -> list[Path]:
    """NAME, NAME-2, NAME-3, ... as far as they are runs of this pipeline with results."""
    root = _root(named)
    names = [path.name.rpartition("-") for path in root.parent.iterdir()]
    numbers = sorted(int(number) for base, _, number in names if base == root.name and number.isdecimal())
    runs = [root, *(root.with_name(f"{root.name}-{number}") for number in numbers)]
    return [run for run in runs if read_marker(run).get("pipeline") == home.name and _has_results(run)]


def _next(root: Path) -> Path:
    return next(run for number in count(2) if not (run := root.with_name(f"{root.name}-{number}")).exists())
