"""How numbers, units and lengths of time are written on a page."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

PASCAL_PER_MMHG = 133.322
MINUS, SPACE, NARROW_SPACE, DASH = "\u2212", "\u00a0", "\u202f", "\u2013"


def significant(value: Any, digits: int = 3) -> str:
    """A number with so many digits that count; a dash for None, text as it is."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if value == 0 or (isinstance(value, int) and abs(value) < 10**7):
        return f"{value:.0f}".replace("-", MINUS)
    return _digits(float(value), digits) if math.isfinite(value) else DASH


def _digits(value: float, digits: int) -> str:
    """With a power of ten where it is very large or very small."""
    exponent = math.floor(math.log10(abs(value)))
    if not -4 <= exponent < 6:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(power)}".replace("-", MINUS)
    return f"{value:.{max(0, digits - 1 - exponent)}f}".replace("-", MINUS)


def fixed(value: Any, places: int = 2) -> str:
    """A number with so many places after the point; a dash for None."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return DASH if value is None or isinstance(value, float) else str(value)
    text = f"{value:.{places}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", MINUS)


def percent(value: Any, places: int = 1) -> str:
    """A share as per cent."""
    return DASH if value is None else f"{fixed(100 * value, places)}{NARROW_SPACE}%"


def with_sd(value: Any, sd: Any, unit: str = "") -> str:
    """A value and its standard deviation, both as far as the deviation lets one see: 165 ± 14 Pa."""
    if value is None:
        return DASH
    tail = f"{SPACE}{unit}" if unit else ""
    if not sd:
        return f"{significant(value)}{tail}"
    places = max(0, 1 - math.floor(math.log10(abs(sd))))
    return f"{fixed(value, places)} ± {fixed(sd, places)}{tail}"


def pressure_with_sd(value: Any, sd: Any) -> str:
    """A pressure in Pa with its standard deviation, and in mmHg."""
    if value is None:
        return DASH
    return f"{with_sd(value, sd, 'Pa')} ({significant(value / PASCAL_PER_MMHG, 2)}{SPACE}mmHg)"


def duration(seconds: Any) -> str:
    """Seconds as 3.2 s, 4 min 10 s or 2 h 5 min."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{significant(float(seconds), 2)}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: Any) -> str:
    """Bytes as kB or MB."""
    if count is None:
        return DASH
    return f"{count / 1e6:.1f}{SPACE}MB" if count >= 1e6 else f"{max(1, round(count / 1e3))}{SPACE}kB"


def unit_text(unit: str | None) -> str:
    """A unit in words where nobody stated it."""
    return unit or "unit not stated"


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def number(value: float, among: Sequence[float]) -> str:
    """A tick label with as many places as the steps of its axis need."""
    step = min((b - a for a, b in pairwise(among)), default=abs(value) or 1.0)
    places = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return fixed(value, places)
