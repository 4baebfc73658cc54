"""Make a table for the pipeline out of a public set of knees.

    python prepare.py knee_kl_64.npz FOLDER        pictures and FOLDER/knees.tsv
    python prepare.py knee_kl_clahe224 TABLE.tsv   a table of the pictures where they lie

The part that the sets call `val` is the test here: it is looked at once. Nothing is unpickled.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Picture

COLUMNS = ("subject", "image", "patient", "side", "grade", "split")
PARTS = {"train": "train", "val": "test"}
SIDES = {"L": "left", "R": "right"}


def from_arrays(source: Path, folder: Path) -> Iterator[dict[str, str | int]]:
    """Rows of an .npz of images, labels, patients and sides; the images are written as PNG."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with np.load(source, allow_pickle=False) as arrays:
        for part, role in PARTS.items():
            columns = (arrays[f"{part}_{name}"] for name in ("images", "labels", "patient", "side"))
            for pixels, label, patient, side in zip(*columns, strict=True):
                subject = f"{patient}{side}"
                Picture.fromarray(pixels).save(folder / "images" / f"{subject}.png")
                yield row(subject, f"images/{subject}.png", patient, side, label[0], role)


def from_index(source: Path) -> Iterator[dict[str, str | int]]:
    """Rows of a folder with an index.csv."""
    with (source / "index.csv").open(newline="", encoding="utf-8") as stream:
        for entry in csv.DictReader(stream):
            path = source / entry["path"]
            if entry["split"] in PARTS and path.is_file():
                yield row(path.stem, path.resolve().as_posix(), entry["patient"], entry["side"], entry["kl"],
                          PARTS[entry["split"]])  # fmt: skip


def row(subject: str, image: str, patient: object, side: str, grade: object, split: str) -> dict[str, str | int]:
    """A row of the table."""
    return dict(zip(COLUMNS, (subject, image, str(patient), SIDES[str(side)], int(str(grade)), split), strict=True))


def write(table: Path, rows: Iterable[dict[str, str | int]]) -> int:
    """Write the table; returns its number of rows."""
    found = list(rows)
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    return len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="knee_kl_64.npz, or the folder knee_kl_clahe224")
    parser.add_argument("target", type=Path, help="a folder to make, or a table to write")
    given = parser.parse_args()
    is_folder = given.source.is_dir()
    table = given.target if is_folder else given.target / "knees.tsv"
    count = write(table, from_index(given.source) if is_folder else from_arrays(given.source, given.target))
    sys.stdout.write(f"{table}: {count} knees\n")


if __name__ == "__main__":
    main()
