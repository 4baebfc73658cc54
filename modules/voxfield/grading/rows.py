"""Rows of a cohort as tensors, and what a network says of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfield.grading.algorithms.base import Inputs
from voxfield.grading.components import Labels, Sizes


@dataclass(frozen=True)
class TrainingSet:
    """Rows to learn from.

    images    (n, c, x, y[, z]) or None
    features  (n, f) or None: `values` standardised values, then missing flags
    grades    (n,) integers, -1 where unlabelled
    count     number of grades
    readers   (n,) number of the reader who gave the grade, or None
    """

    images: Tensor | None
    features: Tensor | None
    grades: Tensor
    count: int
    values: int = 0
    readers: Tensor | None = None

    @property
    def labels(self) -> Labels:
        """What is known of the rows."""
        return Labels(self.grades, self.readers, self.count)

    def sizes(self, network: Any) -> Sizes:
        """For components, beside this network."""
        shape = None if self.images is None else tuple(self.images.shape[2:])
        channels = 1 if self.images is None else int(self.images.shape[1])
        features = 0 if self.features is None else self.features.shape[1]
        return Sizes(network.width, self.count, shape, features, channels, network)

    def take(self, rows: Tensor) -> Inputs:
        """The inputs of some rows."""
        image = None if self.images is None else self.images[rows]
        return Inputs(image, None if self.features is None else self.features[rows], rows)


def infer(
    network: Any, data: TrainingSet, device: Any, size: int = 64
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-probabilities (n, k) and embeddings (n, d) of all rows."""
    outputs, embeddings = [], []
    for start in range(0, len(data.grades), size):
        part = data.take(torch.arange(start, min(start + size, len(data.grades))))
        with torch.no_grad():
            embedding = network.embed(on(part.image, device), on(part.features, device))
            outputs.append(network.head(embedding).cpu().double().numpy())
        embeddings.append(embedding.cpu().double().numpy())
    return np.concatenate(outputs), np.concatenate(embeddings)


def on(tensor: Tensor | None, device: Any) -> Tensor | None:
    """The tensor on a device; None stays None."""
    return None if tensor is None else tensor.to(device)
