"""Line charts as SVG that takes its colours and letters from the page, so that one picture serves light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from voxfield.report._numbers import nice_ticks, number

Floats = NDArray[np.float64]
LABEL_HEIGHT = 15.0


@dataclass
class Chart:
    """A pair of axes on a canvas of `width` x `height` pixels, drawn in the order of the calls.

    x_range, y_range  values at the ends of the axes
    x_label, y_label  quantity and unit
    label             a sentence for those who can not see it
    left, right, top, bottom  margins, pixels
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str
    y_label: str
    label: str
    width: float = 820
    height: float = 350
    left: float = 58
    right: float = 24
    top: float = 26
    bottom: float = 44
    parts: list[Markup] = field(default_factory=list, init=False)

    def x(self, values: Floats | float) -> Floats:
        """Pixels of values along x."""
        low, high = self.x_range
        share = (np.asarray(values, dtype=np.float64) - low) / (high - low)
        return self.left + share * (self.width - self.left - self.right)

    def y(self, values: Floats | float) -> Floats:
        """Pixels of values along y."""
        low, high = self.y_range
        share = (np.asarray(values, dtype=np.float64) - low) / (high - low)
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)

    def axes(self, *, second: tuple[str, float] | None = None) -> None:
        """Grid lines, ticks and names. `second` is another unit on the right: its name, and how many are one of y."""
        end = self.width - self.right
        ticks = nice_ticks(*self.y_range, 6)
        for tick in ticks:
            y = float(self.y(tick))
            self.parts.append(
                Markup('<path class="{}" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
                    "zero" if tick == 0 else "grid", self.left, y, end
                )
            )
            self._text(self.left - 8, y + 4, number(tick, ticks), "tick end")
        columns = nice_ticks(*self.x_range, 8)
        for tick in columns:
            self._text(float(self.x(tick)), self.height - self.bottom + 18, number(tick, columns), "tick middle")
        if second is not None:
            name, factor = second
            others = nice_ticks(self.y_range[0] * factor, self.y_range[1] * factor, 6)
            for tick in others:
                self._text(end + 8, float(self.y(tick / factor)) + 4, number(tick, others), "tick")
            self._text(end + 8, self.top - 12, name, "axis")
        self._text(self.left - 8, self.top - 12, self.y_label, "axis end" if len(self.y_label) < 6 else "axis")
        self._text((self.left + end) / 2, self.height - 8, self.x_label, "axis middle")

    def ticks_below(self, ticks: Sequence[tuple[float, str]]) -> None:
        """Only an x axis: a line and numbers under it."""
        y = self.height - self.bottom
        self.parts.append(
            Markup('<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/>').format(self.left, y, self.width - self.right)
        )
        for value, text in ticks:
            self._text(float(self.x(value)), y + 18, text, "tick middle")

    def rule(self, x: float, kind: str) -> None:
        """A vertical line across the canvas."""
        place = float(self.x(x))
        self.parts.append(
            Markup('<path class="{}" d="M{:.1f} {:.1f}V{:.1f}"/>').format(
                kind, place, self.top, self.height - self.bottom
            )
        )

    def band(self, x: Floats, low: Floats, high: Floats, series: int) -> None:
        """The area between two curves; a NaN interrupts it."""
        for part in runs(np.isfinite(low + high)):
            there = _pairs(self.x(x[part]), self.y(high[part]))
            back = _pairs(self.x(x[part][::-1]), self.y(low[part][::-1]))
            self.parts.append(Markup('<path class="band s{}" d="M{}L{}Z"/>').format(series, there, back))

    def line(self, x: Floats, y: Floats, series: int, kind: str = "line") -> None:
        """A curve; a NaN interrupts it."""
        for part in runs(np.isfinite(y)):
            self.parts.append(
                Markup('<path class="{} s{}" d="M{}"/>').format(kind, series, _pairs(self.x(x[part]), self.y(y[part])))
            )

    def error_bar(self, x: float, low: float, high: float, series: int) -> None:
        """A vertical line from `low` to `high`."""
        self.line(np.array([x, x]), np.array([low, high]), series, "whisker")

    def point(self, x: float, y: float, title: str, series: int, href: str = "") -> None:
        """A dot that says `title` when it is pointed at, and leads to `href`."""
        dot = Markup('<circle class="dot s{}" cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}</title></circle>').format(
            series, float(self.x(x)), float(self.y(y)), title
        )
        self.parts.append(Markup('<a href="{}">{}</a>').format(href, dot) if href else dot)

    def labels(self, ends: Sequence[tuple[float, float]], texts: Sequence[str]) -> None:
        """Words behind the ends (x, y) of curves 0, 1, ..., one below the other where they would overlap."""
        wanted = [float(self.y(y)) for _, y in ends]
        behind = float(self.x(max(x for x, _ in ends))) + 7
        for series, (y, text) in enumerate(zip(spread(wanted, LABEL_HEIGHT), texts, strict=True)):
            self._text(behind, y + 4, text, f"label s{series}")

    def svg(self) -> Markup:
        """The chart."""
        return Markup(
            '<svg class="chart" style="max-width: {:g}px" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>'
        ).format(self.width, self.width, self.height, self.label, Markup("").join(self.parts))

    def _text(self, x: float, y: float, text: str, kind: str) -> None:
        self.parts.append(Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, text))


def runs(known: NDArray[np.bool_]) -> list[slice]:
    """The stretches of True, at least two long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]


def spread(places: Sequence[float], distance: float) -> list[float]:
    """Places moved apart until no two are nearer than `distance`, in their order, about where they were."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[list[float]] = []  # the places of a group touch each other and are centred together
    for i in order:
        groups.append([places[i]])
        while len(groups) > 1 and _bottom(groups[-2], distance) + distance > _top(groups[-1], distance):
            groups[-2:] = [groups[-2] + groups[-1]]
    moved = [_top(group, distance) + distance * n for group in groups for n in range(len(group))]
    back = dict(zip(order, moved, strict=True))
    return [back[i] for i in range(len(places))]


def _top(group: Sequence[float], distance: float) -> float:
    return sum(group) / len(group) - distance * (len(group) - 1) / 2


def _bottom(group: Sequence[float], distance: float) -> float:
    return _top(group, distance) + distance * (len(group) - 1)


def padded(low: float, high: float, share: float = 0.06) -> tuple[float, float]:
    """A range with some air at both ends; never empty."""
    air = share * (high - low) or max(abs(high), 1.0) * share
    return low - air, high + air


def _pairs(x: Floats, y: Floats) -> str:
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
