"""Few labelled trees among many unlabelled scans: training from scratch against training from `segmentation.pretrain`.

Airway trees grown by rule, in simulated CT. All unlabelled scans are of the same source as the labelled ones; test
scans are of other seeds. With and without pre-training the network, its patches and its steps are the same.
"""

from typing import Any, NamedTuple

import numpy as np

from voxfield.artifacts import Cohort, Image, LabelMap, Model
from voxfield.context import Context
from voxfield.phantoms import airway, chest_ct
from voxfield.segmentation import evaluate, predict, pretrain, train

NETWORK: dict[str, Any] = {"patch": (32, 32, 32), "channels": (8, 16, 32), "normalisation": "cohort"}


class Effort(NamedTuple):
    """How large a run is: scans without labels, numbers of labelled trees, test scans, steps."""

    unlabelled: int
    labelled: tuple[int, ...]
    tests: int
    pretraining: int
    training: int


FULL, QUICK = Effort(12, (1, 2, 4), 4, 600, 300), Effort(2, (1,), 1, 10, 10)


def scan(seed: int) -> tuple[Image, LabelMap]:
    """A simulated CT and its airway."""
    ctx = Context(seed=seed, device="cpu")
    grown = airway(ctx=ctx)
    return chest_ct(grown.airway, lung=[grown.lung], ctx=ctx).image, grown.airway


def score(model: Model, tests: list[tuple[Image, LabelMap]]) -> tuple[float, float]:
    """Mean Dice and mean share of tree length detected."""
    found = []
    for image, truth in tests:
        mask = predict(image, model, overlap=0.25, ctx=Context(device="cpu")).mask
        values = evaluate(mask, truth, ctx=Context(device="cpu")).metrics.values
        found.append((values["dice"], values["tree_length_detected"]))
    dice, length = np.mean(found, axis=0)
    return float(dice), float(length)


def tree_rows(quick: bool, seeds: int) -> list[dict[str, Any]]:
    """One row a number of labelled trees, means over seeds."""
    effort = QUICK if quick else FULL
    found: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for seed in range(seeds):
        first = 1000 * seed
        pool = [scan(first + k) for k in range(effort.unlabelled)]
        tests = [scan(first + 500 + k) for k in range(effort.tests)]
        names = Cohort({"subject": [f"s{k}" for k in range(len(pool))]})
        ctx = Context(seed=seed, device="cpu")
        start = pretrain(names, [image for image, _ in pool], steps=effort.pretraining, ctx=ctx, **NETWORK).model
        for count in effort.labelled:
            images, masks = zip(*pool[:count], strict=True)
            cohort = Cohort({"subject": [f"s{k}" for k in range(count)]})
            for way, model in (("scratch", None), ("pre-trained", start)):
                learnt = train(cohort, images, masks, from_=model, steps=effort.training, ctx=ctx, **NETWORK).model
                found.setdefault((count, way), []).append(score(learnt, tests))
    rows = []
    for count in effort.labelled:
        row: dict[str, Any] = {"labelled trees": count}
        for way in ("scratch", "pre-trained"):
            dice, length = np.mean(found[count, way], axis=0)
            row |= {f"Dice, {way}": float(dice), f"tree length, {way}": float(length)}
        rows.append(row)
    return rows
