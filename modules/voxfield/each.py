"""`--each TABLE`: the rows of a table through one warm process.

    voxfield phantoms.geometry --each cohort.tsv --out-image 'images/{subject}.nii.gz' --set 'anatomy_seed={seed}'

Every `{column}` on the command line is filled in from the row. What is the same in all rows, such as a model, is read
once. Rows with valid records are skipped, a bad row fails alone and is reported, the rest is finished.

The manifest gets a line as soon as a row is over: after a kill, the first row without a line is the one to blame.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from voxfield.artifacts import Table
from voxfield.command import fill
from voxfield.context import Context
from voxfield.errors import CohortError, InputError, VoxfieldError
from voxfield.runner import Call, InputCache, is_current, run


class Rows(Table):
    """A table whose subjects are names, also where they look like numbers."""

    text_columns: ClassVar[frozenset[str]] = frozenset({"subject"})


@dataclass(frozen=True)
class Row:
    """What became of one row: `done`, `skipped` or `failed`, with the reason."""

    number: int
    outcome: str
    message: str = ""


class Manifest:
    """A table of what became of every row, on disk as soon as it is known; without a path nothing is written."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        self._write("row", "subject", "outcome", "message")

    def add(self, row: Row, subject: object) -> None:
        """Write one line."""
        message = " ".join(row.message.split())
        self._write(row.number, "n/a" if subject is None else subject, row.outcome, message or "n/a")

    def _write(self, *values: object) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8", newline="") as stream:
                csv.writer(stream, delimiter="\t", lineterminator="\n").writerow(values)


def run_each(
    words: Sequence[str], parse: Callable[[list[str]], Call], table_path: Path, manifest: Path | None
) -> list[Row]:
    """Run the command `words` for every row. Raises CohortError at the end when rows failed.

    `parse` makes a call from a command line; a mistake in any row's command stops before the first row runs.
    """
    rows = Rows.load(table_path).rows()
    calls = [parse([fill(word, row, table_path) for word in words]) for row in rows]
    if not calls:
        raise InputError("holds no row; expected at least one", file=table_path)
    cache, shared = InputCache(), _shared_inputs(calls)
    numbered = Context(show=calls[0].show).progress(
        enumerate(calls, start=1), total=len(calls), desc=calls[0].stage.name
    )
    kept, done = Manifest(manifest), []
    for number, call in numbered:
        done.append(_run_row(number, call, cache, shared))
        kept.add(done[-1], rows[number - 1].get("subject"))
    failed = [row for row in done if row.outcome == "failed"]
    if failed:
        lines = "\n".join(f"row {row.number}: {row.message}" for row in failed)
        raise CohortError(f"{len(failed)} of {len(done)} rows failed; the others are finished\n{lines}")
    return done


def _shared_inputs(calls: Sequence[Call]) -> frozenset[str]:
    first = calls[0].inputs
    return frozenset(name for name in first if all(call.inputs.get(name) == first[name] for call in calls))


def _run_row(number: int, call: Call, cache: InputCache, shared: frozenset[str]) -> Row:
    try:
        if is_current(call):
            return Row(number, "skipped")
        run(call, cache, shared)
    except VoxfieldError as error:
        return Row(number, "failed", str(error))
    except Exception as error:  # noqa: BLE001  # a bug in one row must not cost the others; it is reported as one
        return Row(number, "failed", f"bug: {type(error).__name__}: {error}")
    return Row(number, "done")
