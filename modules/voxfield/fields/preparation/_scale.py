"""Stored values to phase in radians.

A phase image holds one turn, from -venc to +venc, in a scale of the vendor's own. The range is stated, or is the
narrowest of the usual ones that holds every value. An image that fills little of that range is refused: where nothing
comes near the ends, the scale can not be told from the values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Image
from voxfield.errors import InputError, SettingsError

Floats = NDArray[np.float64]
Range = tuple[float, float]

USUAL: tuple[Range, ...] = (
    (-np.pi, np.pi), (0.0, 2 * np.pi), (-180.0, 180.0), (0.0, 360.0), (-1000.0, 1000.0), (-2048.0, 2048.0),
    (0.0, 4096.0), (-4096.0, 4096.0), (0.0, 65536.0), (-32768.0, 32768.0),
)  # fmt: skip
FILLED = 0.6
"""Share of a usual range that the values must span for it to be recognised."""
BEYOND = 1e-3
"""Share of the range by which rounding may carry a value over its ends."""
PHASE_UNITS = (None, "rad", "deg")


def stated_range(values: tuple[float, ...]) -> Range | None:
    """The setting `phase_range`; None where it is empty. Raises SettingsError unless it is two ascending numbers."""
    if not values:
        return None
    if len(values) != 2 or not values[0] < values[1]:
        raise SettingsError(
            f"fields.prepare: setting 'phase_range' is {list(values)}; expected the stored values of -venc and +venc, "
            "such as [0, 4096] or [-3.14159, 3.14159], or nothing to recognise them"
        )
    return values[0], values[1]


def recognised_range(images: tuple[Image, ...]) -> Range:
    """The narrowest usual range that holds all values of all images."""
    low = min(float(image.data.min()) for image in images)
    high = max(float(image.data.max()) for image in images)
    fitting = [r for r in USUAL if _holds(r, low, high)]
    if fitting:
        best = min(fitting, key=lambda r: r[1] - r[0])
        if high - low >= FILLED * (best[1] - best[0]):
            return best
    known = ", ".join(f"{a:.4g} to {b:.4g}" for a, b in USUAL)
    raise InputError(
        f"phases run from {low:.4g} to {high:.4g}, which fills none of the usual ranges ({known}); state the stored "
        "values of -venc and +venc by phase_range",
        file=images[0].file,
    )


def to_radians(image: Image, scale: Range) -> Floats:
    """Phase (x, y, z, t) from -pi to pi, radians. Raises InputError for values beyond the range."""
    low, high = scale
    data = image.data.astype(np.float64)
    if not _holds(scale, float(data.min()), float(data.max())):
        raise InputError(
            f"holds phases from {data.min():.6g} to {data.max():.6g}; expected {low:.6g} to {high:.6g}, the range of "
            "one turn; correct phase_range, or give the phase images as the scanner stored them",
            file=image.file,
        )
    phase: Floats = (data - (low + high) / 2) * (2 * np.pi / (high - low))
    return phase if phase.ndim == 4 else phase[..., None]


def require_phase(image: Image) -> None:
    """Raise InputError for an image whose unit says that it is no phase."""
    if image.unit not in PHASE_UNITS:
        raise InputError(
            f"is in {image.unit!r}; expected a phase image, in rad, deg or the scanner's own levels without unit; "
            "a velocity goes to fields.reconstruct as it is",
            file=image.file,
        )


def _holds(scale: Range, low: float, high: float) -> bool:
    slack = BEYOND * (scale[1] - scale[0])
    return scale[0] - slack <= low and high <= scale[1] + slack
