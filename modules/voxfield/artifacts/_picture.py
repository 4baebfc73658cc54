"""Picture: something to look at, in 8-bit pixels; no stage measures on one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._files import open_origin, read_bytes
from voxfield.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from voxfield.findings import Findings

MODES = ("L", "RGB")


class Picture(Artifact):
    """A PNG file.

    pixels  (rows, columns) grey or (rows, columns, 3) red, green, blue; uint8
    """

    suffix = ".png"

    def __init__(self, pixels: NDArray[Any]) -> None:
        super().__init__()
        if pixels.dtype.name != "uint8" or pixels.size == 0 or pixels.shape[2:] not in ((), (3,)) or pixels.ndim < 2:
            raise InputError(
                "pixels of a picture are (rows, columns) or (rows, columns, 3) of 0 to 255 (uint8); "
                f"found shape {pixels.shape}, {pixels.dtype}"
            )
        self.pixels = pixels

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Read `.png`, grey or in colour, 8 bits."""
        import io
        import warnings

        import numpy as np
        from PIL import Image

        origin = open_origin(path)
        raw = io.BytesIO(read_bytes(origin, limits))
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(raw, formats=["PNG"]) as file:
                if excess := limits.excess(file.width * file.height, "pixels"):
                    raise InputError(f"its header claims {excess}", file=origin.path)
                if file.mode not in MODES:
                    raise InputError(f"is a PNG of mode {file.mode}; expected {' or '.join(MODES)}", file=origin.path)
                picture = cls(np.array(file))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"is no readable PNG: {error}", file=origin.path) from None
        picture._opened(origin, findings)
        return picture

    def save(self, path: str | Path) -> None:
        """Write `.png`."""
        from PIL import Image

        Image.fromarray(self.pixels).save(path, format="PNG")

    def _check(self, inspection: Inspection) -> None:
        if self.pixels.min() == self.pixels.max():
            inspection.note("blank-picture", "warning", "every pixel is the same: there is nothing to see")
