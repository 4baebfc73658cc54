"""A surface, or a cloud of points, seen from one side: values as colours, vectors as arrows, marks in front.

Orthographic. Triangles are sampled at least once a pixel and the sample nearest to the eye is kept; a cloud is drawn as
balls. Everything is in the millimetres of the picture, x to the right and y down.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from voxfield.report._raster import Floats
from voxfield.report._vector import arrows

PIXELS = 300
MARGIN = 0.05
BALL = 1.0
"""Radius of a ball of a cloud, over the median distance of its points."""
ARROWS_ACROSS = 20
SHORTEST = 0.03
"""Arrows that are shorter, over the largest, are left out."""


class Side(NamedTuple):
    """Where the eye is: picture axes and the direction towards it, unit vectors in the world."""

    name: str
    right: tuple[float, float, float]
    up: tuple[float, float, float]
    towards: tuple[float, float, float]


SIDES = (
    Side("from the front (+y)", (-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    Side("from the right (+x)", (0, 1, 0), (0, 0, 1), (1, 0, 0)),
    Side("from above (+z)", (1, 0, 0), (0, 1, 0), (0, 0, 1)),
)


@dataclass(frozen=True)
class Body:
    """What is looked at.

    points     (n, 3) mm
    triangles  (m, 3) indices of points; None for a cloud
    """

    points: Floats
    triangles: NDArray[np.int64] | None

    @cached_property
    def frame(self) -> tuple[Floats, float]:
        """Middle and edge of the cube that every side shows, mm."""
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        return (low + high) / 2, float((high - low).max()) * (1 + 2 * MARGIN) or 1.0

    @cached_property
    def spacing(self) -> float:
        """Median distance of a point to its nearest neighbour, mm."""
        from scipy.spatial import cKDTree

        nearest = np.asarray(cKDTree(self.points).query(self.points, k=[2])[0])
        return float(np.median(nearest))

    def seen(self, side: Side) -> "Seen":
        """The body from one side."""
        middle, size = self.frame
        axes = np.array([side.right, [-a for a in side.up], side.towards], dtype=np.float64)
        flat = _flat(self.points, middle, axes, size)
        samples = self._balls(flat, size) if self.triangles is None else self._sheets(flat, size)
        return Seen(axes, flat, size, *_nearest(*samples, size))

    def _sheets(self, flat: Floats, size: float) -> tuple[Floats, NDArray[np.int64], Floats]:
        """Samples on the triangles: places (k, 3), the points that they lie between (k, 3) and their weights (k, 3)."""
        assert self.triangles is not None  # noqa: S101  # a sheet has them
        extent = np.ptp(flat[self.triangles][..., :2], axis=1).max(axis=1) / size * PIXELS
        steps = 2 ** np.ceil(np.log2(np.maximum(extent, 1) + 1)).astype(int)
        parts = []
        for count in np.unique(steps):
            owners = self.triangles[steps == count]
            weights = _barycentric(int(count))
            places = np.einsum("wc,mcx->mwx", weights, flat[owners]).reshape(-1, 3)
            parts.append((places, np.repeat(owners, len(weights), axis=0), np.tile(weights, (len(owners), 1))))
        places, owners, weights = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return places, owners, weights

    def _balls(self, flat: Floats, size: float) -> tuple[Floats, NDArray[np.int64], Floats]:
        """Samples on balls around the points, in the same form."""
        radius = BALL * self.spacing
        steps = max(1, int(np.ceil(radius / size * PIXELS)))
        line = np.arange(-steps, steps + 1) / steps
        x, y = (grid.ravel() for grid in np.meshgrid(line, line))
        height = 1 - x**2 - y**2
        inside = height >= 0
        ball = radius * np.stack([x[inside], y[inside], np.sqrt(height[inside])], axis=1)
        places = (flat[:, None] + ball).reshape(-1, 3)
        owners = np.repeat(np.arange(len(flat)), len(ball))[:, None].repeat(3, axis=1)
        return places, owners, np.full((len(places), 3), 1 / 3)


def _flat(points: Floats, middle: Floats, axes: Floats, size: float) -> Floats:
    flat = (points - middle) @ axes.T
    flat[:, :2] += size / 2
    return np.asarray(flat)


def _barycentric(steps: int) -> Floats:
    """Weights (w, 3) of evenly spread places in a triangle, `steps` along an edge."""
    a, b = np.meshgrid(np.arange(steps + 1), np.arange(steps + 1), indexing="ij")
    kept = a + b <= steps
    return np.asarray(np.stack([a[kept], b[kept], steps - a[kept] - b[kept]], axis=1) / steps)


def _nearest(
    places: Floats, owners: NDArray[np.int64], weights: Floats, size: float
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Per pixel the depth, owners and weights of the sample nearest to the eye; depth is -inf where there is none."""
    pixel = np.clip((places[:, :2] / size * PIXELS).astype(int), 0, PIXELS - 1)
    place = pixel[:, 1] * PIXELS + pixel[:, 0]
    order = np.lexsort((places[:, 2], place))
    last = order[np.flatnonzero(np.append(np.diff(place[order]) > 0, True))]
    depth = np.full(PIXELS**2, -np.inf)
    owner, weight = np.zeros((PIXELS**2, 3), np.int64), np.zeros((PIXELS**2, 3))
    depth[place[last]], owner[place[last]], weight[place[last]] = places[last, 2], owners[last], weights[last]
    return depth, owner, weight


@dataclass(frozen=True)
class Seen:
    """A body from one side.

    axes    (3, 3) rows: to the right, down, towards the eye
    flat    (n, 3) its points: picture x and y, and the depth, mm
    size    edge of the picture, mm
    depth   (p,) of the pixels, row by row; owner (p, 3) and weight (p, 3): what their values are made of
    """

    axes: Floats
    flat: Floats
    size: float
    depth: Floats
    owner: NDArray[np.int64]
    weight: Floats

    def pixels(self, values: Floats) -> Floats:
        """Values (n,) of the points as a picture (rows, columns), NaN beside the body."""
        found = (values[self.owner] * self.weight).sum(axis=1)
        return np.asarray(np.where(np.isfinite(self.depth), found, np.nan).reshape(PIXELS, PIXELS))

    def place(self, points: Floats, body: Body) -> Floats:
        """Picture x and y, and the depth, (k, 3) mm, of points (k, 3) in the world."""
        return _flat(points, body.frame[0], self.axes, self.size)

    def visible(self, flat: Floats, slack: float) -> NDArray[np.bool_]:
        """Which places (k, 3) in the picture are in front, to within `slack` mm."""
        pixel = np.clip((flat[:, :2] / self.size * PIXELS).astype(int), 0, PIXELS - 1)
        return np.asarray(flat[:, 2] >= self.depth[pixel[:, 1] * PIXELS + pixel[:, 0]] - slack)

    def arrows(self, vectors: Floats, longest: float, slack: float) -> Markup:
        """Arrows of vectors (n, 3), one in each cell of a grid; `longest` is a cell long."""
        cell = self.size / ARROWS_ACROSS
        length = np.linalg.norm(vectors, axis=1) / longest
        there = np.flatnonzero(self.visible(self.flat, slack) & (length > SHORTEST))
        column = (self.flat[there, :2] // cell).astype(int)
        _, first = np.unique(column[:, 1] * ARROWS_ACROSS + column[:, 0], return_index=True)
        chosen = there[first]
        half = cell / 2 * (vectors[chosen] @ self.axes[:2].T) / longest / np.maximum(length[chosen], 1)[:, None]
        return arrows(self.flat[chosen, :2], half)
