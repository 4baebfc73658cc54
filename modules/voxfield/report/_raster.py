"""Values to pixels: windows, colour maps, colour bars and a PNG writer.

Colour maps are perceptually uniform (van der Walt and Smith's viridis family, and cividis), so that equal steps of the
quantity look like equal steps. Where signs differ, two colours of equal lightness part from a neutral grey that stands
for 0 (Moreland 2009, "Diverging color maps for scientific visualization"). The PNG writer is twenty lines, since a page
needs no more of the format than 8-bit grey and RGBA; its bytes depend on the pixels alone.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from voxfield.report._numbers import nice_ticks, number, unit_text

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

COLOUR_TYPES = {2: 0, 3: 6}  # dimensions of the array -> colour type of the file: grey, RGBA


@dataclass(frozen=True)
class Scale:
    """What a colour stands for.

    name  of the quantity, for the colour bar
    unit  of it; empty where it is unknown
    low, high  values at the ends of the map
    colours    name of the colour map
    """

    name: str
    unit: str
    low: float
    high: float
    colours: str

    @classmethod
    def of_sizes(cls, name: str, unit: str | None, sizes: Floats, colours: str = "viridis") -> Self:
        """From 0 to (nearly) the largest of what has no sign, such as speeds and standard deviations."""
        return cls(name, unit_text(unit), *span(sizes, zero=True), colours)

    @classmethod
    def of_values(cls, name: str, unit: str | None, values: Floats, colours: str = "viridis") -> Self:
        """Of numbers with a sign: from the lowest to the highest, or about 0, in other colours, where signs mix."""
        if values.min() < 0 < values.max():
            _, end = span(np.abs(values), zero=True)
            return cls(name, unit_text(unit), -end, end, "coolwarm")
        return cls(name, unit_text(unit), *span(values), colours)

    def place(self, values: Any) -> Floats:
        """Values as 0 .. 1 along the map."""
        span = self.high - self.low
        return np.clip((np.asarray(values, dtype=np.float64) - self.low) / (span if span > 0 else 1.0), 0, 1)

    def rgba(self, values: Floats) -> Bytes:
        """(..., 4) colours; transparent where a value is NaN."""
        from matplotlib import colormaps

        known = np.isfinite(values)
        colours: Bytes = colormaps[self.colours](self.place(np.where(known, values, self.low)), bytes=True)
        return np.where(known[..., None], colours, np.uint8(0))

    def hex(self, values: Any) -> list[str]:
        """Colours as `#rrggbb`."""
        return [
            f"#{r:02x}{g:02x}{b:02x}" for r, g, b, _ in self.rgba(np.atleast_1d(np.asarray(values, dtype=np.float64)))
        ]

    def bar(self) -> dict[str, Any]:
        """What the template needs to draw a colour bar: a gradient and ticks with their places in percent."""
        stops = ", ".join(self.hex(np.linspace(self.low, self.high, 13)))
        ticks = nice_ticks(self.low, self.high, 5)
        return {
            "name": self.name,
            "unit": self.unit,
            "gradient": f"linear-gradient(to right, {stops})",
            "ticks": [{"at": round(100 * float(self.place(t)), 2), "text": number(t, ticks)} for t in ticks],
        }


def window(values: NDArray[Any]) -> tuple[float, float]:
    """Grey window of an image: its 1 and 99.7 % quantiles, over at most a million voxels."""
    flat = np.asarray(values).reshape(-1)
    if not flat.size:
        return 0.0, 1.0
    some = flat[:: max(1, flat.size // 1_000_000)]
    low, high = (float(v) for v in np.percentile(some, [1, 99.7]))
    return (low, high) if high > low else (low, low + 1.0)


def grey(values: Floats, low: float, high: float) -> Bytes:
    """8-bit grey; black outside the image."""
    shown = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0, 1)
    return np.asarray(np.rint(shown * 255), dtype=np.uint8)


def png(pixels: Bytes) -> bytes:
    """A PNG file of (rows, columns) grey or (rows, columns, 4) RGBA pixels."""
    rows, columns = pixels.shape[:2]
    lines = pixels.reshape(rows, -1)
    filtered = np.empty((rows, lines.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = 2  # every line holds its difference to the line above: smooth pictures become small
    filtered[0, 1:] = lines[0]
    filtered[1:, 1:] = lines[1:] - lines[:-1]  # modulo 256, as the format wants it
    header = struct.pack(">IIBBBBB", columns, rows, 8, COLOUR_TYPES[pixels.ndim], 0, 0, 0)
    body = zlib.compress(filtered.tobytes(), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def over(below: Bytes, *layers: Bytes) -> Bytes:
    """RGBA layers on a grey picture, one after the other; returns RGBA."""
    picture = np.repeat(below[..., None], 3, axis=-1).astype(np.float64)
    for layer in layers:
        alpha = layer[..., 3:] / 255.0
        picture = picture * (1 - alpha) + layer[..., :3] * alpha
    opaque = np.full((*below.shape, 1), 255, dtype=np.uint8)
    return np.concatenate([np.rint(picture).astype(np.uint8), opaque], axis=-1)


def span(values: Sequence[float] | NDArray[Any], *, zero: bool = False) -> tuple[float, float]:
    """Ends of a colour scale: 0 (or the lowest value) to the 99.5 % quantile, so that one voxel does not set it."""
    known = np.asarray(values, dtype=np.float64)
    if known.size == 0:
        return 0.0, 1.0
    low = 0.0 if zero else float(np.percentile(known, 0.5))
    high = float(np.percentile(known, 99.5))
    return (low, high) if high > low else (low, low + (abs(low) or 1.0))
