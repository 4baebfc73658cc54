"""The numbers of a metrics file, by names that mean the same in the files of all subjects."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST = 16  # entries of a list that are told apart; a longer one is a curve or a table, no row of results


def numbers_in(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """(dotted name, number) of everything that is one; true is 1, and entries of lists carry their place."""
    for key, value in values.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            yield from numbers_in(value, f"{name}.")
        elif isinstance(value, list) and len(value) <= LONGEST:
            yield from numbers_in({str(place): entry for place, entry in enumerate(value)}, f"{name}.")
        elif isinstance(value, int | float) and math.isfinite(value):
            yield name, float(value)


def file_label(path: str, subject: str) -> str:
    """A metrics file as it is called for every subject: its path, without the subject and the ending."""
    parts = [part for part in path.removesuffix(".json").split("/") if part not in {f"sub-{subject}", subject}]
    return "/".join(parts) or path
