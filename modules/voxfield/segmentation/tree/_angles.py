"""Angles at junctions.

The direction of a branch at a junction is that of the line of least squares through its centerline between 2.5 and 5
radii from the junction, where the radius is that of the largest ball around the junction. Nearer, the line belongs to
both vessels: on straight forks 1 to 3 radii err by 12 degrees (root mean square), 2.5 to 5 by 1. Branching angle:
between the direction in which the parent arrives and that in which the branch leaves (0 goes straight on). Sibling
angle: between the branch and the sibling that is farthest from it in direction; at a bifurcation this is the angle
between the two daughters.
"""

import numpy as np

from voxfield.segmentation.tree._nodes import Nodes, distance_along
from voxfield.segmentation.tree._skeleton import Floats

FROM_RADII, TO_RADII = 2.5, 5.0
FEWEST_NODES = 3


def junction_angles(nodes: Nodes) -> tuple[list[float | None], list[float | None]]:
    """Branching and sibling angle of each path, degrees; None at a root and where a path is too short."""
    leaving = [_direction(nodes.points[row], nodes.inner[row[0]]) for row in nodes.rows]
    arriving = [_direction(nodes.points[row[::-1]], nodes.inner[row[-1]]) for row in nodes.rows]
    branching: list[float | None] = []
    sibling: list[float | None] = []
    for number, above in enumerate(nodes.above.tolist()):
        own = leaving[number] if above >= 0 else None
        back = arriving[above] if above >= 0 else None
        others = [leaving[k] for k in np.flatnonzero(nodes.above == above).tolist() if k != number and above >= 0]
        spread = [_degrees(own, other) for other in others if own is not None and other is not None]
        branching.append(None if own is None or back is None else _degrees(own, -back))
        sibling.append(max(spread, default=None))
    return branching, sibling


def _direction(line: Floats, radius: float) -> Floats | None:
    """Unit direction away from the first point; None where the line ends too near to it."""
    along = distance_along(line)
    part = (along >= FROM_RADII * radius) & (along <= TO_RADII * radius)
    if int(part.sum()) < FEWEST_NODES:
        return None
    centred = along[part] - along[part].mean()
    slope = centred @ line[part]
    return np.asarray(slope / np.linalg.norm(slope))


def _degrees(one: Floats, other: Floats) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))
