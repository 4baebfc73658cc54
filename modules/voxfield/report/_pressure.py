"""Pressure along the vessel, from the root of the centerline to each of its ends, and through the whole lumen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from voxfield.artifacts import Image
from voxfield.report._chart import Chart, padded
from voxfield.report._flow import projected
from voxfield.report._material import Material
from voxfield.report._numbers import PASCAL_PER_MMHG
from voxfield.report._raster import Scale
from voxfield.report._sheet import Sheet
from voxfield.report._tree import BRIDGE, Way, ways
from voxfield.report._view import read

Floats = NDArray[np.float64]
MOST_WAYS = 6  # curves that can still be told apart
NEAR_MM = 8.0  # an end of the tree carries the name of an opening that is at most this far away


def pressure_pictures(material: Material, sheet: Sheet) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Mean pressure along the line of sight in three views, and the colour bar, with a colour of its own for 0."""
    pressure = material.pressure
    if pressure is None:
        raise RuntimeError("pictures of the pressure need one")
    values = at_moment(pressure, material.moment)
    scale = Scale.of_values("pressure", "Pa", values[values != 0], "cividis")
    what = (values, pressure, "mean")
    return projected(material, sheet, what, scale, "pressure", "mean"), scale.bar()


def at_moment(image: Image, moment: int) -> Floats:
    """(x, y, z) of a volume or of one frame of a series."""
    data = image.data
    return np.asarray(data[..., min(moment, data.shape[3] - 1)] if data.ndim == 4 else data, dtype=np.float64)


def along_vessel(material: Material) -> Markup | None:
    """The chart of the pressure along the centerline, mean and two standard deviations; None where there is none."""
    tree, pressure = material.centerline, material.pressure
    if tree is None or pressure is None or len(tree) < 2:
        return None
    values = at_moment(pressure, material.moment)
    inside = values != 0
    if not inside.any():
        return None
    node_values = read(values, pressure.grid, tree.points, inside)
    node_sd = np.zeros(len(tree))
    if material.pressure_sd is not None:
        spread = at_moment(material.pressure_sd, material.moment)
        node_sd = np.nan_to_num(
            read(
                spread,
                material.pressure_sd.grid,
                tree.points,
                inside if spread.shape == inside.shape else spread > 0,
            )
        )
    node_values[tree.kinds == BRIDGE] = np.nan  # nothing is claimed across a bridge
    shown = [way for way in ways(tree) if np.isfinite(node_values[way.nodes]).sum() > 1][:MOST_WAYS]
    return _draw(material, shown, node_values, node_sd) if shown else None


def _draw(material: Material, shown: Sequence[Way], mean: Floats, sd: Floats) -> Markup:
    nodes = np.concatenate([way.nodes for way in shown])
    low, high = np.nanmin(mean[nodes] - 2 * sd[nodes]), np.nanmax(mean[nodes] + 2 * sd[nodes])
    names = _end_names(material, shown)
    farthest = max(float(way.distance[-1]) for way in shown)
    chart = Chart(
        (0.0, 1.18 * farthest),  # room for the names of the ends
        padded(float(min(low, 0)), float(max(high, 0))),
        "distance along the centerline from its root, mm",
        "Pa",
        f"Relative pressure along the vessel, to {', '.join(names)}.",
        right=58,
    )
    chart.axes(second=("mmHg", 1 / PASCAL_PER_MMHG))
    own = own_parts(shown)
    for series, way in enumerate(own):
        value, spread = mean[way.nodes], 2 * sd[way.nodes]
        if spread.any():
            chart.band(way.distance, value - spread, value + spread, series)
    for series, way in enumerate(own):
        chart.line(way.distance, mean[way.nodes], series)
    ends = []
    for way in shown:
        last = np.flatnonzero(np.isfinite(mean[way.nodes]))[-1]
        ends.append((float(way.distance[last]), float(mean[way.nodes[last]])))
    chart.labels(ends, names)
    return chart.svg()


def own_parts(shown: Sequence[Way]) -> list[Way]:
    """What each way does not share with those before it, from the fork on, so that a trunk is drawn once."""
    seen: set[int] = set()
    parts = []
    for way in shown:
        new = next((n for n, node in enumerate(way.nodes.tolist()) if node not in seen), 0)
        start = max(0, new - 1)
        parts.append(Way(way.nodes[start:], way.distance[start:]))
        seen.update(way.nodes.tolist())
    return parts


def _end_names(material: Material, shown: Sequence[Way]) -> list[str]:
    """What the ends of the ways are called: the opening that is near, or a number."""
    tree = material.centerline
    places = material.opening_places
    names = []
    for number, way in enumerate(shown, start=1):
        name = f"end {number}"
        if tree is not None and places:
            distances = {n: float(np.linalg.norm(tree.points[way.nodes[-1]] - p)) for n, p in places.items()}
            nearest = min(distances, key=lambda n: distances[n])
            name = nearest if distances[nearest] <= NEAR_MM else name
        names.append(name)
    return names
