"""The stage `segmentation.lung`: the lungs in a chest CT. How they are found is written in `_lung_mask`."""

from typing import TYPE_CHECKING, Annotated, NamedTuple

from annotated_types import Ge, Le, Lt

from voxfield.artifacts import Image, LabelMap
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.artifacts import Grid

HIGHEST_MINIMUM_HU = -500
LOWEST_HU, HIGHEST_HU = -1100, 10_000
"""Outside of these a CT holds padding or metal, or is none."""


class LungMask(NamedTuple):
    """What `segmentation.lung` makes."""

    lung: LabelMap


@stage(resources=Resources(mem_mb=4000, runtime=15), version=1)
def lung(
    image: Image,
    *,
    threshold_hu: Annotated[float, Ge(-900), Le(-100)] = -400.0,
    closing_mm: Annotated[float, Ge(0), Lt(50)] = 8.0,
    ctx: Context = Context(),
) -> LungMask:
    """Find the lungs in a chest CT by threshold, components and closing.

    image  (x, y, z) in HU

    Returns `lung`, 1 in both lungs up to the pleura: vessels, bronchi inside them and nodules that touch the pleura
    belong to it; trachea, main bronchi and mediastinum do not. Sources and steps stand in `_lung_mask`.

    Settings
    threshold_hu: upper end of lung, half way between parenchyma and soft tissue, HU
    closing_mm: radius of the closing, mm; what is narrower than twice that is taken in

    Findings: `no-lung` (error; the mask is empty), `lung-cut` where a lung leaves the field of view, by face and
    area, `lungs-not-parted`, `beyond-hu` for values that no scanner stores. A lung that is consolidated or
    collapsed is as dense as soft tissue and is missed. Raises InputError for values that are not HU, or a sheared
    grid.
    """
    import numpy as np

    from voxfield.segmentation._lung_mask import find_lungs

    if not image.grid.is_orthogonal():
        raise InputError("the grid is sheared; distances in mm need right angles", file=image.file)
    _require_hu(image, ctx)
    axial = int(np.argmax(np.abs(image.grid.axes[2])))
    order = [*(a for a in range(3) if a != axial), axial]
    found = find_lungs(image.data.transpose(order), image.grid.spacing[order], threshold_hu, closing_mm)
    if found is None:
        text = f"no lung: hardly a voxel between air and {threshold_hu:g} HU inside the patient; the mask is empty"
        ctx.finding("no-lung", "error", text, file=image.file)
        mask = np.zeros(image.grid.shape, bool)
    else:
        mask = found.mask.transpose(np.argsort(order))
        volume = float(mask.sum()) * image.grid.voxel_volume_mm3 / 1000
        ctx.finding("lung", "info", f"{volume:.0f} ml of lung, mode {found.mode_hu:.0f} HU", value=volume)
        if found.parts == 1:
            text = "one lung, or two that could not be parted: what lies between them may be closed over"
            ctx.finding("lungs-not-parted", "info", text)
        _report_cuts(mask, image.grid, ctx)
    return LungMask(LabelMap(mask.astype(np.uint8), image.affine, labels={1: "lung"}))


def _require_hu(image: Image, ctx: Context) -> None:
    low, high = float(image.data.min()), float(image.data.max())
    if low > HIGHEST_MINIMUM_HU:
        hint = "subtract 1024, or apply the scanner's rescale slope and intercept" if low >= 0 else "rescale it"
        text = f"holds values from {low:g} to {high:g}; a chest CT in HU has lung near -850; {hint}"
        raise InputError(text, file=image.file)
    if low < LOWEST_HU or high > HIGHEST_HU:
        text = f"values from {low:g} to {high:g} HU; padding and metal apart, a scanner stores -1024 to 3071"
        ctx.finding("beyond-hu", "warning", text, file=image.file)


def _report_cuts(mask: "NDArray[np.bool_]", grid: "Grid", ctx: Context) -> None:
    """Tell of every face of the field of view that cuts a lung."""
    import numpy as np

    cuts = []
    for axis, name in enumerate("xyz"):
        area_mm2 = grid.voxel_volume_mm3 / float(grid.spacing[axis])
        for place, side in ((0, "first"), (-1, "last")):
            count = int(np.take(mask, place, axis=axis).sum())
            if count:
                cuts.append((count * area_mm2 / 100, f"{side} {name} slice"))
    if cuts:
        total = sum(area for area, _ in cuts)
        text = ", ".join(f"{area:.0f} cm2 on the {face}" for area, face in cuts)
        ctx.finding("lung-cut", "warning", f"the field of view cuts the lung: {text}", value=total)
