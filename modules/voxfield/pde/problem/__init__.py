"""A problem as data: what its operator is, where it holds, and what is known on the boundary.

`pose` reads a problem file (`voxfield.artifacts.Problem`) and gives the `PosedProblem` that solvers work on; `exact` is
its manufactured solution, for those who judge. `operator` holds what the numeric cores share.
"""

from typing import TYPE_CHECKING

from voxfield._lazy import lazy

if TYPE_CHECKING:
    from voxfield.pde.problem._domain import Box as Box
    from voxfield.pde.problem._domain import VoxelRegion as VoxelRegion
    from voxfield.pde.problem._pose import exact as exact
    from voxfield.pde.problem._pose import pose as pose
    from voxfield.pde.problem._posed import PosedProblem as PosedProblem

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {"Box": "_domain", "PosedProblem": "_posed", "VoxelRegion": "_domain", "exact": "_pose", "pose": "_pose"},
)
