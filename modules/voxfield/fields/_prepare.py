"""The stage fields.prepare: the phase images of a scanner -> velocity in m/s along world axes."""

from typing import TYPE_CHECKING, Annotated, NamedTuple

from annotated_types import Ge, Le

from voxfield.artifacts import Image, ImageSeries, LabelMap, Metrics, VectorImage, require_grid
from voxfield.errors import InputError, SettingsError
from voxfield.stage import Context, Resources, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voxfield.fields.preparation._output import Prepared


class Preparation(NamedTuple):
    """Velocity and what it was made with.

    velocity  (x, y, z, t, 3) m/s along the world axes, unwrapped, background removed
    pcmra     (x, y, z) speed times relative magnitude, root mean square over frames, m/s
    static    1 tissue that was taken for at rest
    metrics   turns undone, offset, noise and venc of each encoded component
    """

    velocity: VectorImage
    pcmra: Image
    static: LabelMap
    metrics: Metrics


@stage(resources=Resources(mem_mb=6000, runtime=30, threads=1), version=1)
def prepare(
    phase_1: ImageSeries,
    phase_2: ImageSeries,
    phase_3: ImageSeries,
    magnitude: ImageSeries | None = None,
    tissue: LabelMap | None = None,
    *,
    venc_m_per_s: tuple[float, ...] = (),
    directions: tuple[str, ...] = (),
    phase_range: tuple[float, ...] = (),
    unwrap: bool = True,
    cyclic: bool = True,
    background: bool = True,
    background_order: Annotated[int, Ge(0), Le(4)] | None = None,
    ctx: Context = Context(),
) -> Preparation:
    """Turn three phase images into a velocity: scale, sign and axes, unwrapping, background offset.

    phase_1, phase_2, phase_3  (x, y, z) or (x, y, z, t) phases as the scanner stored them, one encoded direction each,
                               on one grid
    magnitude  (x, y, z) or (x, y, z, t) on that grid; weighs the phases and tells signal from air
    tissue     (x, y, z) on that grid: voxels above 0 are at rest. Absent: found from magnitude and change over time

    Whole turns are added by minimum cuts in space and time (Bioucas-Dias and Valadao, 2007; see
    `preparation._unwrap`), so that before the background is removed the result differs from the measurement by exact
    multiples of 2 venc. The background is a polynomial in space, the same in all frames, fitted robustly to tissue at
    rest (Walker et al., 1993; see `preparation._background`).

    Findings: no-magnitude, static-from-one-frame, wraps-ambiguous, near-venc, background-not-corrected.

    Settings
    venc_m_per_s: velocity of half a turn, m/s; one for all or one for each phase image. Has to be given.
    directions: towards which each component is positive: patient axes R, L, A, P, S, I or voxel axes +i, -i, +j, -j,
        +k, -k. Has to be given: scanners differ.
    phase_range: stored values of -venc and +venc; none: recognised from the values.
    unwrap: whether whole turns are undone.
    cyclic: whether the last frame is followed by the first, as in gated series.
    background: whether the offset is fitted and removed.
    background_order: of the polynomial; none: by cross-validation, up to 3.

    Raises SettingsError where venc or directions are missing; InputError for images that are no phases, that do not
    share a grid, whose values fit no range, or that hold no signal.
    """
    import numpy as np

    from voxfield.fields.preparation._background import fit_background
    from voxfield.fields.preparation._directions import to_world
    from voxfield.fields.preparation._output import angiogram, metrics, tell

    images = (phase_1, phase_2, phase_3)
    strength = _venc(venc_m_per_s)
    _require_one_grid(images, magnitude, tissue)
    world = to_world(directions, phase_1.grid)
    weight = None if magnitude is None else _magnitude(magnitude, phase_1)
    done, weights = _unwrapped(images, weight, tissue, strength, phase_range, unwrap=unwrap, cyclic=cyclic)
    if background:
        mean, rng = done.velocity.mean(axis=3), ctx.rng()
        done.background = [fit_background(mean[..., c], weights, done.static, background_order, rng) for c in range(3)]
        for c, fit in enumerate(done.background):
            if fit is not None:
                done.velocity[..., c] -= fit.offset(phase_1.grid.shape)[..., None]
    tell(done, ctx, magnitude=magnitude is not None, given=tissue is not None, unwrapped=unwrap)
    velocity = done.velocity @ world.T
    return Preparation(
        VectorImage(velocity, phase_1.affine, unit="m/s"),
        Image(angiogram(velocity, weight).astype(np.float32), phase_1.affine, unit="m/s"),
        LabelMap(done.static.astype(np.uint8), phase_1.affine, labels={1: "static"}),
        Metrics(metrics(done, directions)),
    )


def _unwrapped(
    images: tuple[Image, ...],
    magnitude: "NDArray[np.float64] | None",
    tissue: LabelMap | None,
    venc: "NDArray[np.float64]",
    phase_range: tuple[float, ...],
    *,
    unwrap: bool,
    cyclic: bool,
) -> "tuple[Prepared, NDArray[np.float64]]":
    """Velocities in m/s, static tissue and noise; and the weights (x, y, z) of the voxels."""
    import numpy as np

    from voxfield.fields.preparation import _unwrap as wraps
    from voxfield.fields.preparation._output import Prepared, near_venc
    from voxfield.fields.preparation._scale import recognised_range, require_phase, stated_range, to_radians
    from voxfield.fields.preparation._signal import magnitude_weights, smoothness_weights
    from voxfield.fields.preparation._static import noise_sd, static_tissue

    for image in images:
        require_phase(image)
    scale = stated_range(phase_range) or recognised_range(images)
    phases = np.stack([to_radians(image, scale) for image in images])
    weights, signal = smoothness_weights(phases) if magnitude is None else magnitude_weights(magnitude)
    if not signal.any():
        raise InputError(
            "no voxel has signal: the phase is smooth nowhere, or the magnitude is constant", file=images[0].file
        )
    at_ends = near_venc(phases, signal)
    turns = np.zeros(phases.shape, dtype=np.int64)
    if unwrap:
        turns = np.stack([wraps.unwrap(phase, weights, signal, cyclic=cyclic) for phase in phases])
    phases += wraps.TURN * turns
    doubtful = np.stack([wraps.ambiguous(phase, weights, signal, cyclic=cyclic) for phase in phases], axis=-1)
    velocity = np.moveaxis(phases, 0, -1) * (venc / np.pi)
    static = static_tissue(velocity, weights, signal) if tissue is None else np.asarray(tissue.data) > 0
    noise = noise_sd(velocity, weights, static)
    done = Prepared(scale, venc, velocity, np.moveaxis(turns, 0, -1), doubtful, signal, static, noise, at_ends)
    return done, np.maximum(weights, 1e-3)


def _venc(values: tuple[float, ...]) -> "NDArray[np.float64]":
    import numpy as np

    if len(values) not in (1, 3) or not all(value > 0 for value in values):
        raise SettingsError(
            f"fields.prepare: setting 'venc_m_per_s' is {list(values)}; expected one positive velocity, or three, in "
            "m/s (the encoding velocity in the protocol of the scan; 150 cm/s is 1.5)"
        )
    return np.broadcast_to(np.array(values, dtype=np.float64), 3).copy()


def _require_one_grid(images: tuple[Image, ...], magnitude: Image | None, tissue: LabelMap | None) -> None:
    first, *others = images
    for place, image in enumerate(others, start=2):
        if image.file and any(one.file and one.file.samefile(image.file) for one in images[: place - 1]):
            raise InputError(f"is given again as phase_{place}; expected one file a direction", file=image.file)
        if image.shape != first.shape:
            raise InputError(f"has shape {image.shape}, the first phase {first.shape}; expected one", file=image.file)
    for other in (*others, magnitude, tissue):
        if other is not None:
            require_grid(other, first.grid, "the first phase")
    if tissue is not None:
        tissue.require_foreground()


def _magnitude(image: Image, phase: Image) -> "NDArray[np.float64]":
    """(x, y, z, t), not negative and not empty; its frames are those of the phases, or one."""
    import numpy as np

    values = image.data.astype(np.float64)
    values = values if values.ndim == 4 else values[..., None]
    frames = phase.shape[3] if len(phase.shape) == 4 else 1
    if values.shape[3] not in (1, frames):
        raise InputError(
            f"has {values.shape[3]} frames, the phases {frames}; expected as many, or one", file=image.file
        )
    if values.min() < 0 or values.max() <= 0:
        raise InputError(
            f"holds values from {values.min():g} to {values.max():g}; expected a magnitude, which is not negative",
            file=image.file,
        )
    return values
