"""Small bright tubes with exact masks, for tests of learning and of geometry."""

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import Cohort, Image, LabelMap

AFFINE = np.diag([0.5, 0.5, 0.5, 1.0])


def tube(seed: int, shape: tuple[int, int, int] = (24, 24, 32)) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A curved tube of 3 to 4 voxels' radius along z: intensities (x, y, z) with noise, mask (x, y, z)."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    turn = 2 * np.pi * z / shape[2] + rng.uniform(0, 6)
    radius = rng.uniform(3, 4)
    distance = np.hypot(x - shape[0] / 2 - 3 * np.cos(turn), y - shape[1] / 2 - 3 * np.sin(turn))
    image = 100 * np.clip(radius + 0.5 - distance, 0, 1) + rng.normal(0, 12, shape)
    return image.astype(np.float32), (distance < radius).astype(np.uint8)


def sparse(mask: NDArray[np.uint8], every: int = 4) -> NDArray[np.uint8]:
    """Every fourth slice annotated, 255 elsewhere."""
    result = np.full_like(mask, 255)
    result[:, :, 1::every] = mask[:, :, 1::every]
    return result


def cohort(splits: list[str]) -> tuple[Cohort, list[Image], list[LabelMap]]:
    """Sparsely annotated tubes, one patient each."""
    tubes = [tube(seed) for seed in range(len(splits))]
    images = [Image(image, AFFINE) for image, _ in tubes]
    masks = [LabelMap(sparse(mask), AFFINE, labels={1: "lumen"}, unannotated=255) for _, mask in tubes]
    n = len(splits)
    table = Cohort(
        {
            "subject": [f"tube-{i}" for i in range(n)],
            "split": splits,
            "annotation": ["sparse"] * n,
            "unannotated": [255] * n,
        }
    )
    return table, images, masks
