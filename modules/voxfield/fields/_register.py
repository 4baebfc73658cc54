"""The stage fields.register: the displacement between two images of one body, under an elastic prior."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

from voxfield.artifacts import Image, LabelMap, Metrics, VectorImage, require_grid
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.fields.registration._fit import Fit

LEAST = 8
"""Voxels along an axis below which there is nothing to register."""


class Registration(NamedTuple):
    """The displacement, on the grid of the images.

    displacement     (x, y, z, 1, 3) mm along the world axes: the place x of the fixed image is x + u in the moving one
    displacement_sd  (x, y, z, 1, 3) mm
    warped           the moving image at x + u
    determinant      det(I + grad u): 1 where volume is kept

    Outside a region that is given, displacement and deviation are 0 and the determinant is 1.
    metrics          weights by evidence, residual, strain, determinant
    """

    displacement: VectorImage
    displacement_sd: VectorImage
    warped: Image
    determinant: Image
    metrics: Metrics


@stage(resources=Resources(mem_mb=6000, runtime=60, threads=1), version=2)
def register(
    fixed: Image,
    moving: Image,
    region: LabelMap | None = None,
    *,
    poisson_ratio: Annotated[float, Ge(0), Lt(0.4999)] = 0.49,
    stiffness_per_mm3: Annotated[float, Gt(0)] | None = None,
    node_voxels: Annotated[int, Ge(1), Le(16)] = 2,
    levels: Annotated[int, Ge(1), Le(6)] = 3,
    draws_count: Annotated[int, Ge(4), Le(500)] = 32,
    ctx: Context = Context(),
) -> Registration:
    """Find the displacement between two images, as tissue would move: nearly incompressible and elastic.

    The most probable displacement under a linear elastic prior (Bajcsy and Kovacic, 1989; nearly incompressible, after
    the biomechanics-informed registration of Qin et al., MICCAI 2020, and WarpPINN, 2023), by Gauss-Newton from coarse
    to fine. Noise and stiffness are those of largest evidence (MacKay, 1992); the standard deviation is that of draws
    of the Laplace approximation (see `registration._fit`). What differs from those papers: the energy is quadratic, no
    network is trained, and the weights are not tuned.

    fixed, moving  (x, y, z) on one grid, of one contrast and brightness; voxels with independent noise, alike in both
    region         (x, y, z) on that grid: only voxels of the fixed image above 0 are looked at, and what lies beyond
                   is hardly stiff, so that tissue may slide along its edge. Absent: everything

    The prior is elastic for small strains: large rotations cost energy that a body would not spend. The standard
    deviation is that of the model: what two images can not tell apart locally has a wide one, an error of brightness
    has none. The prior has as much energy in short waves as in long ones; where motion is smoother than that, long
    waves are pulled towards rest and the deviation is too small for them.

    Findings: folded where space folds; stiffness-at-bound where the evidence knows no stiffness, such as for two images
    without motion; not-settled where the descent was cut short.

    Settings
    poisson_ratio: towards 0.5 volume is kept; 0.49 is soft tissue.
    stiffness_per_mm3: shear modulus over the energy of one nat, 1/mm^3; none: by the evidence.
    node_voxels: voxels between the nodes of the displacement, trilinear in between.
    levels: resolutions, each half of the next; the coarsest has to see the largest displacement as a voxel or two.
    draws_count: draws for the standard deviation.

    Raises InputError for images on different grids, sheared ones, constant ones, or thin ones.
    """
    import numpy as np

    from voxfield.fields.registration._deformation import determinant, warped
    from voxfield.fields.registration._fit import Wishes, fit_displacement

    require_grid(moving, fixed.grid, "the fixed image")
    for image in (fixed, moving):
        _require_content(image, 2 ** (levels - 1))
    if region is not None:
        require_grid(region, fixed.grid, "the fixed image")
        region.require_foreground()
    grid, spacing = fixed.grid, fixed.grid.spacing
    still, other = (image.data.astype(np.float64) for image in (fixed, moving))
    wishes = Wishes(poisson_ratio, node_voxels, levels, stiffness_per_mm3, draws_count)
    looked_at = np.ones(grid.shape, dtype=bool) if region is None else np.asarray(region.data) > 0
    fit = fit_displacement(still, other, looked_at, spacing, wishes, ctx.rng())
    displacement = fit.nodes.to_voxels(fit.displacement).reshape(*grid.shape, 3)
    spread = np.mean([np.square(fit.nodes.to_voxels(draw) @ grid.axes.T) for draw in fit.draws], axis=0)
    sd = np.where(looked_at[..., None], np.sqrt(spread).reshape(*grid.shape, 3), 0.0)
    volume = np.where(looked_at, determinant(displacement, spacing), 1.0)
    displacement = np.where(looked_at[..., None], displacement, 0.0)
    _tell(fit, volume, stiffness_per_mm3, ctx)
    return Registration(
        VectorImage(displacement @ grid.axes.T, grid.affine, unit="mm"),
        VectorImage(sd, grid.affine, unit="mm"),
        Image(warped(other, displacement, spacing).astype(np.float32), grid.affine, unit=moving.unit),
        Image(volume.astype(np.float32), grid.affine),
        Metrics(_metrics(fit, displacement, volume, still - other)),
    )


def _require_content(image: Image, coarsest: int) -> None:
    if image.data.ndim != 3:
        raise InputError(f"has shape {image.shape}; expected one volume (x, y, z)", file=image.file)
    if not image.grid.is_orthogonal():
        raise InputError(f"its voxel axes are not at right angles (cosine {image.grid.shear:.3g})", file=image.file)
    if min(image.grid.shape) < max(LEAST, 4 * coarsest):
        raise InputError(
            f"has {' x '.join(map(str, image.grid.shape))} voxels; expected at least {max(LEAST, 4 * coarsest)} along "
            "each axis; lower levels for thin images",
            file=image.file,
        )
    if float(image.data.min()) == float(image.data.max()):
        raise InputError("is constant; there is no motion to see", file=image.file)


def _metrics(
    fit: "Fit", displacement: "NDArray[np.float64]", volume: "NDArray[np.float64]", before: "NDArray[np.float64]"
) -> dict[str, Any]:
    import numpy as np

    residual, _ = fit.level.residual(displacement.reshape(-1, 3))
    length = np.linalg.norm(displacement, axis=-1)
    return {
        "stiffness_per_mm3": fit.stiffness,
        "noise_sd": fit.noise,
        "determined_parameters": fit.determined,
        "strain_energy_mm3": fit.elastic.energy(fit.displacement),
        "residual_rms": float(np.sqrt(np.square(residual).mean())),
        "difference_rms_before": float(np.sqrt(np.square(before).mean())),
        "mean_displacement_mm": float(length.mean()),
        "largest_displacement_mm": float(length.max()),
        "least_determinant": float(volume.min()),
        "largest_determinant": float(volume.max()),
        "determinant_rms_from_one": float(np.sqrt(np.square(volume - 1).mean())),
    }


def _tell(fit: "Fit", volume: "NDArray[np.float64]", stated: float | None, ctx: Context) -> None:
    """Findings worth a reader's time."""
    from voxfield.fields.registration._fit import at_bound

    if volume.min() <= 0:
        text = f"space folds in {int((volume <= 0).sum())} voxels (least determinant {volume.min():.2f}); "
        ctx.finding("folded", "warning", text + "raise stiffness_per_mm3 or node_voxels", value=float(volume.min()))
    if stated is None and at_bound(fit):
        text = f"stiffness {fit.stiffness:.3g} per mm^3 is at the end of its range: the images tell of no strain"
        ctx.finding("stiffness-at-bound", "info", text, value=fit.stiffness)
    if not fit.converged:
        ctx.finding("not-settled", "warning", "the descent was cut short; the displacement may still move")
