"""The stage `phantoms.vessel`: one subject with angiogram, velocities and everything that is true about it."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Centerline, FaceFlux, Image, LabelMap, Metrics, Table, VectorImage
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np

    from voxfield.phantoms._anatomy import Anatomy
    from voxfield.phantoms._domain import Domain, Truth
    from voxfield.phantoms._flow import Flow

MOST_INSET_MM = 3.0
RESIDUAL_GOAL = 1e-4
"""A flow whose momentum balances no better than this is reported."""


class Vessel(NamedTuple):
    """A phantom subject; see `vessel`."""

    angiogram: Image
    lumen: LabelMap
    sparse: LabelMap
    openings: LabelMap
    velocity: VectorImage
    velocity_true: VectorImage
    flux_true: FaceFlux
    pressure_true: Image
    centerline: Centerline
    branches: Table
    truth: Metrics


@stage(resources=Resources(mem_mb=2000, runtime=5), version=1)
def vessel(
    *,
    anatomy_seed: Annotated[int, Ge(0)] | None = None,
    spacing_mm: Annotated[float, Ge(0.5), Le(1.4)] = 0.7,
    bifurcations: Annotated[int, Ge(1), Le(3)] | None = None,
    stenoses: Annotated[int, Ge(0), Le(3)] | None = None,
    reynolds: Annotated[float, Ge(1), Le(300)] | None = None,
    density_kg_per_m3: Annotated[float, Gt(0)] = 1060.0,
    viscosity_pa_s: Annotated[float, Gt(0)] = 0.0035,
    tilt_deg: Annotated[float, Ge(0), Le(30)] = 6.0,
    cut_inside: Annotated[float, Ge(0), Le(1)] = 0.4,
    image_noise: Annotated[float, Ge(0)] = 0.08,
    image_bias: Annotated[float, Ge(0), Le(0.9)] = 0.3,
    snr: Annotated[float, Gt(0)] = 20.0,
    venc: Annotated[float, Gt(0)] | None = None,
    background_signal: Annotated[float, Ge(0), Le(1)] = 0.0,
    annotated_every: Annotated[int, Ge(1)] = 6,
    reader_sd: Annotated[float, Ge(0)] = 0.3,
    ctx: Context = Context(),
) -> Vessel:
    """Make a branching vessel with steady laminar flow, and scan it.

    The vessel is a tree of one to three bifurcations with curved centerlines, radii by Murray's law and up to
    three stenoses, in a box of 33.6 x 33.6 x 50.4 mm. Its flow solves the steady Navier-Stokes equations
    without slip at the wall, on voxels of half the edge; sums of the fine face fluxes are `flux_true`, which
    balances in every voxel to round-off. `velocity_true` is the mean over each voxel, `velocity` what
    four-point phase contrast measures of it, `pressure_true` is relative to the inlet plane and 0 outside. All
    share one grid. Outflows follow Murray's law, each outlet has one pressure. `openings`: 1 wall, 2 inlet, 3
    and up outlets, in the order of `truth`.

    Settings
    anatomy_seed: which anatomy, as in phantoms.geometry; drawn from the seed of the run if not given
    spacing_mm: edge of the voxels, mm; the default resolves the trunk by nine voxels
    bifurcations: their number; drawn if not given
    stenoses: their number, on different branches; drawn if not given
    reynolds: Reynolds number of the inflow, by mean velocity and diameter; drawn from 50 to 200 if not given
    density_kg_per_m3: of blood, kg/m^3
    viscosity_pa_s: of blood, Pa s
    tilt_deg: largest rotation of the voxel axes against the world about each axis, degrees
    cut_inside: probability that an end is cut inside the field of view instead of leaving it
    image_noise: noise of the angiogram, contrasts between blood and tissue
    image_bias: largest relative change of brightness over the angiogram
    snr: signal-to-noise ratio of the velocity images in a voxel full of blood
    venc: velocity at which phases wrap, m/s; 1.2 times the highest true component if not given
    background_signal: signal of tissue in the velocity images, relative to blood; 0 gives uniform phases
    annotated_every: every so many-th slice of the last axis is annotated in `sparse`, the others are 255
    reader_sd: standard deviation of the reader who grades, grades

    Findings: `reynolds-lowered` where the flow could not be led to the wanted Reynolds number, `flow-not-converged`.
    """
    from dataclasses import replace

    from voxfield.phantoms._anatomy import sample_anatomy
    from voxfield.phantoms._domain import build_domain, coarse_truth
    from voxfield.phantoms._flow import solve_flow
    from voxfield.phantoms._scan import Angiography, annotate_sparsely, measure_velocity, render_angiogram
    from voxfield.phantoms._tables import scan_frame

    rng = ctx.rng()
    drawn, insets, frame_rng = int(rng.integers(2**30)), rng.random((2, 9)), rng.spawn(3)
    seed = drawn if anatomy_seed is None else anatomy_seed
    anatomy = sample_anatomy(seed, stenoses=stenoses, bifurcations=bifurcations)
    anatomy = replace(
        anatomy,
        reynolds=reynolds or anatomy.reynolds,
        viscosity_pa_s=viscosity_pa_s,
        density_kg_per_m3=density_kg_per_m3,
    )
    ends = 1 + len(anatomy.leaves)
    depth = tuple(float(d) for d in (insets[0, :ends] < cut_inside) * (1 + (MOST_INSET_MM - 1) * insets[1, :ends]))
    domain = build_domain(anatomy, spacing_mm, depth)
    flow = solve_flow(domain.fine, domain.coarse, anatomy.reynolds)
    _report(flow, anatomy, ctx)
    anatomy = replace(anatomy, reynolds=flow.reynolds)
    truth = coarse_truth(domain, flow, anatomy)

    affine, box = scan_frame(frame_rng[0], spacing_mm, tilt_deg)
    axes = affine[:3, :3] / spacing_mm
    limit = venc or 1.2 * float(abs(truth.velocity).max())
    measured = measure_velocity(
        truth.velocity, domain.fraction, venc=limit, snr=snr, background=background_signal, rng=frame_rng[1]
    )
    image = render_angiogram(domain.fraction, Angiography(noise=image_noise, bias=image_bias), frame_rng[2])
    lumen = (domain.fraction >= 0.5).astype("uint8")
    names = {0: "background", 1: "lumen"}
    values = _truth_values(domain, truth, flow, anatomy, limit, snr) | _graded(anatomy, reader_sd, rng)
    openings, line, branches = _geometry(domain, lumen, affine, box)
    return Vessel(
        angiogram=Image(image, affine),
        lumen=LabelMap(lumen, affine, labels=names),
        sparse=LabelMap(annotate_sparsely(lumen, annotated_every), affine, labels=names, unannotated=255),
        openings=openings,
        velocity=VectorImage((measured @ axes.T)[:, :, :, None], affine, unit="m/s"),
        velocity_true=VectorImage((truth.velocity @ axes.T)[:, :, :, None], affine, unit="m/s"),
        flux_true=FaceFlux(*truth.faces, truth.mask, affine, unit="m/s"),
        pressure_true=Image((truth.pressure * lumen).astype("float32"), affine, unit="Pa"),
        centerline=line,
        branches=branches,
        truth=Metrics(values),
    )


def _report(flow: "Flow", anatomy: "Anatomy", ctx: Context) -> None:
    if flow.reynolds < 0.999 * anatomy.reynolds:
        message = f"no steady flow was found at Re {anatomy.reynolds:.0f}; the truth has Re {flow.reynolds:.0f}"
        ctx.finding("reynolds-lowered", "warning", message, value=flow.reynolds)
    if not flow.residual < RESIDUAL_GOAL:
        message = f"relative momentum residual is {flow.residual:.1e}; expected below {RESIDUAL_GOAL:.0e}"
        ctx.finding("flow-not-converged", "warning", message, value=flow.residual)


def _geometry(
    domain: "Domain", lumen: "np.ndarray[Any, Any]", affine: "np.ndarray[Any, Any]", box: "np.ndarray[Any, Any]"
) -> tuple[LabelMap, Centerline, Table]:
    from voxfield.phantoms._lumen import opening_labels
    from voxfield.phantoms._tables import branch_rows, centerline_nodes, cut_branches

    names = {1: "wall", 2: "inlet", **{k: f"outlet-{k - 2}" for k in range(3, 2 + len(domain.ends))}}
    openings = LabelMap(opening_labels(lumen > 0, domain.ends, domain.spacing_mm), affine, labels=names)
    kept = cut_branches(domain.anatomy, domain.ends, domain.spacing_mm)
    line = Centerline(*centerline_nodes(domain.anatomy.branches, kept, box))
    return openings, line, Table.from_rows(branch_rows(domain.anatomy.branches, kept, box))


def _truth_values(
    domain: "Domain", truth: "Truth", flow: "Flow", anatomy: "Anatomy", venc: float, snr: float
) -> dict[str, Any]:
    import numpy as np

    speed = np.linalg.norm(truth.velocity, axis=-1)
    openings = [
        {"opening": k, "name": "inlet" if k == 2 else f"outlet-{k - 2}", "branch": end.branch, "flow_m3_per_s": q}
        | {"pressure_drop_pa": 0.0 if k == 2 else truth.drops[k - 3], "radius_mm": end.radius_mm}
        for k, (end, q) in enumerate(zip(domain.ends, truth.flows, strict=True), start=2)
    ]
    jets = [b.share * anatomy.branches[0].radii[0] / b.radii.min() for b in anatomy.branches]
    return {
        "reynolds": flow.reynolds,
        "throat_reynolds_max": flow.reynolds * max(jets),
        "viscosity_pa_s": anatomy.viscosity_pa_s,
        "inflow_m3_per_s": truth.flows[0],
        "openings": openings,
        "pressure_drop_max_pa": max(truth.drops),
        "stenosis_degrees": [b.stenosis for b in anatomy.branches],
        "stenosis_max": max(b.stenosis for b in anatomy.branches),
        "speed_max_m_per_s": float(speed.max()),
        "venc_m_per_s": venc,
        "noise_m_per_s": float(np.sqrt(2) / np.pi * venc / snr),
        "momentum_residual": flow.residual,
        "mass_imbalance": flow.imbalance,
        "solver_iterations": flow.iterations,
        "flow_voxels": domain.fine.lattice.n_cells,
        "lumen_voxels": int((domain.fraction >= 0.5).sum()),
    }


def _graded(anatomy: "Anatomy", reader_sd: float, rng: "np.random.Generator") -> dict[str, Any]:
    """What the 1D network says, and how a reader would grade it."""
    from voxfield.phantoms._network import grade_of, outlet_drops_pa, read_grade

    drop = max(outlet_drops_pa(anatomy).values())
    return {"network_drop_pa": drop, "grade": grade_of(drop), "grade_read": read_grade(drop, reader_sd, rng)}
