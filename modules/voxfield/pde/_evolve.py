"""The stage `pde.evolve`: diffusion, and growth with diffusion, in time inside a mask."""

from typing import Annotated, NamedTuple

from annotated_types import Ge, Gt, Lt

from voxfield.artifacts import Image, ImageSeries, LabelMap, Metrics, Picture, Table
from voxfield.stage import Context, Resources, stage


class Evolution(NamedTuple):
    """What `pde.evolve` makes.

    density  (x, y, z, t) at the times asked for, unit of `initial`; 0 outside the tissue
    course   one row a time: mass, volume above the threshold, speed of its front, what growth added, errors
    metrics  steps, error estimate, balance of mass, bounds
    picture  up to four of the times in three planes, with the threshold
    """

    density: ImageSeries
    course: Table
    metrics: Metrics
    picture: Picture


@stage(resources=Resources(mem_mb=4000, runtime=60), version=1)
def evolve(
    initial: Image,
    tissue: LabelMap,
    *,
    times_day: tuple[Annotated[float, Ge(0)], ...] = (),
    diffusivity_mm2_per_day: Annotated[float, Gt(0)] | dict[str, Annotated[float, Gt(0)]] | None = None,
    proliferation_per_day: Annotated[float, Ge(0)] = 0.0,
    threshold: Annotated[float, Gt(0)] = 0.5,
    tolerance: Annotated[float, Gt(0), Lt(0.1)] = 1e-3,
    ctx: Context = Context(),
) -> Evolution:
    """Diffusion, or growth and diffusion (Fisher-KPP), from an initial density: du/dt = div(D grad u) + rho u (1 - u).

    initial  (x, y, z) density u at day 0. With growth it is a share of what the tissue can carry, 0 to 1, without unit
             or of unit "1"; without growth any values, mass then being in their unit times mm^3
    tissue   (x, y, z) on the same grid; D by label. Labels without a D, and 0, are walls, which nothing passes

    Finite volumes keep the mass; across a change of tissue the flux takes the harmonic mean of D. Steps of time are
    chosen so that the sum of their estimated errors stays below the tolerance; how growth carries an early error
    on is not in that sum, nor what the voxels do to the speed of a front: a voxel as wide as sqrt(D / rho) makes it 4 %
    too fast (finding `front-unresolved` from there on).

    Columns of `course`: time_day, mass, volume_mm3 and radius_mm (of the ball of that volume) above the threshold,
    front_speed_mm_per_day (mean outward speed of the surface u = threshold), added (by growth, since day 0), imbalance
    (mass less initial mass less added), error_estimate (sum of the largest error of each step), lowest, highest.

    A run that was killed goes on where it was, bit for bit.

    Findings: walls, initial-outside, front-unresolved, out-of-bounds.

    Settings
    times_day: days at which the density is wanted, increasing.
    diffusivity_mm2_per_day: D, mm^2/day: one number for all labels, or a mapping from label, or its name, to D.
    proliferation_per_day: rho, 1/day; 0 for diffusion alone.
    threshold: density above which volume counts, in the unit of `initial`.
    tolerance: for the error of the time steps by the last time, as a share of the largest initial density, or of
        1 with growth.

    Raises InputError for an empty tissue, different or sheared grids, an initial density that is 0 in the tissue
    or, with growth, not from 0 to 1; SettingsError for missing or unordered times, a missing D, or one for a label that
    does not occur.
    """
    from voxfield.pde.evolution._march import march
    from voxfield.pde.evolution._output import packed
    from voxfield.pde.evolution._problem import posed

    problem = posed(initial, tissue, times_day, diffusivity_mm2_per_day, proliferation_per_day, ctx)
    allowed = tolerance * problem.scale
    moments = list(march(problem.growth, problem.initial, times_day, allowed, ctx.workspace))
    return Evolution(*packed(problem, moments, times_day, threshold, allowed, initial, ctx))
