"""The stage `phantoms.geometry`: a small angiogram of one row of the grading cohort, and its branches; no flow."""

from typing import Annotated, NamedTuple

from annotated_types import Ge, Le

from voxfield.artifacts import Image, Table
from voxfield.stage import Context, Resources, stage


class Geometry(NamedTuple):
    """What `phantoms.geometry` makes."""

    image: Image
    branches: Table


@stage(resources=Resources(mem_mb=1000, runtime=5), version=1)
def geometry(
    *,
    anatomy_seed: Annotated[int, Ge(0)] = 0,
    spacing_mm: Annotated[float, Ge(0.5), Le(2.1)] = 1.05,
    tilt_deg: Annotated[float, Ge(0), Le(30)] = 6.0,
    image_noise: Annotated[float, Ge(0)] = 0.08,
    image_bias: Annotated[float, Ge(0), Le(0.9)] = 0.3,
    ctx: Context = Context(),
) -> Geometry:
    """Render one anatomy: the angiogram that phantoms.vessel would show, on coarser voxels, and the exact
    branch table.

    Settings
    anatomy_seed: which anatomy, as listed by phantoms.cohort
    spacing_mm: edge of the voxels, mm
    tilt_deg: largest rotation of the voxel axes against the world about each axis, degrees
    image_noise: noise of the angiogram, contrasts between blood and tissue
    image_bias: largest relative change of brightness over the angiogram

    Noise and frame follow from the run's seed and the anatomy together.
    """
    import numpy as np

    from voxfield.phantoms._anatomy import sample_anatomy
    from voxfield.phantoms._lumen import beyond_ends, cut_ends, grid_shape, level_on_grid, voxel_fractions
    from voxfield.phantoms._scan import Angiography, render_angiogram
    from voxfield.phantoms._tables import branch_rows, cut_branches, scan_frame

    rng = np.random.default_rng([ctx.seed, anatomy_seed])
    anatomy = sample_anatomy(anatomy_seed)
    ends = cut_ends(anatomy, spacing_mm, (0.0,) * (1 + len(anatomy.leaves)))
    level, owner = level_on_grid(anatomy, grid_shape(spacing_mm), spacing_mm, pad=1)
    inside = ~np.any(beyond_ends(owner, ends, 1), axis=0)
    fraction = voxel_fractions(level, inside, spacing_mm)[1:-1, 1:-1, 1:-1]
    affine, box = scan_frame(rng, spacing_mm, tilt_deg)
    image = render_angiogram(fraction, Angiography(noise=image_noise, bias=image_bias), rng)
    kept = cut_branches(anatomy, ends, spacing_mm)
    return Geometry(Image(image, affine), Table.from_rows(branch_rows(anatomy.branches, kept, box)))
