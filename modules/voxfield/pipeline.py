"""`voxfield run PIPELINE`: Snakemake underneath, with what it leaves open.

The merged configuration is saved with the run. One run folder has one live run: jobs of a killed one are looked for
before its stale lock is removed. When some subjects fail, the rest goes on: the workflow is planned again without them
until nothing new fails, so that a training or a report uses whatever finished.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxfield.errors import CohortError, InputError, MachineError, SettingsError
from voxfield.paths import RUN_MARKER, resource_folder
from voxfield.settings import parse_assignments, unknown_key
from voxfield.settings_yaml import dump_yaml, load_yaml
from voxfield.verify import failure_text, failures

DYING_S = 5.0  # a process that was killed may be seen for a while before it is gone


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
    _wait_for_orphans(run)
    place = run / "config.yaml"
    place.write_text(dump_yaml(settings))
    if not (run / RUN_MARKER).is_file():
        (run / RUN_MARKER).write_text(json.dumps({"pipeline": home.name, "schema": 1}) + "\n")
    command = _snakemake(home, run, place, profile, cores)
    if dry:
        return subprocess.call([*command, "--dry-run"])
    _sweep(run)
    if (run / ".snakemake" / "locks").is_dir() and any((run / ".snakemake" / "locks").iterdir()):
        subprocess.run([*command, "--unlock"], check=True, capture_output=True)
    started, cpu = time.monotonic(), _child_cpu()
    try:
        return _until_settled(command, run)
    finally:
        _note_time(run, time.monotonic() - started, _child_cpu() - cpu)


def _sweep(run: Path) -> None:
    """Forget the failures of earlier tries, and remove the unfinished files that a kill left behind."""
    for old in (run / "failures").glob("*.json"):
        old.unlink()
    for partial in run.rglob(".vf*"):
        sys.stderr.write(f"removing {partial.relative_to(run)}, left unfinished by a job that was killed\n")
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink()


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


def merged_config(home: Path, config: Path | None, assignments: Sequence[str]) -> dict[str, Any]:
    """The pipeline's defaults, a configuration file over them, and `--set` values on top; unknown keys are refused."""
    merged = load_yaml(home / "config.yaml")
    if config is not None:
        _merge(merged, load_yaml(config), config, ())
    for key, value in parse_assignments(assignments).items():
        nested: Any = value
        for part in reversed(_split(key)):
            nested = {part: nested}
        _merge(merged, nested, "--set", ())
    for key in ("data", "cohort", "model"):
        if isinstance(merged.get(key), str):
            merged[key] = str(Path(merged[key]).resolve())  # Snakemake works inside the run folder
    return merged


def _split(key: str) -> list[str]:
    """`stages.fields.reconstruct.samples` -> stages, fields.reconstruct, samples; other keys part at every dot."""
    parts = key.split(".")
    if parts[0] in {"stages", "resources"} and len(parts) == 4:
        return [parts[0], f"{parts[1]}.{parts[2]}", parts[3]]
    return parts


def _merge(base: dict[str, Any], over: Mapping[str, Any], file: object, path: tuple[str, ...]) -> None:
    free = path[:1] in {("stages",), ("resources",)}  # the stages judge their own settings
    for key, value in over.items():
        if key not in base and not free:
            raise SettingsError(unknown_key(".".join((*path, key)), base), file=str(file))
        if isinstance(base.get(key), dict) and isinstance(value, Mapping):
            _merge(base[key], value, file, (*path, key))
        else:
            base[key] = value


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


def _until_settled(command: Sequence[str], run: Path) -> int:
    seen: set[str] = set()
    while True:
        code = subprocess.call(list(command))
        if code < 0 or code == 130:
            raise KeyboardInterrupt
        failed = failures(run)
        known = {f"{f['subject']}/{f['stage']}" for f in failed}
        if code == 0 or known <= seen:
            break
        seen |= known
    if failed:
        raise CohortError(failure_text(failed))
    if code != 0:
        raise MachineError(f"Snakemake ended with exit code {code}; its messages are above")
    sys.stdout.write(f"{run / 'report' / 'index.html'}\n")
    return 0


def _wait_for_orphans(run: Path) -> None:
    """Raise MachineError while another run works in the folder; wait for the last jobs of one that was killed."""
    told: set[int] = set()
    started = time.monotonic()
    while busy := _busy(run):
        for pid, is_run in busy.items():
            if is_run and time.monotonic() - started > DYING_S:
                raise MachineError(f"process {pid} is a run in this folder; wait for it or stop it", file=run)
            if pid not in told:
                sys.stderr.write(f"waiting for process {pid}, which an earlier run left behind in this folder\n")
                told.add(pid)
        time.sleep(0.2)


def _busy(run: Path) -> dict[int, bool]:
    """Live processes that work in the run folder, and whether they are a run (else they are one of its jobs)."""
    import psutil

    mine = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    found: dict[int, bool] = {}
    for process in psutil.process_iter():
        try:
            here = process.pid not in mine and process.cwd() == str(run)
            if here and process.status() != psutil.STATUS_ZOMBIE and "python" in process.name():
                found[process.pid] = "snakemake" in process.cmdline()
        except (psutil.Error, OSError):
            continue
    return found
