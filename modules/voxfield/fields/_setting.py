"""From artifacts to the arrays of one reconstruction: grids, units, lumen, data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import binary_dilation, map_coordinates

from voxfield.artifacts import Grid, Image, LabelMap, PartialVectorImage, require_grid
from voxfield.errors import InputError, SettingsError
from voxfield.fields._observation import Alignment, Observation, Operator
from voxfield.fields._prior import Box, Int, Real

MARGIN = 2
"""Measured voxels kept around the lumen."""
PADDING = 6
"""Measured voxels at least between the lumen and its periodic image."""
REACH = 2
"""Cells beyond the given lumen in which the level set may lie."""
BRIDGE = 2
OPENING = 2
CORRECTED = 0.75
"""Probability given to the voxels of a repair, where the network saw no lumen."""


@dataclass(frozen=True)
class Window:
    """The part of the fine grid that is computed, and its place there.

    grid         the whole fine grid
    start        (3,) first cell of the window
    probability  (x, y, z) of the lumen, in the window
    openings     (x, y, z) labels: 1 wall, k >= 2 caps, or k on lumen cells at the edge of the field of view
    """

    grid: Grid
    start: Int
    probability: Real
    openings: NDArray[np.int64]

    def lumen(self, level: float) -> NDArray[np.bool_]:
        """Cells above a level, cut by the caps."""
        return (self.probability > level) & ~self.caps

    def told(self, level: float, refine: int) -> NDArray[np.bool_]:
        """Cells that may hold lumen where no wall is shown: above a level, and up to a measured voxel beyond.

        Without a condition the data tell the place of the wall no better than to a voxel. The lumen under caps is told
        too, from the voxels before it: caps say where fluxes are taken, not where the flow ends.
        """
        cells: NDArray[np.bool_] = binary_dilation(self.probability > level, iterations=refine)
        return cells

    @property
    def caps(self) -> NDArray[np.bool_]:
        """Cells of caps; labels on the edge of the grid mark lumen, not caps."""
        caps: NDArray[np.bool_] = (self.openings >= OPENING) & ~self._edge
        return caps

    @property
    def _edge(self) -> NDArray[np.bool_]:
        return _faces_of(self.grid.shape)[self.slices] & (self.probability > 0)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The window in the fine grid."""
        x, y, z = (slice(int(a), int(a) + n) for a, n in zip(self.start, self.probability.shape, strict=True))
        return x, y, z

    def embed(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Values of the window (x, y, z, ...) on the whole fine grid, zero elsewhere."""
        whole = np.zeros((*self.grid.shape, *values.shape[3:]), dtype=values.dtype)
        whole[self.slices] = values
        return whole


def fine_grid(coarse: Grid, refine: int, alignment: Alignment) -> Grid:
    """The grid with `refine` cells to a voxel along each axis."""
    offset = 0.0 if alignment == "corner" else (refine - 1) / 2
    affine = np.array(coarse.affine)
    affine[:3, 3] = coarse.world([-offset / refine] * 3)
    affine[:3, :3] /= refine
    x, y, z = (n * refine for n in coarse.shape)
    return Grid((x, y, z), affine)


def make_window(
    velocity: PartialVectorImage,
    probability: Image,
    lumen: LabelMap | None,
    openings: LabelMap | None,
    *,
    refine: int,
    alignment: Alignment,
    lowest: float,
) -> Window:
    """Bring lumen and openings to the fine grid and cut out what holds the lumen.

    lowest  level below which nothing is lumen
    """
    grid = fine_grid(velocity.grid, refine, alignment)
    for other in (lumen, openings):
        if other is not None:
            require_grid(other, probability.grid, "the probability")
    if not velocity.grid.is_orthogonal():
        raise InputError(f"its voxel axes are not orthogonal (cosine {velocity.grid.shear:.3g})", file=velocity.file)
    place = _places(probability.grid, velocity.grid, grid, probability)
    chance = np.clip(_resample(_checked_chance(probability), place, order=1), 0.0, 1.0)  # rounding may leave 0..1
    if lumen is not None:
        labels = _resample(np.asarray(lumen.data), place, order=0)
        chance = np.where(labels == BRIDGE, np.maximum(chance, CORRECTED), chance)
        chance = np.where(binary_dilation(labels > 0, iterations=REACH), chance, 0.0)
    marks = _edge_marks(chance > lowest) if openings is None else _fine_marks(np.asarray(openings.data), place)
    inside = chance > lowest
    if not (inside & ~(marks >= OPENING)).any():
        raise InputError(f"nothing lies above {lowest:g} in it: no lumen to reconstruct in", file=probability.file)
    start, stop = _bounds(inside, refine)
    part = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    return Window(grid, start, chance[part], marks[part].astype(np.int64))


def _checked_chance(probability: Image) -> Real:
    chance = np.asarray(probability.data, dtype=np.float64)
    if chance.min() < 0 or chance.max() > 1:
        raise InputError(
            f"holds values from {chance.min():.4g} to {chance.max():.4g}; expected a probability in 0..1",
            file=probability.file,
        )
    return chance


def _fine_marks(openings: NDArray[np.integer], place: Real | None) -> Real:
    """Openings on the fine grid.

    A label on the face of the field of view marks the lumen there, not a cap: of the cells of such a voxel only those
    on the face carry it, since the ones behind would cut the vessel off.
    """
    marks = np.array(_resample(openings, place, order=0), dtype=float)
    on_face = _resample((_faces_of(openings.shape) & (openings >= OPENING)).astype(np.uint8), place, order=0) > 0
    marks[on_face & ~_faces_of(marks.shape)] = 0
    return marks


def _faces_of(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Cells on the faces of a grid."""
    edge = np.ones(shape, dtype=bool)
    edge[1:-1, 1:-1, 1:-1] = False
    return edge


def make_observation(window: Window, refine: int, operator: Operator, alignment: Alignment) -> Observation:
    """A periodic box around the window, and how voxels see it."""
    coarse = [fft.next_fast_len(n // refine + PADDING, real=True) for n in window.probability.shape]
    x, y, z = (int(n) * refine for n in coarse)
    a, b, c = (float(s) for s in window.grid.spacing)
    return Observation(Box((x, y, z), (a, b, c), refine), operator, alignment)


def _places(given: Grid, coarse: Grid, fine: Grid, probability: Image) -> Real | None:
    """Indices in the given grid of the cells of the fine grid, (3, x, y, z); None where both are one grid."""
    if given.same_as(fine):
        return None
    if not given.same_as(coarse):
        raise InputError(
            f"lies on {given}; expected the grid of the velocity, {coarse}, or that of these settings, {fine}",
            file=probability.file,
        )
    ratio = coarse.spacing / fine.spacing
    offset = fine.index(coarse.world([0, 0, 0]))
    axes = [(np.arange(n) - o) / r for n, o, r in zip(fine.shape, offset, ratio, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def _resample(values: NDArray[Any], place: Real | None, order: Literal[0, 1]) -> Real:
    if place is None:
        return np.asarray(values, dtype=np.float64)
    resampled = map_coordinates(values.astype(np.float64), place, order=order, mode="nearest")
    return np.asarray(resampled, dtype=np.float64)


def _edge_marks(lumen: NDArray[np.bool_]) -> Real:
    """Without openings given, the lumen is open where it leaves the field of view."""
    marks = np.zeros(lumen.shape)
    for axis in range(3):
        for end in (0, -1):
            face: list[int | slice] = [slice(None)] * 3
            face[axis] = end
            marks[tuple(face)] = np.where(lumen[tuple(face)], float(OPENING), marks[tuple(face)])
    return marks


def _bounds(inside: NDArray[np.bool_], refine: int) -> tuple[Int, Int]:
    """First and last cell to keep: whole voxels around the lumen."""
    place = np.argwhere(inside) // refine
    first = np.maximum(place.min(axis=0) - MARGIN, 0)
    last = np.minimum(place.max(axis=0) + 1 + MARGIN, np.array(inside.shape) // refine)
    return first * refine, last * refine


def checked_levels(levels: tuple[float, ...]) -> tuple[float, ...]:
    """Levels of the wall, ascending, between 0 and 1."""
    if not levels or list(levels) != sorted(set(levels)) or levels[0] <= 0 or levels[-1] >= 1:
        raise SettingsError(f"wall_levels is {levels}; expected ascending numbers between 0 and 1")
    return tuple(float(level) for level in levels)


def settled_unit(velocity: PartialVectorImage, stated: str | None) -> str | None:
    """The unit of the file, or the one stated where the file has none."""
    if velocity.unit is not None and stated is not None and stated != velocity.unit:
        raise InputError(f"states the unit {velocity.unit!r}, the setting `unit` {stated!r}", file=velocity.file)
    return velocity.unit or stated
