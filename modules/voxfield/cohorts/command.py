"""`voxfield cohort FOLDER`: which scans are there, and which files came into no row."""

import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxfield.cohorts.scans import Found, Left
from voxfield.errors import InputError, SettingsError
from voxfield.options import parse

if TYPE_CHECKING:
    from voxfield.cohorts.tree import Tree

SHOWN = 3  # examples of a reason


def cohort(words: list[str]) -> int:
    """`voxfield cohort FOLDER`."""
    options = parse(
        "cohort",
        words,
        ("folder", {"type": Path}),
        ("--out", {"type": Path, "default": Path("cohort.tsv"), "metavar": "TABLE", "help": "to write (cohort.tsv)"}),
        ("--layout", {"choices": ("auto", "bids", "nnunet", "dicom"), "default": "auto", "help": "(auto)"}),
        ("--pattern", {"action": "append", "default": [], "metavar": "NAME", "help":
                       "a layout of your own, such as 'site-{site}/{patient}_{session}_ct.nii.gz'; "
                       "'annotation={patient}/mask.nii.gz' fills another column"}),
        ("--image", {"metavar": "KIND", "help": "which kind of file is the image, such as T1w"}),
        ("--annotation", {"metavar": "KIND", "help": "which kind of file is the label map to train on"}),
        ("--force", {"action": "store_true", "help": "replace a table that is there"}),
    )  # fmt: skip
    if options.pattern and options.layout != "auto":
        raise SettingsError("--pattern is a layout of its own; leave --layout away")
    out: Path = options.out
    if not out.name.endswith(".tsv") or not out.absolute().parent.is_dir():
        raise SettingsError(f"--out {out}: expected the name of a .tsv file in a folder that is there")
    if out.exists() and not options.force:
        raise InputError("is there already, perhaps with columns of yours; give another --out, or --force", file=out)
    return make_cohort(options.folder, out, options.layout, options.pattern, options.image, options.annotation)


def make_cohort(
    folder: Path,
    out: Path,
    layout: str = "auto",
    patterns: Sequence[str] = (),
    image: str | None = None,
    annotation: str | None = None,
) -> int:
    """Write the table of a folder, and beside it what came into no row; say what was taken for what."""
    from voxfield.cohorts.table import rows_of, with_roles, write_table
    from voxfield.cohorts.tree import walk

    tree = walk(folder)
    beside, key = out.with_name(f"{out.stem}.unmatched.tsv"), out.with_suffix(".key")
    own = {Path(os.path.relpath(place.resolve(), folder.resolve())).as_posix() for place in (out, beside, key)}
    tree.files = [path for path in tree.files if path not in own]
    found = with_roles(_read(tree, layout, patterns, key), image, annotation)
    left = sorted([*tree.left, *found.left], key=lambda item: (item.reason, item.path))
    if not found.scans:
        raise InputError("\n".join([f"holds no scan by the layout {found.layout}", *_grouped(left)]), file=folder)
    rows = rows_of(found.scans, folder, out)
    beside.unlink(missing_ok=True)
    if left:
        write_table(beside, [{"path": item.path, "reason": item.reason} for item in left])
    write_table(out, rows)
    for line in _told(found, left, tree.hidden, out, beside):
        sys.stdout.write(f"{line}\n")
    return 0


def _read(tree: "Tree", layout: str, patterns: Sequence[str], key: Path) -> Found:
    from voxfield.cohorts.bids import is_bids, read_bids
    from voxfield.cohorts.nnunet import is_nnunet, read_nnunet

    if patterns:
        from voxfield.cohorts.pattern import read_pattern

        return read_pattern(tree, patterns)
    if layout == "nnunet" or (layout == "auto" and is_nnunet(tree.root)):
        return read_nnunet(tree)
    if layout == "bids" or (layout == "auto" and is_bids(tree.root)):
        return read_bids(tree)
    return _read_dicom(tree, key)


def _read_dicom(tree: "Tree", key: Path) -> Found:
    from dataclasses import replace

    from voxfield.cohorts.dicom import load_key, read_dicom_tree
    from voxfield.context import Context

    new = not key.exists()
    bar = Context(show=sys.stderr.isatty()).progress
    found = read_dicom_tree(tree, load_key(key), lambda files: bar(files, total=len(tree.files), desc="headers"))
    if not found.scans:
        if new:
            key.unlink()
        return replace(found, layout=f"{found.layout}, since it looks like no other (see --layout and --pattern)")
    note = f"{key} holds the key of the pseudonyms: keep it to yourself, and with the table that is to grow"
    return replace(found, notes=[*found.notes, note])


def _told(found: Found, left: Sequence[Left], hidden: int, out: Path, beside: Path) -> list[str]:
    patients, sites = {scan.patient for scan in found.scans}, {scan.site for scan in found.scans if scan.site}
    parts = f" at {len(sites)} {'sites' if len(sites) > 1 else 'site'}" if sites else ""
    lines = [f"layout: {found.layout}", f"{len(found.scans)} scans of {len(patients)} patients{parts}: {out}"]
    lines += [f"note: {note}" for note in found.notes]
    if hidden:
        lines.append(f"note: {hidden} hidden files and folders were passed over")
    if left:
        lines += [f"{len(left)} files or folders came into no row: {beside}", *_grouped(left)]
    return lines


def _grouped(left: Sequence[Left]) -> list[str]:
    groups: dict[str, list[str]] = defaultdict(list)
    for item in left:
        groups[item.reason].append(item.path)
    return [
        f"  {len(paths)} x {reason}: {', '.join(paths[:SHOWN])}{', ...' if len(paths) > SHOWN else ''}"
        for reason, paths in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]
