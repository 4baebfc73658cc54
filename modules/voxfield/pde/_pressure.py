"""The stage pde.pressure: velocity samples in, pressure samples, mean, standard deviation and drops out."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Lt

from voxfield.artifacts import FieldSamples, ImageSeries, LabelMap, Metrics, Table
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.pde._posterior import PressurePosterior, Velocities
    from voxfield.pde._relative import Timing

SPEED_UNITS = {"m/s": 1.0, "cm/s": 1e-2, "mm/s": 1e-3}
FEWEST_ACROSS = 5


class Pressure(NamedTuple):
    """Relative pressure.

    pressure          (x, y, z) or (x, y, z, t) Pa, mean over the samples that hold a voxel; 0 where fewer than half do
    pressure_sd       Pa, standard deviation likewise
    pressure_samples  Pa, one per velocity sample, each in its own lumen as far as the reference reaches
    drops             a row per frame and opening
    metrics           drops, bias, solver and settings in one file
    """

    pressure: ImageSeries
    pressure_sd: ImageSeries
    pressure_samples: FieldSamples
    drops: Table
    metrics: Metrics


@stage(resources=Resources(gpu=0, mem_mb=4000, runtime=20, threads=1), version=1)
def pressure(
    samples: FieldSamples,
    openings: LabelMap,
    *,
    density_kg_per_m3: Annotated[float, Gt(0)] = 1060.0,
    viscosity_pa_s: Annotated[float, Ge(0)] = 0.0035,
    reference: int | str | None = None,
    frame_spacing_s: Annotated[float, Gt(0)] | None = None,
    cyclic: bool = True,
    tolerance: Annotated[float, Gt(0), Lt(1e-2)] = 1e-8,
    ctx: Context = Context(),
) -> Pressure:
    """Relative pressure in a lumen from samples of the velocity in it.

    Every sample is solved in the lumen drawn for it, from the weak form integral(grad p . grad q) =
    integral(b . grad q), b = -rho (du/dt + u . grad u) + mu lap u, which has a solution whatever the noise in b. The
    mean pressure over one opening, the reference, is zero. Voxels that the reference does not reach have no pressure:
    they are absent from `pressure_samples` and 0 in the images.

    samples   velocity, 3 components, in m/s, cm/s or mm/s; a velocity without unit is refused
    openings  1 wall, k >= 2 openings, on the grid of the samples or on a coarser one (taken to theirs by nearest voxel)

    The table `drops` gives the mean pressure over each opening (Pa and mmHg, 1 mmHg = 133.322 Pa) and beside it the
    pressure of the mean velocity field, the estimate by virtual work, the simplified Bernoulli estimate
    4 (v_reference^2 - v^2), the outward flow, the peak speed and the voxels across the throat on the way.

    Findings: no-transient-term, throat-unresolved, disconnected-lumen, opening-unreached, samples-lost,
    openings-resampled, not-converged.

    Settings
    density_kg_per_m3: density of the fluid, kg/m^3; 1060 is blood.
    viscosity_pa_s: dynamic viscosity, Pa s; blood is taken as 0.0035 to 0.004.
    reference: opening whose mean pressure is zero, by label or by name; none takes the first named inlet, else the lowest label.
    frame_spacing_s: seconds between frames; needed for a series, unused for a single frame.
    cyclic: whether the last frame is followed by the first, as in gated acquisitions; affects du/dt at the ends.
    tolerance: relative residual of the linear solves.
    """
    from voxfield.pde._momentum import Fluid
    from voxfield.pde._posterior import Method, pressure_posterior

    velocities = _velocities(samples, openings, ctx)
    timing = _timing(samples, frame_spacing_s, cyclic, ctx)
    names = _names(velocities, openings)
    label = _reference(reference, names)
    method = Method(Fluid(density_kg_per_m3, viscosity_pa_s), label, timing, tolerance)
    posterior = pressure_posterior(velocities, method)
    _judge(posterior, names, label, tolerance, samples, ctx)
    return _artifacts(posterior, samples, names, label, method.fluid)


def _velocities(samples: FieldSamples, openings: LabelMap, ctx: Context) -> "Velocities":
    """Check what came in; metres, seconds and voxel axes, cropped to the lumens."""
    import numpy as np

    from voxfield.pde._posterior import Velocities

    scale = _speed_scale(samples)
    if samples.values.shape[3] != 3:
        found = samples.values.shape[3]
        message = f"holds {found} component a voxel; expected the 3 of a velocity along the world axes"
        raise InputError(message, file=samples.file)
    if not samples.mask.any():
        raise InputError("its mask is empty; pressure needs a lumen", file=samples.file)
    if not samples.grid.is_orthogonal():
        message = (
            f"its voxel axes are not at right angles (largest cosine {samples.grid.shear:.3g}); expected at most 0.001; "
            "reconstruct the velocity on an unsheared grid"
        )
        raise InputError(message, file=samples.file)
    inside = samples.inside
    if inside is None:
        inside = np.ones((len(samples), samples.values.shape[2]), dtype=bool)
    box = _bounding_box(samples.mask)
    return Velocities(
        samples.values.astype(float) @ (scale * samples.grid.axes),
        samples.mask[box],
        inside,
        _marks(samples, openings, ctx)[box],
        (
            float(samples.grid.spacing[0]) * 1e-3,
            float(samples.grid.spacing[1]) * 1e-3,
            float(samples.grid.spacing[2]) * 1e-3,
        ),
    )


def _speed_scale(samples: FieldSamples) -> float:
    if samples.unit in SPEED_UNITS:
        return SPEED_UNITS[samples.unit]
    found = "no unit" if samples.unit is None else f"the unit {samples.unit!r}"
    message = (
        f"the velocity has {found}; expected m/s, cm/s or mm/s, since pressure goes with the square of speed; "
        "state the unit where the velocity is converted (io.convert), or leave out the pressure"
    )
    raise InputError(message, file=samples.file)


def _bounding_box(mask: "NDArray[np.bool_]") -> tuple[slice, slice, slice]:
    """The voxels of a mask and one more on every side that has one."""
    import numpy as np

    places = np.argwhere(mask)
    low, high = places.min(axis=0), places.max(axis=0)
    x, y, z = (slice(max(0, int(a) - 1), int(b) + 2) for a, b in zip(low, high, strict=True))
    return x, y, z


def _marks(samples: FieldSamples, openings: LabelMap, ctx: Context) -> "NDArray[np.integer]":
    """The openings on the grid of the samples; the nearest voxel where the grids differ, 0 beyond."""
    import numpy as np

    grid = samples.grid
    if grid.same_as(openings.grid):
        return openings.data
    corners = np.array(grid.shape)
    places = np.rint(openings.grid.index(grid.world(np.indices(grid.shape).reshape(3, -1).T))).astype(int)
    within = ((places >= 0) & (places < openings.grid.shape)).all(axis=1)
    if not within.any():
        message = "lies nowhere on the grid of the samples; expected openings of the same lumen"
        raise InputError(message, file=openings.file)
    marks = np.zeros(len(places), dtype=openings.data.dtype)
    marks[within] = openings.data[tuple(places[within].T)]
    ctx.finding(
        "openings-resampled",
        "info",
        f"openings come on {openings.grid.shape} voxels, the samples on {tuple(corners.tolist())}; nearest voxel taken",
    )
    return marks.reshape(grid.shape)


def _timing(samples: FieldSamples, step: float | None, cyclic: bool, ctx: Context) -> "Timing | None":
    from voxfield.pde._relative import Timing

    frames = samples.values.shape[1]
    if frames == 1:
        ctx.finding(
            "no-transient-term",
            "warning",
            "a single frame: the term rho du/dt is left out, so the pressure is that of steady flow",
        )
        return None
    if step is None:
        message = (
            f"pde.pressure: setting 'frame_spacing_s' is not given; the samples have {frames} frames, "
            "expected the seconds between them"
        )
        raise SettingsError(message)
    return Timing(step, cyclic)


def _names(velocities: "Velocities", openings: LabelMap) -> dict[int, str]:
    """Openings that touch a lumen, by label."""
    import numpy as np

    from voxfield.pde._domain import VoxelDomain
    from voxfield.pde._openings import boundary_faces

    touching = boundary_faces(VoxelDomain(velocities.mask, velocities.spacing), velocities.marks)
    present = [label for label in np.unique(velocities.marks).tolist() if label > 1]
    if not any(label in touching for label in present):
        message = (
            "no opening touches the lumen; expected caps labelled 2 or more just outside it, or on its voxels at the edge "
            "of the field of view; pressure needs one as reference"
        )
        raise InputError(message, file=openings.file)
    return {label: openings.labels.get(label, f"opening-{label}") for label in present}


def _reference(wanted: int | str | None, names: dict[int, str]) -> int:
    if wanted is None:
        inlets = [label for label, name in names.items() if name.lower().startswith("inlet")]
        return (inlets or sorted(names))[0]
    for label, name in names.items():
        if wanted in (label, name):
            return label
    known = ", ".join(f"{label} ({name})" for label, name in sorted(names.items()))
    message = f"pde.pressure: setting 'reference' is {wanted!r}; expected one of the openings {known}"
    raise SettingsError(message)


def _judge(
    posterior: "PressurePosterior", names: dict[int, str], reference: int, tolerance: float, samples: FieldSamples, ctx: Context
) -> None:
    """Say what is worth telling about the result."""
    lost = int((~posterior.solved).sum())
    if lost == len(posterior.solved):
        message = (
            f"in none of the {lost} lumens does opening {reference} ({names[reference]}) touch the lumen; choose another reference"
        )
        raise InputError(message, file=samples.file)
    if lost:
        ctx.finding(
            "samples-lost",
            "warning",
            f"{lost} of {len(posterior.solved)} lumens do not touch the reference {names[reference]}; they are left out",
            value=lost,
        )
    if posterior.unreached > 0:
        ctx.finding(
            "disconnected-lumen",
            "warning",
            f"{posterior.unreached:.0f} voxels a sample have no path to the reference {names[reference]}; they have no pressure",
            value=round(posterior.unreached, 1),
        )
    _judge_openings(posterior, names, reference, ctx)
    if posterior.residual > 10 * tolerance:
        ctx.finding(
            "not-converged",
            "warning",
            f"the relative residual is {posterior.residual:.2g} after {posterior.iterations} iterations; wanted {tolerance:.2g}",
            value=posterior.residual,
        )


def _judge_openings(
    posterior: "PressurePosterior", names: dict[int, str], reference: int, ctx: Context
) -> None:
    import numpy as np

    known = np.isfinite(posterior.planes).any(axis=(0, 1))
    unreached = [names[label] for label, found in zip(posterior.labels, known, strict=True) if not found]
    if unreached:
        ctx.finding(
            "opening-unreached",
            "warning",
            f"no pressure at {', '.join(unreached)}: not on the lumen that the reference {names[reference]} opens into",
            value=unreached,
        )
    narrow = {names[label]: across for label, across in posterior.across.items() if across < FEWEST_ACROSS}
    if narrow:
        worst = min(narrow.values())
        ctx.finding(
            "throat-unresolved",
            "warning",
            f"{worst} voxels across the throat on the way to {', '.join(narrow)}; fewer than {FEWEST_ACROSS} do not "
            "resolve its pressure drop; reconstruct on a finer grid",
            value=worst,
        )


def _artifacts(
    posterior: "PressurePosterior", samples: FieldSamples, names: dict[int, str], reference: int, fluid: Any
) -> Pressure:
    import numpy as np

    from voxfield.pde._summary import drop_rows, voxel_statistics

    mean, sd, _ = voxel_statistics(posterior)
    reached = posterior.held.any(axis=0)
    mask = np.zeros_like(samples.mask)
    mask[samples.mask] = reached
    rows = drop_rows(posterior, names, reference)
    return Pressure(
        _image(mean, samples),
        _image(sd, samples),
        FieldSamples(
            posterior.values[:, :, reached, None],
            mask,
            samples.affine,
            inside=posterior.held[:, reached],
            unit="Pa",
        ),
        Table.from_rows(rows),
        Metrics(_metrics(posterior, rows, names[reference], fluid)),
    )


def _image(values: "NDArray[np.float64]", samples: FieldSamples) -> ImageSeries:
    """Values (t, n) at the voxels of the samples as a volume, without the time axis for a single frame."""
    import numpy as np

    box = np.zeros((*samples.mask.shape, len(values)), dtype=np.float32)
    box[samples.mask] = values.T
    return ImageSeries(box if len(values) > 1 else box[..., 0], samples.affine, unit="Pa")


def _metrics(
    posterior: "PressurePosterior", rows: list[dict[str, Any]], reference: str, fluid: Any
) -> dict[str, Any]:
    import numpy as np

    from voxfield.pde._summary import MMHG

    field = posterior.mean_field
    known = [row for row in rows if row["pressure_mmhg"] is not None and not row["reference"]]
    biases = [r["mean_field_mmhg"] - r["pressure_mmhg"] for r in known if r["mean_field_mmhg"] is not None]
    return {
        "reference": reference,
        "density_kg_per_m3": fluid.density,
        "viscosity_pa_s": fluid.viscosity,
        "samples": int(posterior.solved.sum()),
        "frames": posterior.planes.shape[1],
        "voxels": int(posterior.held.any(axis=0).sum()),
        "largest_drop_mmhg": max((-row["pressure_mmhg"] for row in known), default=None),
        "mean_field_bias_mmhg": max(biases, key=abs, default=None),
        "peak_speed_m_per_s": None if field is None else float(field.peaks.max()),
        "voxels_across_throat": min(posterior.across.values(), default=None),
        "residual": posterior.residual,
        "iterations": posterior.iterations,
        "mmhg_pa": MMHG,
        "sd_mmhg": float(np.nanmax([row["sd_mmhg"] or 0.0 for row in rows], initial=0.0)),
        "openings": {row["name"]: row["pressure_mmhg"] for row in rows if row["frame"] == 0},
    }
