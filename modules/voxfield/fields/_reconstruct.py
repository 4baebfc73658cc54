"""The stage fields.reconstruct: velocity samples in a lumen -> posterior velocity with face fluxes and samples."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import FaceFlux, FieldSamples, Image, LabelMap, Metrics, PartialVectorImage, VectorImage
from voxfield.stage import Context, Resources, stage


class Reconstruction(NamedTuple):
    """Posterior velocity on the fine grid, in the unit of the measurement.

    mean     (x, y, z, t, 3) zero outside the lumen; without a wall condition it is told in all that may be lumen, up to
             a measured voxel beyond the lowest level, and under caps (continued from before them)
    sd       (x, y, z, t, 3) standard deviation of each component, zero likewise
    samples  at least 16 draws, each with the lumen that was drawn for it
    flux     normal velocities on the faces of the lumen, of the mean (averaged over frames); divergence-free
    domain   the lumen at the wall level chosen: 1 lumen
    metrics  the model chosen, its evidence and its rivals, flow through the openings, divergence, solver
    """

    mean: VectorImage
    sd: VectorImage
    samples: FieldSamples
    flux: FaceFlux
    domain: LabelMap
    metrics: Metrics


@stage(resources=Resources(mem_mb=4000, runtime=60, threads=1, bytes_per_voxel={"velocity": 8}), version=5)
def reconstruct(
    velocity: PartialVectorImage,
    probability: Image,
    lumen: LabelMap | None = None,
    openings: LabelMap | None = None,
    magnitude: Image | None = None,
    *,
    refine: Annotated[int, Ge(1), Le(8)] = 1,
    observation: Literal["cell-average", "corner-aligned", "kspace-crop"] = "cell-average",
    alignment: Literal["cell", "corner"] = "cell",
    wall: Literal["evidence", "none", "no-penetration", "no-slip"] = "evidence",
    wall_levels: tuple[float, ...] = (0.3, 0.5, 0.7),
    smoothness: Annotated[float, Gt(0), Le(20)] | None = None,
    length_mm: Annotated[float, Gt(0)] | None = None,
    noise_sd: Annotated[float, Gt(0)] | None = None,
    noise_correlation: Annotated[float, Ge(0), Le(0.9)] | None = None,
    least_fraction: Annotated[float, Gt(0), Le(1)] = 0.5,
    samples_count: Annotated[int, Ge(16), Le(1000)] = 16,
    frames: Literal["cycle", "independent"] = "cycle",
    unit: str | None = None,
    ctx: Context = Context(),
) -> Reconstruction:
    """Reconstruct the velocity in a lumen with openings from noisy voxels, with error bars.

    The velocity is a Gaussian process that is divergence-free on the faces of the grid by construction (see `_prior`);
    its posterior given the voxels in the lumen, and the wall, is computed by Matheron's rule. Scale, smoothness, noise,
    partial volume and wall are chosen by the evidence, exact up to 400 voxels and by blocks above (see `_evidence`).
    Voxels outside the lumen are not used.

    velocity     (x, y, z, t, 3) measured; NaN was not measured. Outliers are found and left out (see `_outliers`).
                 Frames cover one cycle evenly: they are told together where the evidence wants it (see `_frames`)
    probability  (x, y, z) of the lumen, on the grid of the velocity or already on the fine one
    lumen        (x, y, z) the vessels that are meant, on the grid of the probability; 2 marks repairs. The level set is
                 looked for up to two fine cells beyond it. Absent: all that is above the level
    openings     (x, y, z) on the grid of the probability: 1 wall, k >= 2 caps. Absent: the lumen is open where it
                 leaves the field of view
    magnitude    (x, y, z) or (x, y, z, t) on the grid of the velocity: noise goes as its inverse where the evidence
                 agrees. Absent: noise is even, but for partly filled voxels

    Where a condition holds at the wall, no flux crosses it and the fluxes are projected on the divergence-free ones
    (see `_faces`); without a condition the wall of voxels is no boundary of the flow, and what crosses it is reported.

    Findings: missing-velocities, outliers, no-wall-condition, wall-level-uncertain, evidence-by-blocks, frames-joined,
    frames-independent, length-at-bound, not-converged.

    Settings
    refine: fine cells to a measured voxel along each axis.
    observation: what a voxel sees: the mean of its cells; triangular weights, 1-2-1 for refine 2; or a k-space crop.
    alignment: cell: a voxel is a block of cells; corner: voxel i sits on cell refine * i. corner-aligned needs corner.
    wall: condition on the velocity at the wall, or evidence: whichever explains the data best.
    wall_levels: levels of the probability that may be the wall, ascending.
    smoothness: Matern smoothness of the velocity; none: by the evidence out of 1.5, 2.5, 4.5.
    length_mm: length scale of the velocity, mm; none: by the evidence.
    noise_sd: standard deviation of one component, unit of the velocity; none: by the evidence.
    noise_correlation: of the noise of two components, 0.5 in four-point encoding; none: by the evidence out of 0, 0.5.
    least_fraction: voxels that the lumen fills less are left out.
    samples_count: draws from the posterior.
    frames: cycle: evenly spaced over one period; independent: told one by one.
    unit: of the velocity where its file states none, such as m/s.
    """
    from voxfield.fields._choice import Wishes
    from voxfield.fields._output import packed, tell
    from voxfield.fields._problem import Scan, Viewing, make_problem
    from voxfield.fields._reconstruction import reconstruct_arrays
    from voxfield.fields._setting import settled_unit

    rng = ctx.rng()
    scan = Scan(velocity, probability, lumen, openings, magnitude)
    viewing = Viewing(refine, observation, alignment, least_fraction)
    condition = None if wall == "evidence" else wall
    wishes = Wishes(length_mm, smoothness, noise_correlation, condition, wall_levels)
    problem = make_problem(scan, viewing, wishes, rng, noise_sd=noise_sd, joined=frames == "cycle")
    result = reconstruct_arrays(problem, samples_count, rng, lambda draws: ctx.progress(draws, desc="draws"))
    tell(problem, result, ctx)
    return Reconstruction(*packed(problem, result, velocity, settled_unit(velocity, unit)))
