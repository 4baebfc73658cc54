"""What the stage `pde.distance` makes of its inputs: a domain in mm, sources and slowness, all checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxfield.artifacts import require_grid
from voxfield.errors import InputError, SettingsError
from voxfield.pde._domain import VoxelDomain
from voxfield.pde._mask import foreground, spacing_mm
from voxfield.pde.geodesic._grid import Stencil

if TYPE_CHECKING:
    from voxfield.artifacts import Image, LabelMap
    from voxfield.context import Context
    from voxfield.pde._domain import Floats, Ints, Mask

SPEED_UNITS = {"mm/s": 1.0, "cm/s": 10.0, "m/s": 1000.0}


@dataclass(frozen=True)
class DistanceProblem:
    """A domain on which every voxel can be reached.

    stencil    of the parts of the mask that hold a source
    sources    (m,) numbers of the source voxels
    labels     (m,) label of each
    slowness   (n,) s/mm, or ones
    unit       of the result
    unreached  voxels of the mask that no path leads to
    """

    stencil: Stencil
    sources: Ints
    labels: Ints
    slowness: Floats
    unit: str
    unreached: int


def posed(
    mask: LabelMap, sources: LabelMap, speed: Image | None, wanted: tuple[int | str, ...], ctx: Context
) -> DistanceProblem:
    """Check the inputs of the stage and number the voxels that can be reached."""
    inside, spacing = foreground(mask), spacing_mm(mask)
    require_grid(sources, mask.grid, "the mask")
    labels = _source_labels(sources, wanted)
    marked = np.where(np.isin(sources.data, labels), sources.data, 0)
    _require_source(inside, marked, sources, ctx)
    whole = VoxelDomain(inside, spacing)
    reached = np.isin(whole.components, whole.components[marked[inside] > 0])
    if not reached.all():
        lost = int(np.count_nonzero(~reached))
        text = f"{lost} of {whole.size} voxels of the mask have no path to a source; they are NaN"
        ctx.finding("unreached", "warning", text, file=mask.file, value=lost)
    domain = VoxelDomain(whole.dense(reached.astype(float)) > 0, spacing)
    slowness = np.ones(domain.size) if speed is None else _slowness(speed, mask, domain.mask)
    places = np.flatnonzero(marked[domain.mask])
    return DistanceProblem(
        Stencil(domain),
        places,
        marked[domain.mask][places].astype(np.intp),
        slowness,
        "mm" if speed is None else "s",
        int(np.count_nonzero(~reached)),
    )


def _source_labels(sources: LabelMap, wanted: tuple[int | str, ...]) -> list[int]:
    present = [value for value in sources.present() if value > 0 and value != sources.unannotated]
    if not wanted:
        return present
    named = {name: value for value, name in sources.labels.items()}
    chosen = [label if isinstance(label, int) else named.get(label, -1) for label in wanted]
    absent = [label for label, value in zip(wanted, chosen, strict=True) if value not in present]
    if absent:
        known = ", ".join(f"{value} {sources.labels.get(value, '')}".strip() for value in present) or "none"
        raise SettingsError(f"source_labels: {absent[0]!r} is no label of the sources; they hold {known}")
    return chosen


def _require_source(inside: Mask, marked: Ints, sources: LabelMap, ctx: Context) -> None:
    there = np.count_nonzero(marked)
    used = np.count_nonzero(marked[inside])
    if not used:
        found = "no voxel carries a source label" if not there else f"all {there} source voxels lie outside the mask"
        raise InputError(f"{found}; expected at least one in the mask", file=sources.file)
    if used < there:
        text = f"{there - used} of {there} source voxels lie outside the mask; they are not used"
        ctx.finding("source-outside", "info", text, file=sources.file, value=int(there - used))


def _slowness(speed: Image, mask: LabelMap, inside: Mask) -> Floats:
    """1 / speed (n,), s/mm."""
    require_grid(speed, mask.grid, "the mask")
    if speed.unit not in SPEED_UNITS:
        found = "states no unit" if speed.unit is None else f"has the unit {speed.unit!r}"
        raise InputError(f"the speed {found}; expected one of {', '.join(SPEED_UNITS)}", file=speed.file)
    values = np.asarray(speed.data, dtype=float)[inside]
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        where = np.argwhere(inside)[np.flatnonzero(bad)[0]].tolist()
        raise InputError(
            f"the speed is {values[bad][0]:g} {speed.unit} at voxel {where} and not positive and finite at "
            f"{int(bad.sum())} voxels of the mask; take voxels that no front enters out of the mask",
            file=speed.file,
        )
    return np.asarray(1 / (values * SPEED_UNITS[speed.unit]))
