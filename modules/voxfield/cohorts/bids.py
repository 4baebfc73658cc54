"""BIDS: `sub-<label>[/ses-<label>]/<datatype>/sub-<label>[_ses-<label>][_<key>-<value>...]_<suffix>.nii.gz`.

A row is a run of a session. Its files are told apart by what else their names say (`acq-fast_T1w`); those below
`derivatives/` come along, so that masks find their images. Labels are taken as they stand: BIDS demands that they tell
nobody's name.
"""

import csv
import re
from collections import defaultdict
from pathlib import Path

from voxfield.cohorts.scans import Found, Left, Scan
from voxfield.cohorts.tree import Tree
from voxfield.errors import InputError

NAME = re.compile(r"sub-(?P<sub>[A-Za-z0-9]+)(_ses-(?P<ses>[A-Za-z0-9]+))?(?P<rest>(_[A-Za-z0-9-]+)+)\Z")
FOLDER = re.compile(r"(sub|ses)-(.+)\Z")
RUN = re.compile(r"_run-([0-9]+)")
IMAGES = (".nii.gz", ".nii")
APART = frozenset({"sourcedata", "code", "stimuli"})  # not in the layout's names, by its own rules
SITES = ("site", "site_id", "institution_id", "center", "centre")


def is_bids(root: Path) -> bool:
    """Whether a folder says that it is BIDS, or looks like it."""
    return (root / "dataset_description.json").is_file() or any(
        place.is_dir() and FOLDER.match(place.name) for place in root.glob("sub-*")
    )


def read_bids(tree: Tree) -> Found:
    """The scans of a BIDS tree."""
    sites = _sites(tree.root / "participants.tsv")
    files: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    left: list[Left] = []
    raw: dict[str, int] = defaultdict(int)
    for path in sorted(tree.files, key=lambda path: (path.startswith("derivatives/"), path)):
        if path.split("/")[0] in APART or not path.endswith(IMAGES):
            continue
        fault = _fault(path)
        if fault:
            left.append(Left(path, fault))
            continue
        place, kind = _parsed(path)
        if kind in files[place]:
            left.append(Left(path, f"a second {kind} of this scan, beside {files[place][kind]}"))
            continue
        files[place][kind] = path
        raw[kind] += not path.startswith("derivatives/")
    scans = [Scan(sub, ses, run, sites.get(sub, ""), kinds) for (sub, ses, run), kinds in sorted(files.items())]
    notes = [] if any(raw.values()) else ["all of its images lie below derivatives/"]
    return Found("BIDS (folders sub-*)", scans, left, notes)


def _parsed(path: str) -> tuple[tuple[str, str, str], str]:
    """(patient, session, run) and kind of a file whose name has no fault."""
    match = NAME.match(_stem(path))
    if match is None:
        raise ValueError(path)
    run = RUN.search(match["rest"])
    kind = RUN.sub("", match["rest"]).strip("_")
    return (match["sub"], match["ses"] or "", f"run-{run[1]}" if run else ""), kind


def _fault(path: str) -> str | None:
    match = NAME.match(_stem(path))
    if match is None:
        return "its name is not sub-<label>[_ses-<label>]..._<suffix>"
    if not RUN.sub("", match["rest"]).strip("_"):
        return "its name has no suffix that says what it shows"
    for folder in path.split("/")[:-1]:
        said = FOLDER.match(folder)
        if said and said[2] != match[said[1]]:
            return f"its name says {said[1]}-{match[said[1]] or '(none)'}, its folder {folder}"
    return None


def _stem(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    return name.removesuffix(".gz").removesuffix(".nii")


def _sites(place: Path) -> dict[str, str]:
    """Site by participant, where `participants.tsv` has a column of sites; its other columns stay where they are."""
    if not place.is_file():
        return {}
    try:
        with place.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"can not be read as tab-separated text: {error}", file=place) from None
    column = next((name for name in SITES if rows and name in rows[0]), None)
    if column is None:
        return {}
    told = ((row.get("participant_id") or "", row.get(column) or "") for row in rows)
    return {who.removeprefix("sub-"): site for who, site in told if site not in ("", "n/a", "-")}
