"""What the tests of cohorts share: small trees, and the table that comes out of them."""

import csv
from collections.abc import Iterable
from pathlib import Path

from voxfield.cli import main


def touch(root: Path, paths: Iterable[str]) -> None:
    """Files that hold something."""
    for path in paths:
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x")


def cohort(root: Path, *words: str, code: int = 0) -> list[dict[str, str]]:
    """Rows of the table of a folder, written beside it; what is n/a is left away."""
    table = root.parent / "cohort.tsv"
    assert main(["cohort", str(root), "--out", str(table), "--force", *words]) == code
    return read(table) if code == 0 else []


def read(table: Path) -> list[dict[str, str]]:
    """Rows of a table; what is n/a is left away."""
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return [{name: value for name, value in row.items() if value != "n/a"} for row in rows]


def unmatched(root: Path) -> dict[str, str]:
    """Reason by path of what came into no row."""
    table = root.parent / "cohort.unmatched.tsv"
    return {row["path"]: row["reason"] for row in read(table)} if table.is_file() else {}
