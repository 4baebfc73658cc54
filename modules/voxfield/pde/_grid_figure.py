"""Pictures of fields on boxes: a curve along one axis, a map over two, maps of slices over more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.pde._canvas import picture, sheet, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from voxfield.artifacts import GridField, Picture
    from voxfield.pde.problem.operator import Array

MOST_SLICES = 3
SHADE = 1.96  # standard deviations to either side
FLOOR = 1e-17  # of a difference on a logarithmic axis
RATIOS = (-4.0, 1.0)  # of difference over bars, powers of ten


def solution_figure(field: GridField, title: str) -> Picture:
    """u over its axes; of a complex one the modulus."""
    values = np.abs(field.values) if np.iscomplexobj(field.values) else field.values
    label = _value_label(field)
    if values.ndim == 1:
        figure, (panel,) = _figure(1, 1, title)
        (x,) = field.axes.values()
        if field.sd is not None:
            panel.fill_between(x, values - SHADE * field.sd, values + SHADE * field.sd, alpha=0.3, linewidth=0)
        panel.plot(x, values, linewidth=0.9)
        panel.set_xlabel(_axis_label(field, 0))
        panel.set_ylabel(label)
        panel.margins(x=0)
        return picture(figure)
    slices = _slices(field, values)
    figure, panels = _figure(1, len(slices), title)
    limits = _limits(values)
    for panel, (caption, part) in zip(panels, slices, strict=True):
        image = _map(panel, field, part, limits, _colours(values))
        panel.set_title(caption, fontsize=9)
    figure.colorbar(image, ax=list(panels), label=label)
    return picture(figure)


def comparison_figure(
    fields: Mapping[str, GridField],
    differences: Mapping[tuple[str, str], Array],
    bars: Mapping[tuple[str, str], Array],
    title: str,
) -> Picture:
    """Every pair's difference beside what their bars allow: curves along one axis, maps of the ratio over more."""
    first = next(iter(fields.values()))
    if first.values.ndim == 1:
        return _curves(fields, differences, bars, title)
    figure, (whole, *panels) = _figure(1, 1 + len(differences), title)
    caption, part = _slices(first, first.values.real)[-1]
    image = _map(whole, first, part, _limits(part), _colours(part))
    whole.set_title(f"{first.name} of {next(iter(fields))}{caption and ', ' + caption}", fontsize=9)
    figure.colorbar(image, ax=whole, orientation="horizontal", label=_value_label(first))
    for panel, (pair, difference) in zip(panels, differences.items(), strict=True):
        ratio = np.log10(np.maximum(difference / bars[pair], FLOOR))
        caption, part = _slices(first, ratio)[-1]
        image = _map(panel, first, part, RATIOS, "inferno")
        panel.set_title(f"{pair[0]} - {pair[1]}{caption and ', ' + caption}", fontsize=9)
    figure.colorbar(
        image, ax=panels, orientation="horizontal", label="log10 (difference / bars); above 0: disagreement"
    )
    return picture(figure)


def _curves(
    fields: Mapping[str, GridField],
    differences: Mapping[tuple[str, str], Array],
    bars: Mapping[tuple[str, str], Array],
    title: str,
) -> Picture:
    figure, (above, below) = _figure(2, 1, title)
    field = next(iter(fields.values()))
    (x,) = field.axes.values()
    for name, own in fields.items():
        above.plot(x, own.values.real, linewidth=0.9, label=name, linestyle="--" if above.lines else "-")
    for number, (pair, difference) in enumerate(differences.items()):
        below.semilogy(
            x, np.maximum(difference, FLOOR), linewidth=0.9, color=f"C{number}", label=f"{pair[0]} - {pair[1]}"
        )
        below.semilogy(x, bars[pair], linewidth=0.9, color=f"C{number}", linestyle="--", label="  their bars")
    above.set_ylabel(_value_label(field))
    below.set_ylabel("absolute difference")
    for panel in (above, below):
        panel.margins(x=0)
        panel.set_xlabel(_axis_label(field, 0))
        panel.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    return picture(figure)


def _figure(rows: int, columns: int, title: str) -> tuple[Figure, Sequence[Axes]]:
    size = (9.0, 3.4 * rows) if columns == 1 else (4.2 * columns, 5.2)
    figure, panels = sheet(rows, columns, size, title)
    return figure, list(panels.ravel())


def _slices(field: GridField, values: Array) -> list[tuple[str, Array]]:
    """Planes of the first two axes: all of them, or a few along the last axis through the middle of the rest."""
    if values.ndim == 2:
        return [("", values)]
    names, points = list(field.axes), list(field.axes.values())
    middle = tuple(len(points[axis]) // 2 for axis in range(2, values.ndim - 1))
    last = np.linspace(0, len(points[-1]) - 1, MOST_SLICES).round().astype(int)
    fixed = [f"{names[2 + n]} = {points[2 + n][place]:.3g}, " for n, place in enumerate(middle)]
    return [
        ("".join(fixed) + f"{names[-1]} = {points[-1][place]:.3g}", values[(slice(None), slice(None), *middle, place)])
        for place in last.tolist()
    ]


def _map(panel: Axes, field: GridField, part: Array, limits: tuple[float, float], colours: str) -> Any:
    x, y = _plane(field)
    image = panel.pcolormesh(
        x, y, part.T, cmap=colours, vmin=limits[0], vmax=limits[1], shading="nearest", rasterized=True
    )
    panel.set_xlabel(_axis_label(field, 0))
    panel.set_ylabel(_axis_label(field, 1))
    return image


def _plane(field: GridField) -> tuple[Array, Array]:
    x, y, *_ = field.axes.values()
    return x, y


def _value_label(field: GridField) -> str:
    name = f"|{field.name}|" if np.iscomplexobj(field.values) else field.name
    return with_unit(name, field.unit)


def _axis_label(field: GridField, number: int) -> str:
    name = list(field.axes)[number]
    return with_unit(name, field.units[name])


def _limits(values: Array) -> tuple[float, float]:
    """From the smallest to the largest; about 0 where there are both signs."""
    low, high = float(values.min()), float(values.max())
    if low < 0 < high:
        return -max(-low, high), max(-low, high)
    return (low, high) if high > low else (low, low + 1.0)


def _colours(values: Array) -> str:
    return "RdBu_r" if values.min() < 0 < values.max() else "viridis"
