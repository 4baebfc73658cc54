"""A run as a plan sees it, in a folder of its own: a dry run reads what is there and changes nothing of it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxfield.runs.folder import OWN_FOLDERS

READ = ("metadata", "incomplete")  # what Snakemake knows of the jobs


@contextmanager
def view_of(run: Path, *copied: str) -> Iterator[Path]:
    """A folder of links into `run`; of what a run writes for itself the folders `copied` are there, as copies."""
    with tempfile.TemporaryDirectory(prefix="voxfield-plan-") as scratch:
        view = Path(scratch)
        (view / ".snakemake").mkdir()
        for entry in run.iterdir() if run.is_dir() else ():
            if entry.name not in OWN_FOLDERS:
                _link(entry, view / entry.name)
        for name in READ:
            if (run / ".snakemake" / name).is_dir():
                (view / ".snakemake" / name).symlink_to(run / ".snakemake" / name)
        for name in copied:
            if (run / name).is_dir():
                shutil.copytree(run / name, view / name)
        yield view


def _link(entry: Path, name: Path) -> None:
    """A link that is as old as what it leads to: Snakemake looks at the younger of the two."""
    name.symlink_to(entry)
    times = entry.stat()
    os.utime(name, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)
