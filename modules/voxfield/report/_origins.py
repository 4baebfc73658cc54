"""What the records of the inputs say: which stages made them, with what settings, and what those found."""

from collections.abc import Iterable, Sequence
from typing import Any

from voxfield.artifacts import Artifact, Metrics
from voxfield.findings import LEVELS
from voxfield.paths import run_folder

Named = Sequence[tuple[str, Artifact]]


def stage_facts(named: Named) -> list[dict[str, Any]]:
    """One entry a run of a stage, in the order in which they fed each other."""
    runs: dict[str, dict[str, Any]] = {}
    for _, artifact in named:
        record = _record(artifact)
        if record is None:
            continue
        run = runs.setdefault(f"{record['stage']} {record.get('key', '')}", {**_facts(record), "made": [], "used": []})
        run["made"].append(record.get("output", {}).get("sha256"))
        run["used"] += [entry.get("sha256") for entry in _entries(record.get("inputs", {}))]
    return [{k: v for k, v in run.items() if k not in {"made", "used"}} for run in _in_order(list(runs.values()))]


def _facts(record: dict[str, Any]) -> dict[str, Any]:
    seconds = record.get("seconds", {})
    return {
        "stage": record["stage"],
        "version": record.get("version"),
        "code": record.get("code"),
        "settings": record.get("settings", {}),
        "seed": record.get("seed"),
        "device": record.get("device"),
        "threads": record.get("threads"),
        "wall_s": seconds.get("wall"),
        "cpu_s": seconds.get("cpu"),
        "memory_mb": record.get("peak_memory_mb", {}).get("host"),
        "packages": record.get("packages", {}),
    }


def _entries(inputs: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for value in inputs.values():
        if isinstance(value, list):
            yield from value
        elif value is not None:
            yield value


def _in_order(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every run behind those whose outputs it read, as far as these are known."""
    ordered: list[dict[str, Any]] = []
    waiting = list(runs)
    while waiting:
        unmade = {made for run in waiting for made in run["made"]}
        ready = [run for run in waiting if not (set(run["used"]) - set(run["made"])) & unmade] or waiting[:1]
        ordered += ready
        waiting = [run for run in waiting if run not in ready]
    return ordered


def all_findings(named: Named) -> list[dict[str, Any]]:
    """What the stages and the readers found, the gravest first; each once."""
    found: list[dict[str, Any]] = []
    for _, artifact in named:
        record = _record(artifact)
        entries = (
            [{**finding, "stage": record["stage"]} for finding in record.get("findings", [])]
            if record is not None
            else [{**finding.as_dict(), "stage": ""} for finding in artifact.findings]
        )
        found += [entry for entry in entries if entry not in found]
    return sorted(found, key=lambda entry: rank(entry["level"]))


def rank(level: str) -> int:
    """0 for the gravest level of a finding; unknown ones come last."""
    return LEVELS[::-1].index(level) if level in LEVELS else len(LEVELS)


def gravest(levels: Iterable[str]) -> str:
    """The gravest of some levels; empty where there are none."""
    return min(levels, key=rank, default="")


def result_of(metrics: Sequence[Metrics], stage: str) -> dict[str, Any]:
    """Values that a stage wrote; empty where it wrote none."""
    merged: dict[str, Any] = {}
    for one in metrics:
        if stage_of(one) == stage:
            merged.update(one.values)
    return merged


def stage_of(artifact: Artifact) -> str | None:
    """The stage that wrote an artifact, by its record; None for what was made in memory or came from elsewhere."""
    record = _record(artifact)
    return str(record["stage"]) if record else None


def packages(stages: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Versions that the stages ran with; where they differ, all of them."""
    seen: dict[str, list[str]] = {}
    for stage in stages:
        for name, version in stage["packages"].items():
            if version not in seen.setdefault(name, []):
                seen[name].append(version)
    return {name: ", ".join(versions) for name, versions in seen.items()}


def linked_files(named: Named, run_folder: str) -> dict[str, Any]:
    """The files behind the page, with links where the way to the run folder is known."""
    linked = [{**f, "href": f"{run_folder}/{f['path']}" if run_folder and f["path"] else ""} for f in _files(named)]
    return {"files": linked, "has_links": any(f["href"] for f in linked)}


def _files(named: Named) -> list[dict[str, Any]]:
    """The files behind the page: name, path in the run folder (empty for one from elsewhere), hash, size."""
    files = []
    for name, artifact in named:
        origin = artifact.origin
        if origin is None:
            continue
        folder = run_folder(origin.path)
        path = "" if folder is None else origin.path.resolve().relative_to(folder).as_posix()
        files.append(
            {
                "name": name,
                "file": origin.path.name,
                "path": path,
                "sha256": origin.sha256,
                "bytes": origin.size,
            }
        )
    return files


def _record(artifact: Artifact) -> dict[str, Any] | None:
    return artifact.origin.record if artifact.origin is not None else None
