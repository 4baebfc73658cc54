"""Whose the scans of a run are, by the tables that it read and wrote."""

import csv
from collections.abc import Iterable
from pathlib import Path

UNKNOWN = "n/a"


def patients_of(tables: Iterable[Path]) -> dict[str, str]:
    """Subject -> patient of every row; empty where no table says whose a scan is. Tables that are gone say nothing."""
    found: dict[str, str] = {}
    for table in tables:
        if table.is_file():
            with table.open(newline="", encoding="utf-8") as stream:
                for row in csv.DictReader(stream, delimiter="\t"):
                    subject, patient = (row.get("subject") or "").removeprefix("sub-"), row.get("patient") or UNKNOWN
                    if subject:
                        found[subject] = found.get(subject) or (patient if patient != UNKNOWN else "")
    return found
