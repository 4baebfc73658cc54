"""Damaged results of a run (`damage`) are made anew together with what hangs on them, and nothing else.

Snakemake sees no damage, nor a file that is missing while what was made of it is there: it is told which jobs to force.
What a batch made goes into a batch of its own, so that the scans beside it are left alone. The damaged file is kept in
`damaged/`, since what was changed may be somebody's work.
"""

import csv
import os
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from voxfield.batches import write_table
from voxfield.records import record_path
from voxfield.runs.damage import ASIDE, changed, known_damage, met, note_damage, still_gone
from voxfield.runs.engine import Engine

TRIES = 3  # a file that is damaged again and again is a matter of the disk
Jobs = Mapping[str, str]
Row = dict[str, str]


class Mender:
    """What is damaged in a run folder, over the plans of one `voxfield run`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._met: Counter[str] = Counter()

    def before(self) -> list[str]:
        """Look the run over before it is planned; the outputs that Snakemake has to force."""
        run = self._engine.run
        return self._mend({**changed(run), **known_damage(run)})

    def after(self) -> list[str] | None:
        """Look at what the jobs met, and let these try again; None where they met nothing, or the same too often."""
        run = self._engine.run
        note_damage(run, still_gone(run))
        notes = met(run)
        self._met.update({path for path, _ in notes.values()})
        if not notes or max(self._met.values()) > TRIES:
            return None
        for note in notes:
            note.unlink()
        return self._mend(dict(notes.values()))

    def _mend(self, damage: Mapping[str, str]) -> list[str]:
        if not damage:
            return []
        note_damage(self._engine.run, {**still_gone(self._engine.run), **damage})
        jobs = {output: job.shell for output, job in self._engine.planned().items()}
        return mend(self._engine.run, jobs, damage)


def mend(run: Path, jobs: Jobs, damage: Mapping[str, str]) -> list[str]:
    """Set damaged results aside and say which outputs Snakemake has to force.

    jobs    output -> shell line of its job, as the workflow stands
    damage  path in the run -> what is wrong

    What no job makes is left where it is, and told.
    """
    forced: dict[str, None] = {}
    again: dict[Path, list[Row]] = {}
    batched = dict(_batched(run, jobs))
    for path, fault in sorted(damage.items()):
        output = path if path in jobs else next((name for name in jobs if name.startswith(f"{path}/")), None)
        if output is None and path not in batched:
            sys.stderr.write(f"{path}: {fault}; no job of this run makes it: it is left as it is\n")
            continue
        sys.stderr.write(f"{path}: {fault}; it is made anew (what was found is kept in {ASIDE}/)\n")
        if output is not None:
            forced[output] = None
        else:
            manifest, row = batched[path]
            table = run / manifest.replace(".done.tsv", ".tsv")
            if not manifest.endswith(".done.tsv"):
                forced[manifest] = None
            elif (run / manifest).is_file() and row not in again.setdefault(table, []):
                again[table].append(row)
        _set_aside(run, path)
    for table, rows in again.items():
        if rows:
            write_table(table.with_name(f"{_next_number(table.parent):03}.tsv"), rows)
    return list(forced)


def _batched(run: Path, jobs: Jobs) -> Iterator[tuple[str, tuple[str, Row]]]:
    """Every file that a batch makes: its path -> the manifest of the batch and the row that it is made from.

    A scan that is in several batches belongs to the last.
    """
    manifests = sorted((name for name in jobs if name.startswith("batches/")), key=lambda name: (len(name), name))
    for manifest in manifests:
        words = shlex.split(jobs[manifest])
        table = next((run / words[i + 1] for i, word in enumerate(words) if word in {"--each", "each"}), None)
        if table is None or not table.is_file():
            continue
        patterns = [words[i + 1] for i, word in enumerate(words) if word.startswith("--out-")]
        with table.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream, delimiter="\t"):
                for pattern in patterns:
                    yield _filled(pattern, row), (manifest, row)


def _filled(pattern: str, row: Row) -> str:
    for column, value in row.items():
        pattern = pattern.replace(f"{{{column}}}", value)
    return pattern


def _next_number(folder: Path) -> int:
    return 1 + max(int(table.stem) for table in folder.glob("*.tsv") if table.stem.isdigit())


def _set_aside(run: Path, path: str) -> None:
    """Move a result and its record out of the way."""
    for place in (run / path, record_path(run / path)):
        if os.path.lexists(place):
            kept = run / ASIDE / place.relative_to(run)
            kept.parent.mkdir(parents=True, exist_ok=True)
            _remove(kept)
            place.rename(kept)


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
