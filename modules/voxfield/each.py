"""`--each TABLE`: the rows of a table through one warm process.

    voxfield phantoms.geometry --each cohort.tsv --out-image 'images/{subject}.nii.gz' --set 'anatomy_seed={seed}'

Every `{column}` on the command line is filled in from the row. What is the same in all rows, such as a model, is read
once. Rows with valid records are skipped, a bad row fails alone and is reported, the rest is finished.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxfield.artifacts import Table
from voxfield.command import fill
from voxfield.context import Context
from voxfield.errors import CohortError, InputError, VoxfieldError
from voxfield.runner import Call, InputCache, is_current, run


@dataclass(frozen=True)
class Row:
    """What became of one row: `done`, `skipped` or `failed`, with the reason."""

    number: int
    outcome: str
    message: str = ""


def run_each(
    words: Sequence[str], parse: Callable[[list[str]], Call], table_path: Path, manifest: Path | None
) -> list[Row]:
    """Run the command `words` for every row. Raises CohortError at the end when rows failed.

    `parse` makes a call from a command line; a mistake in any row's command stops before the first row runs.
    """
    rows = Table.load(table_path).rows()
    calls = [parse([fill(word, row, table_path) for word in words]) for row in rows]
    if not calls:
        raise InputError("holds no row; expected at least one", file=table_path)
    cache, shared = InputCache(), _shared_inputs(calls)
    numbered = Context(show=calls[0].show).progress(
        enumerate(calls, start=1), total=len(calls), desc=calls[0].stage.name
    )
    done = [_run_row(number, call, cache, shared) for number, call in numbered]
    if manifest is not None:
        _write_manifest(manifest, rows, done)
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


def _write_manifest(path: Path, rows: list[dict[str, Any]], done: list[Row]) -> None:
    columns: dict[str, list[Any]] = {
        "row": [row.number for row in done],
        "subject": [row.get("subject") for row in rows],
        "outcome": [row.outcome for row in done],
        "message": [row.message.replace("\n", " ").replace("\t", " ") or None for row in done],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".vf{os.getpid()}.tsv")
    Table(columns).save(partial)
    partial.replace(path)
