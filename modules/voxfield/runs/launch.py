"""`voxfield run PIPELINE`: Snakemake underneath, with what it leaves open.

The merged configuration is saved with the run. One run folder has one live run: jobs of a killed one are looked for
before its stale lock is removed (`live`). A part of the subjects may fail without stopping the others (`settle`).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from voxfield.errors import InputError
from voxfield.paths import RUN_MARKER, resource_folder
from voxfield.runs.configuration import merged_config
from voxfield.runs.live import wait_for_orphans
from voxfield.runs.settle import sweep, until_settled
from voxfield.settings import unknown_key
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
    home = _pipeline_folder(name)
    settings = merged_config(home, config, assignments)
    run = (directory or Path("runs") / (config.stem if config else home.name)).resolve()
    run.mkdir(parents=True, exist_ok=True)
    wait_for_orphans(run)
    place = run / "config.yaml"
    place.write_text(dump_yaml(settings))
    if not (run / RUN_MARKER).is_file():
        (run / RUN_MARKER).write_text(json.dumps({"pipeline": home.name, "schema": 1}) + "\n")
    command = _snakemake(home, run, place, profile, cores)
    if dry:
        return subprocess.call([*command, "--dry-run"])
    sweep(run)
    if (run / ".snakemake" / "locks").is_dir() and any((run / ".snakemake" / "locks").iterdir()):
        subprocess.run([*command, "--unlock"], check=True, capture_output=True)
    started, cpu = time.monotonic(), _child_cpu()
    try:
        return until_settled(command, run)
    finally:
        _note_time(run, time.monotonic() - started, _child_cpu() - cpu)


def _child_cpu() -> float:
    """CPU seconds of all finished children so far."""
    spent = os.times()
    return spent.children_user + spent.children_system


def _note_time(run: Path, wall: float, cpu: float) -> None:
    """Add this run's wall and CPU seconds to the run's marker: what the whole folder has cost so far."""
    marker = run / RUN_MARKER
    content = json.loads(marker.read_text())
    spent = content.get("seconds", {"wall": 0.0, "cpu": 0.0})
    content["seconds"] = {"wall": round(spent["wall"] + wall, 1), "cpu": round(spent["cpu"] + cpu, 1)}
    marker.write_text(json.dumps(content) + "\n")


def _pipeline_folder(name: str) -> Path:
    """A pipeline by name, or a folder of one's own with `Snakefile` and `config.yaml`."""
    if "/" in name and (Path(name) / "Snakefile").is_file():
        return Path(name).resolve()
    folder = resource_folder("pipelines")
    known = sorted(p.parent.name for p in folder.glob("*/Snakefile"))
    if name not in known:
        raise InputError(unknown_key(name, known).replace("setting", "pipeline", 1))
    return folder / name


def _snakemake(home: Path, run: Path, config: Path, profile: str | None, cores: int | None) -> list[str]:
    profiles = resource_folder("workflow") / "profiles"
    chosen = profiles / (profile or "default")
    if not chosen.is_dir():
        chosen = Path(profile or "default")
    if not chosen.is_dir():
        known = sorted(p.name for p in profiles.iterdir())
        raise InputError(unknown_key(str(profile), known).replace("setting", "profile", 1))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(home / "Snakefile")]
    command += ["--directory", str(run), "--configfile", str(config), "--workflow-profile", str(chosen)]
    return [*command, "--cores", str(cores or os.cpu_count() or 1)]
