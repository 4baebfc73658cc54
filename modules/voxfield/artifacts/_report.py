"""Report: a page with its pictures, in a folder that opens from disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits, Origin
from voxfield.artifacts._files import open_origin
from voxfield.errors import InputError
from voxfield.paths import is_file, is_folder

if TYPE_CHECKING:
    from typing import Self

    from voxfield.findings import Findings

INDEX = "index.html"


class Report(Artifact):
    """Files of a small web site: `index.html`, and `assets/...` beside it.

    pages  relative path with forward slashes -> content
    """

    suffix = ""

    def __init__(self, pages: Mapping[str, bytes]) -> None:
        super().__init__()
        self._pages: dict[str, bytes] | None = dict(pages)
        for name in pages:
            _check_name(name)
        if INDEX not in pages:
            raise InputError(f"a report begins with {INDEX}; found {', '.join(sorted(pages)) or 'no page'}")

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Open the folder of a report; its pages are read when they are first used."""
        path = Path(path)
        if not is_folder(path):
            what = "is not a folder" if is_file(path) else "no such folder"
            raise InputError(f"{what}; a report is a folder with {INDEX}", file=path)
        open_origin(path / INDEX)
        report = cls.__new__(cls)
        Artifact.__init__(report)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        report._opened(Origin(path, size), findings)
        report._pages = None
        return report

    @property
    def pages(self) -> dict[str, bytes]:
        """Relative path -> content; read from the folder at first use."""
        if self._pages is None:
            folder = self.file
            if folder is None:
                raise RuntimeError("a report has pages or a folder to read them from")
            files = sorted(file for file in folder.rglob("*") if file.is_file())
            self._pages = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
        return self._pages

    def release(self) -> None:
        """Drop the pages; they are read again when they are next used. Without a folder they stay."""
        if self.origin is not None:
            self._pages = None

    def save(self, path: str | Path) -> None:
        """Write the folder `path`."""
        folder = Path(path)
        for name, content in sorted(self.pages.items()):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def _check(self, inspection: Inspection) -> None:
        if not self.pages[INDEX].strip():
            inspection.refuse(f"its {INDEX} is empty")


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name or str(path) != name:
        raise InputError(f"page {name!r} lies outside the report; expected a plain relative path")
