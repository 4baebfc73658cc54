"""The stage fields.align: bring a flow image, and its vectors, into the world of an angiogram by a rigid motion."""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Gt, Le

from voxfield.artifacts import Image, Metrics, PartialVectorImage, require_grid
from voxfield.errors import InputError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    from voxfield.fields.alignment._search import Alignment

COARSEST = 8
"""Voxels along an axis below which there is nothing to align."""


class Aligned(NamedTuple):
    """The moving image in the world of the fixed one.

    aligned          the moving image there, 0 beyond it
    transform        matrix from fixed to moving world, its rotation and shift with standard deviations, quality
    aligned_vectors  the vectors there, turned, NaN beyond them: nothing was measured; absent where none were given
    """

    aligned: Image
    transform: Metrics
    aligned_vectors: PartialVectorImage | None


@stage(resources=Resources(mem_mb=4000, runtime=20, threads=1), version=2)
def align(
    fixed: Image,
    moving: Image,
    vectors: PartialVectorImage | None = None,
    *,
    turn_deg: Annotated[float, Gt(0), Le(60)] = 12.0,
    shift_mm: Annotated[float, Gt(0), Le(200)] = 12.0,
    resample: bool = True,
    ctx: Context = Context(),
) -> Aligned:
    """Align two images of one anatomy by a rotation and a shift, whatever their contrasts.

    The fixed image is explained as a function of the moved one by robust least squares with the biweight of Tukey, the
    function being unknown (the correlation ratio of Roche et al., 1998; see `alignment._match`), from hundreds of
    starts over four resolutions. Voxels that the moving image does not explain lose their weight.

    fixed    (x, y, z) such as the angiogram
    moving   (x, y, z) such as the PC-MRA or the magnitude of the flow scan, on a grid of its own
    vectors  (x, y, z, t, 3) on the grid of `moving`: carried along, and turned; gaps stay gaps

    The standard deviations are those of an estimate whose residuals are independent between blocks of eight voxels.

    Findings: alignment-ambiguous where another motion fits nearly as well; alignment-outside-range where the motion
    found lies beyond the range that was searched; alignment-weak where the moving image explains little.

    Settings
    turn_deg: rotation about each axis that is searched, degrees.
    shift_mm: shift along each axis that is searched, mm.
    resample: whether the result lies on the grid of `fixed`, linear between voxels; else it keeps its voxels, and its
        affine is moved instead.

    Raises InputError for images that are constant, that have fewer than eight voxels along an axis or that hardly
    overlap, and for vectors on another grid.
    """
    import numpy as np

    from voxfield.fields.alignment._levels import take_picture
    from voxfield.fields.alignment._match import LEAST_OVERLAP
    from voxfield.fields.alignment._resample import moved_affine, resampled, turned
    from voxfield.fields.alignment._search import align_images

    for image in (fixed, moving):
        _require_content(image)
    if vectors is not None:
        require_grid(vectors, moving.grid, "the moving image")
    still, other = (take_picture(image.data.astype(np.float64), image.grid) for image in (fixed, moving))
    found = align_images(still, other, turn_deg=turn_deg, shift_mm=shift_mm, rng=ctx.rng())
    if found.match.overlap < LEAST_OVERLAP:
        raise InputError(
            f"reaches {found.match.overlap:.0%} of the fixed image at the best motion found; expected at least "
            f"{LEAST_OVERLAP:.0%}: crop the fixed image to what both show, or correct the affines",
            file=moving.file,
        )
    motion = found.match.motion
    _tell(found, turn_deg, shift_mm, ctx)
    transform = Metrics(_described(found))
    turned_vectors = None if vectors is None else turned(vectors.data, motion)
    unit = vectors.unit if vectors is not None else None
    if not resample:
        affine = moved_affine(moving.affine, motion)
        carried = None if turned_vectors is None else PartialVectorImage(turned_vectors, affine, unit=unit)
        return Aligned(Image(moving.data, affine, unit=moving.unit), transform, carried)
    onto = fixed.grid
    carried = None
    if turned_vectors is not None:
        there = resampled(turned_vectors, moving.grid, onto, motion, beyond=np.nan)
        carried = PartialVectorImage(there, onto.affine, unit=unit)
    image = Image(resampled(other.values, moving.grid, onto, motion, beyond=0.0), onto.affine, unit=moving.unit)
    return Aligned(image, transform, carried)


def _require_content(image: Image) -> None:
    if image.data.ndim != 3:
        raise InputError(f"has shape {image.shape}; expected one volume (x, y, z)", file=image.file)
    if min(image.grid.shape) < COARSEST:
        raise InputError(f"has {image.grid!r}; expected at least {COARSEST} voxels along each axis", file=image.file)
    if float(image.data.min()) == float(image.data.max()):
        raise InputError("is constant; there is nothing to align", file=image.file)


def _described(found: "Alignment") -> dict[str, Any]:
    import numpy as np
    from scipy.spatial.transform import Rotation

    match, motion = found.match, found.match.motion
    sd = np.sqrt(np.diag(found.covariance))
    return {
        "fixed_to_moving": motion.matrix,
        "rotation_vector_deg": np.degrees(Rotation.from_matrix(motion.rotation).as_rotvec()),
        "rotation_sd_deg": np.degrees(sd[:3]),
        "shift_mm": motion.shift,
        "shift_sd_mm": sd[3:],
        "centre_mm": motion.centre,
        "correlation_ratio": match.ratio,
        "outliers": match.outliers,
        "overlap": match.overlap,
        "cost": match.cost,
        "rival_cost": found.rival.cost,
        "starts": found.starts,
    }


def _tell(found: "Alignment", turn_deg: float, shift_mm: float, ctx: Context) -> None:
    """Findings about how far the motion can be trusted."""
    import numpy as np

    from voxfield.fields.alignment._search import is_ambiguous, is_weak

    match, motion = found.match, found.match.motion
    if is_ambiguous(found):
        other = found.rival.motion
        text = f"a motion of {other.angle_deg:.1f} degrees and {np.linalg.norm(other.shift):.1f} mm fits nearly as well"
        text += f" (cost {found.rival.cost:.3f}, the one found {match.cost:.3f}); look at the overlay"
        ctx.finding("alignment-ambiguous", "warning", text, value=found.rival.cost)
    turn, shift = motion.angle_deg, float(np.abs(motion.shift).max())
    if turn > turn_deg * np.sqrt(3) or shift > shift_mm:
        text = f"{turn:.1f} degrees, {shift:.1f} mm: beyond the range that was searched, {turn_deg:g} degrees and "
        text += f"{shift_mm:g} mm about each axis; raise turn_deg and shift_mm"
        ctx.finding("alignment-outside-range", "warning", text, value=turn)
    if is_weak(found):
        text = f"the moving image explains {100 * match.ratio:.0f} % of the fixed one; do both show the same anatomy?"
        ctx.finding("alignment-weak", "warning", text, value=match.ratio)
