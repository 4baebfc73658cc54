"""Host memory, foreseen: what a call needs at the least, from the headers of its inputs, against what can be had.

A stage may declare `bytes_per_voxel`, measured as the growth of its peak from one size to the next and rounded down, so
that a refusal is no false alarm; whoever passes may still run out. What can be had is the least of what the machine,
the control groups (v1 and v2), the Slurm job and `ulimit -v` leave.
"""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.errors import MachineError

if TYPE_CHECKING:
    from voxfield.artifacts._volume import Volume
    from voxfield.stage import Stage

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
UNLIMITED = 1 << 60  # control groups of version 1 say "no limit" by a number beyond any machine
MB, GB = 1 << 20, 1 << 30


def require_memory(stage: Stage[..., Any], volumes: Mapping[str, Volume]) -> None:
    """Raise MachineError where what a stage needs at the least exceeds what can be had.

    volumes  inputs by name, their headers read and their voxels not
    """
    need, why = max(_needs(stage, volumes), default=(0.0, ""))
    have, whose = min(available())
    if need > have:
        ask = f"resources: {{{stage.name}: {{mem_mb: {math.ceil(1.25 * need / MB)}}}}}"
        raise MachineError(
            f"{stage.name} needs at least {need / GB:.3g} GB of memory ({why}), and {have / GB:.3g} GB can be had "
            f"({whose}); give it more (in a pipeline `{ask}`), or crop or resample the volume",
            file=next((volume.file for volume in volumes.values()), None),
        )


def _needs(stage: Stage[..., Any], volumes: Mapping[str, Volume]) -> Iterator[tuple[float, str]]:
    """Lower bounds, and what they follow from."""
    yield sum(volume.stored_bytes for volume in volumes.values()), "its inputs as they are stored"
    for name, each in stage.resources.bytes_per_voxel.items():
        if name in volumes:
            shape = volumes[name].shape
            said = f"{each:g} bytes for each of {' x '.join(map(str, shape))} voxels of its {name}"
            yield each * math.prod(shape), said


def available() -> Iterator[tuple[float, str]]:
    """Bytes that can still be had, and who sets the bound."""
    import psutil

    yield psutil.virtual_memory().available + psutil.swap_memory().free, "free memory of the machine"
    process = psutil.Process().memory_info()
    for left in _left_in_groups():
        yield left, "limit of the control group"
    if (granted := _slurm()) is not None:
        yield granted - process.rss, "limit of the Slurm job"
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield soft - process.vms, "ulimit -v"


def _left_in_groups() -> Iterator[int]:
    """What the control groups of this process leave, the enclosing ones too; their page cache can be had back."""
    if not OWN_GROUPS.is_file():
        return
    for line in OWN_GROUPS.read_text().splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers == "":
            root, names = GROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root, names = GROUPS / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = root / place.lstrip("/")
        for folder in (group, *group.parents):
            limit, used = (_number(folder / name) for name in names[:2])
            if limit is not None and used is not None and limit < UNLIMITED:
                yield limit - used + _cached(folder / "memory.stat", names[2])
            if folder == root:
                break


def _number(place: Path) -> int | None:
    try:
        return int(place.read_text())
    except (OSError, ValueError):  # no such group here, or "max"
        return None


def _cached(place: Path, name: str) -> int:
    try:
        words = (line.split() for line in place.read_text().splitlines())
        return next((int(value) for key, value in words if key == name), 0)
    except (OSError, ValueError):
        return 0


def _slurm() -> int | None:
    """Memory of the job on this node; None outside of Slurm, or where the job has the whole node (0)."""
    node, cpu = (os.environ.get(f"SLURM_MEM_PER_{what}", "") for what in ("NODE", "CPU"))
    if node.isdecimal() and int(node) > 0:
        return int(node) * MB
    cores = os.environ.get("SLURM_CPUS_ON_NODE", "")
    if cpu.isdecimal() and cores.isdecimal() and int(cpu) > 0:
        return int(cpu) * int(cores) * MB
    return None
