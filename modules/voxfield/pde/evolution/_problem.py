"""What the stage `pde.evolve` makes of its inputs: the equation on the voxels of the tissue, all checked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from voxfield.artifacts import require_grid
from voxfield.errors import InputError, SettingsError
from voxfield.pde._mask import foreground, spacing_mm
from voxfield.pde.evolution._growth import Growth
from voxfield.pde.evolution._measures import lattice_speed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxfield.artifacts import Image, LabelMap
    from voxfield.context import Context
    from voxfield.pde._domain import Floats

FRACTIONS = (None, "1")  # units of a density that is a share
TOO_FAST = 0.03  # share by which voxels may speed up a front before it is told


@dataclass(frozen=True)
class EvolutionProblem:
    """The equation and where it starts.

    growth   on the voxels of the tissue
    initial  (n,) density at day 0
    scale    what the tolerance is a share of
    """

    growth: Growth
    initial: Floats
    scale: float


def posed(
    initial: Image,
    tissue: LabelMap,
    times: Sequence[float],
    diffusivity: float | Mapping[str, float] | None,
    proliferation: float,
    ctx: Context,
) -> EvolutionProblem:
    """Check the inputs and settings of the stage."""
    _require_times(times)
    inside, spacing = foreground(tissue), spacing_mm(tissue)
    require_grid(initial, tissue.grid, "the tissue")
    by_label = _by_label(diffusivity, tissue)
    walls = [label for label in _labels(tissue) if label not in by_label]
    if walls:
        ctx.finding("walls", "info", f"labels without a diffusivity are walls: {_named(walls, tissue)}", value=walls)
    mask = inside & np.isin(tissue.data, list(by_label))
    growth = Growth(mask, spacing, _per_voxel(by_label, tissue.data[mask]), proliferation)
    density = np.asarray(initial.data, dtype=float)
    values = density[mask]
    _require_density(values, initial, proliferation)
    outside = float(np.abs(density[~mask]).sum() / np.abs(density).sum())
    if outside > 0:
        text = f"{100 * outside:.2g} % of the initial density lies outside the tissue; it is left out"
        ctx.finding("initial-outside", "warning", text, file=initial.file, value=outside)
    if proliferation:
        _tell_of_fast_front(by_label, proliferation, max(spacing), tissue, ctx)
    return EvolutionProblem(growth, values, 1.0 if proliferation else float(np.abs(values).max()))


def _require_times(times: Sequence[float]) -> None:
    if not times:
        raise SettingsError("times_day is empty; give the days at which the density is wanted, such as [30, 60]")
    for before, after in pairwise(times):
        if after <= before:
            raise SettingsError(f"times_day has {after:g} after {before:g}; expected increasing days")
    if times[-1] == 0:
        raise SettingsError("times_day holds day 0 alone, which is the initial density; give a later day")


def _labels(tissue: LabelMap) -> list[int]:
    return [value for value in tissue.present() if value > 0 and value != tissue.unannotated]


def _named(labels: Sequence[int], tissue: LabelMap) -> str:
    return ", ".join(f"{label} {tissue.labels.get(label, '')}".strip() for label in labels)


def _by_label(diffusivity: float | Mapping[str, float] | None, tissue: LabelMap) -> dict[int, float]:
    present = _labels(tissue)
    if not diffusivity:
        raise SettingsError(
            "diffusivity_mm2_per_day is missing; give mm^2/day, one number or one for each label of the tissue: "
            f"{_named(present, tissue)}"
        )
    if not isinstance(diffusivity, float | int):
        names = {name: value for value, name in tissue.labels.items()} | {str(value): value for value in present}
        found = {names.get(key, -1): value for key, value in diffusivity.items()}
        strange = [key for key in diffusivity if names.get(key, -1) not in present]
        if strange:
            raise SettingsError(
                f"diffusivity_mm2_per_day: {strange[0]!r} is no label of the tissue, which holds "
                f"{_named(present, tissue)}"
            )
        if len(found) < len(diffusivity):
            raise SettingsError(f"diffusivity_mm2_per_day names a label twice: {', '.join(diffusivity)}")
        return found
    return dict.fromkeys(present, float(diffusivity))


def _per_voxel(by_label: Mapping[int, float], labels: Floats) -> Floats:
    known = np.array(sorted(by_label))
    return np.array([by_label[label] for label in known.tolist()])[np.searchsorted(known, labels)]


def _require_density(values: Floats, initial: Image, proliferation: float) -> None:
    if not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise InputError(f"the initial density is not finite at {bad} voxels of the tissue", file=initial.file)
    if not values.any():
        raise InputError("the initial density is 0 everywhere in the tissue; nothing can happen", file=initial.file)
    if not proliferation:
        return
    if initial.unit not in FRACTIONS:
        raise InputError(
            f"has the unit {initial.unit!r}; with growth the density is a share of what tissue can carry, unit '1'; "
            "divide it by that",
            file=initial.file,
        )
    if values.min() < 0 or values.max() > 1:
        raise InputError(
            f"holds densities from {values.min():g} to {values.max():g}; with growth they are shares, 0 to 1",
            file=initial.file,
        )


def _tell_of_fast_front(
    by_label: Mapping[int, float], proliferation: float, spacing: float, tissue: LabelMap, ctx: Context
) -> None:
    for label, diffusivity in by_label.items():
        excess = lattice_speed(diffusivity, proliferation, spacing) / (2 * np.sqrt(diffusivity * proliferation)) - 1
        if excess > TOO_FAST:
            ctx.finding(
                "front-unresolved",
                "warning",
                f"voxels of {spacing:g} mm carry a front in {_named([label], tissue)} {excess:.0%} too fast: "
                f"sqrt(D / rho) is {np.sqrt(diffusivity / proliferation):.2g} mm; use a finer grid",
                value=round(float(excess), 4),
            )
