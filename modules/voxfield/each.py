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
from voxfield.intact import load_intact
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

    def __init__(self, path: Path | None, *columns: str) -> None:
        self.path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        self.add(*columns)

    def add(self, *values: object) -> None:
        """Write one line."""
        if self.path is not None:
            texts = ["n/a" if value is None else " ".join(str(value).split()) or "n/a" for value in values]
            with self.path.open("a", encoding="utf-8", newline="") as stream:
                csv.writer(stream, delimiter="\t", lineterminator="\n").writerow(texts)


def run_each(
    words: Sequence[str], parse: Callable[[list[str]], Call], table_path: Path, manifest: Path | None
) -> list[Row]:
    """Run the command `words` for every row. Raises CohortError at the end when rows failed.

    `parse` makes a call from a command line; a mistake in any row's command stops before the first row runs.
    """
    rows = load_intact(Rows, table_path).rows()
    calls = [parse([fill(word, row, table_path) for word in words]) for row in rows]
    if not calls:
        raise InputError("holds no row; expected at least one", file=table_path)
    cache, shared = InputCache(), shared_inputs(calls)
    numbered = Context(show=calls[0].show).progress(
        enumerate(calls, start=1), total=len(calls), desc=calls[0].stage.name
    )
    kept, done = Manifest(manifest, "row", "subject", "outcome", "message"), []
    for number, call in numbered:
        row = Row(number, *run_row(call, cache, shared))
        done.append(row)
        kept.add(number, rows[number - 1].get("subject"), row.outcome, row.message)
    failed = [row for row in done if row.outcome == "failed"]
    if failed:
        lines = "\n".join(f"row {row.number}: {row.message}" for row in failed)
        raise CohortError(f"{len(failed)} of {len(done)} rows failed; the others are finished\n{lines}")
    return done


def shared_inputs(calls: Sequence[Call]) -> frozenset[str]:
    """Names of the inputs that all calls share."""
    first = calls[0].inputs
    return frozenset(name for name in first if all(call.inputs.get(name) == first[name] for call in calls))


def run_row(
    call: Call, cache: InputCache, shared: frozenset[str], before: Callable[[], None] = lambda: None
) -> tuple[str, str]:
    """Run one call unless it is current, `before` first; what became of it, and the reason where it failed."""
    try:
        if is_current(call):
            return "skipped", ""
        before()
        run(call, cache, shared)
    except VoxfieldError as error:
        return "failed", str(error)
    except Exception as error:  # noqa: BLE001  # a bug in one row must not cost the others; it is reported as one
        return "failed", f"bug: {type(error).__name__}: {error}"
    return "done", ""
