"""Grey PNG pictures, as volumes of one slice, on Pillow.

Rows become x and columns y, or, of a radiograph, z and x. A PNG says nothing about millimetres that could be trusted,
so the edge of a pixel is given; the picture's corner lies at the origin (the middle of a radiograph), so that pictures
of one field with different pixels stay in register.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Picture

from voxfield.artifacts import Limits
from voxfield.errors import InputError
from voxfield.io._foreign import Foreign, Pixels, within_limit
from voxfield.io._picture import radiograph_affine

if TYPE_CHECKING:
    from numpy.typing import NDArray

GREY = ("1", "L", "I;16", "I")


def read_png(path: Path, limits: Limits, pixels: Pixels) -> Foreign:
    """A picture (rows, columns, 1); of labels it is a mask, the share of foreground in a pixel."""
    values = _pixels(path, limits)
    rows, columns = values.shape
    reduce = pixels.reduce
    if rows % reduce or columns % reduce:
        raise InputError(f"is {rows} x {columns} pixels, which `reduce: {reduce}` does not divide", file=path)
    values = values > 0 if pixels.labels else values
    if reduce > 1 or pixels.labels:
        values = values.reshape(rows // reduce, reduce, columns // reduce, reduce).mean(axis=(1, 3), dtype=np.float32)
    edge = pixels.pixel_mm * reduce
    if pixels.coronal:
        return _on(radiograph_affine(values.shape, edge, edge), values.T[:, None, :], pixels)
    affine = np.diag([edge, edge, edge, 1.0])
    affine[:3, 3] = edge / 2
    return _on(affine, values[:, :, None], pixels)


def _on(affine: NDArray[Any], volume: NDArray[Any], pixels: Pixels) -> Foreign:
    if pixels.labels:
        return Foreign(affine, mask=volume, oriented=False)
    return Foreign(affine, volume, oriented=False)


def _pixels(path: Path, limits: Limits) -> NDArray[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Picture.DecompressionBombWarning)  # the limit below is the caller's own
            with Picture.open(path, formats=["PNG"]) as picture:
                within_limit(picture.size, limits, path)
                if picture.mode not in GREY:
                    raise InputError(f"is a PNG in colour (mode {picture.mode}); expected grey", file=path)
                return np.asarray(picture)
    except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError) as error:
        raise InputError(f"is no readable PNG: {error}", file=path) from None
