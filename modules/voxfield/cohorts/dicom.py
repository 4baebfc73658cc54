"""DICOM trees: series are found by their headers, whatever files and folders are called; one row a series.

Of what identifies a person nothing is copied. Patients and institutions become keyed hashes (HMAC-SHA256, RFC 2104),
the same in every table that is made with one key; without the key nobody finds a patient by trying numbers. Sessions
are the patient's studies in the order of their dates, which are not told. Free text, such as the description of a
series, stays where it is. Paths are those of the files: if folders carry names, so does the table, which is said.
"""

import hashlib
import hmac
import os
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxfield.cohorts.scans import Found, Left, Scan
from voxfield.cohorts.tree import Tree
from voxfield.errors import InputError
from voxfield.io._dicom_header import Header, begins_like_dicom, read_header

WANTED = frozenset({
    "image_type", "date", "time", "modality", "institution", "name", "patient", "kernel", "study", "series",
    "series_number", "instance_number", "laterality", "image_laterality", "orientation", "samples", "frames", "rows",
    "frame_groups",
})  # fmt: skip
NO_SCANS = frozenset({"SEG", "RTDOSE", "RTIMAGE", "PR", "SR", "DOC", "KO"})
Progress = Callable[[Iterable[str]], Iterable[str]]


@dataclass(frozen=True)
class File:
    """A DICOM file that has pixels."""

    path: str
    header: Header

    @property
    def folder(self) -> str:
        """Where it lies, relative to the tree."""
        return self.path.rpartition("/")[0]


def read_dicom_tree(tree: Tree, key: bytes, progress: Progress = iter) -> Found:
    """The series of a tree. Each file is opened once and read up to its pixels."""
    series: dict[str, list[File]] = defaultdict(list)
    left: list[Left] = []
    for path in progress(tree.files):
        try:
            known = begins_like_dicom(tree.root / path)
            header = read_header(tree.root / path, WANTED) if known else None
        except InputError as error:
            left.append(Left(path, error.message))
            continue
        if header is None or not header.has_pixels or path.rpartition("/")[2] == "DICOMDIR":
            left.append(Left(path, "is no DICOM file" if header is None else "DICOM without an image"))
        else:
            series[header.text("series") or path].append(File(path, header))
    kept, refused = _scans_of(list(series.values()))
    sessions = _sessions([files[0].header for files in kept])
    crowded = _crowded(series.values())
    scans = [scan for files in kept for scan in _rows(files, key, sessions, crowded)]
    scans.sort(key=lambda scan: scan.names)
    return Found("DICOM (series by their headers)", scans, [*left, *refused], _notes(kept))


def load_key(place: Path) -> bytes:
    """The key of pseudonyms in a file, which is made where there is none, for its owner's eyes."""
    if not place.exists():
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_hex(32) + "\n")
    try:
        key = bytes.fromhex(place.read_text().strip())
    except (OSError, ValueError) as error:
        raise InputError(f"is no key of pseudonyms ({error}); expected 64 hexadecimal digits", file=place) from None
    if len(key) != 32:
        raise InputError(f"holds a key of {len(key)} bytes; expected 32", file=place)
    return key


def _scans_of(series: Sequence[list[File]]) -> tuple[list[list[File]], list[Left]]:
    kept, left = [], []
    for files in series:
        fault = _fault(files)
        if fault:
            left += [Left(file.path, fault) for file in files]
        else:
            kept.append(files)
    return kept, left


def _fault(files: Sequence[File]) -> str | None:
    """Why a series is no scan; None where it may be one."""
    first = files[0].header
    folders = sorted({file.folder for file in files})
    if first.text("modality") in NO_SCANS:
        return f"holds no scan (modality {first.text('modality')})"
    if any("LOCALIZER" in file.header.text("image_type").upper() for file in files):
        return "is a localizer"
    if any(file.header.number("samples", 1) != 1 for file in files):
        return "is in colour, such as a photograph of a screen"
    if len(folders) > 1:
        return f"its series is spread over several folders: {folders[0] or '.'} and {folders[1] or '.'}"
    if len(files) == 1 and first.text("orientation"):
        return "is a single slice of a volume"
    return None


def _rows(
    files: Sequence[File], key: bytes, sessions: dict[tuple[str, str], str], crowded: frozenset[str]
) -> Iterable[Scan]:
    """A row for a volume; where files are radiographs or volumes of many frames, a row for each."""
    from voxfield.io._dicom_series import series_key

    first = files[0].header
    patient = pseudonym(key, "patient", _person(first))
    session = sessions[_person(first), first.text("study")]
    site = pseudonym(key, "site", first.text("institution")) if first.text("institution") else ""
    more = {"modality": first.text("modality"), "kernel": first.text("kernel")}
    number = f"s{first.number('series_number', 0)}"
    if first.text("orientation"):
        series = series_key(first.text("series")) if files[0].folder in crowded else ""
        more |= {"series": series, "slices": str(len(files))}
        yield Scan(patient, session, number, site, {"image": files[0].folder or "."}, more)
        return
    ordered = sorted(files, key=lambda file: (file.header.number("instance_number", 0), file.path))
    for count, file in enumerate(ordered, start=1):
        part = f"{number}-{count}" if len(ordered) > 1 else number
        side = file.header.text("image_laterality") or file.header.text("laterality")
        shown = more | {"slices": str(file.header.number("frames", 1)), "side": side if side in ("L", "R") else ""}
        yield Scan(patient, session, part, site, {"image": file.path}, shown)


def pseudonym(key: bytes, what: str, identity: str) -> str:
    """A name in place of an identity: the same for one key, of no use without it. 40 bits: no two in a cohort."""
    digest = hmac.new(key, f"{what}\0{identity}".encode(), hashlib.sha256).hexdigest()
    return f"{what[0]}{digest[:10]}"


def _person(header: Header) -> str:
    """Who was scanned; where an anonymised header does not say, each study is somebody."""
    return header.text("patient") or header.text("name") or header.text("study")


def _sessions(headers: Iterable[Header]) -> dict[tuple[str, str], str]:
    """Number of a study among those of its patient, by date."""
    studies: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    earliest: dict[tuple[str, str], tuple[str, str]] = {}
    for header in headers:
        place = _person(header), header.text("study")
        when = header.text("date"), header.text("time")
        earliest[place] = min(earliest.get(place, when), when)
    for (person, study), when in earliest.items():
        studies[person].add((*when, study))
    return {
        (person, study): f"{number:02}"
        for person, told in studies.items()
        for number, (_, _, study) in enumerate(sorted(told), start=1)
    }


def _crowded(series: Iterable[Sequence[File]]) -> frozenset[str]:
    """Folders that hold files of several series, so that a series has to be named."""
    count: dict[str, int] = defaultdict(int)
    for files in series:
        for folder in {file.folder for file in files}:
            count[folder] += 1
    return frozenset(folder for folder, number in count.items() if number > 1)


def _notes(kept: Sequence[Sequence[File]]) -> list[str]:
    notes = []
    nameless = sum(not files[0].header.text("patient") for files in kept)
    if nameless:
        notes.append(f"{nameless} series have no patient id; each name, or else each study, counts as a patient")
    telling = sum(_tells_a_name(files[0]) for files in kept)
    if telling:
        notes.append(f"the paths of {telling} series hold the patient's id or name, and so does the table: keep it "
                     "where the scans are (outputs and records hold neither)")  # fmt: skip
    return notes


def _tells_a_name(file: File) -> bool:
    words = [file.header.text("patient"), *file.header.text("name").replace("^", " ").split()]
    return any(len(word) > 2 and word.lower() in file.path.lower() for word in words)
