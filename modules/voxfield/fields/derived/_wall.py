"""Points of the wall, and the shear stress of the fluid there.

The wall of a sample is where phi = 0: phi = probability - cut, the cut lying just below the least probability that
the sample holds, or, without a probability, the sample's mask smoothed by SMOOTHED voxels, minus one half. Points
are found on the wall of the mean lumen (`fields._walls`); in each sample they move along their normal to the wall of
that sample, so that the uncertainty of the wall is in the spread.

Shear stress is the tangential part of mu (grad u + grad u^T) n, with n the inward normal (Stalder et al., "Quantitative
2D and 3D phase contrast MRI", MRM 60, 2008, equation 3). They fit splines to interpolated velocities; here the gradient
is that of a quadratic which is fitted to the voxels of the lumen and to rest at the wall (`_gradient`), so that the
velocity is never interpolated across the wall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from voxfield.errors import InputError
from voxfield.fields._walls import wall_points
from voxfield.fields.derived._gradient import gradient_at
from voxfield.fields.derived._samples import Velocities

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SMOOTHED = 0.7
REACH = 2.5
"""Voxels along the normal in which the wall of a sample is looked for."""
STEP = 0.1


@dataclass(frozen=True)
class Wall:
    """Points of the wall of the mean lumen.

    places   (p, 3) voxel indices with fractions, in the box
    normals  (p, 3) inward, along the world axes
    """

    places: Floats
    normals: Floats


@dataclass(frozen=True)
class Shear:
    """Wall shear stress.

    stress  (s, t, p, 3) Pa along the world axes
    held    (s, p) whether the sample has a wall near the point
    """

    stress: Floats
    held: Mask

    @property
    def known(self) -> Mask:
        """(p,) points that at least half of the samples have a wall near."""
        return np.asarray(2 * self.held.sum(axis=0) >= len(self.held))


class Levels:
    """The function phi of every sample, zero on its wall and positive inside."""

    def __init__(self, velocities: Velocities, probability: Floats | None) -> None:
        self._velocities = velocities
        self._probability = probability

    def of_sample(self, held: Mask) -> Floats:
        """(x, y, z) phi of a lumen (n,)."""
        velocities, probability = self._velocities, self._probability
        box = np.zeros(velocities.mask.shape)
        box[velocities.mask] = held
        if probability is None:
            smooth: Floats = gaussian_filter(box, SMOOTHED, mode="nearest")
            return smooth - 0.5
        return probability - self._cut(probability, held)

    def _cut(self, probability: Floats, held: Mask) -> float:
        """Halfway between the least probability inside and the next one below it."""
        least = float(probability[self._velocities.mask][held].min())
        below = probability[probability < least]
        return (least + float(below.max())) / 2 if below.size else least


def find_wall(velocities: Velocities, levels: Levels, openings: NDArray[np.integer] | None) -> Wall:
    """Points on the wall of the voxels that most samples hold; raises InputError where there is none.

    openings  (x, y, z) labels in the box; without them the lumen is open where it leaves the field of view
    """
    lumen = np.zeros(velocities.mask.shape, dtype=bool)
    lumen[velocities.mask] = velocities.most
    phi = levels.of_sample(velocities.most)
    x, y, z = velocities.grid.spacing.tolist()
    marks = np.zeros(lumen.shape, dtype=np.int64) if openings is None else openings
    found = wall_points(phi, 0.0, lumen, marks, spacing=(x, y, z), refine=1)
    places = found.inside.astype(np.float64) + found.share[:, None] * (found.outside - found.inside)
    if not len(places):
        raise InputError("its lumen has no wall inside the field of view")
    return Wall(places, -found.normal @ velocities.grid.axes.T)


def shear_stress(velocities: Velocities, wall: Wall, levels: Levels, viscosity: float, *, no_slip: bool) -> Shear:
    """Stress at the wall in all samples; viscosity in Pa s."""
    samples, frames = velocities.values.shape[:2]
    stress = np.zeros((samples, frames, len(wall.places), 3))
    held = np.zeros((samples, len(wall.places)), dtype=bool)
    for members, lumen in velocities.lumens():
        places, found = _moved(wall, levels.of_sample(lumen), velocities)
        anchors = places[found] if no_slip else None
        gradient = gradient_at(places[found], velocities.voxels[lumen], velocities.grid.affine, anchors)
        normals = wall.normals[found]
        for sample in members:
            slopes = gradient(velocities.values[sample][:, lumen])
            traction = np.einsum("tpdc,pd->tpc", slopes + slopes.swapaxes(-1, -2), normals)
            across = (traction * normals).sum(axis=-1, keepdims=True) * normals
            stress[sample][:, found] = viscosity * (traction - across)
            held[sample] = found
    return Shear(stress, held)


def _moved(wall: Wall, phi: Floats, velocities: Velocities) -> tuple[Floats, Mask]:
    """The points along their normals to the zero of phi that is nearest; and whether there is one within REACH."""
    grid = velocities.grid
    normals = wall.normals @ grid.axes
    along = normals / np.abs(normals).max(axis=1, keepdims=True)  # one voxel along the leading axis a unit
    offsets = np.arange(-REACH, REACH + STEP / 2, STEP)
    ladder = wall.places[:, None] + offsets[:, None] * along[:, None]
    values = map_coordinates(phi, ladder.reshape(-1, 3).T, order=1, mode="nearest").reshape(ladder.shape[:2])
    low, high = values[:, :-1], values[:, 1:]
    enters = (low < 0) & (high >= 0)
    middle = np.abs(offsets[:-1] + STEP / 2)
    nearest = np.where(enters, middle, np.inf).argmin(axis=1)
    row = np.arange(len(values))
    below, above = low[row, nearest], high[row, nearest]
    found = enters[row, nearest]
    share = np.where(found, -below / np.where(found, above - below, 1.0), 0.5)
    return wall.places + (offsets[nearest] + share * STEP)[:, None] * along, found
