"""The stage pde.pressure: velocity samples in, pressure samples, mean, standard deviation and drops out."""

from typing import Annotated, NamedTuple

from annotated_types import Ge, Gt, Lt

from voxfield.artifacts import FieldSamples, ImageSeries, LabelMap, Metrics, Table
from voxfield.stage import Context, Resources, stage


class Pressure(NamedTuple):
    """Relative pressure.

    pressure          (x, y, z) or (x, y, z, t) Pa, mean over the samples that hold a voxel, if half do, or 0
    pressure_sd       Pa, standard deviation likewise, the error of the voxels included
    pressure_samples  Pa, one per velocity sample, each in its own lumen as far as the reference reaches
    drops             a row per frame and opening
    metrics           drops, bias, solver and constants in one file
    """

    pressure: ImageSeries
    pressure_sd: ImageSeries
    pressure_samples: FieldSamples
    drops: Table
    metrics: Metrics


@stage(resources=Resources(gpu=0, mem_mb=4000, runtime=20, threads=1), version=3)
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
    integral(b . grad q), b = -rho (du/dt + u . grad u) + mu lap u, which has a solution whatever the noise
    in b. The mean pressure over one opening, the reference, is zero. Voxels that the reference does not
    reach have no pressure: they are absent from `pressure_samples` and 0 in the images.

    Standard deviations have two parts, added in squares. `sd_samples_pa` is that of the samples, within plus between
    lumens. `sd_discretisation_pa` is that of the error of the voxels, which all samples share: estimated from the
    voxels across the lumen and from what one more averaging over the voxel changes, calibrated on flows of known
    pressure. It is not in `pressure_samples`. What neither part holds is an error of the model, such as steady or
    Newtonian flow, or of a velocity that is wrong in all samples alike.

    samples   velocity, 3 components, in m/s, cm/s or mm/s; a velocity without unit is refused
    openings  1 wall, k >= 2 openings, on the grid of the samples or on a coarser one (nearest voxel taken)

    The table `drops` gives the mean pressure over each opening (Pa and mmHg, 1 mmHg = 133.322 Pa) and beside
    it the pressure of the mean velocity field, the estimates by a Stokes problem, by virtual work and by the simplified
    Bernoulli equation, 4 (v_reference^2 - v^2), the outward flow, the peak speed, and the voxels across the throat on
    the way, as the diameter of a disk as large as the narrowest cross-section. The standard deviations of the other
    estimates are those of the samples alone. Openings lie where the label map has them: a sample moves their rim, with
    its lumen, not their plane, whose place is in no standard deviation.

    Findings: no-transient-term, throat-unresolved, disconnected-lumen, opening-unreached, samples-lost,
    openings-resampled, not-converged.

    Settings
    density_kg_per_m3: density of the fluid, kg/m^3; 1060 is blood.
    viscosity_pa_s: dynamic viscosity, Pa s; blood is taken as 0.0035 to 0.004.
    reference: opening of zero mean pressure, label or name; none: the first named inlet, else that of largest inflow.
    frame_spacing_s: seconds between frames; needed for a series, unused for a single frame.
    cyclic: whether the last frame is followed by the first, as in gated series; decides du/dt at the ends.
    tolerance: relative residual of the linear solves.
    """
    from voxfield.pde._momentum import Fluid
    from voxfield.pde._posterior import Method, pressure_posterior
    from voxfield.pde._pressure_input import opening_names, reference_label, series_timing, si_velocities
    from voxfield.pde._pressure_output import judge, packed

    velocities = si_velocities(samples, openings, ctx)
    timing = series_timing(samples, frame_spacing_s, cyclic, ctx)
    names = opening_names(velocities, openings)
    label = reference_label(reference, names, velocities, openings)
    method = Method(Fluid(density_kg_per_m3, viscosity_pa_s), label, timing, tolerance)
    posterior = pressure_posterior(velocities, method)
    judge(posterior, names, method, samples, ctx)
    return Pressure(*packed(posterior, names, method, samples))
