"""What the stage pde.pressure makes of its inputs: checks, SI units, voxel axes, openings by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxfield.errors import InputError, SettingsError
from voxfield.pde._domain import VoxelDomain
from voxfield.pde._openings import FIRST_OPENING, boundary_faces, opening_plane
from voxfield.pde._posterior import Velocities
from voxfield.pde._relative import Timing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfield.artifacts import FieldSamples, LabelMap
    from voxfield.context import Context
    from voxfield.pde._domain import Mask

SPEED_UNITS = {"m/s": 1.0, "cm/s": 1e-2, "mm/s": 1e-3}
METRES = 1e-3


def si_velocities(samples: FieldSamples, openings: LabelMap, ctx: Context) -> Velocities:
    """Check what came in and bring it to metres, seconds and voxel axes, cropped to the lumens."""
    scale = _speed_scale(samples)
    _check_samples(samples)
    inside = samples.inside
    if inside is None:
        inside = np.ones((len(samples), samples.values.shape[2]), dtype=bool)
    box = _bounding_box(samples.mask)
    x, y, z = (samples.grid.spacing * METRES).tolist()
    return Velocities(
        samples.values.astype(float) @ (scale * samples.grid.axes),
        samples.mask[box],
        inside,
        _marks(samples, openings, ctx)[box],
        (x, y, z),
    )


def _check_samples(samples: FieldSamples) -> None:
    if samples.values.shape[3] != 3:
        raise InputError(
            f"holds {samples.values.shape[3]} component a voxel; expected the 3 of a velocity, in world axes",
            file=samples.file,
        )
    if not samples.mask.any():
        raise InputError("its mask is empty; pressure needs a lumen", file=samples.file)
    if not samples.grid.is_orthogonal():
        raise InputError(
            f"its voxel axes are not at right angles (largest cosine {samples.grid.shear:.3g}); expected at "
            "most 0.001; reconstruct the velocity on an unsheared grid",
            file=samples.file,
        )


def _speed_scale(samples: FieldSamples) -> float:
    if samples.unit in SPEED_UNITS:
        return SPEED_UNITS[samples.unit]
    found = "no unit" if samples.unit is None else f"the unit {samples.unit!r}"
    raise InputError(
        f"the velocity has {found}; expected m/s, cm/s or mm/s, since pressure goes with the square of "
        "speed; state the unit where the velocity is converted (io.convert), or leave out the pressure",
        file=samples.file,
    )


def _bounding_box(mask: Mask) -> tuple[slice, slice, slice]:
    """The voxels of a mask and one more on every side that has one."""
    places = np.argwhere(mask)
    low, high = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    x, y, z = (slice(max(0, a - 1), b + 2) for a, b in zip(low, high, strict=True))
    return x, y, z


def _marks(samples: FieldSamples, openings: LabelMap, ctx: Context) -> NDArray[np.integer]:
    """The openings on the grid of the samples; the nearest voxel where the grids differ, 0 beyond."""
    grid = samples.grid
    if grid.same_as(openings.grid):
        return openings.data
    places = np.rint(openings.grid.index(grid.world(np.indices(grid.shape).reshape(3, -1).T))).astype(int)
    within = ((places >= 0) & (places < openings.grid.shape)).all(axis=1)
    if not within.any():
        raise InputError(
            "lies nowhere on the grid of the samples; expected openings of the same lumen", file=openings.file
        )
    marks = np.zeros(len(places), dtype=openings.data.dtype)
    marks[within] = openings.data[tuple(places[within].T)]
    ctx.finding(
        "openings-resampled",
        "info",
        f"openings come on {openings.grid.shape} voxels, the samples on {grid.shape}; nearest voxel taken",
    )
    return marks.reshape(grid.shape)


def series_timing(samples: FieldSamples, step: float | None, cyclic: bool, ctx: Context) -> Timing | None:
    """How the frames follow each other; None, and a finding, for a single one."""
    frames = samples.values.shape[1]
    if frames == 1:
        ctx.finding(
            "no-transient-term",
            "warning",
            "a single frame: the term rho du/dt is left out, so the pressure is that of steady flow",
        )
        return None
    if step is None:
        raise SettingsError(
            f"pde.pressure: setting 'frame_spacing_s' is not given; the samples have {frames} frames, "
            "expected the seconds between them"
        )
    return Timing(step, cyclic)


def opening_names(velocities: Velocities, openings: LabelMap) -> dict[int, str]:
    """Names of the openings by label, in order of label."""
    present = [label for label in np.unique(velocities.marks).tolist() if label >= FIRST_OPENING]
    return {label: openings.labels.get(label, f"opening-{label}") for label in present}


def reference_label(wanted: int | str | None, names: dict[int, str], velocities: Velocities, openings: LabelMap) -> int:
    """The opening meant by a label, by a name, or by nothing: the first named inlet, else that of largest inflow."""
    inflow = _inflow(velocities)
    if not inflow:
        raise InputError(
            "no opening touches the lumen; expected caps labelled 2 or more just outside it, or on its voxels at the "
            "edge of the field of view; pressure needs one as reference",
            file=openings.file,
        )
    if wanted is None:
        inlets = [label for label in inflow if names[label].lower().startswith("inlet")]
        return inlets[0] if inlets else max(inflow, key=lambda label: inflow[label])
    for label, name in names.items():
        if wanted in (label, name):
            return label
    known = ", ".join(f"{label} ({name})" for label, name in names.items())
    raise SettingsError(f"pde.pressure: setting 'reference' is {wanted!r}; expected one of the openings {known}")


def _inflow(velocities: Velocities) -> dict[int, float]:
    """Mean flow of all samples and frames into each opening that touches a lumen, m^3/s."""
    domain = VoxelDomain(velocities.mask, velocities.spacing)
    mean = np.einsum("stnc,sn->nc", velocities.values, velocities.inside) / np.prod(velocities.values.shape[:2])
    touching = boundary_faces(domain, velocities.marks)
    return {
        label: -float(opening_plane(domain, faces).flux(mean[..., None])[0])
        for label, faces in touching.items()
        if label >= FIRST_OPENING
    }
