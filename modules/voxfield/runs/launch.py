"""`voxfield run PIPELINE`: Snakemake underneath, with what it leaves open.

The merged configuration is saved with the run; other settings are another run (`place`), which begins with what the old
one has (`link`). One run folder has one live run: jobs of a killed one are looked for before its stale lock is removed
(`live`). A part of the subjects may fail without stopping the others (`settle`).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from voxfield.runs.configuration import merged_config
from voxfield.runs.engine import Engine, pipeline_folder, profile_folder
from voxfield.runs.folder import SETTINGS, write_marker, write_whole
from voxfield.runs.link import begin_from
from voxfield.runs.live import wait_for_orphans
from voxfield.runs.lock import hold
from voxfield.runs.place import place_for
from voxfield.runs.settle import sweep, until_settled
from voxfield.runs.view import view_of
from voxfield.settings_yaml import dump_yaml


def run_pipeline(
    name: str,
    *,
    config: Path | None = None,
    assignments: Sequence[str] = (),
    directory: Path | None = None,
    profile: str | None = None,
    cores: int | None = None,
    dry: bool = False,
) -> int:
    """Run a pipeline to its end. Raises CohortError when a part of the subjects failed."""
    home = pipeline_folder(name)
    settings = merged_config(home, config, assignments)
    named = (directory or Path("runs") / (config.stem if config else home.name)).resolve()
    profile_folder(profile)
    place = place_for(named, home, settings)
    place.tell(named)
    if dry:
        with view_of(place.origin or place.run, "batches") as view:
            _save(view, home, settings, profile)
            return Engine(home, view, profile, cores).dry_run()
    save = partial(_save, home=home, settings=settings, profile=profile, origin=place.origin)
    if place.origin is not None:
        with hold(place.origin):
            wait_for_orphans(place.origin)
            begin_from(place.origin, place.run, save)
    place.run.mkdir(parents=True, exist_ok=True)
    with hold(place.run) as lock:
        wait_for_orphans(place.run)
        save(place.run)
        engine = Engine(home, place.run, profile, cores)
        sweep(place.run)
        engine.unlock()
        with engine.timed():
            return until_settled(engine, lock)


def _save(run: Path, home: Path, settings: Mapping[str, Any], profile: str | None, origin: Path | None = None) -> None:
    """Write down what the run is, for the next start of it and for `voxfield retry`."""
    write_whole(run / SETTINGS, dump_yaml(settings))
    write_marker(run, pipeline=home.name, **Engine(home, run, profile).told())
    if origin is not None:
        write_marker(run, origin=origin.name)
