"""Fields inside a mask to look at: three planes, filled colours and level lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.pde._canvas import picture, sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from voxfield.artifacts import Picture
    from voxfield.pde._domain import Floats

PANEL_INCHES = 3.0


@dataclass(frozen=True)
class Row:
    """One field, shown in three planes.

    title   with the unit
    values  (x, y, z), NaN outside
    levels  of the level lines
    low     value of the darkest colour; None for the smallest; with `high` alike
    signed  whether 0 is the middle of the colours
    """

    title: str
    values: Floats
    levels: Sequence[float]
    low: float | None = None
    high: float | None = None
    signed: bool = False


def plane_figure(rows: Sequence[Row], spacing: tuple[float, float, float], about: Floats) -> Picture:
    """A picture with a line of three planes for every row.

    spacing  mm along the voxel axes
    about    (x, y, z) weight; the planes are those that hold most of it
    """
    figure, panels = sheet(len(rows), 3, (3 * PANEL_INCHES + 1, PANEL_INCHES * len(rows) + 0.4))
    place = [int(about.sum(axis=tuple({0, 1, 2} - {axis})).argmax()) for axis in range(3)]
    for line, row in zip(panels, rows, strict=True):
        low, high = _range(row)
        for axis, panel in enumerate(line):
            image = _draw(panel, row, (axis, place[axis]), spacing, (low, high))
        line[0].set_title(row.title, loc="left", fontsize=10)
        figure.colorbar(image, ax=line.tolist(), shrink=0.9)
    return picture(figure)


def _range(row: Row) -> tuple[float, float]:
    low = float(np.nanmin(row.values)) if row.low is None else row.low
    high = float(np.nanmax(row.values)) if row.high is None else row.high
    if row.signed:
        high = max(abs(low), abs(high))
        low = -high
    return low, high if high > low else low + 1


def _draw(
    panel: Axes, row: Row, plane: tuple[int, int], spacing: tuple[float, float, float], limits: tuple[float, float]
) -> Any:
    """One plane; the first remaining voxel axis runs to the right, the second upwards, both in mm."""
    axis, index = plane
    right, up = (other for other in range(3) if other != axis)
    values = np.take(row.values, index, axis=axis).T
    x, y = (np.arange(count) * spacing[at] for count, at in zip(values.shape[::-1], (right, up), strict=True))
    edges = (x[0] - spacing[right] / 2, x[-1] + spacing[right] / 2, y[0] - spacing[up] / 2, y[-1] + spacing[up] / 2)
    colours = "coolwarm" if row.signed else "viridis"
    image = panel.imshow(values, origin="lower", extent=edges, cmap=colours, vmin=limits[0], vmax=limits[1])
    known = np.isfinite(values)
    lines = [level for level in row.levels if known.any() and np.nanmin(values) < level < np.nanmax(values)]
    if lines and min(values.shape) > 1:
        panel.contour(x, y, np.ma.masked_invalid(values), levels=lines, colors="white", linewidths=0.8)
    panel.set_xlabel(f"{'xyz'[right]} voxel axis, mm", fontsize=8)
    panel.set_ylabel(f"{'xyz'[up]} voxel axis, mm", fontsize=8)
    panel.tick_params(labelsize=7)
    return image
