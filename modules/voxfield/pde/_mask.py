"""Which voxels of a label map a solver works on, and how far apart they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxfield.errors import InputError

if TYPE_CHECKING:
    from voxfield.artifacts import LabelMap
    from voxfield.pde._domain import Mask


def foreground(labels: LabelMap) -> Mask:
    """Voxels with a label above 0 that somebody looked at; raises InputError where there is none."""
    labels.require_foreground()
    return np.asarray((labels.data > 0) & (labels.data != labels.unannotated))


def spacing_mm(labels: LabelMap) -> tuple[float, float, float]:
    """Millimetres along the voxel axes; raises InputError unless these are at right angles."""
    if not labels.grid.is_orthogonal():
        raise InputError(
            f"its voxel axes are not at right angles (largest cosine {labels.grid.shear:.3g}); expected at most 0.001; "
            "resample it to a grid without shear",
            file=labels.file,
        )
    x, y, z = labels.grid.spacing.tolist()
    return x, y, z
