"""`voxfield each TABLE`: every row of a table through several stages, one after the other, in one warm process.

    voxfield each rows.tsv --manifest done.tsv -- repair segmentation.repair --probability 'sub-{subject}/p.nii.gz' ...

Every `{column}` is filled in from the row, `{*column}` by the words of the column. What is current is left out. A step
that fails takes with it the steps that need its files and nothing else; a row that lacks a column that a step asks for
goes without the step. Rules of a `Chain` call this; by hand `<family>.<stage> --each` does the same for one stage.

The manifest gets a line as soon as a step of a row is over: after a kill, the first without a line is the one to blame.
"""

import argparse
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from voxfield.command import call_from, fill, parser
from voxfield.each import Manifest, Rows, run_row, shared_inputs
from voxfield.errors import CohortError, DamagedError, InputError
from voxfield.records import record_path
from voxfield.registry import get
from voxfield.removed import removed_place
from voxfield.runner import Call, InputCache, run, sources
from voxfield.seeds import seed_of
from voxfield.stage import Stage

COLUMN = re.compile(r"\{\*?([^{}]*)\}")
SPLICED = re.compile(r"\{\*([^{}]*)\}")


@dataclass(frozen=True)
class Step:
    """One stage of a row's way: its name in the manifest and its command line."""

    name: str
    stage: Stage[..., Any]
    words: Sequence[str]
    flags: argparse.ArgumentParser

    def call(self, row: Mapping[str, Any], table: Path, seed: int) -> Call | None:
        """The call for one row; None where a column that is asked for is empty."""
        asked = [column for word in self.words for column in COLUMN.findall(word)]
        if any(column in row and row[column] is None for column in asked):
            return None
        words: list[str] = []
        for word in self.words:
            spliced = SPLICED.fullmatch(word)
            words += shlex.split(fill(f"{{{spliced[1]}}}", row, table)) if spliced else [fill(word, row, table)]
        own = seed_of(seed, str(row["subject"]), self.stage.name)
        return call_from(self.stage, self.flags.parse_args([*words, "--seed", str(own)]))


def steps_of(words: Sequence[str]) -> list[Step]:
    """The steps of a command line: `-- NAME STAGE flags ...`, once for every stage."""
    groups: list[list[str]] = []
    for word in words:
        if word == "--":
            groups.append([])
        elif groups:
            groups[-1].append(word)
    if not groups or any(len(group) < 2 for group in groups):
        raise InputError("expected `-- NAME STAGE flags ...`, once for every stage")
    stages = [get(stage) for _, stage, *_ in groups]
    return [Step(group[0], stage, group[2:], parser(stage)) for group, stage in zip(groups, stages, strict=True)]


def run_steps(steps: Sequence[Step], table: Path, manifest: Path | None, seed: int) -> dict[str, int]:
    """Take every row through all steps; how often each outcome came. Raises CohortError at the end if steps failed.

    A column `lost` of the table names steps that a row failed in before: it goes without them.
    """
    rows = Rows.load(table).rows()
    if not rows:
        raise InputError("holds no row; expected at least one", file=table)
    ways = [[step.call(row, table, seed) for step in steps] for row in rows]
    shared = [shared_inputs([call for call in calls if call]) for calls in zip(*ways, strict=True)]
    cache, kept = InputCache(), Manifest(manifest, "row", "subject", "step", "outcome", "message")
    counts: dict[str, int] = {}
    failed: list[str] = []
    for number, (row, calls) in enumerate(zip(rows, ways, strict=True), start=1):
        subject = str(row["subject"])
        lost = str(row.get("lost") or "").split()
        for step, outcome, message in _go(steps, calls, shared, cache, lost):
            kept.add(number, subject, step.name, outcome, message)
            counts[outcome] = counts.get(outcome, 0) + 1
            failed += [f"{subject}: {step.name}: {message}"] if outcome == "failed" else []
    if failed:
        listing = "\n".join(failed)
        raise CohortError(f"{len(failed)} steps of {len(rows)} rows failed; the others are finished\n{listing}")
    return counts


def _go(
    steps: Sequence[Step],
    calls: Sequence[Call | None],
    shared: Sequence[frozenset[str]],
    cache: InputCache,
    lost: Sequence[str],
) -> Iterator[tuple[Step, str, str]]:
    """One row's way: every step with its outcome and message."""
    missing: set[Path] = set()
    for place, (step, call, common) in enumerate(zip(steps, calls, shared, strict=True)):
        if call is None:
            yield step, "left out", ""
            continue
        lacking = sorted(str(path) for path in missing.intersection(sources(call)))
        if lacking or step.name in lost:
            outcome, message = ("left out", f"needs {lacking[0]}") if lacking else ("lost", "failed in an earlier try")
        else:
            outcome, message = run_row(call, cache, common, partial(_bring_back, calls[:place], call))
        if outcome not in {"done", "skipped"}:
            missing.update(call.outputs.values())
            _discard(call)
        yield step, outcome, message


def _bring_back(earlier: Sequence[Call | None], call: Call) -> None:
    """Make the inputs anew that `keep` let go, by the steps that made them."""
    for path in sources(call):
        if path.exists() or not removed_place(path).is_file():
            continue
        place = next((n for n, made in enumerate(earlier) if made and path in made.outputs.values()), None)
        maker = None if place is None else earlier[place]
        if maker is None:
            removed_place(path).unlink()
            raise DamagedError("`keep` let it go", file=path)
        _bring_back(earlier[:place], maker)
        run(maker)


def _discard(call: Call) -> None:
    """Remove what an earlier try with other settings made: nobody shall take it for this one's."""
    for path in call.outputs.values():
        if path.is_file():
            path.unlink()
            record_path(path).unlink(missing_ok=True)
