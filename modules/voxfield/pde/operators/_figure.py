"""A picture of what a learned operator said: an input, the answer, the certified solution, what is between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxfield.artifacts import Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxfield.pde.operators._problem import DarcyProblem
    from voxfield.pde.problem.operator import Array


def prediction_figure(problem: DarcyProblem, axes: Sequence[Array], parts: tuple[Array, ...], title: str) -> Picture:
    """Input, learned and certified solution of one sample, each like the grid; of a volume its middle plane."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    while parts[0].ndim > 2:
        parts = tuple(part[..., part.shape[-1] // 2] for part in parts)
    given, learned, certified = parts
    figure = Figure(figsize=(13.5, 3.6), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=11)
    difference = learned - certified
    most = max(np.abs(difference).max(), 1e-300)
    low, high = min(learned.min(), certified.min()), max(learned.max(), certified.max())
    x, y = problem.box.axes[:2]
    panels = (
        ("input", given, "viridis", None, None),
        ("learned", learned, "viridis", low, high),
        ("certified", certified, "viridis", low, high),
        ("learned - certified", difference, "RdBu_r", -most, most),
    )
    for panel, (name, values, colours, least, largest) in zip(figure.subplots(1, 4), panels, strict=True):
        image = panel.pcolormesh(axes[0], axes[1], values.T, cmap=colours, vmin=least, vmax=largest, shading="nearest")
        panel.set_title(name, fontsize=9)
        panel.set_xlabel(_label(x.name, x.unit))
        panel.set_ylabel(_label(y.name, y.unit))
        panel.set_aspect("equal")
        unknown = "" if name == "input" else _label(problem.posed.unknown, problem.posed.unit)
        figure.colorbar(image, ax=panel, label=unknown, shrink=0.75)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Picture(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3]))


def _label(name: str, unit: str) -> str:
    return name if unit == "1" else f"{name}, {unit}"
