"""The stage `phantoms.chest_ct`: computed tomography of a chest, simulated around a labelled airway.

The steps and their sources stand in the modules: the chest in HU (`_chest`, `_arteries`), airway walls of
sub-voxel thickness (`_walls`), point spread and ramp-filtered noise (`_scanner`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Image, LabelMap, Metrics, check_pair
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.phantoms._walls import Axis, Wall

Hounsfield = Annotated[float, Ge(-1000), Le(3000)]
Positive = Annotated[float, Gt(0), Le(100)]
NotNegative = Annotated[float, Ge(0), Le(1000)]
Share = Annotated[float, Ge(0), Le(1)]
HU_LOW, HU_HIGH = -1024, 3071
"""What a scanner's 12 bits hold."""
LUNG_MARGIN = (1.2, 2.6)
"""Of a made lung around its airways, in radii of the widest airway."""
CHEST_WALL = (0.16, 0.3)
"""Thickness of a chest wall over the lungs' half width."""


class ChestCT(NamedTuple):
    """What `phantoms.chest_ct` makes."""

    image: Image
    wall: LabelMap
    lungs: LabelMap
    arteries: LabelMap
    truth: Metrics


@stage(resources=Resources(mem_mb=4000, runtime=15), version=1)
def chest_ct(
    airway: LabelMap,
    vessels: LabelMap | None = None,
    lung: Sequence[LabelMap] = (),
    *,
    lung_hu: tuple[Hounsfield, Hounsfield] = (-880.0, -800.0),
    gravity_hu_per_cm: tuple[NotNegative, NotNegative] = (1.0, 4.0),
    texture_hu: tuple[NotNegative, NotNegative] = (10.0, 30.0),
    vessel_hu: tuple[Hounsfield, Hounsfield] = (30.0, 250.0),
    tissue_hu: tuple[Hounsfield, Hounsfield] = (20.0, 60.0),
    wall_hu: tuple[Hounsfield, Hounsfield] = (0.0, 60.0),
    wall_mm: tuple[Positive, Positive] = (0.35, 0.55),
    gap_share: tuple[Share, Share] = (0.1, 0.5),
    gap_radius_mm: Positive = 1.5,
    blur_mm: tuple[Positive, Positive] = (0.6, 1.2),
    noise_hu: tuple[NotNegative, NotNegative] = (10.0, 40.0),
    ctx: Context = Context(),
) -> ChestCT:
    """Simulate a chest CT around a given airway, from labels alone.

    airway   (x, y, z); every label above 0 is lumen
    vessels  (x, y, z), same grid; without it an artery is drawn beside every airway, with twigs into the lung
    lung     (x, y, z), same grid, several (lobes, sides) are joined; airways and vessels in it may be part of it or
             not. Without it each side gets the hull of its thin airways, wider by 1.2 to 2.6 radii of the trachea

    image     HU on the same grid, int16
    wall      1 airway wall, 2 place of a broken wall, wherever they reach into a voxel
    lungs     1 where lung was painted: as given, or as made
    arteries  1 where vessel was painted
    truth     the values that were drawn from the ranges below

    Air is -1000 HU. The wall of an airway is (r / 1.59 mm)^(3/4) times `wall_mm` thick, thinner than a voxel for
    most, and a voxel holds as much of it as a plane leaves in it; where it is broken, air meets parenchyma. The
    lung is denser towards the back and has texture at 2.5 and 15 mm; around it lies soft tissue in a shell of fat
    and, beyond the skin, air. The sum is averaged over voxels, blurred by a Gaussian and covered by noise with the
    spectrum of filtered backprojection, |f| MTF(f)^2, under the same blur. Every range is drawn from once a scan.

    Settings
    lung_hu: parenchyma at the mean height of the lungs, HU
    gravity_hu_per_cm: rise of the parenchyma towards the back, HU/cm
    texture_hu: standard deviation of the parenchyma, HU
    vessel_hu: blood, from plain to contrasted, HU
    tissue_hu: soft tissue, HU
    wall_hu: airway wall, HU
    wall_mm: thickness of the wall at an inner perimeter of 10 mm, mm
    gap_share: share of wall that is broken where the radius of an airway tends to 0
    gap_radius_mm: radius over which that share falls to 1/e, mm
    blur_mm: full width at half maximum of the point spread, in the slice and across slices drawn apart, mm
    noise_hu: standard deviation of the noise, HU

    It has no bones, no heart chambers, no disease, no motion and no streaks, and its noise is as strong everywhere:
    a network that does well here has proved nothing about real scans. It takes 6 CPU seconds for 256^3 voxels, 40 for
    512 x 512 x 600, below 3 GiB. Findings: `lung-made`, `vessels-made`. Raises InputError for an empty airway, two
    grids, or a sheared grid.
    """
    import numpy as np

    from voxfield.phantoms import _scanner, _walls

    ranges = {
        "lung_hu": lung_hu, "gravity_hu_per_cm": gravity_hu_per_cm, "texture_hu": texture_hu,
        "vessel_hu": vessel_hu, "tissue_hu": tissue_hu, "wall_hu": wall_hu, "wall_mm": wall_mm,
        "gap_share": gap_share, "blur_mm": blur_mm, "noise_hu": noise_hu,
    }  # fmt: skip
    _require_ordered(ranges)
    _require_one_grid(airway, vessels, lung)
    values_rng, shape_rng, paint_rng, wall_rng, noise_rng = ctx.rng().spawn(5)
    drawn = {name: float(values_rng.uniform(*bounds)) for name, bounds in ranges.items()}
    drawn["blur_across_mm"] = float(values_rng.uniform(*blur_mm))

    axial = int(np.argmax(np.abs(airway.grid.axes[2])))
    affine = airway.affine[:, [axial, *(a for a in range(3) if a != axial), 3]]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    lumen = _axial(airway, axial)
    axis = _walls.axis_of(lumen, spacing)
    lungs = _lungs(lung, axis, lumen.shape, affine, axial, shape_rng, ctx)
    arteries = _arteries(vessels, lungs, axis, spacing, axial, drawn["wall_mm"], shape_rng, ctx)
    wall = _walls.build_wall(
        lumen, axis, spacing, at_pi10_mm=drawn["wall_mm"], gap_share=drawn["gap_share"],
        gap_radius_mm=gap_radius_mm, rng=wall_rng,
    )  # fmt: skip
    volume = _painted(lungs, arteries, affine, drawn, shape_rng, paint_rng)
    _scanner.mean_over_voxels(volume)
    _lay(wall, volume, drawn["wall_hu"])
    _scanner.blur(volume, spacing, drawn["blur_mm"], drawn["blur_across_mm"])
    _scanner.add_noise(volume, spacing, drawn["blur_mm"], drawn["blur_across_mm"], drawn["noise_hu"], noise_rng)
    labels = np.zeros(lumen.shape, dtype=np.uint8)
    labels[wall.box] = np.where(wall.broken, 2, wall.wall > 0)
    return ChestCT(
        Image(_stored(np.clip(np.rint(volume, out=volume), HU_LOW, HU_HIGH).astype(np.int16), axial), airway.affine),
        LabelMap(_stored(labels, axial), airway.affine, labels={1: "wall", 2: "broken wall"}),
        LabelMap(_stored(lungs.astype(np.uint8), axial), airway.affine, labels={1: "lung"}),
        LabelMap(_stored(arteries.astype(np.uint8), axial), airway.affine, labels={1: "vessel"}),
        Metrics({**drawn, "lung_given": bool(lung), "vessels_given": vessels is not None}),
    )


def _require_ordered(ranges: dict[str, tuple[float, float]]) -> None:
    for name, (low, high) in ranges.items():
        if low > high:
            raise SettingsError(f"phantoms.chest_ct: {name} is a range (low, high); found ({low:g}, {high:g})")


def _require_one_grid(airway: LabelMap, vessels: LabelMap | None, lung: Sequence[LabelMap]) -> None:
    airway.require_foreground()
    if not airway.grid.is_orthogonal():
        raise InputError("the grid is sheared; distances in mm need right angles", file=airway.file)
    for other in (*lung, *([] if vessels is None else [vessels])):
        check_pair(airway, other)


def _axial(labels: LabelMap, axial: int) -> "NDArray[np.bool_]":
    """Where a label map has foreground, (k, a, b) with axial slices first; the file is read only for that."""
    import numpy as np

    mask = labels.data > 0
    if labels.unannotated is not None:
        mask &= labels.data != labels.unannotated
    labels.release()
    return np.ascontiguousarray(np.moveaxis(mask, axial, 0))


def _stored(values: "NDArray[Any]", axial: int) -> "NDArray[Any]":
    import numpy as np

    return np.moveaxis(values, 0, axial)


def _lungs(
    given: Sequence[LabelMap],
    axis: "Axis",
    shape: tuple[int, ...],
    affine: "NDArray[Any]",
    axial: int,
    rng: "np.random.Generator",
    ctx: Context,
) -> "NDArray[np.bool_]":
    from voxfield.phantoms._chest import lung_around

    margin = float(rng.uniform(*LUNG_MARGIN) * axis.radii.max())
    if not given:
        ctx.finding("lung-made", "info", f"no lung was given: hull of the thin airways, {margin:.1f} mm wider")
        return lung_around(axis, shape, affine, margin)
    lungs = _axial(given[0], axial)
    for part in given[1:]:
        lungs |= _axial(part, axial)
    return lungs


def _arteries(
    given: LabelMap | None,
    lungs: "NDArray[np.bool_]",
    axis: "Axis",
    spacing: "NDArray[Any]",
    axial: int,
    wall_mm: float,
    rng: "np.random.Generator",
    ctx: Context,
) -> "NDArray[np.bool_]":
    from voxfield.phantoms._arteries import draw_vessels

    if given is not None:
        return _axial(given, axial)
    ctx.finding("vessels-made", "info", "no vessels were given: an artery beside every airway, twigs into the lung")
    return draw_vessels(lungs, axis, spacing, wall_mm, rng)


def _painted(
    lungs: "NDArray[np.bool_]",
    arteries: "NDArray[np.bool_]",
    affine: "NDArray[Any]",
    drawn: dict[str, float],
    shape_rng: "np.random.Generator",
    rng: "np.random.Generator",
) -> "NDArray[np.float32]":
    """The chest without its airways, (k, a, b) HU."""
    import numpy as np

    from voxfield.phantoms._chest import Contrast, paint

    contrast = Contrast(
        drawn["lung_hu"], drawn["gravity_hu_per_cm"], drawn["texture_hu"], drawn["vessel_hu"], drawn["tissue_hu"]
    )
    volume = np.empty(lungs.shape, dtype=np.float32)
    thickness = float(shape_rng.uniform(*CHEST_WALL))
    for k, plane in enumerate(paint(lungs, arteries, affine, contrast, thickness, rng)):
        volume[k] = plane
    return volume


def _lay(wall: "Wall", volume: "NDArray[np.float32]", wall_hu: float) -> None:
    """Lay lumen and wall over what was painted, each with its share of the voxel."""
    from voxfield.phantoms._chest import AIR_HU

    part = volume[wall.box]
    part *= 1 - wall.lumen - wall.wall
    part += AIR_HU * wall.lumen + wall_hu * wall.wall
