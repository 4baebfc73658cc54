"""The stage `phantoms.airway`: an airway tree in a pair of lungs, everything about it known exactly."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le

from voxfield.artifacts import Centerline, LabelMap, Table
from voxfield.errors import SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.phantoms._lungs import Lungs

Extent = Annotated[float, Ge(40), Le(500)]
Edge = Annotated[float, Ge(0.2), Le(5)]


class Airway(NamedTuple):
    """What `phantoms.airway` makes."""

    airway: LabelMap
    lung: LabelMap
    centerline: Centerline
    branches: Table


@stage(resources=Resources(mem_mb=2000, runtime=5), version=1)
def airway(
    *,
    size_mm: tuple[Extent, Extent, Extent] = (112.0, 84.0, 112.0),
    spacing_mm: tuple[Edge, Edge, Edge] = (1.0, 1.0, 1.0),
    trachea_mm: Annotated[float, Gt(0), Le(30)] = 9.0,
    generations: Annotated[int, Ge(1), Le(16)] = 8,
    min_diameter_mm: Annotated[float, Gt(0)] = 1.6,
    tilt_deg: Annotated[float, Ge(0), Le(30)] = 6.0,
    ctx: Context = Context(),
) -> Airway:
    """Grow an airway tree that fills a pair of lungs, by the rules of Tawhai et al. (2000) and Murray's law.

    airway      (x, y, z): 1 where the centre of a voxel lies in the lumen; the trachea leaves through the top
    lung        (x, y, z), same grid: 1 in the right, 2 in the left lung, up to the pleura, what lies in them included
    centerline  nodes in world mm, half a millimetre to a millimetre apart, with the exact radius
    branches    one row a branch, parents first, with generation (the trachea is 0), length and radii, mm

    The lumen is one tree: branches that are not joined stay two voxels or 1.5 mm apart. The defaults are the chest
    of an infant, which shows seven generations in a volume that trains in minutes; an adult's is
    `size_mm=[300, 220, 300]` with `trachea_mm=18`.

    Settings
    size_mm: width, depth and height of the field of view, mm
    spacing_mm: edges of the voxels along x, y, z, mm
    trachea_mm: diameter of the trachea, mm
    generations: last generation that may grow
    min_diameter_mm: no branch is thinner, mm
    tilt_deg: largest rotation of the voxel axes against the world about each axis, degrees

    Raises SettingsError where the trachea is wider than a fifth of the chest.
    """
    import numpy as np

    from voxfield.phantoms._bronchi import Limits, grow_airway
    from voxfield.phantoms._tables import branch_rows, centerline_nodes, scan_frame
    from voxfield.phantoms._tubes import draw_tube

    if trachea_mm > 0.2 * size_mm[0]:
        raise SettingsError(
            f"phantoms.airway: trachea_mm is {trachea_mm:g} in a chest {size_mm[0]:g} mm wide; at most a fifth of it"
        )
    growth, placing = ctx.rng().spawn(2)
    spacing = np.array(spacing_mm)
    limits = Limits(generations, min_diameter_mm, max(1.5, 2 * float(spacing.max())))
    lungs, branches = grow_airway(growth, size_mm, trachea_mm, limits)
    _, box = scan_frame(placing, 1.0, tilt_deg)
    box_of_body = _stored(box, size_mm)
    shape = tuple(int(np.ceil(side / edge - 1e-9)) for side, edge in zip(size_mm, spacing_mm, strict=True))
    affine = box.copy()
    affine[:3, :3] *= spacing
    affine[:3, 3] += box[:3, :3] @ spacing / 2
    mask = np.zeros(shape, dtype=bool)
    for branch in branches:
        points = branch.points @ box_of_body[:3, :3].T + box_of_body[:3, 3] - spacing / 2
        draw_tube(mask, points, branch.radii, spacing)
    world_of_body = box @ box_of_body
    kept = [np.ones(len(branch.points), dtype=bool) for branch in branches]
    return Airway(
        LabelMap(mask.astype("uint8"), affine, labels={1: "airway"}),
        LabelMap(_lung_labels(lungs, shape, spacing, box_of_body), affine, labels={1: "right lung", 2: "left lung"}),
        Centerline(*centerline_nodes(branches, kept, world_of_body)),
        Table.from_rows(branch_rows(branches, kept, world_of_body)),
    )


def _stored(box: "NDArray[np.float64]", size_mm: tuple[float, float, float]) -> "NDArray[np.float64]":
    """Body millimetres (x to the right, y to the front) to millimetres along the stored axes, (4, 4)."""
    import numpy as np

    signs = np.sign(np.diag(box[:3, :3]))
    matrix = np.diag([*signs, 1.0])
    matrix[:3, 3] = np.where(signs < 0, size_mm, 0)
    return matrix


def _lung_labels(
    lungs: "Lungs", shape: tuple[int, ...], spacing: "NDArray[np.float64]", box_of_body: "NDArray[np.float64]"
) -> "NDArray[Any]":
    import numpy as np

    # The axes of body and box are parallel, so a coordinate depends on one index only.
    centers = [(np.arange(n) + 0.5) * edge for n, edge in zip(shape, spacing, strict=True)]
    body = [(c - box_of_body[a, 3]) * box_of_body[a, a] for a, c in enumerate(centers)]
    x, y, z = np.meshgrid(*body, indexing="ij", sparse=True)
    labels = np.zeros(shape, dtype=np.uint8)
    for k in range(shape[2]):  # by slices, since an adult's chest takes gigabytes at once
        right, left = lungs.inside(x, y, z[:, :, k : k + 1])
        labels[:, :, k : k + 1] = np.where(right, 1, np.where(left, 2, 0))
    return labels
