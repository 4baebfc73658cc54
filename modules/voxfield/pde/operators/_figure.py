"""A picture of what a learned operator said: an input, the answer, the certified solution, what is between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxfield.pde._canvas import picture, sheet, with_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxfield.artifacts import Picture
    from voxfield.pde.operators._problem import DarcyProblem
    from voxfield.pde.problem.operator import Array


def prediction_figure(problem: DarcyProblem, axes: Sequence[Array], parts: tuple[Array, ...], title: str) -> Picture:
    """Input, learned and certified solution of one sample, each like the grid; of a volume its middle plane."""
    while parts[0].ndim > 2:
        parts = tuple(part[..., part.shape[-1] // 2] for part in parts)
    given, learned, certified = parts
    figure, places = sheet(1, 4, (13.5, 3.6), title)
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
    for panel, (name, values, colours, least, largest) in zip(places[0], panels, strict=True):
        image = panel.pcolormesh(axes[0], axes[1], values.T, cmap=colours, vmin=least, vmax=largest, shading="nearest")
        panel.set_title(name, fontsize=9)
        panel.set_xlabel(with_unit(x.name, x.unit))
        panel.set_ylabel(with_unit(y.name, y.unit))
        panel.set_aspect("equal")
        unknown = "" if name == "input" else with_unit(problem.posed.unknown, problem.posed.unit)
        figure.colorbar(image, ax=panel, label=unknown, shrink=0.75)
    return picture(figure)
