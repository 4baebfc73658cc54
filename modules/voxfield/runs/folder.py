"""What lies in a run folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from voxfield.errors import InputError
from voxfield.paths import RUN_MARKER

OWN_FOLDERS = frozenset({".snakemake", "batches", "failures", "logs"})  # written by the run itself: no artifacts


def require_run(run: Path) -> None:
    """Raise InputError where `run` is no run folder."""
    if not (run / RUN_MARKER).is_file():
        raise InputError(f"is no run folder: it holds no {RUN_MARKER}; name the folder of a run", file=run)


def files_of(run: Path) -> Iterator[Path]:
    """The files of a run but for what the run itself writes and the checkpoints of stages that are to go on."""
    for folder, inside, names in os.walk(run):
        own = OWN_FOLDERS if Path(folder) == run else frozenset()
        inside[:] = sorted(name for name in inside if name not in own and not name.endswith(".work"))
        yield from (Path(folder, name) for name in sorted(names) if name != RUN_MARKER)
