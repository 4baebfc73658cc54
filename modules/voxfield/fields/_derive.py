"""The stage fields.derive: what clinicians read off a velocity, with its standard deviation."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import (
    Centerline,
    FaceFlux,
    FieldSamples,
    Image,
    LabelMap,
    Metrics,
    PointField,
    Polyline,
    Table,
    VectorImage,
    require_grid,
)
from voxfield.errors import InputError, about
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.fields.derived._planes import Plane
    from voxfield.fields.derived._samples import Velocities


class Derived(NamedTuple):
    """Derived quantities; standard deviations are over samples, within lumens and between them.

    flow          a row per plane and frame: area, mm^2, flow, ml/s, peak speed, m/s
    wall_shear    mean over frames of the wall shear stress vector at points of the wall, Pa
    wall          a row per wall point: its magnitude, mean and peak over frames, Pa, and oscillatory index
    vorticity     (x, y, z, t, 3) 1/s, zero outside the lumen
    vorticity_sd  (x, y, z, t, 3) 1/s
    streamlines   of the mean velocity in the frame of highest energy, with their spread over samples, mm
    energy        a row per frame: kinetic energy, mJ, and volume, mm^3
    metrics       flow by branch, wall shear stress, kinetic energy, constants
    """

    flow: Table
    wall_shear: PointField
    wall: Table
    vorticity: VectorImage
    vorticity_sd: VectorImage
    streamlines: Polyline
    energy: Table
    metrics: Metrics


@stage(resources=Resources(mem_mb=4000, runtime=20, threads=1), version=1)
def derive(
    samples: FieldSamples,
    probability: Image | None = None,
    openings: LabelMap | None = None,
    centerline: Centerline | None = None,
    planes: Table | None = None,
    flux: FaceFlux | None = None,
    *,
    viscosity_pa_s: Annotated[float, Gt(0)] = 0.0035,
    density_kg_per_m3: Annotated[float, Gt(0)] = 1060.0,
    no_slip: bool = True,
    section_mm: Annotated[float, Gt(0)] = 3.0,
    streamline_count: Annotated[int, Ge(0), Le(5000)] = 40,
    streamline_mm: Annotated[float, Gt(0)] = 60.0,
    ctx: Context = Context(),
) -> Derived:
    """Flow rates, wall shear stress, vorticity, streamlines and kinetic energy from samples of a velocity.

    Every quantity is computed in every sample, in the lumen drawn for it; its mean and standard deviation are those
    over the samples. Flow is taken through slabs (see `derived._planes`), gradients from local quadratic fits that use
    no value beyond the wall (see `derived._gradient`), shear stress after Stalder et al., 2008 (see `derived._wall`),
    streamlines by Dormand and Prince, 1980 (see `derived._streamlines`).

    samples      velocity, 3 components, in m/s, cm/s or mm/s
    probability  (x, y, z) of the lumen, on the grid of the samples or a coarser one, which tells the wall between the
                 voxels; without it the wall is that of the smoothed mask, good to some tenths of a voxel
    openings     (x, y, z) likewise: caps, k >= 2, are no wall. Absent: the lumen is open at the edge of the grid
    centerline   tree along whose branches sections are laid, positive away from the root
    planes       further planes: name, x_mm, y_mm, z_mm, nx, ny, nz and optionally radius_mm, world
    flux         divergence-free face fluxes on the grid of the samples: their exact flow through the same planes

    Findings: plane-outside, sections-unresolved, flow-varies.

    Settings
    viscosity_pa_s: dynamic viscosity, Pa s; blood is taken as 0.0035 to 0.004.
    density_kg_per_m3: density of the fluid, kg/m^3; 1060 is blood.
    no_slip: whether the fluid rests at the wall; without, its gradient is that of the voxels alone.
    section_mm: most between two sections of a branch, mm.
    streamline_count: lines, from seeds drawn evenly in the lumen.
    streamline_mm: most that a line is followed to either side of its seed, mm.

    Raises InputError for samples without unit, sheared grids, inputs of another place, a probability that shows no wall
    there, or tables that hold no planes.
    """
    import numpy as np

    from voxfield.fields.derived import _output as output
    from voxfield.fields.derived._samples import on_box, take_velocities
    from voxfield.fields.derived._sections import owners
    from voxfield.fields.derived._streamlines import draw_streamlines
    from voxfield.fields.derived._wall import Levels, find_wall, shear_stress

    velocities = take_velocities(samples)
    _check_flux(flux, samples)
    chance = None if probability is None else on_box(_checked(probability), velocities)
    marks = None if openings is None else on_box(openings, velocities).astype(np.int64)
    owner = None if centerline is None else owners(centerline, velocities.grid.world(velocities.voxels))
    laid = _planes(centerline, planes, section_mm, velocities)
    rows, flows, missed = output.flow_rows(laid, velocities, flux, owner)
    summary = output.branch_summary(flows)
    energy = output.energy_rows(velocities, density_kg_per_m3)
    levels = Levels(velocities, chance)
    with about(samples.file):
        wall = find_wall(velocities, levels, marks)
    shear = shear_stress(velocities, wall, levels, viscosity_pa_s, no_slip=no_slip)
    if not shear.known.any():
        source = samples if probability is None else probability
        raise InputError("has no wall near that of the lumen of the samples; expected one vessel", file=source.file)
    stress, points, stress_summary = output.wall_artifacts(wall, shear, velocities)
    frame = int(np.argmax([row["kinetic_energy_mj"] for row in energy]))
    inner = velocities.voxels[velocities.most]
    seeds = inner[ctx.rng().integers(len(inner), size=streamline_count)].astype(np.float64)
    lines = draw_streamlines(velocities, frame, seeds, streamline_mm)
    output.tell(rows, summary, missed, ctx)
    metrics: dict[str, Any] = {
        "samples": len(samples),
        "frames": samples.values.shape[1],
        "branches": summary,
        "wall_shear_stress": stress_summary,
        "kinetic_energy": energy,
        "streamline_frame": frame,
        "viscosity_pa_s": viscosity_pa_s,
        "density_kg_per_m3": density_kg_per_m3,
        "no_slip": no_slip,
    }
    return Derived(
        Table.from_rows(rows, output.FLOW_COLUMNS), stress, points,
        *output.images(output.vorticity(velocities, samples.mask.shape), samples.affine),
        output.lines_artifact(lines, velocities), Table.from_rows(energy), Metrics(metrics),
    )  # fmt: skip


def _checked(probability: Image) -> Image:
    low, high = float(probability.data.min()), float(probability.data.max())
    if low < 0 or high > 1 or low == high:
        raise InputError(
            f"holds values from {low:g} to {high:g}; expected the probability of a lumen, which changes between 0 and "
            "1 at its wall",
            file=probability.file,
        )
    return probability


def _planes(
    centerline: Centerline | None, table: Table | None, every_mm: float, velocities: "Velocities"
) -> "list[Plane]":
    from voxfield.fields.derived._planes import planes_from
    from voxfield.fields.derived._sections import sections

    voxel = float(velocities.grid.spacing.max())
    along = [] if centerline is None else sections(centerline, every_mm, voxel)
    return along + ([] if table is None else planes_from(table))


def _check_flux(flux: FaceFlux | None, samples: FieldSamples) -> None:
    from voxfield.fields.derived._samples import SPEED_UNITS

    if flux is None:
        return
    if flux.unit not in SPEED_UNITS:
        raise InputError(f"has the unit {flux.unit!r}; expected m/s, cm/s or mm/s", file=flux.file)
    require_grid(flux, samples.grid, "the samples")
