"""A sound artifact of every kind, for tests that damage it."""

from pathlib import Path

import numpy as np
import torch

from voxfield.artifacts import (
    Artifact,
    Centerline,
    Cohort,
    FaceFlux,
    FieldSamples,
    Graph,
    GridField,
    Image,
    ImageSeries,
    LabelMap,
    Manifold,
    Mesh,
    Metrics,
    Model,
    PartialImage,
    PartialVectorImage,
    Picture,
    PointField,
    PointSamples,
    Polyline,
    Problem,
    RawFile,
    Report,
    Table,
    VectorImage,
)  # fmt: skip

AFFINE = np.array([[0.7, 0, 0, -20.1], [0, 0.8, 0, 15.2], [0, 0, 1.5, 5.3], [0, 0, 0, 1]])
RNG = np.random.default_rng(5)
MASK = RNG.random((5, 4, 6)) < 0.5
COUNT = int(MASK.sum())
GAPS = RNG.standard_normal((6, 6, 6, 1, 3))
GAPS[:2] = np.nan
FRAMES = np.tile(np.eye(3)[:, :2], (9, 1, 1))
POINTS = RNG.standard_normal((9, 3))
EDGES = [[0, 1], [1, 2], [0, 8]]

# Formats with a checksum: a damaged file is refused, or holds just the same values.
GUARDED: dict[str, Artifact] = {
    "Image": Image(RNG.standard_normal((16, 16, 16)), AFFINE, unit="Pa"),
    "ImageSeries": ImageSeries((RNG.standard_normal((9, 8, 7, 3)) * 300).astype(np.int16), AFFINE),
    "PartialImage": PartialImage(np.where(MASK, 1.5, np.nan), AFFINE, unit="mm"),
    "LabelMap": LabelMap(np.pad(np.ones((9, 9, 9)), 6).astype(int), AFFINE, labels={1: "lumen"}),
    "VectorImage": VectorImage(RNG.standard_normal((6, 6, 6, 1, 3)), AFFINE, unit="m/s"),
    "PartialVectorImage": PartialVectorImage(GAPS, AFFINE, unit="m/s"),
    "FaceFlux": FaceFlux(
        *(RNG.standard_normal(s) for s in ((6, 4, 6), (5, 5, 6), (5, 4, 7))), MASK, AFFINE, unit="m/s"
    ),
    "FieldSamples": FieldSamples(
        RNG.standard_normal((16, 1, COUNT, 3)), MASK, AFFINE, inside=RNG.random((16, COUNT)) < 0.5, unit="m/s"
    ),
    "PointField": PointField(POINTS, RNG.standard_normal((9, 3)), FRAMES, np.ones((9, 3))),
    "PointSamples": PointSamples(POINTS, RNG.standard_normal((16, 9, 3)), unit="m/s"),
    "Manifold": Manifold(POINTS, FRAMES, EDGES, [1.0, 2.0, 3.0], np.ones(9), np.zeros(9)),
    "GridField": GridField(
        {"x": np.arange(4.0), "t": np.arange(3.0)}, RNG.standard_normal((4, 3)) + 1j, np.ones((4, 3)),
        name="u", unit="K", units={"x": "m", "t": "s"},
    ),
    "Model": Model(
        {"a": torch.ones(3, 3), "b": torch.arange(4), "c": torch.ones(2, dtype=torch.bfloat16)}, {"x": [1]},
        family="f", architecture="n", licence="none",
    ),
}  # fmt: skip
# Formats without one: what still reads is well-formed, and the hash of the record tells the difference.
OPEN: dict[str, Artifact] = {
    "Table": Table({"name": ["a", None, "c d"], "x": [1.5, 2.25, None]}),
    "Cohort": Cohort({"subject": ["01", "02"], "split": ["train", "test"], "grade": [1, None]}),
    "Metrics": Metrics({"dice": 0.5, "list": [1, 2, None], "text": "é", "deep": {"a": {"b": [[1]]}}}),
    "Centerline": Centerline(RNG.standard_normal((5, 3)), [1, 2, np.nan, 3, 4], [-1, 0, 1, 1, 0]),
    "Polyline": Polyline(RNG.standard_normal((5, 3)), [[0, 1], [2, 3, 4]], {"r": np.arange(5.0)}),
    "Mesh": Mesh(RNG.standard_normal((4, 3)), [[0, 1, 2], [0, 2, 3]]),
    "Graph": Graph(3, [[0, 1], [1, 2]], {"x": [1.5, 2.0, None], "kind": ["a", "b", "é"]}, {"k": [1, 2]}),
    "Picture": Picture(RNG.integers(0, 255, (9, 7, 3)).astype(np.uint8)),
    "Problem": Problem(
        {
            "unit": "Pa", "box": {"x": (0.0, 1.0), "t": (0, "2*pi")}, "operator": {"diffusion": {"diffusivity": 1e-4}},
            "forcing": "sin(x)", "boundary": {"x": "periodic"}, "title": "a: b",
        }
    ),
}  # fmt: skip
# Folders, and files that nothing is known about: judged by whoever reads them.
FOREIGN = {"RawFile": RawFile, "Report": Report}
SOUND = GUARDED | OPEN
SUFFIXES = {"Image": ".nii.gz", "Cohort": ".csv"}


def save_sound(name: str, folder: Path, suffix: str | None = None) -> Path:
    """A file of a kind; `suffix` for another one than the kind's own, such as `.nii`."""
    path = folder / f"sound{suffix or SUFFIXES.get(name, SOUND[name].suffix)}"
    SOUND[name].save(path)
    return path
