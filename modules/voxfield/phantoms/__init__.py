"""Synthetic anatomy, flow and cohorts whose truth is known exactly."""

from typing import TYPE_CHECKING

from voxfield._lazy import lazy

if TYPE_CHECKING:
    from voxfield.phantoms._airway import airway as airway
    from voxfield.phantoms._chest_ct import chest_ct as chest_ct
    from voxfield.phantoms._cohort import cohort as cohort
    from voxfield.phantoms._geometry import geometry as geometry
    from voxfield.phantoms._knee import knee as knee
    from voxfield.phantoms._knees import knees as knees
    from voxfield.phantoms._surface import surface as surface
    from voxfield.phantoms._vessel import vessel as vessel

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "airway": "_airway",
        "chest_ct": "_chest_ct",
        "cohort": "_cohort",
        "geometry": "_geometry",
        "knee": "_knee",
        "knees": "_knees",
        "surface": "_surface",
        "vessel": "_vessel",
    },
)
