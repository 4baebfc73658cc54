"""A tiny graded cohort: tubes whose calibre sets the grade, read by a noisy reader."""

import numpy as np

from voxfield.artifacts import Cohort, Image, Table


def tube(radius: float, rng: np.random.Generator, shape: tuple[int, int, int] = (12, 12, 16)) -> Image:
    """A bright tube along z with partial volume and noise, voxels of 1 mm."""
    centre = (np.array(shape[:2]) - 1) / 2 + rng.uniform(-1, 1, 2)
    x, y = np.indices(shape[:2])
    distance = np.hypot(x - centre[0], y - centre[1])
    section = np.clip(radius + 0.5 - distance, 0, 1)
    data = np.repeat(section[:, :, None], shape[2], axis=2) + rng.normal(0, 0.1, shape)
    return Image(data.astype(np.float32), np.eye(4))


def tubes(
    count: int, *, labelled: float = 0.5, grades: int = 5, seed: int = 0, noise: float = 0.3
) -> tuple[Cohort, list[Image], list[Table]]:
    """A cohort of `count` rows, two a patient, with images and one-row feature tables."""
    rng = np.random.default_rng(seed)
    severity = rng.uniform(0, grades, count)
    radii = 5 - 4 * severity / grades
    read = np.clip(np.floor(severity + rng.normal(0, noise, count)), 0, grades - 1)
    known = rng.random((count + 1) // 2).repeat(2)[:count] < labelled
    cohort = Cohort(
        {
            "subject": [f"s{i:03}" for i in range(count)],
            "patient": [f"p{i // 2:03}" for i in range(count)],
            "grade": [int(g) if k else None for g, k in zip(read, known, strict=True)],
        }
    )
    tables = [Table({"radius_mm": [r + rng.normal(0, 0.2)], "empty": [None]}) for r in radii]
    return cohort, [tube(r, rng) for r in radii], tables
