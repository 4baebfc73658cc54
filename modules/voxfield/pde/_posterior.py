"""Pressure of every velocity sample, each in the lumen that was drawn for it, and what they say together.

Samples with the same lumen are solved as one block. Beside the samples stands the pressure of the mean
velocity in the mean lumen (voxels that at least half of the samples hold): the momentum equation is
quadratic, so the two differ by the bias that a single reconstruction would carry. The same field tells how far the
voxels may be wrong (`_discretisation`), which no spread of samples shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxfield.pde._discretisation import indicators
from voxfield.pde._relative import Lumen, LumenPressure, Timing, relative_pressure
from voxfield.pde._stokes import opening_flows
from voxfield.pde._way import find_ways
from voxfield.pde._work_energy import opening_pressures, virtual_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from voxfield.pde._domain import Floats, Mask
    from voxfield.pde._momentum import Fluid
    from voxfield.pde._way import Way


@dataclass(frozen=True)
class Velocities:
    """Velocity samples in SI units and voxel axes, cropped to their lumens.

    values   (s, t, n, 3)  m/s along the voxel axes
    mask     (x, y, z)     the n voxels
    inside   (s, n)        the lumen of each sample
    marks    (x, y, z)     openings label map
    spacing  (3,)          metres
    """

    values: Floats
    mask: Mask
    inside: Mask
    marks: NDArray[np.integer]
    spacing: tuple[float, float, float]

    def lumen(self, held: Mask, reference: int) -> Lumen:
        """The lumen of voxels (n,), weighted by the mean flow of all samples."""
        box = np.zeros_like(self.mask)
        box[self.mask] = held
        return Lumen(box, self.marks, self.spacing, reference, self.speed)

    @cached_property
    def speed(self) -> Floats:
        """Speed (x, y, z) of the mean velocity, root mean square over frames; a sample is at rest outside its lumen."""
        mean = np.einsum("stnc,sn->tnc", self.values, self.inside) / len(self.values)
        box = np.zeros(self.mask.shape)
        box[self.mask] = np.sqrt((mean**2).sum(axis=2).mean(axis=0))
        return box


@dataclass(frozen=True)
class Method:
    """How to solve.

    reference  label of the reference opening
    timing     of the frames; None where du/dt is left out
    rtol       relative residual of the linear systems
    """

    fluid: Fluid
    reference: int
    timing: Timing | None
    rtol: float


@dataclass(frozen=True)
class PressurePosterior:
    """Pressures of s samples in t frames, openings numbered as in `labels` (m of them).

    values       (s, t, n)  Pa at the voxels of Velocities.mask, 0 outside `held`
    held         (s, n)     voxels of each sample that have a pressure
    planes       (s, t, m)  Pa, NaN where a sample's lumen does not reach the opening
    work_energy  (s, t, m)  the same by virtual work
    stokes       (s, t, m)  the same by the Stokes estimator
    mean_field              pressure of the mean velocity in the mean lumen; None if the reference misses it
    grid_sd      (t, n)     standard deviation of the discretisation error, Pa; 0 where there is no mean field
    grid_plane_sd           the same over each opening, label -> (t,)
    across                  voxels across the throat between the reference and each opening
    unreached               voxels that were drawn but hang on other components, mean over samples
    """

    labels: tuple[int, ...]
    values: NDArray[np.float32]
    held: Mask
    planes: Floats
    work_energy: Floats
    stokes: Floats
    mean_field: LumenPressure | None
    grid_sd: Floats
    grid_plane_sd: Mapping[int, Floats]
    across: Mapping[int, float]
    unreached: float
    residual: float
    iterations: int

    @property
    def solved(self) -> Mask:
        """Samples (s,) whose lumen the reference opens into."""
        return np.asarray(self.held.any(axis=1))


def pressure_posterior(velocities: Velocities, method: Method) -> PressurePosterior:
    """Solve every sample and the mean field."""
    samples, frames, size = velocities.values.shape[:3]
    labels = _labels(velocities)
    values = np.zeros((samples, frames, size), dtype=np.float32)
    held = np.zeros((samples, size), dtype=bool)
    planes = np.full((samples, frames, len(labels)), np.nan)
    work_energy, stokes = np.full_like(planes, np.nan), np.full_like(planes, np.nan)
    residual, iterations = 0.0, 0
    for members, inside in _lumens(velocities.inside):
        lumen = velocities.lumen(inside, method.reference)
        if not lumen.reached:
            continue
        here = lumen.domain.mask[velocities.mask]
        result = relative_pressure(
            lumen,
            velocities.values[members][:, :, here],
            method.fluid,
            timing=method.timing,
            rtol=method.rtol,
        )
        held[members] = here
        values[np.array(members)[:, None], :, np.flatnonzero(here)] = np.swapaxes(
            _by_sample(result.values, frames), 1, 2
        )
        flows = opening_flows(lumen, rtol=method.rtol)
        by_estimator = (
            (planes, result.planes),
            (work_energy, _virtual_work(lumen, result)),
            (stokes, flows.pressures(result.face_force, result.cell_force)),
        )
        for kept, found in by_estimator:
            kept[members] = _by_sample(_plane_rows(found, labels), frames)
        residual = max(residual, result.residual, flows.residual)
        iterations = max(iterations, result.iterations)
    mean = _mean_field(velocities, method)
    return PressurePosterior(
        labels,
        values,
        held,
        planes,
        work_energy,
        stokes,
        mean.pressure,
        mean.sd,
        mean.plane_sd,
        {label: way.throat for label, way in mean.ways.items()},
        float((velocities.inside & ~held)[held.any(axis=1)].sum(axis=1).mean()) if held.any() else 0.0,
        residual,
        iterations,
    )


def _labels(velocities: Velocities) -> tuple[int, ...]:
    present = np.unique(velocities.marks)
    return tuple(int(label) for label in present if label > 1)


def _lumens(inside: Mask) -> Iterator[tuple[list[int], Mask]]:
    """Groups of samples with one lumen, in the order of their first samples."""
    groups: dict[bytes, list[int]] = {}
    for sample, held in enumerate(inside):
        groups.setdefault(np.packbits(held).tobytes(), []).append(sample)
    for members in groups.values():
        yield members, inside[members[0]]


def _by_sample(rows: Floats, frames: int) -> Floats:
    """Rows (n, s t) as (s, t, n)."""
    return np.moveaxis(rows.reshape(len(rows), -1, frames), 0, -1)


def _plane_rows(planes: Mapping[int, Floats], labels: tuple[int, ...]) -> Floats:
    missing = np.full_like(next(iter(planes.values())), np.nan)
    return np.stack([planes.get(label, missing) for label in labels])


class _MeanField(NamedTuple):
    """What the mean velocity in the mean lumen tells; no pressure if the reference misses that lumen."""

    pressure: LumenPressure | None
    sd: Floats
    plane_sd: Mapping[int, Floats]
    ways: Mapping[int, Way]


def _mean_field(velocities: Velocities, method: Method) -> _MeanField:
    inside = velocities.inside
    count = inside.sum(axis=0)
    most = 2 * count >= len(inside)
    lumen = velocities.lumen(most, method.reference)
    if not lumen.reached:
        return _MeanField(None, np.zeros(velocities.values.shape[1:3]), {}, {})
    here = lumen.domain.mask[velocities.mask]
    shares = inside[:, here] / count[here]
    mean = np.einsum("stnc,sn->tnc", velocities.values[:, :, here], shares)
    pressure = relative_pressure(lumen, mean[None], method.fluid, timing=method.timing, rtol=method.rtol)
    ways = find_ways(lumen)
    error = indicators(lumen, mean, pressure, ways, method.fluid, timing=method.timing, rtol=method.rtol)
    planes = {label: plane.sd for label, plane in error.planes.items()}
    return _MeanField(pressure, error.at(lumen.domain, velocities.mask), planes, ways)


def _virtual_work(lumen: Lumen, pressure: LumenPressure) -> dict[int, Floats]:
    """Mean pressure (k,) over each opening by virtual work."""
    fields = virtual_fields(lumen.domain, lumen.boundary, lumen.weights)
    rows = opening_pressures(lumen.domain, fields, lumen.reference, pressure.face_force, pressure.cell_force)
    return dict(zip(fields.labels, rows, strict=True))
