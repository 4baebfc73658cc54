"""Small inputs for pde.distance and pde.evolve."""

import numpy as np

from voxfield.artifacts import Image, LabelMap

AFFINE = np.array([[0, -0.8, 0, 5.0], [1.0, 0, 0, -3.0], [0, 0, 1.5, 2.0], [0, 0, 0, 1]])


def hook() -> tuple[LabelMap, LabelMap]:
    """An L of two arms with a voxel apart from it, and sources in both arms, one of them also outside."""
    mask = np.zeros((12, 11, 4), dtype=np.uint8)
    mask[:10, :4, 1:3] = 1
    mask[6:10, :10, 1:3] = 2
    mask[0, 9, 2] = 1
    sources = np.zeros_like(mask)
    sources[0, :4, 1] = 3
    sources[8, 9:, 2] = 5
    return LabelMap(mask, AFFINE), LabelMap(sources, AFFINE, labels={3: "inlet", 5: "outlet"})


def speed(unit: str | None = "mm/s") -> Image:
    values = np.full((12, 11, 4), 2.0, dtype=np.float32)
    values[:, 5:] = 4
    return Image(values, AFFINE, unit=unit)


def seed() -> tuple[Image, LabelMap]:
    """A blob of 0.8 in a block of two tissues around a wall."""
    tissue = np.ones((10, 9, 6), dtype=np.uint8)
    tissue[5:] = 2
    tissue[4:6, 4, 2:4] = 3
    density = np.zeros(tissue.shape, dtype=np.float32)
    density[2:4, 2:5, 2:4] = 0.8
    return Image(density, AFFINE), LabelMap(tissue, AFFINE, labels={1: "white", 2: "grey", 3: "fluid"})
