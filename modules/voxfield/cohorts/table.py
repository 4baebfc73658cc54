"""The table of a cohort: which kind is the image, paths from beside the table, written whole or not at all."""

import csv
import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from voxfield.cohorts.ids import subject_ids
from voxfield.cohorts.scans import Found, Left, Scan
from voxfield.errors import InputError, SettingsError
from voxfield.settings import unknown_key

COLUMNS = ("subject", "patient", "session", "site")


def with_roles(found: Found, image: str | None, annotation: str | None) -> Found:
    """The scans with the kinds that are asked for as `image` and `annotation`.

    Without a choice the image is the kind that most scans have outside of derivatives, which is noted. Scans without
    it are left out.
    """
    scans = list(found.scans)
    counted = Counter(
        kind for scan in scans for kind, path in scan.files.items() if not path.startswith("derivatives/")
    )
    kinds = {kind for scan in scans for kind in scan.files}
    for asked in filter(None, (image, annotation)):
        if asked not in kinds:
            raise SettingsError(f"no file is of kind {asked!r}: {unknown_key(asked, kinds).replace('setting', 'kind')}")
    notes = list(found.notes)
    image = image or found.image or None
    for role, kind in (("image", image), ("annotation", annotation)):
        if kind not in (None, role) and role in kinds:
            raise SettingsError(f"--{role} {kind}: files are called {role} already; one column can not hold both")
    if image is None and "image" not in kinds and counted:
        image = max(sorted(counted), key=lambda kind: counted[kind])
        others = ", ".join(f"{kind} ({count})" for kind, count in sorted(counted.items()) if kind != image)
        if others:
            notes.append(
                f"{image} is taken for the image ({counted[image]} scans); others are {others}: choose by --image"
            )
    roles = {kind: role for kind, role in ((image, "image"), (annotation, "annotation")) if kind}
    named = [replace(scan, files={roles.get(kind, kind): path for kind, path in scan.files.items()}) for scan in scans]
    if not image:
        return replace(found, scans=named, notes=notes)
    left = [
        *found.left,
        *(Left(path, f"no {image} of this scan") for scan in named if "image" not in scan.files
          for path in scan.files.values()),
    ]  # fmt: skip
    return replace(found, scans=[scan for scan in named if "image" in scan.files], left=left, notes=notes)


def rows_of(scans: Sequence[Scan], root: Path, table: Path) -> list[dict[str, str]]:
    """Rows of the table: ids, patients, and paths from beside it."""
    beside = table.resolve().parent
    base = Path(os.path.relpath(root.resolve(), beside))
    clash = sorted({kind for scan in scans for kind in scan.files} & {*COLUMNS, *(n for s in scans for n in s.more)})
    if clash:
        raise InputError(f"a kind of file is called {clash[0]!r}, like a column of the table; call it otherwise")
    return [
        {
            "subject": subject, "patient": scan.patient, "session": scan.session, "site": scan.site, **scan.more,
            **{kind: (base / path).as_posix() for kind, path in scan.files.items()},
        }
        for subject, scan in zip(subject_ids(scans), scans, strict=True)
    ]  # fmt: skip


def write_table(place: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write rows as a TSV, `n/a` where a row has nothing. Columns that nobody fills are left away but for the first."""
    filled = list(dict.fromkeys(name for row in rows for name, value in row.items() if value))
    names = [*(name for name in COLUMNS if name in rows[0]), *(name for name in ("image",) if name in filled)]
    names += [name for name in filled if name not in names]
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n")
    writer.writerow(names)
    writer.writerows([row.get(name) or "n/a" for name in names] for row in rows)
    partial = place.with_name(f".vf{os.getpid()}.tsv.tmp")
    try:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            stream.write(buffer.getvalue())
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
