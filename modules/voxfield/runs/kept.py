"""Results that were finished when nobody listened any more.

A job outlives the Snakemake that started it, above all on a cluster. What it then finishes still counts as incomplete:
Snakemake removes it and starts the job again, be it the training of a night. So it is laid by, and the job takes it
when it comes again with the same inputs, settings and code (`earlier`).
"""

import shutil
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path

from voxfield.records import record_path

KEPT = Path(".snakemake", "voxfield-kept")
INCOMPLETE = Path(".snakemake", "incomplete")


def lay_by(run: Path) -> None:
    """Lay by what has a record although Snakemake calls it incomplete; hard links, which cost no space."""
    from voxfield.runs.link import link_or_copy

    for name in _incomplete(run):
        place = run / name
        if place.is_file() and record_path(place).is_file():
            for file in (place, record_path(place)):
                kept = run / KEPT / file.relative_to(run)
                kept.unlink(missing_ok=True)
                link_or_copy(file, kept)


def forget(run: Path) -> None:
    """Remove what was laid by: the run is over, and nobody comes for it any more."""
    shutil.rmtree(run / KEPT, ignore_errors=True)


def _incomplete(run: Path) -> Iterator[Path]:
    """Outputs in the run folder that Snakemake has marked; a mark is named after its file, in base 64 and cut up."""
    for mark in (run / INCOMPLETE).rglob("*"):
        if mark.is_file():
            coded = "".join(part.removeprefix("@") for part in mark.relative_to(run / INCOMPLETE).parts)
            name = Path(urlsafe_b64decode(coded).decode())
            if not name.is_absolute() and ".." not in name.parts:
                yield name
