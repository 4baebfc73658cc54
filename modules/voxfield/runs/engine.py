"""Snakemake as `voxfield run` and `voxfield retry` start it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from os.path import relpath
from pathlib import Path
from typing import NamedTuple

from voxfield.errors import InputError, MachineError
from voxfield.paths import resource_folder
from voxfield.runs import slurm
from voxfield.runs.folder import SETTINGS, read_marker, write_marker
from voxfield.settings import unknown_key

RULE = re.compile(r"(?:local)?rule (\S+):")


class Job(NamedTuple):
    """What makes an output."""

    rule: str
    inputs: str
    shell: str


@dataclass(frozen=True)
class Engine:
    """One pipeline in one run folder.

    home     folder of the pipeline, with its Snakefile
    run      folder of the run, with its saved configuration
    profile  name of a profile that comes with the package, a folder, or None for the default
    cores    CPU cores, or None for all of this machine; on a cluster None is no limit
    more     further words for Snakemake, at every start
    """

    home: Path
    run: Path
    profile: str | None = None
    cores: int | None = None
    more: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: Path, profile: str | None = None, cores: int | None = None) -> "Engine":
        """As the run was started last, where nothing else is said."""
        marker = read_marker(run)
        home = run / marker["folder"] if "folder" in marker else pipeline_folder(marker["pipeline"])
        if profile is None and "profile" in marker:
            there = run / marker["profile"]
            profile = str(there) if there.is_dir() else marker["profile"]
        return cls(home.resolve(), run, profile, cores)

    def told(self) -> dict[str, str | None]:
        """What `of` needs to know: folders that are not the package's own as they are seen from the run."""
        profile = profile_folder(self.profile)
        own = profile.parent != _profiles()
        return {
            "folder": None if self.home.parent == resource_folder("pipelines") else relpath(self.home, self.run),
            "profile": relpath(profile.resolve(), self.run) if own else self.profile,
        }

    def command(self, *more: str) -> list[str]:
        """The words that start Snakemake."""
        words = [sys.executable, "-m", "snakemake", "--snakefile", str(self.home / "Snakefile")]
        words += ["--directory", str(self.run), "--configfile", str(self.run / SETTINGS)]
        words += ["--workflow-profile", str(profile_folder(self.profile))]
        return [*words, *self._workers(), *self.more, *more]

    def _workers(self) -> list[str]:
        """Who does the jobs: the cores of this machine, or what the profile names, with names for jobs on Slurm."""
        profile = profile_folder(self.profile)
        executor = executor_of(profile)
        if executor == "local":
            return ["--cores", str(self.cores or os.cpu_count() or 1)]
        plugin = f"snakemake-executor-plugin-{executor}"
        if find_spec(plugin.replace("-", "_")) is None:
            raise InputError(
                f"hands its jobs to {executor!r}, whose plugin is missing: pip install {plugin}", file=profile
            )
        limit = ["--cores", str(self.cores)] if self.cores else []
        return [*limit, *(slurm.options(self.run) if executor == "slurm" else [])]

    def dry_run(self, *more: str) -> int:
        """Say what would be done."""
        return subprocess.call(self.command("--dry-run", *more))

    def unlock(self) -> None:
        """Remove the lock that a killed run left behind; whoever calls this knows that no other run is alive."""
        locks = self.run / ".snakemake" / "locks"
        if locks.is_dir() and any(locks.iterdir()):
            subprocess.run(self.command("--unlock"), check=True, capture_output=True)

    def jobs(self) -> dict[str, Job]:
        """The job that every output was made with, as Snakemake wrote it down; `-` where there is no output yet."""
        rows = [line.split("\t") for line in self._told("--detailed-summary").splitlines()]
        return {row[0]: Job(row[2], row[4], row[5]) for row in rows[1:] if len(row) == 8}

    def planned(self) -> dict[str, Job]:
        """The job that would make every output now."""
        found: dict[str, Job] = {}
        rule = inputs = outputs = ""
        told = self._told("--dry-run", "--forceall", "--printshellcmds", "--quiet", "host")
        for line in map(str.strip, told.splitlines()):  # jobs of a group stand further in
            if begins := RULE.fullmatch(line):
                rule, inputs, outputs = begins[1], "", ""
            kind, _, rest = line.partition(": ")
            if kind == "input":
                inputs = rest
            elif kind == "output":
                outputs = rest
            elif kind == "Shell command":
                found |= dict.fromkeys(outputs.split(", "), Job(rule, inputs, rest))
        return found

    def _told(self, *more: str) -> str:
        told = subprocess.run(self.command(*more), check=False, capture_output=True, text=True)
        if told.returncode != 0:
            raise MachineError(f"Snakemake could not plan the run: {told.stderr.strip()}", file=self.run)
        return told.stdout

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the wall and CPU seconds that were spent to the run's marker: what the whole folder has cost so far."""
        started, cpu = time.monotonic(), _child_cpu()
        try:
            yield
        finally:
            spent = read_marker(self.run).get("seconds", {"wall": 0.0, "cpu": 0.0})
            wall, cpu = spent["wall"] + time.monotonic() - started, spent["cpu"] + _child_cpu() - cpu
            write_marker(self.run, seconds={"wall": round(wall, 1), "cpu": round(cpu, 1)})


def pipeline_folder(name: str) -> Path:
    """A pipeline by name, or a folder of one's own with `Snakefile` and `config.yaml`."""
    if "/" in name and (Path(name) / "Snakefile").is_file():
        return Path(name).resolve()
    folder = resource_folder("pipelines")
    known = sorted(p.parent.name for p in folder.glob("*/Snakefile"))
    if name not in known:
        raise InputError(unknown_key(name, known).replace("setting", "pipeline", 1))
    return folder / name


def profile_folder(profile: str | None) -> Path:
    """A profile by name, or a folder of one's own."""
    chosen = _profiles() / (profile or "default")
    if not chosen.is_dir():
        chosen = Path(profile or "default")
    if not chosen.is_dir():
        known = sorted(p.name for p in _profiles().iterdir())
        raise InputError(unknown_key(str(profile), known).replace("setting", "profile", 1))
    return chosen


def _profiles() -> Path:
    return resource_folder("workflow") / "profiles"


def executor_of(profile: Path) -> str:
    """The executor that a profile names; `local` where it names none."""
    import yaml

    for name in ("profile.yaml", "profile.v9+.yaml", "config.yaml"):
        if (profile / name).is_file():
            return str((yaml.safe_load((profile / name).read_text()) or {}).get("executor", "local"))
    return "local"


def _child_cpu() -> float:
    """CPU seconds of all finished children so far."""
    spent = os.times()
    return spent.children_user + spent.children_system
