"""`--each TABLE`: the rows of a table through one warm process.

A column is named like a flag: `image`, `out-mask`, `seed`, or `set:overlap` for a setting. What the command line gives
holds for every row and is read once. Rows with valid records are skipped, a bad row fails alone, the rest is finished.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxfield.artifacts import Table
from voxfield.errors import CohortError, InputError, VoxfieldError
from voxfield.runner import Call, InputCache, is_current, run


@dataclass(frozen=True)
class Row:
    """What became of one row: `done`, `skipped` or `failed`, with the reason."""

    number: int
    outcome: str
    seconds: float
    message: str = ""


def run_each(base: Call, table_path: Path, manifest: Path | None) -> list[Row]:
    """Run every row. Raises CohortError at the end when rows failed."""
    table = Table.load(table_path)
    rows = table.rows()
    calls = [_row_call(base, row, table_path) for row in rows]  # a wrong column stops before the first row
    cache, shared = InputCache(), frozenset(base.inputs)
    done: list[Row] = []
    for number, call in base_progress(base, calls):
        done.append(_run_row(number, call, cache, shared))
    if manifest is not None:
        _write_manifest(manifest, rows, done)
    failed = [row for row in done if row.outcome == "failed"]
    if failed:
        lines = "\n".join(f"row {row.number}: {row.message}" for row in failed)
        raise CohortError(f"{len(failed)} of {len(done)} rows failed; the others are finished\n{lines}")
    return done


def base_progress(base: Call, calls: list[Call]) -> Any:
    """Number and call of every row, with a progress bar where one was asked for."""
    from voxfield.context import Context

    context = Context(show=base.show)
    return context.progress(enumerate(calls, start=1), total=len(calls), desc=base.stage.name)


def _run_row(number: int, call: Call, cache: InputCache, shared: frozenset[str]) -> Row:
    started = time.perf_counter()
    try:
        if is_current(call):
            return Row(number, "skipped", time.perf_counter() - started)
        run(call, cache, shared)
    except VoxfieldError as error:
        return Row(number, "failed", time.perf_counter() - started, str(error))
    except Exception as error:  # noqa: BLE001  # a bug in one row must not cost the others; it is reported as one
        return Row(number, "failed", time.perf_counter() - started, f"bug: {type(error).__name__}: {error}")
    return Row(number, "done", time.perf_counter() - started)


def _row_call(base: Call, row: Mapping[str, Any], table: Path) -> Call:
    inputs, outputs, settings = dict(base.inputs), dict(base.outputs), dict(base.settings)
    ports_in = {port.flag: port for port in base.stage.inputs}
    ports_out = {f"out-{port.flag}": port for port in base.stage.outputs}
    seed = base.seed
    for column, cell in row.items():
        flag = column.replace("_", "-")
        if flag in ports_in:
            port = ports_in[flag]
            words = str(cell).split() if port.many and cell is not None else cell
            inputs[port.name] = [Path(w) for w in words] if isinstance(words, list) else words and Path(str(words))
        elif flag in ports_out:
            if cell is not None:
                outputs[ports_out[flag].name] = Path(str(cell))
        elif column.startswith("set:"):
            settings[column.removeprefix("set:")] = cell
        elif column == "seed":
            seed = int(cell)
        elif column != "subject":  # a name for the reader of the manifest
            known = ", ".join([*ports_in, *ports_out, "seed", "subject", "set:NAME"])
            raise InputError(f"column {column!r} is no flag of {base.stage.name}; known are {known}", file=table)
    return replace(base, inputs=inputs, outputs=outputs, settings=settings, seed=seed)


def _write_manifest(path: Path, rows: list[dict[str, Any]], done: list[Row]) -> None:
    columns: dict[str, list[Any]] = {
        "row": [row.number for row in done],
        "subject": [row.get("subject") for row in rows],
        "outcome": [row.outcome for row in done],
        "message": [row.message.replace("\n", " ") or None for row in done],
    }
    partial = path.with_name(f".vf-{path.name}")
    Table(columns).save(partial)
    partial.replace(path)
