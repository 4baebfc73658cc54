"""Distance and arrival time inside voxel masks, by two methods that check each other.

`arrival_times` solves the eikonal equation, `heat_times` takes the way through heat; both work on a `Stencil`.
"""

from typing import TYPE_CHECKING

from voxfield._lazy import lazy

if TYPE_CHECKING:
    from voxfield.pde.geodesic._eikonal import Arrival as Arrival
    from voxfield.pde.geodesic._eikonal import arrival_times as arrival_times
    from voxfield.pde.geodesic._grid import Stencil as Stencil
    from voxfield.pde.geodesic._heat import Heat as Heat
    from voxfield.pde.geodesic._heat import heat_times as heat_times
    from voxfield.pde.geodesic._marching import first_arrival as first_arrival

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Arrival": "_eikonal",
        "Heat": "_heat",
        "Stencil": "_grid",
        "arrival_times": "_eikonal",
        "first_arrival": "_marching",
        "heat_times": "_heat",
    },
)
