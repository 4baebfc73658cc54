"""Table: columns of text and numbers, as tab-separated text."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._files import open_origin, read_text
from voxfield.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    from voxfield.findings import Findings

MISSING = "n/a"
# No leading zeros: 007 is a name, not a number. So are e5, and more digits than 64 bits hold: a float would round them.
INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})\Z")
REAL = re.compile(r"-?(?=[0-9.]+[.eE]|\.)(?:(0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")


class Table(Artifact):
    """Named columns of equal length.

    columns  name -> values; a value is text, int, float or None

    A column of a file is numeric where every value in it is; `n/a` and nothing at all are None. Columns
    named in `text_columns` are always text.
    """

    suffix = ".tsv"
    text_columns: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        super().__init__()
        self.columns: dict[str, list[Any]] = {name: [_plain(v) for v in values] for name, values in columns.items()}
        lengths = {name: len(values) for name, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(f"columns of a table have one length; found {lengths}")

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> Self:
        """A table from its rows. `columns` gives the order, and the names where there is no row."""
        names = list(columns) if columns is not None else list(rows[0]) if rows else []
        return cls({name: [row.get(name) for row in rows] for name in names})

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Read `.tsv`, or `.csv` with commas. Raises InputError with the line of whatever is wrong."""
        origin = open_origin(path)
        text = read_text(origin, limits)
        delimiter = "," if origin.path.name.lower().endswith(".csv") else "\t"
        names, rows = _parse(text, delimiter, origin.path)
        columns = {
            name: _values([row[place] for row in rows], as_text=name in cls.text_columns)
            for place, name in enumerate(names)
        }
        table = cls(columns)
        table._opened(origin, findings)
        if not text.endswith("\n"):
            last = (rows[-1] if rows else names)[-1][:40]
            message = f"its last line is not ended after {last!r}: a file that was cut there looks the same"
            table.findings.add("unended-line", "info", message, file=origin.path, value=last)
        return table

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()), []))

    def column(self, name: str) -> list[Any]:
        """The values of one column. Raises InputError when there is none of that name."""
        if name not in self.columns:
            raise InputError(f"has no column {name!r}; its columns are {', '.join(self.columns)}", file=self.file)
        return self.columns[name]

    def rows(self) -> list[dict[str, Any]]:
        """One dict a row."""
        return [dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]

    def save(self, path: str | Path) -> None:
        """Write tab-separated text (commas for `.csv`); a float keeps every digit, None is `n/a`."""
        buffer = io.StringIO()
        delimiter = "," if Path(path).name.lower().endswith(".csv") else "\t"
        writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
        writer.writerow(self.columns)
        for values in zip(*self.columns.values(), strict=True):
            writer.writerow([MISSING if value is None else value for value in values])
        Path(path).write_text(buffer.getvalue(), encoding="utf-8", newline="")

    def _check(self, inspection: Inspection) -> None:
        for name, values in self.columns.items():
            for row, value in enumerate(values):
                if isinstance(value, float) and not math.isfinite(value):
                    inspection.refuse(
                        f"row {row + 1} of column {name!r} is {value}; expected a finite number or nothing"
                    )
                if isinstance(value, str) and "\0" in value:
                    inspection.refuse(f"row {row + 1} of column {name!r} holds a NUL character; expected text")


def _parse(text: str, delimiter: str, file: Path) -> tuple[list[str], list[list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    names: list[str] = []
    try:
        for row in reader:
            if not names:
                names = [name.strip() for name in row]
                _check_names(names, file)
            elif row:
                if len(row) != len(names):
                    raise InputError(
                        f"line {reader.line_num} has {len(row)} columns; expected {len(names)} as in the first row",
                        file=file,
                    )
                rows.append(row)
    except csv.Error as error:
        raise InputError(f"line {reader.line_num}: {error}", file=file) from None
    if not names:
        raise InputError("holds no row; expected column names in the first", file=file)
    return names, rows


def _check_names(names: list[str], file: Path) -> None:
    if not all(names):
        raise InputError("a column in the first row has no name", file=file)
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(f"column names {', '.join(twice)} occur twice (duplicate); keep one of each", file=file)


def _values(texts: list[str], *, as_text: bool) -> list[Any]:
    present = [text for text in texts if text.strip() not in ("", MISSING)]
    read: Any = str
    if not as_text and present:
        if all(INTEGER.match(text) for text in present):
            read = int
        elif all(INTEGER.match(text) or REAL.match(text) for text in present):
            read = float
    return [None if text.strip() in ("", MISSING) else read(text) for text in texts]


def _plain(value: Any) -> Any:
    """Python's own types for numpy's; bool as 0 or 1; NaN, which has no text, as None."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, int | float):
        return None if isinstance(value, float) and math.isnan(value) else value
    return str(value)
