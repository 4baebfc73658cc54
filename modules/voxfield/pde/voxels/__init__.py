"""Elliptic equations inside voxel masks with labelled walls.

`VoxelPoisson` is set up once for a mask, its walls and its coefficients, and then solves for any number of
right sides: Laplace and Poisson, div(a grad u), and the shifted systems of implicit time steps.
`laplace_coordinates` gives coordinates and thickness between two walls.
"""

from typing import TYPE_CHECKING

from voxfield._lazy import lazy

if TYPE_CHECKING:
    from voxfield.pde.voxels._poisson import VoxelPoisson as VoxelPoisson
    from voxfield.pde.voxels._thickness import laplace_coordinates as laplace_coordinates
    from voxfield.pde.voxels._walls import WallFaces as WallFaces

__getattr__, __dir__, __all__ = lazy(
    __name__, {"VoxelPoisson": "_poisson", "WallFaces": "_walls", "laplace_coordinates": "_thickness"}
)
