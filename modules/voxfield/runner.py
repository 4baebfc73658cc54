"""How a stage runs from files: always the same things in the same order.

Validate the settings, refuse to overwrite an input, read and check every input, run, check the outputs, write each to
a temporary name in its folder and flush it to disk, remove the old records, rename all outputs, write the records. A
stage that fails leaves no output, and a kill at any moment leaves either the old file or the new one.
"""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxfield import processes
from voxfield.artifacts import Artifact, Limits
from voxfield.artifacts._volume import Volume
from voxfield.codehash import code_hash
from voxfield.context import Context
from voxfield.cpu import instruction_set
from voxfield.errors import InputError
from voxfield.findings import Findings
from voxfield.intact import load_intact
from voxfield.leftovers import note_leftovers
from voxfield.memory import require_memory
from voxfield.paths import resolved
from voxfield.records import (
    SCHEMA,
    describe_file,
    forget_peak_memory,
    hash_file,
    key_of,
    package_versions,
    peak_memory_mb,
    record_path,
    save_record,
)
from voxfield.removed import record_of, removed_place, sha256_of
from voxfield.runs.earlier import Earlier, made_earlier
from voxfield.stage import Port, Stage
from voxfield.workspace import Workspace

Given = Path | Sequence[Path] | None


@dataclass(frozen=True)
class Call:
    """One call of a stage from files.

    inputs    input name -> path, paths for a `Sequence`, or None
    outputs   output name -> path; outputs that are not named are not written
    settings  setting name -> value, as given
    """

    stage: Stage[..., Any]
    inputs: Mapping[str, Given]
    outputs: Mapping[str, Path]
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    show: bool = False
    limits: Limits = field(default_factory=Limits)


class InputCache:
    """Artifacts that several calls share, such as the model of a batch; read once."""

    def __init__(self) -> None:
        self._kept: dict[Path, Artifact] = {}

    def load(self, path: Path, kind: type[Artifact], call: Call, findings: Findings, *, keep: bool) -> Artifact:
        """Read and check one input."""
        if path in self._kept:
            return self._kept[path]
        artifact = load_intact(kind, path, call.limits, findings)
        if keep:
            self._kept[path] = artifact
        return artifact


def run(call: Call, cache: InputCache | None = None, shared: frozenset[str] = frozenset()) -> Findings:
    """Run a stage from files and return what it found.

    `cache` keeps the inputs named in `shared` for the next call of the same process.
    """
    started, cpu = time.perf_counter(), time.process_time()
    forget_peak_memory()
    settings = call.stage.settings.validate(call.settings)
    if processes.count() > 1 and not call.stage.distributed:
        raise InputError(f"{call.stage.name} runs in one process; {processes.count()} were started")
    _check_outputs(call)
    require_memory(call.stage, _headers(call))
    findings = Findings()
    inputs = _load_inputs(call, findings, cache or InputCache(), shared)
    described = _describe_inputs(call, inputs)
    key = run_key(call, settings, described)
    if taken := made_earlier(call.outputs, key, call.device):
        if processes.rank() == 0:
            _publish(call, taken.outputs, taken.common)
        return taken.findings
    first = call.outputs[next(p.name for p in call.stage.outputs if p.name in call.outputs)]
    workspace = Workspace(first.with_name(f"{first.name}.work"), key)
    context = Context(call.seed, call.device, call.show and processes.rank() == 0, findings, workspace)
    body, body_cpu = time.perf_counter(), time.process_time()
    result = call.stage.function(**inputs, **settings, ctx=context)
    body, body_cpu = time.perf_counter() - body, time.process_time() - body_cpu
    processes.leave()
    if processes.rank() > 0:
        return Findings()  # the first process tells
    produced = _checked_outputs(call, result, findings)
    common = {
        "schema": SCHEMA,
        "stage": call.stage.name,
        "version": call.stage.version,
        "code": code_hash(call.stage.module),
        "key": key,
        "settings": call.stage.settings.dump(settings),
        "seed": call.seed,
        "device": _device_name(call.device),
        "inputs": described,
        "findings": [finding.as_dict() for finding in findings],
        "packages": package_versions(),
        "cpu": instruction_set(),
        "processes": processes.count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count(),
        "seconds": {
            "wall": round(time.perf_counter() - started, 3),
            "cpu": round(time.process_time() - cpu, 3),
            "body_wall": round(body, 3),
            "body_cpu": round(body_cpu, 3),
        },
        "peak_memory_mb": peak_memory_mb(),
    }
    _publish(call, produced, common)
    workspace.remove()
    return findings


def run_key(call: Call, settings: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """Hash of everything that the result follows from."""
    return key_of(
        {
            "stage": call.stage.name,
            "version": call.stage.version,
            "code": code_hash(call.stage.module),
            "settings": call.stage.settings.dump(settings),
            "seed": call.seed,
            "inputs": described,
        }
    )


def is_current(call: Call) -> bool:
    """Whether every output of the call is there, unharmed, and made from the same inputs, settings and code."""
    settings = call.stage.settings.validate(call.settings)
    described: dict[str, Any] = {}
    for port in call.stage.inputs:
        given = call.inputs.get(port.name)
        if given is None:
            described[port.name] = [] if port.many else None
        elif isinstance(given, Path):
            described[port.name] = {"sha256": sha256_of(given)}
        else:
            described[port.name] = [{"sha256": sha256_of(path)} for path in given]
    key = run_key(call, settings, described)
    for path in call.outputs.values():
        try:
            record = record_of(path)
        except InputError:  # it can not be read: the output is made anew, and its record with it
            return False
        if record is None or record.get("key") != key or record["output"]["sha256"] != sha256_of(path):
            return False
    return True


def _check_outputs(call: Call) -> None:
    known = {port.name: port for port in call.stage.outputs}
    if not call.outputs:
        flags = ", ".join(f"--out-{port.flag}" for port in call.stage.outputs)
        raise InputError(f"{call.stage.name} writes nothing: name at least one of {flags}")
    taken: dict[Path, str] = {}
    for name, path in call.outputs.items():
        suffix = known[name].kind.suffix
        if suffix and not path.name.endswith(suffix):
            raise InputError(f"output {name!r} is a {known[name].kind.kind}; its name ends in {suffix}", file=path)
        for place in (resolved(path), resolved(record_path(path))):
            if place in taken:
                raise InputError(f"outputs {taken[place]!r} and {name!r} would overwrite each other", file=path)
            taken[place] = name
        for source in sources(call):
            same = _one_file(source, path)
            theirs = {resolved(source), resolved(record_path(source))}
            if same or theirs & {resolved(path), resolved(record_path(path))}:
                raise InputError(f"output {name!r} would overwrite an input; choose another name", file=path)


def _one_file(first: Path, second: Path) -> bool:
    """Whether two names lead to one file; the reader will say what is wrong with a name that leads nowhere."""
    try:
        return first.samefile(second)
    except OSError:
        return False


def sources(call: Call) -> list[Path]:
    """Every file that goes into a call."""
    return [p for given in call.inputs.values() if given for p in ([given] if isinstance(given, Path) else given)]


def _headers(call: Call) -> dict[str, Volume]:
    """The volumes that go into a call, their headers read. One that can not be read is told when it is loaded."""
    found: dict[str, Volume] = {}
    for port in call.stage.inputs:
        given = call.inputs.get(port.name)
        if isinstance(given, Path) and issubclass(port.kind, Volume):
            with suppress(InputError):
                found[port.name] = port.kind.load(given, limits=call.limits)
    return found


def _load_inputs(call: Call, findings: Findings, cache: InputCache, shared: frozenset[str]) -> dict[str, Any]:
    loaded: dict[str, Any] = {}
    for port in call.stage.inputs:
        given = call.inputs.get(port.name)
        if not given:
            if not port.optional:
                raise InputError(f"{call.stage.name} needs --{port.flag} ({port.describe()})")
        elif isinstance(given, Path):
            loaded[port.name] = cache.load(given, port.kind, call, findings, keep=port.name in shared)
        else:
            loaded[port.name] = [_load_one_of_many(path, port, call, findings, cache) for path in given]
    note_leftovers(sources(call), findings)
    return loaded


def _load_one_of_many(path: Path, port: Port, call: Call, findings: Findings, cache: InputCache) -> Artifact:
    artifact = cache.load(path, port.kind, call, findings, keep=False)
    artifact.release()  # voxels are read again when the stage comes to them: a cohort never needs its memory
    return artifact


def _describe_inputs(call: Call, inputs: Mapping[str, Any]) -> dict[str, Any]:
    seen_from = next(iter(call.outputs.values()))

    def one(artifact: Artifact) -> dict[str, Any]:
        origin = artifact.origin
        if origin is None:
            raise RuntimeError("an input read from a file has an origin")
        return describe_file(origin.path, origin.sha256, origin.size, seen_from=seen_from)

    described: dict[str, Any] = {}
    for port in call.stage.inputs:
        value = inputs.get(port.name)
        if value is None:
            described[port.name] = [] if port.many else None
        else:
            described[port.name] = [one(a) for a in value] if port.many else one(value)
    return described


def _checked_outputs(call: Call, result: Any, findings: Findings) -> dict[str, Artifact]:
    produced: dict[str, Artifact] = {}
    for port in call.stage.outputs:
        artifact = getattr(result, port.name)
        if artifact is not None:
            artifact.check(findings)
        elif not port.optional:
            raise RuntimeError(f"{call.stage.name} returned no {port.name!r}")
        elif port.name in call.outputs:
            raise InputError(f"{call.stage.name} has no {port.name!r} for this input; leave --out-{port.flag} away")
        if artifact is not None and port.name in call.outputs:
            produced[port.name] = artifact
    return produced


def _publish(call: Call, produced: Mapping[str, Artifact | Earlier], common: Mapping[str, Any]) -> None:
    partials: dict[str, Path] = {}
    records: dict[str, Path] = {}
    try:
        for index, (name, artifact) in enumerate(produced.items()):
            target = call.outputs[name]
            target.parent.mkdir(parents=True, exist_ok=True)
            # Short and of the right ending: a name of 247 bytes leaves no room for a suffix.
            partial = target.with_name(f".vf{os.getpid()}-{index}{artifact.suffix}")
            partials[name] = partial
            artifact.save(partial)
            _flush(partial)
            output = describe_file(target, *hash_file(partial), seen_from=target)
            unit = getattr(artifact, "unit", None)
            records[name] = target.with_name(f".vf{os.getpid()}-{index}.tmp")
            content = {**common, "output": {**output, "name": name, "kind": artifact.kind}}
            save_record(records[name], {**content, **({"unit": unit} if unit else {})})
        # A disk that fills up does so before this line.
        for name in produced:
            record_path(call.outputs[name]).unlink(missing_ok=True)
            removed_place(call.outputs[name]).unlink(missing_ok=True)
        for name, partial in partials.items():
            _replace(partial, call.outputs[name])
        for name, partial in records.items():
            partial.replace(record_path(call.outputs[name]))
    finally:
        for partial in (*partials.values(), *records.values()):
            _discard(partial)


def _flush(path: Path) -> None:
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


def _replace(partial: Path, target: Path) -> None:
    """Rename onto the target; a folder can not replace a folder, so the old one steps aside first."""
    if partial.is_dir() and target.is_dir():
        aside = target.with_name(f".vf{os.getpid()}-old")
        target.rename(aside)
        partial.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        partial.replace(target)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _device_name(device: str) -> str:
    import sys

    torch = sys.modules.get("torch")
    if torch is None or device == "cpu":
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
