"""`voxfield diff RUN_A RUN_B`: what differs between two runs, or between a run and the export of one."""

import json
import sys
from pathlib import Path

from voxfield.errors import InputError
from voxfield.runs.contents import Contents, contents_of_run
from voxfield.runs.diff_text import text_of, warning_of
from voxfield.runs.differences import differences
from voxfield.runs.exported import contents_of_export, is_export


def diff_runs(a: Path, b: Path, *, json_file: Path | None = None, page: Path | None = None) -> int:
    """Print how B differs from A; write the same as JSON, and as a page in a folder, where asked to."""
    if page is not None and page.exists() and not {path.name for path in page.iterdir()} <= {"index.html", "page.json"}:
        raise InputError("holds other files; name a new folder for the page", file=page)
    found = differences(_contents(a), _contents(b))
    sys.stdout.write(text_of(found))
    content = found.as_dict()
    if json_file is not None:
        json_file.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if page is not None:
        from voxfield.report.difference import difference_page

        difference_page(content, warning_of(found)).save(page)
        sys.stdout.write(f"{page / 'index.html'}\n")
    return 0


def _contents(folder: Path) -> Contents:
    return contents_of_export(folder) if is_export(folder) else contents_of_run(folder)
