"""`voxfield retry RUN_DIR`: what failed, once more, and whatever had to do without it.

The settings are those saved with the run. Only what is missing or older than its inputs is made, so that a finished
result is left alone even if the package has changed since. The failed jobs come first, and alone. What was made without
the scans that come back is missing nothing and younger than its inputs: it is known by comparing two plans, with the
failures and without.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from voxfield.errors import CohortError
from voxfield.runs.engine import Engine, Job
from voxfield.runs.folder import require_run
from voxfield.runs.live import wait_for_orphans
from voxfield.runs.lock import hold
from voxfield.runs.settle import remove_unfinished, start, until_settled
from voxfield.runs.view import view_of
from voxfield.workflow import failed_jobs

BY_TIME = ("--rerun-triggers", "mtime")
AGAIN = "again"  # in failures/: notes of what is being tried again


def retry_run(run: Path, *, profile: str | None = None, cores: int | None = None, dry: bool = False) -> int:
    """Repeat what failed in a run. Raises what `share.judge` raises.

    profile  where the jobs run; as when the run was started last if None
    """
    run = run.resolve()
    require_run(run)
    if dry:
        with view_of(run, "batches", "failures") as view:
            engine = replace(Engine.of(run, profile, cores), run=view, more=BY_TIME)
            with _attempt(engine) as attempt:
                forced = attempt.behind()
                return engine.dry_run(*(["--forcerun", *forced] if forced else []))
    with hold(run) as lock:
        wait_for_orphans(run)
        engine = replace(Engine.of(run, profile, cores), more=BY_TIME)
        engine.unlock()
        remove_unfinished(run)
        with engine.timed(), _attempt(engine) as attempt:
            if failed := attempt.failed():
                start(engine, lock, "--", *failed)  # alone, so that what failed for good drags no gather along
            return until_settled(engine, lock, attempt.behind)


class Attempt:
    """What failed, and what was made without it; to be made while the notes of the failures are in their place."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rules = {rule for _, rule in failed_jobs(engine.run)}
        self._plans: dict[frozenset[str], dict[str, Job]] = {}
        self._made_with = dict(self._planned()) if self._rules else {}
        self._asked: dict[str, tuple[Job, int]] = {}

    def failed(self) -> list[str]:
        """Outputs that are missing because their jobs failed."""
        jobs = self._planned() if self._rules else {}
        return [output for output, job in jobs.items() if job.rule in self._rules and self._time(output) is None]

    def behind(self) -> list[str]:
        """Finished outputs whose jobs, as they are planned now, differ from those that they were made with."""
        if not self._made_with:
            return []
        for output, (job, time) in self._asked.items():
            if self._time(output) not in (None, time):
                self._made_with[output] = job
        jobs = self._planned()
        late = {output: self._time(output) for output, job in jobs.items() if self._made_with.get(output, job) != job}
        self._asked = {output: (jobs[output], time) for output, time in late.items() if time is not None}
        return list(self._asked)

    def _planned(self) -> dict[str, Job]:
        """The jobs as they are planned now. Within an attempt a plan follows from the notes alone."""
        notes = frozenset(note.read_text() for note in (self._engine.run / "failures").glob("*.json"))
        if notes not in self._plans:
            self._plans[notes] = self._engine.planned()
        return self._plans[notes]

    def _time(self, output: str) -> int | None:
        place = self._engine.run / output
        return place.stat().st_mtime_ns if place.exists() else None


@contextmanager
def _attempt(engine: Engine) -> Iterator[Attempt]:
    """Set the notes of the failures aside, until it is known how this ended.

    An attempt that is killed has decided nothing: the next one begins with the same notes.
    """
    notes = engine.run / "failures"
    aside = notes / AGAIN
    _move(aside, notes)
    count = len(failed_jobs(engine.run))
    sys.stderr.write(f"{count} failed before\n" if count else "nothing failed before; what is missing is made\n")
    attempt = Attempt(engine)
    _move(notes, aside)
    try:
        yield attempt
    except CohortError:
        shutil.rmtree(aside)
        raise
    shutil.rmtree(aside)


def _move(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for note in source.glob("*.json"):
        note.replace(target / note.name)
