"""RawFile: a file of a foreign format, for the stage that converts it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._files import HashedFile, open_origin

if TYPE_CHECKING:
    from typing import Self

    from voxfield.findings import Findings


class RawFile(Artifact):
    """A regular file that is not empty; nothing else is known about it.

    path    where it lies
    limits  how much a reader of it may take on
    """

    suffix = ""

    def __init__(self, path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__()
        self.origin = open_origin(path)
        self.path = self.origin.path
        self.limits = limits

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Look at a file without reading it."""
        raw = cls(path, limits=limits)
        if findings is not None:
            raw.findings = findings
        return raw

    def save(self, path: str | Path) -> None:
        """Copy the file."""
        shutil.copyfile(self.path, path)

    def _check(self, inspection: Inspection) -> None:
        if self.origin is not None and self.origin.digest is None:
            with HashedFile(self.origin) as file:
                file.finish()
