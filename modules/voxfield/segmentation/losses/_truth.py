"""What a loss may know of a batch besides the logits."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Truth:
    """The annotation of a batch of patches.

    target      (b, x, y, z)  int64 class index; any valid index where the weight is 0
    weight      (b, x, y, z)  float32, >= 0; 0 for voxels that nobody annotated
    spacing_mm  (3,) along x, y, z
    tube        (b, x, y, z)  int64 class index on the widened skeleton of the target, 0 elsewhere; None where no
                loss asked for it
    reader      (b,) int64 number of whoever annotated; None where it is nobody's concern
    """

    target: Tensor
    weight: Tensor
    spacing_mm: tuple[float, float, float]
    tube: Tensor | None = None
    reader: Tensor | None = None
