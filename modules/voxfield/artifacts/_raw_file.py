"""RawFile: a file of a foreign format, or a folder of files that are one thing, for the stage that converts it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits, Origin
from voxfield.artifacts._files import HashedFile, open_origin
from voxfield.errors import InputError
from voxfield.paths import is_folder

if TYPE_CHECKING:
    from typing import Self

    from voxfield.findings import Findings


class RawFile(Artifact):
    """A regular file that is not empty, or a folder such as a DICOM series; nothing else is known about it.

    path    where it lies
    limits  how much a reader of it may take on
    """

    suffix = ""

    def __init__(self, path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__()
        self.path = Path(path)
        self.origin = _folder_origin(self.path) if is_folder(self.path) else open_origin(path)
        self.limits = limits

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Look at a file without reading it."""
        raw = cls(path, limits=limits)
        if findings is not None:
            raw.findings = findings
        return raw

    def save(self, path: str | Path) -> None:
        """Copy the file, or the folder."""
        if self.path.is_dir():
            shutil.copytree(self.path, path)
        else:
            shutil.copyfile(self.path, path)

    def _check(self, inspection: Inspection) -> None:
        if self.origin is not None and self.origin.digest is None and not self.path.is_dir():
            with HashedFile(self.origin) as file:
                file.finish()


def _folder_origin(folder: Path) -> Origin:
    try:
        return Origin(folder, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
    except OSError as error:
        raise InputError(f"can not be read: {error.strerror}", file=folder) from None
