"""Damage of every kind in every format: the only outcomes are equal values and an InputError."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from voxfield.artifacts import (
    Artifact,
    Centerline,
    Cohort,
    FaceFlux,
    FieldSamples,
    Graph,
    Image,
    LabelMap,
    Mesh,
    Metrics,
    Model,
    PointField,
    Polyline,
    Table,
    VectorImage,
)  # fmt: skip
from voxfield.errors import InputError
from voxfield.findings import Findings

AFFINE = np.array([[0.7, 0, 0, -20.1], [0, 0.8, 0, 15.2], [0, 0, 1.5, 5.3], [0, 0, 0, 1]])
RNG = np.random.default_rng(5)
MASK = RNG.random((5, 4, 6)) < 0.5
COUNT = int(MASK.sum())
FLIPS = 300

# Formats with a checksum: a damaged file is refused, or holds just the same values.
GUARDED: dict[str, tuple[Artifact, str]] = {
    "image": (Image((RNG.standard_normal((16, 16, 16)) * 300).astype(np.int16), AFFINE), ".nii.gz"),
    "noise": (Image(RNG.standard_normal((16, 16, 16)), AFFINE, unit="Pa"), ".nii.gz"),
    "mask": (LabelMap(np.pad(np.ones((9, 9, 9)), 6).astype(int), AFFINE, labels={1: "lumen"}), ".nii.gz"),
    "velocity": (VectorImage(RNG.standard_normal((6, 6, 6, 1, 3)), AFFINE, unit="m/s"), ".nii.gz"),
    "flux": (
        FaceFlux(*(RNG.standard_normal(s) for s in ((6, 4, 6), (5, 5, 6), (5, 4, 7))), MASK, AFFINE, unit="m/s"),
        ".safetensors",
    ),
    "samples": (
        FieldSamples(
            RNG.standard_normal((16, 1, COUNT, 3)), MASK, AFFINE, inside=RNG.random((16, COUNT)) < 0.5, unit="m/s"
        ),
        ".safetensors",
    ),
    "points": (PointField(RNG.standard_normal((9, 3)), RNG.standard_normal((9, 3))), ".safetensors"),
    "model": (
        Model({"a": torch.ones(3, 3), "b": torch.arange(4)}, {"x": [1]}, family="f", architecture="n", licence="none"),
        ".safetensors",
    ),
}  # fmt: skip
# Formats without one: what still reads is well-formed, and the hash of the record tells the difference.
OPEN: dict[str, tuple[Artifact, str]] = {
    "plain image": (Image(RNG.standard_normal((8, 8, 8)), AFFINE), ".nii"),
    "table": (Table({"name": ["a", None, "c d"], "x": [1.5, 2.25, None]}), ".tsv"),
    "cohort": (Cohort({"subject": ["01", "02"], "split": ["train", "test"], "grade": [1, None]}), ".csv"),
    "metrics": (Metrics({"dice": 0.5, "list": [1, 2, None], "text": "é"}), ".json"),
    "centerline": (Centerline(RNG.standard_normal((5, 3)), [1, 2, np.nan, 3, 4], [-1, 0, 1, 1, 0]), ".swc"),
    "polyline": (Polyline(RNG.standard_normal((5, 3)), [[0, 1], [2, 3, 4]], {"r": np.arange(5.0)}), ".vtp"),
    "mesh": (Mesh(RNG.standard_normal((4, 3)), [[0, 1, 2], [0, 2, 3]]), ".surf.gii"),
    "graph": (Graph(3, [[0, 1], [1, 2]], {"x": [1.5, 2.0, None], "kind": ["a", "b", "é"]}, {"k": [1, 2]}), ".graphml"),
}


NAMES = (
    "data", "affine", "unit", "labels", "unannotated", "columns", "values", "arrays", "weights", "config", "points",
    "radii", "parents", "kinds", "lines", "point_data", "vertices", "triangles",
    "nodes", "edges", "ends", "count",
)  # fmt: skip


def content(artifact: Artifact) -> dict[str, Any]:
    """Everything that an artifact holds, as comparable values."""
    found: dict[str, Any] = {}
    for name in NAMES:
        value = getattr(artifact, name, None)
        if isinstance(value, dict):
            found |= {f"{name}.{key}": _comparable(item) for key, item in value.items()}
        elif isinstance(value, list):
            found |= {f"{name}.{place}": _comparable(item) for place, item in enumerate(value)}
        elif value is not None:
            found[name] = _comparable(value)
    return found


def _comparable(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    return (value.shape, str(value.dtype), value.tobytes()) if isinstance(value, np.ndarray) else value


def outcomes(
    artifact: Artifact, suffix: str, damage: Callable[[bytes], bytes], folder: Path, times: int
) -> dict[str, int]:
    """How often damaged copies were refused, equal or different; any other exception comes through."""
    sound = folder / f"sound{suffix}"
    artifact.save(sound)
    raw, expected = sound.read_bytes(), content(type(artifact).load(sound))
    counts = {"refused": 0, "equal": 0, "different": 0, "badly refused": 0}
    for _ in range(times):
        path = folder / f"damaged{suffix}"
        path.write_bytes(damage(raw))
        try:
            found = type(artifact).load(path)
            found.check(Findings())
        except InputError as error:
            counts["refused" if error.file == path and "\n" not in error.message else "badly refused"] += 1
        else:
            counts["equal" if content(found) == expected else "different"] += 1
    return counts


def one_byte(rng: np.random.Generator) -> Callable[[bytes], bytes]:
    """Change one byte, anywhere, to any other value."""

    def damage(raw: bytes) -> bytes:
        spoilt = bytearray(raw)
        spoilt[rng.integers(len(raw))] ^= rng.integers(1, 256)
        return bytes(spoilt)

    return damage


def cut(rng: np.random.Generator) -> Callable[[bytes], bytes]:
    """Lose the end, or get some more of it."""

    def damage(raw: bytes) -> bytes:
        if rng.random() < 0.2:
            return raw + rng.bytes(int(rng.integers(1, 40)))
        return raw[: int(rng.integers(0, len(raw)))]

    return damage


@pytest.mark.parametrize("name", GUARDED)
def test_no_flip_changes_a_value_silently(name: str, tmp_path: Path) -> None:
    artifact, suffix = GUARDED[name]
    counts = outcomes(artifact, suffix, one_byte(np.random.default_rng(1)), tmp_path, FLIPS)
    assert counts["different"] == counts["badly refused"] == 0
    assert counts["refused"] > 0.9 * FLIPS


@pytest.mark.parametrize("name", GUARDED)
def test_no_cut_changes_a_value_silently(name: str, tmp_path: Path) -> None:
    artifact, suffix = GUARDED[name]
    counts = outcomes(artifact, suffix, cut(np.random.default_rng(2)), tmp_path, 60)
    assert counts["different"] == counts["badly refused"] == 0
    assert counts["refused"] == 60


@pytest.mark.parametrize("damage", [one_byte, cut])
@pytest.mark.parametrize("name", OPEN)
def test_formats_without_checksum_are_read_or_refused(name: str, damage: Any, tmp_path: Path) -> None:
    artifact, suffix = OPEN[name]
    counts = outcomes(artifact, suffix, damage(np.random.default_rng(3)), tmp_path, FLIPS)
    assert sum(counts.values()) == FLIPS
    assert counts["badly refused"] == 0
