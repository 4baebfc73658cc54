"""Narrowings of all vessels of a centerline: where, how much, by which method, and what can not be graded."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from voxfield.artifacts import Centerline
from voxfield.segmentation.tree._grades import (
    NEAR_OCCLUSION,
    NOT_GRADABLE,
    OCCLUSION,
    Diameters,
    grade_of,
    is_near_occlusion,
)
from voxfield.segmentation.tree._narrowing import (
    Method,
    Narrowing,
    Segment,
    Unreferenced,
    narrowest,
    segments_of,
    smoothed,
    widest,
)
from voxfield.segmentation.tree._skeleton import Floats
from voxfield.segmentation.tree._vessels import Vessel, vessels_of
from voxfield.segmentation.tree._walls import THROAT_SD_VOXELS, Likelihood, Measured, measured


class Rules(NamedTuple):
    """How narrowings are judged; see `segmentation.stenosis` for each."""

    method: Method
    parallel_diameters: float
    min_reference_voxels: float
    voxel_mm: float
    contralateral_mm: float | None


@dataclass(frozen=True)
class Stenosis:
    """A vessel and its narrowest place.

    vessel     its number; parents come first
    place      (3,) the throat, or the middle of a bridge, mm
    from_root  way from the root to it, mm
    grade      see `_grades`
    found      the narrowing; None for a bridge, or where nothing can be compared
    measured   its numbers
    at_least   a throat without a normal segment, which is resolved
    before     normal diameter proximal to the throat, sibling its sibling's; mm or None
    length     of a bridge, mm
    reason     why it is not gradable
    """

    vessel: int
    place: Floats
    from_root: float
    grade: str
    found: Narrowing | None = None
    measured: Measured | None = None
    at_least: Unreferenced | None = None
    before: float | None = None
    sibling: float | None = None
    length: float | None = None
    reason: str = ""


def stenoses_of(line: Centerline, likelihood: Likelihood | None, rules: Rules) -> list[Stenosis]:
    """One entry for each vessel and each bridge, parents first."""
    even = Centerline(line.points, smoothed(line.radii, line.parents), line.parents, line.kinds)
    vessels = vessels_of(even)
    sd_mm = THROAT_SD_VOXELS * rules.voxel_mm
    segments = [
        [] if vessel.bridge else segments_of(even, vessel, rules.parallel_diameters, sd_mm) for vessel in vessels
    ]
    return [
        _bridge(even, number, vessel) if vessel.bridge else _judged(even, number, vessels, segments, likelihood, rules)
        for number, vessel in enumerate(vessels)
    ]


def _bridge(line: Centerline, number: int, vessel: Vessel) -> Stenosis:
    length = float(vessel.from_root[-1] - vessel.from_root[0])
    middle = line.points[vessel.nodes].mean(axis=0)
    return Stenosis(number, middle, float(vessel.from_root.mean()), OCCLUSION, length=length)


def _judged(
    line: Centerline,
    number: int,
    vessels: list[Vessel],
    segments: list[list[Segment]],
    likelihood: Likelihood | None,
    rules: Rules,
) -> Stenosis:
    vessel, feeding = vessels[number], _feeding(vessels, segments, number)
    found = narrowest(line, vessel, segments[number], feeding, rules.method)
    if not isinstance(found, Narrowing):
        return _not_gradable(line, number, vessel, found, rules)
    numbers = measured(line, found, rules.voxel_mm, likelihood)
    way = float(vessel.from_root[vessel.nodes == found.throat][0])
    before = widest([s for s in segments[number] if s.end < way] or feeding[:1])
    sibling = _sibling(line, vessels, number)
    diameters = Diameters(
        2 * numbers.throat, 2 * numbers.segment, before and 2 * before.radius, sibling, rules.contralateral_mm
    )
    grade, reason = grade_of(numbers.degree, numbers.degree_sd), ""
    if 2 * numbers.segment < rules.min_reference_voxels * rules.voxel_mm:
        grade = NOT_GRADABLE
        reason = f"{2 * numbers.segment / rules.voxel_mm:.1f} voxels across where its walls are parallel"
    elif rules.method == "nascet" and is_near_occlusion(diameters):
        grade = NEAR_OCCLUSION
    place = line.points[found.throat]
    return Stenosis(
        number, place, way, grade, found, numbers, before=diameters.before, sibling=sibling, reason=reason
    )  # fmt: skip


def _not_gradable(line: Centerline, number: int, vessel: Vessel, found: Unreferenced | None, rules: Rules) -> Stenosis:
    node = int(vessel.nodes[len(vessel.nodes) // 2]) if found is None else found.throat
    way = float(vessel.from_root[vessel.nodes == node][0])
    reason, resolved = "nowhere do its walls run parallel", False
    if found is not None:
        resolved = 2 * found.beyond >= rules.min_reference_voxels * rules.voxel_mm
        across = f"{2 * found.beyond / rules.voxel_mm:.1f} voxels across"
        reason = "no parallel walls beyond this throat" + ("" if resolved else f", and {across}")
    return Stenosis(
        number, line.points[node], way, NOT_GRADABLE, at_least=found if resolved else None, reason=reason
    )  # fmt: skip


def _feeding(vessels: list[Vessel], segments: list[list[Segment]], number: int) -> list[Segment]:
    """Normal segments of the vessels that feed a vessel, the nearest first, up to a bridge."""
    found: list[Segment] = []
    way, above = float(vessels[number].from_root[0]), vessels[number].above
    while above >= 0 and not vessels[above].bridge:
        found += sorted((s for s in segments[above] if s.end < way), key=lambda s: -s.end)
        above = vessels[above].above
    return found


def _sibling(line: Centerline, vessels: list[Vessel], number: int) -> float | None:
    """Diameter of the widest vessel that begins at the same division, mm."""
    vessel = vessels[number]
    if not vessel.division:
        return None
    fork = line.parents[vessel.nodes[0]]
    beside = [v for k, v in enumerate(vessels) if k != number and line.parents[v.nodes[0]] == fork]
    calibres = [2 * float(np.median(line.radii[v.nodes[v.clear]])) for v in beside if v.clear.any()]
    return max(calibres, default=None)
