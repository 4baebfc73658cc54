"""Pressure drop of a vessel tree by a one-dimensional network, and the severity grade that follows from it.

Along every branch the viscous drop of Poiseuille flow, 8 mu Q / pi times the integral of ds / r^4, stenoses
included; behind every throat the loss of the expanding jet,

    K_t rho / 2 (A_0 / A_1 - 1)^2 U^2,   K_t = 1.52

(Young & Tsai, J. Biomech. 6, 1973, eq. 3, whose viscous term the integral replaces). Losses at bifurcations and
the change of kinetic energy are left out. The drop depends on flow and blood, which no image shows: of two
equal vessels the one with more flow is graded higher.
"""

from __future__ import annotations

import numpy as np

from voxfield.phantoms._anatomy import Anatomy, Real

EXPANSION_LOSS = 1.52
THRESHOLDS_PA = (13.0, 20.0, 32.0, 52.0)
"""Drops at which grades 1, 2, 3 and 4 begin."""


def outlet_drops_pa(anatomy: Anatomy) -> dict[int, float]:
    """Pressure drop from the inlet to the end of every leaf branch, Pa."""
    at_end: list[float] = []
    for branch in anatomy.branches:
        start = at_end[branch.parent] if branch.parent >= 0 else 0.0
        flow = anatomy.inflow_m3_per_s * branch.share
        at_end.append(
            start
            + _branch_drop(branch.arc * 1e-3, branch.radii * 1e-3, flow, anatomy.viscosity_pa_s)
            + sum(
                _throat_loss(
                    s.degree,
                    float(np.interp(s.place_mm, branch.arc, branch.healthy)) * 1e-3,
                    flow,
                    anatomy.density_kg_per_m3,
                )
                for s in branch.stenoses
            )
        )
    return {leaf: at_end[leaf] for leaf in anatomy.leaves}


def _branch_drop(arc: Real, radii: Real, flow: float, viscosity: float) -> float:
    return float(8 * viscosity * flow / np.pi * np.trapezoid(radii**-4, arc))


def _throat_loss(degree: float, radius: float, flow: float, density: float) -> float:
    speed = flow / (np.pi * radius**2)
    return float(0.5 * EXPANSION_LOSS * density * ((1 - degree) ** -2 - 1) ** 2 * speed**2)


def severity(drop_pa: float) -> float:
    """Continuous grade, 0 to 5: the logarithm of the drop, with whole numbers at the thresholds."""
    knots = np.log(THRESHOLDS_PA)
    value = np.interp(np.log(drop_pa), knots, [1.0, 2.0, 3.0, 4.0])
    if drop_pa < THRESHOLDS_PA[0]:
        value = 1 + (np.log(drop_pa) - knots[0]) / (knots[1] - knots[0])
    elif drop_pa > THRESHOLDS_PA[-1]:
        value = 4 + (np.log(drop_pa) - knots[3]) / (knots[3] - knots[2])
    return float(np.clip(value, 0.0, np.nextafter(5.0, 0.0)))


def grade_of(drop_pa: float) -> int:
    """The grade without a reader: 0 to 4."""
    return int(severity(drop_pa))


def read_grade(drop_pa: float, reader_sd: float, rng: np.random.Generator) -> int:
    """The grade that a reader gives who is off by `reader_sd` grades."""
    return int(np.clip(np.floor(severity(drop_pa) + reader_sd * rng.standard_normal()), 0, 4))
