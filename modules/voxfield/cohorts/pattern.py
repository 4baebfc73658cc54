"""A name pattern: `site-{site}/{patient}_{session}_ct.nii.gz`, matched against paths below the folder.

Placeholders are {patient}, {session}, {site}, {part} (what tells several scans of a session apart) and {kind} (the
column of the file); each stands for one piece of a name, without slash. {side}, {grade} and {split} stand for the words
that pipelines read in columns of these names, so that `{split}/{grade}/{patient}{side}.png` fits in one way. A * stands
for anything within a name. Without {kind} a pattern names its column in front, `annotation={patient}/mask.nii.gz`, or
is that of the images.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from voxfield.cohorts.scans import Found, Left, Scan
from voxfield.cohorts.tree import Tree
from voxfield.errors import SettingsError
from voxfield.settings import unknown_key

IDENTITY = ("patient", "session", "part", "site", "side")  # what makes a scan another one
WORDS = {"side": "[LRlr]|left|right", "grade": "[0-4]", "split": "train|val|calibration|test"}
PLACES = (*IDENTITY, "kind", *(name for name in WORDS if name not in IDENTITY))
Values = dict[str, str]
PIECE = re.compile(r"\{([^{}]*)\}|(\*)")
COLUMN = re.compile(r"(?P<kind>[A-Za-z_][A-Za-z0-9_]*)=(?P<pattern>.*)\Z", re.DOTALL)


class Pattern:
    """One pattern, as two expressions: one that takes as little as it can for a placeholder, one as much."""

    def __init__(self, text: str) -> None:
        column = COLUMN.match(text)
        self.kind = column["kind"] if column else "image"
        body = unicodedata.normalize("NFC", column["pattern"] if column else text).removeprefix("./")
        self.names = [match[1] for match in PIECE.finditer(body) if match[1] is not None]
        for name in self.names:
            if name not in PLACES:
                raise SettingsError(f"--pattern {text!r}: {unknown_key(name, PLACES).replace('setting', 'place')}")
        if "patient" not in self.names:
            raise SettingsError(f"--pattern {text!r} has no {{patient}}; expected one, so that every row is somebody's")
        self._short, self._long = (_expression(body, more) for more in ("+?", "+"))

    def match(self, path: str) -> Values | None:
        """The values of the placeholders; None for another path. Raises ValueError where it fits in two ways."""
        short, long = self._short.fullmatch(path), self._long.fullmatch(path)
        if short is None or long is None:
            return None
        if short.groupdict() != long.groupdict():
            name = next(name for name in self.names if short[name] != long[name])
            raise ValueError(f"fits the pattern in two ways: {name} {short[name]!r} or {long[name]!r}")
        return {"kind": self.kind, **short.groupdict()}


def read_pattern(tree: Tree, texts: Sequence[str]) -> Found:
    """The scans whose names fit one of the patterns."""
    patterns = [Pattern(text) for text in texts]
    scans: dict[tuple[str, ...], Scan] = {}
    by_site = any("site" in pattern.names for pattern in patterns)
    left: list[Left] = []
    for path in tree.files:
        try:
            values = _first_match(patterns, unicodedata.normalize("NFC", path))
        except ValueError as error:
            left.append(Left(path, str(error)))
            continue
        if values is None:
            left.append(Left(path, "fits no pattern"))
            continue
        place = tuple(values.get(name, "") for name in IDENTITY)
        fault = _add(scans.setdefault(place, _scan(values, by_site)), values, path)
        if fault:
            left.append(Left(path, fault))
    rows = [scans[place] for place in sorted(scans)]
    return Found(f"pattern {' '.join(texts)}", rows, left, _notes(rows))


def _scan(values: Values, by_site: bool) -> Scan:
    part = "-".join(values[name] for name in ("part", "side") if name in values)
    return Scan(values["patient"], values.get("session", ""), part, values.get("site", ""), by_site=by_site)


def _add(scan: Scan, values: Values, path: str) -> str | None:
    """Enter a file into its scan; returns what keeps it out."""
    kind = values["kind"]
    if kind in scan.files:
        return f"a second {kind} of this scan, beside {scan.files[kind]}"
    for name in WORDS:
        if name in values and scan.more.setdefault(name, values[name]) != values[name]:
            return f"says {name} {values[name]}, and another file of this scan {scan.more[name]}"
    scan.files[kind] = path
    return None


def _notes(rows: Sequence[Scan]) -> list[str]:
    sites: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        sites[row.patient].add(row.site)
    shared = sorted(patient for patient, places in sites.items() if len(places) > 1)
    if not shared:
        return []
    return [f"{len(shared)} patients occur at several sites, such as {shared[0]}, and count as one person each, so "
            "that none trains and tests: change the column `patient` where they are several"]  # fmt: skip


def _first_match(patterns: Sequence[Pattern], path: str) -> Values | None:
    return next((values for pattern in patterns if (values := pattern.match(path)) is not None), None)


def _expression(body: str, more: str) -> re.Pattern[str]:
    parts, seen, end = [], set(), 0
    for match in PIECE.finditer(body):
        parts.append(re.escape(body[end : match.start()]))
        end, name = match.end(), match[1]
        if name is None:
            parts.append("[^/]*")
        elif name in seen:
            parts.append(f"(?P={name})")
        else:
            seen.add(name)
            parts.append(f"(?P<{name}>{WORDS.get(name, f'[^/]{more}')})")
    return re.compile("".join([*parts, re.escape(body[end:])]))
