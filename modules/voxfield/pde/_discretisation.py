"""How far the voxels may lead a pressure astray: a standard deviation of the discretisation error, without truth.

A pressure from velocities on voxels of edge h has an error of order h^2 that no sample of the velocity shows. Two
things that the data tell of themselves measure it:

- *resolution*: the mean pressure along the way to a place (`_way`), every difference over the square of the voxels
  across the lumen there, sum of |dp| / n^2. Falls and recoveries both count, as in a throat, where they nearly cancel
  in the drop but not in the error.
- *averaging*: the difference that it makes to the pressure if the velocity is averaged over the voxel once more,
  u + h^2 / 24 d^2u. Measured velocities are means over voxels; the mean of a mean has twice the second moment, so that
  the difference is the leading error of the first averaging, which is Richardson's argument (Phil. Trans. A 210, 1911)
  with the width of the filter in place of the step.

Their sum in squares, RESOLUTION and AVERAGING times each, is the variance. The factors play the part of the safety
factor of Roache (J. Fluids Eng. 116, 1994), but are calibrated: they have the largest likelihood for the errors of
phantom vessels at two resolutions and of random tubes and wedges of 5 to 10 voxels across
(`benchmarks/pressure_error.py`, which judges them on other seeds). On vessels of 5 voxels across and more, the result
is two to three times the error: thin boundary layers, as in the wedges, ask for that much, and the data do not tell
whether there is one.

Why not a coarser grid, as Richardson and Roache have it? A lumen of 5 voxels across has 2 to 3 on voxels of twice the
edge, far from where errors go with h^2: on phantom vessels a third of the difference between the two grids was four
times the error, and uncorrelated with it. Differences between forms of the convective term, which are equal without
voxels, add nothing to the likelihood once these two are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from voxfield.pde._relative import relative_pressure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxfield.pde._domain import Floats, Ints, Mask, VoxelDomain
    from voxfield.pde._momentum import Fluid
    from voxfield.pde._relative import Lumen, LumenPressure, Timing
    from voxfield.pde._way import Way

RESOLUTION = 0.34
AVERAGING = 3.3


class Indicators(NamedTuple):
    """The two things, in frames t; Pa."""

    resolution: Floats
    averaging: Floats

    @property
    def sd(self) -> Floats:
        """Standard deviation of the discretisation error."""
        return np.asarray(np.hypot(RESOLUTION * self.resolution, AVERAGING * self.averaging))


@dataclass(frozen=True)
class DiscretisationError:
    """Indicators of the error of a pressure in n voxels and t frames, whose `sd` is its standard deviation, Pa.

    voxels  (n, t)         at the voxels of the domain
    planes  label -> (t,)  of the mean pressure over each opening that has a way, and 0 at the reference
    """

    voxels: Indicators
    planes: Mapping[int, Indicators]

    def at(self, domain: VoxelDomain, where: Mask) -> Floats:
        """Standard deviations (t, m) at the m voxels of a mask; outside the domain those of the nearest voxel in it."""
        box = domain.dense(self.voxels.sd)
        nearest = ndimage.distance_transform_edt(~domain.mask, return_distances=False, return_indices=True)
        return np.asarray(box[tuple(nearest[:, where])].T)


def indicators(
    lumen: Lumen,
    velocity: Floats,
    pressure: LumenPressure,
    ways: Mapping[int, Way],
    fluid: Fluid,
    *,
    timing: Timing | None = None,
    rtol: float = 1e-8,
) -> DiscretisationError:
    """Judge one field.

    velocity  (t, n, 3)  the field in the voxels of lumen.domain, m/s along the voxel axes
    pressure             what `relative_pressure` made of it
    ways                 from the reference to the other openings
    """
    frames, size, _ = velocity.shape
    means = lumen.fit.averaged(np.moveaxis(velocity, 0, -1).reshape(size, -1)).reshape(size, 3, frames)
    again = relative_pressure(lumen, np.moveaxis(means, -1, 0)[None], fluid, timing=timing, rtol=rtol)
    box = lumen.domain.dense(pressure.values)
    sums = {label: _accumulated(box, way) for label, way in ways.items()}
    planes = {label: Indicators(sums[label][-1], again.planes[label] - pressure.planes[label]) for label in ways}
    nothing = Indicators(np.zeros(frames), np.zeros(frames))
    resolution = _nearest(lumen.domain.cells, ways, sums, frames)
    return DiscretisationError(
        Indicators(resolution, again.values - pressure.values), planes | {lumen.reference: nothing}
    )


def _accumulated(box: Floats, way: Way) -> Floats:
    """Sum of |dp| / n^2 (k, t) from the reference to each voxel of a way; pressures (x, y, z, t)."""
    differences = np.abs(np.diff(box[tuple(way.voxels.T)], axis=0))
    across = (way.across[1:] + way.across[:-1]) / 2
    return np.pad(np.cumsum(differences / across[:, None] ** 2, axis=0), ((1, 0), (0, 0)))


def _nearest(cells: Ints, ways: Mapping[int, Way], sums: Mapping[int, Floats], frames: int) -> Floats:
    """The accumulated sums (n, t) at the voxel of any way that lies nearest to each cell."""
    if not ways:
        return np.zeros((len(cells), frames))
    _, nearest = cKDTree(np.concatenate([ways[label].voxels for label in sums])).query(cells)
    return np.asarray(np.concatenate(list(sums.values()))[nearest])
