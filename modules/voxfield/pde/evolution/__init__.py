"""Diffusion and reaction-diffusion in time inside voxel masks.

`Growth` is the equation on a mask, `evolve_to` marches it to given times with steps chosen to a tolerance.
"""

from typing import TYPE_CHECKING

from voxfield._lazy import lazy

if TYPE_CHECKING:
    from voxfield.pde.evolution._growth import Growth as Growth
    from voxfield.pde.evolution._march import March as March
    from voxfield.pde.evolution._march import march as march
    from voxfield.pde.evolution._measures import lattice_speed as lattice_speed

__getattr__, __dir__, __all__ = lazy(
    __name__, {"Growth": "_growth", "March": "_march", "lattice_speed": "_measures", "march": "_march"}
)
