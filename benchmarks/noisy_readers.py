"""Dice under readers' errors: labels corrected before they are learnt by heart (ADELE), and readers told apart.

Curved vessels in noise, annotated by simulated readers: one misses whole vessels, one draws them a voxel too thick, one
a voxel too thin. Every method trains as long on the same scans; Dice is against the exact masks of unseen scans.
References: training on exact masks, on one reader's labels as they stand, and on the majority of the readers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from _common import Claim, finish, options
from voxfield.artifacts import Cohort, Image, LabelMap, Model
from voxfield.context import Context
from voxfield.segmentation import predict, train

Mask = NDArray[np.uint8]
SIDE, VESSELS = 48, 4
AFFINE = np.eye(4)
SETTINGS: dict[str, Any] = {"patch": (24, 24, 24), "channels": (8, 16, 32), "batch": 2}
READERS = ("misses", "thick", "thin")


def scan(rng: np.random.Generator) -> tuple[Image, list[Mask]]:
    """A scan and its vessels, each a mask: smooth curves of 2.5 to 4 voxels radius from face to face."""
    vessels = []
    for _ in range(VESSELS):
        t = np.linspace(0, 1, 200)
        knots = rng.uniform(0.15, 0.85, (4, 2)) * SIDE
        curve = np.stack([t * (SIDE - 1), *(np.interp(t, np.linspace(0, 1, 4), k) for k in knots.T)])
        curve = ndimage.gaussian_filter1d(curve, 15, axis=1, mode="nearest")[rng.permutation(3)]
        empty = np.ones((SIDE,) * 3, dtype=bool)
        empty[tuple(np.clip(np.rint(curve).astype(int), 0, SIDE - 1))] = False
        vessels.append((ndimage.distance_transform_edt(empty) < rng.uniform(2.5, 4)).astype(np.uint8))
    truth = np.max(vessels, axis=0)
    image = ndimage.gaussian_filter(truth.astype(float), 0.7) + rng.normal(0, 0.35, truth.shape)
    return Image(image.astype(np.float32), AFFINE), vessels


def read(reader: str, vessels: Sequence[Mask], rng: np.random.Generator) -> Mask:
    """What a reader draws."""
    if reader == "misses":
        kept = rng.permutation(VESSELS)[: VESSELS // 2]
        return np.max([vessels[k] for k in kept], axis=0)
    truth = np.max(vessels, axis=0)
    change = ndimage.binary_dilation if reader == "thick" else ndimage.binary_erosion
    return change(truth, iterations=1).astype(np.uint8)


def dice(model: Model, tests: Sequence[tuple[Image, list[Mask]]]) -> float:
    """Mean Dice over unseen scans."""
    scores = []
    for image, vessels in tests:
        said = predict(image, model, overlap=0.25, ctx=Context(device="cpu")).mask.data > 0
        truth = np.max(vessels, axis=0) > 0
        scores.append(2 * (said & truth).sum() / (said.sum() + truth.sum()))
    return float(np.mean(scores))


def learn(images: Sequence[Image], masks: Sequence[Mask], steps: int, seed: int, readers: Sequence[str] = (),
          **settings: Any) -> Model:  # fmt: skip
    """A model of these masks."""
    columns: dict[str, Any] = {"subject": [f"s{k}" for k in range(len(images))]}
    if readers:
        columns["reader"] = list(readers)
    maps = [LabelMap(mask, AFFINE) for mask in masks]
    chosen = {**SETTINGS, "steps": steps, **settings}
    return train(Cohort(columns), images, maps, **chosen, ctx=Context(seed=seed, device="cpu")).model


def rows_of(seed: int, scans: int, steps: int) -> dict[str, float]:
    """Dice of every method for one draw of scans, readers and weights."""
    rng = np.random.default_rng(seed)
    cases, tests = [scan(rng) for _ in range(scans)], [scan(rng) for _ in range(4)]
    images = [image for image, _ in cases]
    exact = [np.max(vessels, axis=0) for _, vessels in cases]
    drawn = {reader: [read(reader, vessels, rng) for _, vessels in cases] for reader in READERS}
    majority = [np.array(np.sum(three, axis=0) >= 2, dtype=np.uint8) for three in zip(*drawn.values(), strict=True)]
    pooled = [mask for reader in READERS for mask in drawn[reader]]
    who = [reader for reader in READERS for _ in cases]
    ways: dict[str, Model] = {
        "exact masks": learn(images, exact, steps, seed),
        "reader who misses vessels": learn(images, drawn["misses"], steps, seed),
        "- corrected (ADELE)": learn(images, drawn["misses"], steps, seed, correct_labels=True, validations=12),
        "majority of three": learn(images, majority, steps, seed),
        "all readers pooled": learn(images * 3, pooled, steps, seed),
        "- readers told apart": learn(images * 3, pooled, steps, seed, who),
    }
    return {name: dice(model, tests) for name, model in ways.items()}


def main() -> None:
    chosen = options(__doc__ or "")
    scans, steps, seeds = (3, 60, 1) if chosen.quick else (6, 600, chosen.seeds)
    found = [rows_of(seed, scans, steps) for seed in range(seeds)]
    rows = [
        {"training": name, "Dice": float(np.mean([f[name] for f in found])), "worst": min(f[name] for f in found)}
        for name in found[0]
    ]
    value = {row["training"]: row["Dice"] for row in rows}
    claims = [
        Claim("Dice of ADELE over that of the labels as they stand",
              value["- corrected (ADELE)"] / value["reader who misses vessels"], 1.0, ">="),
        Claim("Dice of readers told apart minus pooled",
              value["- readers told apart"] - value["all readers pooled"], 0.0, ">="),
    ]  # fmt: skip
    finish(chosen, claims, rows)


if __name__ == "__main__":
    main()
