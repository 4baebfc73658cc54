"""Figures without a display: a sheet of panels, and the picture that it becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.artifacts import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

DOTS_PER_INCH = 110


def sheet(rows: int, columns: int, size: tuple[float, float], title: str = "") -> tuple[Figure, NDArray[Any]]:
    """A figure, and its panels (rows, columns); `size` is width and height, inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure, figure.subplots(rows, columns, squeeze=False)


def picture(figure: Figure) -> Picture:
    """The figure in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Picture(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3]))


def with_unit(name: str, unit: str | None) -> str:
    """A label; the unit "1" is none."""
    return name if unit in {None, "1"} else f"{name}, {unit}"
