"""Parts of a long benchmark that are kept, so that a run which was stopped goes on; and the CPU time of steps."""

import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from voxfield.context import Context

J = TypeVar("J")


@dataclass(frozen=True)
class Clocked(Context):
    """A context that notes the CPU time at which each training step begins, and at which the last one ends.

    stage  what the training calls its steps, by family
    """

    stage: str = "training"
    ticks: list[float] = field(default_factory=list)

    def progress(self, items: Any, *, total: int | None = None, desc: str = "") -> Iterator[Any]:
        """Iterate over `items`."""
        for item in items:
            if desc == self.stage:
                self.ticks.append(time.process_time())
            yield item
        if desc == self.stage:
            self.ticks.append(time.process_time())


@contextmanager
def kept(json_file: Path | None) -> Iterator[Path]:
    """The folder of the parts, FILE.parts beside the results; without such a file one that vanishes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = json_file.with_suffix(".json.parts") if json_file else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def remembered(file: Path, compute: Callable[[], Any]) -> Any:
    """What a file holds, or else what is computed now and written there at once."""
    if not file.exists():
        partial_file = file.with_suffix(".tmp")
        partial_file.write_text(json.dumps(compute()))
        partial_file.replace(file)
    return json.loads(file.read_text())


def finished(jobs: Mapping[str, J], work: Callable[[J], Any], folder: Path, workers: int) -> dict[str, Any]:
    """Results of jobs by name; those that are in the folder are not done again, the others run in several processes."""
    missing = [name for name in jobs if not (folder / f"{name}.json").exists()]
    if missing and workers == 1:
        for name in missing:
            _keep(work, folder, (name, jobs[name]))
    elif missing:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            list(pool.map(partial(_keep, work, folder), [(name, jobs[name]) for name in missing]))
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in jobs}


def _keep(work: Callable[[J], Any], folder: Path, named: tuple[str, J]) -> None:
    name, job = named
    remembered(folder / f"{name}.json", partial(work, job))
