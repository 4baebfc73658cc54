"""A cohort of two people whose files are full of what may identify them, and the search for it in every byte."""

import gzip
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from dicom_files import write_series
from voxfield.artifacts import Table

SUBJECT, BROKEN, PATIENT = "zoequartz", "abelquartz", "quartzfamily"
FOLDER, USER, HOST = "home of quartzuser", "quartzuser", "quartzhost"
PERSON = {"name": "Quartz^Zoe", "patient": "MRNQ4711", "institution": "Quartz Clinic", "date": "19410307"}
TEXTS = {"descrip": b"quartz text", "aux_file": b"quartz aux", "intent_name": b"quartz intent", "db_name": b"quartzdb"}
EXTENSION = b"quartz extension, acquired 1941-03-07"
SHAPE = (14, 14, 40)
WORDS = ("quartz", PERSON["patient"], PERSON["date"], "1941-03-07")
PNG, PNG_CHUNKS = b"\x89PNG\r\n\x1a\n", {b"IHDR", b"PLTE", b"IDAT", b"IEND"}


def make_people(folder: Path) -> Path:
    """Write a CT series and a label map of one, a damaged file of the other, and their table."""
    folder.mkdir(parents=True)
    lumen = tube()
    write_series(folder / f"{SUBJECT}_ct", 200 + 900 * lumen.astype(np.int64), np.diag([1.0, 1, 1, 1]), **PERSON)
    write_labels(folder / f"{SUBJECT}_lumen.nii.gz", lumen)
    (folder / f"{BROKEN}_ct.nii.gz").write_bytes(b"quartz is no NIfTI file")
    write_labels(folder / f"{BROKEN}_lumen.nii.gz", lumen)
    table = folder / "cohort.tsv"
    rows = (SUBJECT, BROKEN)
    columns: Mapping[str, list[str]] = {
        "subject": list(rows), "patient": [PATIENT] * 2, "image": [f"{SUBJECT}_ct", f"{BROKEN}_ct.nii.gz"],
        "lumen": [f"{row}_lumen.nii.gz" for row in rows],
    }  # fmt: skip
    Table(columns).save(table)
    return table


def tube() -> NDArray[np.bool_]:
    """A bent vessel that runs through the volume."""
    x, y, z = np.indices(SHAPE)
    return np.asarray((x - 6.5 - 2 * np.sin(z / 12)) ** 2 + (y - 6.5) ** 2 <= 3.2**2)


def write_labels(path: Path, mask: NDArray[np.bool_]) -> None:
    """A NIfTI label map with a text in every field of its header that takes one, and an extension."""
    image = nib.Nifti1Image(mask.astype(np.uint8), np.eye(4))
    for name, text in TEXTS.items():
        image.header[name] = text
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", EXTENSION))
    nib.save(image, path)


def leaks(root: Path, files: Iterator[Path] | list[Path], words: tuple[str, ...]) -> list[str]:
    """Files in which one of the words stands, whatever its case, in text of one or two bytes a letter; and the
    places beside the content where a writer may put a name or a time."""
    found = []
    for file in files:
        name = file.relative_to(root).as_posix()
        for body in layers(file.read_bytes()):
            low = body.lower()
            coded = [(word, word.lower().encode(code)) for word in words for code in ("utf-8", "utf-16-le")]
            found += [f"{name}: {word}" for word, form in coded if form in low]
        found += [f"{name}: {fault}" for fault in stamps(file.read_bytes())]
    return sorted(set(found))


def layers(raw: bytes) -> Iterator[bytes]:
    """The bytes of a file, and what is packed in them."""
    yield raw
    if raw.startswith(b"\x1f\x8b"):
        yield gzip.decompress(raw)
    if raw.startswith(PNG):
        yield zlib.decompress(b"".join(body for kind, body in chunks(raw) if kind == b"IDAT"))


def stamps(raw: bytes) -> Iterator[str]:
    """Names, comments and times in the frame of a gzip or PNG file."""
    if raw.startswith(b"\x1f\x8b"):
        flags, time = struct.unpack("<BI", raw[3:8])
        if flags or time:
            yield f"gzip header with flags {flags} and time {time}"
    if raw.startswith(PNG):
        yield from (f"PNG chunk {kind!r}" for kind, _ in chunks(raw) if kind not in PNG_CHUNKS)


def chunks(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of every chunk of a PNG file."""
    place = len(PNG)
    while place < len(raw):
        size, kind = struct.unpack(">I4s", raw[place : place + 8])
        yield kind, raw[place + 8 : place + 8 + size]
        place += size + 12
