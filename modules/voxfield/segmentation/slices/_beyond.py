"""What lies beyond the outer planes: nobody drew there, and yet the shape has to end.

OReX samples the bounding hull as outside. Ours is nearer: outside the convex hull of everything drawn, a point is
background where a shape with signed distance s >= 0 on the nearest plane would have ended, that is where the way t to
that plane exceeds s. With a and b the distances to the nearest drawn foreground and background (a = t and
b^2 = t^2 + s^2 over the foreground of a plane) this reads b^2 < 2 a^2, in which no plane has to be named.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError, cKDTree

from voxfield.segmentation.slices._annotated import Annotated, Floats

CANDIDATES = 65_536


def background_beyond(annotated: Annotated, reach_mm: float, rng: np.random.Generator) -> Floats:
    """Random world points (n, 3) of such background, at most about `reach_mm` from drawn foreground; n may be 0."""
    inside = annotated.classes > 0
    foreground = annotated.points[inside]
    start = foreground[rng.integers(len(foreground), size=CANDIDATES)]
    points = start + rng.uniform(-reach_mm, reach_mm, start.shape)
    points = points[_outside_hull(annotated.points, points)]
    to_foreground = np.asarray(cKDTree(foreground).query(points)[0])
    to_background = np.asarray(cKDTree(annotated.points[~inside]).query(points)[0])
    return points[to_background**2 < 2 * to_foreground**2]


def _outside_hull(drawn: Floats, points: Floats) -> NDArray[np.bool_]:
    """Whether points (n, 3) lie outside the convex hull of drawn ones; all do where these lie in one plane."""
    try:
        planes = ConvexHull(drawn).equations
    except QhullError:
        return np.ones(len(points), dtype=bool)
    return np.asarray((points @ planes[:, :3].T + planes[:, 3]).max(axis=1) > 0)
