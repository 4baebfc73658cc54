"""A scan through a network and back to the scan's own grid."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from voxfield.artifacts import LabelMap
from voxfield.errors import InputError
from voxfield.segmentation import _inputs, _preprocess, _sliding
from voxfield.segmentation._plan import PERCENTILES, Plan


class Segmented(NamedTuple):
    """Result of `segment`.

    probability  (x, y, z) float32 in [0, 1], of any foreground
    label        (x, y, z) uint8, most probable foreground class, from 1, also where foreground is improbable
    percentiles  of the network's input, at `PERCENTILES`
    frame        between the scan and the model
    """

    probability: NDArray[np.float32]
    label: NDArray[np.uint8]
    percentiles: list[float]
    frame: _preprocess.Frame


def segment(
    data: NDArray[np.float32],
    affine: NDArray[np.float64],
    network: torch.nn.Module,
    plan: Plan,
    *,
    overlap: float,
    device: torch.device,
    lung: LabelMap | None = None,
    progress: Callable[[list[int]], Iterable[int]] | None = None,
) -> Segmented:
    """Segment one volume.

    data     (x, y, z) finite, any intensity unit
    affine   (4, 4) voxel index to world, mm
    network  in evaluation mode, on `device`
    lung     on the grid of `data`, where the plan wants it
    """
    frame = _preprocess.frame(data.shape, affine, plan.spacing_mm)
    normalised = plan.normalisation.apply(data)
    seen = _preprocess.percentiles(normalised, PERCENTILES)
    channels = _inputs.of_scan(normalised, frame, plan.extras, lung)
    with torch.inference_mode():
        probability, label = _sliding.predict_volume(
            network,
            channels,
            plan.patch,
            len(plan.labels) + 1,
            overlap=overlap,
            device=device,
            progress=progress,
        )
        probability = frame.from_model(probability).clamp_(0, 1)
        label = frame.labels_from_model(label)
    if not bool(torch.isfinite(probability).all()):
        raise InputError("the network's output is not finite for this scan; its weights are unusable: train it again")
    return Segmented(probability.numpy(), label.numpy(), seen, frame)
