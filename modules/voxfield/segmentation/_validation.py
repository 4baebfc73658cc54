"""Dice of held-out scans while a network trains."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from voxfield.segmentation import _sliding
from voxfield.segmentation._augment import UNANNOTATED
from voxfield.segmentation._plan import Plan
from voxfield.segmentation._scans import Scan, prepare


def annotated_dice(predicted: Tensor, target: Tensor, classes: int) -> list[float | None]:
    """Dice of each foreground class over annotated voxels; None for a class that neither shows.

    predicted, target  (x, y, z) class indices, 255 in `target` where nobody looked
    """
    looked_at = target != UNANNOTATED
    predicted, target = predicted[looked_at], target[looked_at]
    result: list[float | None] = []
    for value in range(1, classes):
        a, b = predicted == value, target == value
        size = int(a.sum()) + int(b.sum())
        result.append(2 * int((a & b).sum()) / size if size else None)
    return result


def validate(network: nn.Module, scans: Sequence[Scan], plan: Plan, device: torch.device) -> dict[str, Any]:
    """Dice by label name: the mean over patients of the mean over their scans."""
    classes = len(plan.labels) + 1
    by_patient: dict[str, list[list[float | None]]] = {}
    for scan in scans:
        volume = prepare(scan, plan)
        with torch.inference_mode():
            found = _sliding.predict_volume([network], volume.channels, plan.patch, classes, device=device)
        predicted = torch.where(found.probability > 0.5, found.label, 0)
        by_patient.setdefault(scan.patient, []).append(annotated_dice(predicted, volume.target, classes))
    dice = {}
    for index, name in enumerate(plan.labels.values()):
        patients = [_mean([row[index] for row in rows]) for rows in by_patient.values()]
        dice[name] = _mean(patients)
    return {"dice": dice, "patients": len(by_patient), "scans": len(scans)}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
