"""Grades of narrowing, with near-occlusion and occlusion as classes of their own.

Near-occlusion is a tight stenosis behind which the vessel has collapsed, so that a ratio to the distal diameter tells
nothing (Fox et al., AJNR 26, 2086, 2005). For the internal carotid on CT angiograms Bartlett et al. (AJNR 27, 632,
2006) give four signs: throat of at most 1.3 mm, distal diameter of at most 3.5 mm, distal over opposite distal
diameter of at most 0.87, distal over external carotid of at most 1.27. At least three of the four are asked for here.
The opposite vessel is a setting; the sibling at the division from which the vessel comes stands for the external
carotid. Since small healthy branches meet these millimetres too, the collapse has to show in the vessel itself as
well: distal at most `COLLAPSED` of the normal diameter before the throat, where one is known (our own condition; a
daughter of an equal division has 0.79 of its parent by Murray's law).
"""

from typing import NamedTuple

NONE, MILD, MODERATE, SEVERE = "none", "mild", "moderate", "severe"
NEAR_OCCLUSION, OCCLUSION, NOT_GRADABLE = "near-occlusion", "occlusion", "not gradable"
DEFINITIONS = {
    NONE: "below two standard deviations: not told apart from a healthy vessel",
    MILD: "below 50 %",
    MODERATE: "50 to 69 %",
    SEVERE: "70 % and more",
    NEAR_OCCLUSION: "tight throat and collapsed distal vessel: no percentage (three signs of Bartlett et al., 2006)",
    OCCLUSION: "no lumen between the two ends of a bridge: occlusion, or a gap of the segmentation; no percentage",
    NOT_GRADABLE: "no stretch with parallel walls to compare with, or one with too few voxels across",
}
THROAT_MM, DISTAL_MM, OPPOSITE_RATIO, SIBLING_RATIO = 1.3, 3.5, 0.87, 1.27
SIGNS = 3
COLLAPSED = 0.6


class Diameters(NamedTuple):
    """Diameters in mm; None where not known. `sibling` leaves at the same division, `opposite` is of the other side."""

    throat: float
    distal: float
    before: float | None
    sibling: float | None
    opposite: float | None


def is_near_occlusion(d: Diameters) -> bool:
    """Whether a narrowing shows the signs of near-occlusion."""
    signs = [d.throat <= THROAT_MM, d.distal <= DISTAL_MM]
    signs += [d.distal <= OPPOSITE_RATIO * d.opposite] if d.opposite is not None else []
    signs += [d.distal <= SIBLING_RATIO * d.sibling] if d.sibling is not None else []
    collapsed = d.before is None or d.distal <= COLLAPSED * d.before
    return sum(signs) >= SIGNS and collapsed


def grade_of(degree: float, sd: float) -> str:
    """The grade of a degree of narrowing, 0 to 1, by the cuts of NASCET at 50 and 70 %."""
    if degree < 2 * sd:
        return NONE
    return MILD if degree < 0.5 else MODERATE if degree < 0.7 else SEVERE
