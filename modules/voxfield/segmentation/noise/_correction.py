"""Correcting labels of classes that begin to be memorised (ADELE, see `voxfield.memorisation`).

At every check the overlap of prediction and given labels is noted, class by class. Once a class counts as memorised,
its voxels (called so by the labels or by the network) take the network's word where it is sure: where the probability,
averaged over scales, exceeds `SURE`. Corrections always begin from the labels as they were given, so that errors do not
pile up. Different from the paper: sure of a class means sure of foreground or background; among foreground classes the
most probable one is taken.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from voxfield import memorisation
from voxfield.segmentation import _sliding
from voxfield.segmentation._augment import UNANNOTATED
from voxfield.segmentation._patches import Volume
from voxfield.segmentation._training import Source
from voxfield.segmentation.noise import _scales
from voxfield.segmentation.noise._network import NoisyLabels

SURE = 0.8


class Corrected:
    """Scans with their labels as they are believed now."""

    def __init__(self, given: Source, labels: NoisyLabels) -> None:
        self.given, self.labels = given, labels

    def __len__(self) -> int:
        """Number of scans."""
        return len(self.given)

    def __getitem__(self, index: int) -> Volume:
        """Scan number `index`."""
        return replace(self.given[index], target=self.labels.target(index).cpu())


def check(
    labels: NoisyLabels, given: Source, window: Sequence[int], classes: int, device: torch.device
) -> dict[str, float]:
    """Note the overlap with the given labels and correct what is memorised; share of voxels that were changed."""
    number = int(torch.isfinite(labels.overlap[:, 0]).sum())
    found = [_sliding.predict_volume([labels], v.channels, window, classes, device=device) for v in _all(given)]
    said = [torch.where(one.probability > 0.5, one.label, 0) for one in found]
    if number < len(labels.overlap):
        labels.overlap[number] = torch.tensor(overlap(said, (v.target for v in _all(given)), classes))
    course = labels.overlap[: number + 1].cpu().tolist()
    for k in range(classes - 1):
        labels.memorised[k] |= memorisation.memorised([row[k] for row in course])
    changed = total = 0
    if bool(labels.memorised.any()):
        for index, (volume, one) in enumerate(zip(_all(given), found, strict=True)):
            sure = [one.probability, *_other_scales(labels, volume, window, classes, device)]
            believed = corrected(volume.target, torch.stack(sure).mean(0), one.label, labels.memorised.cpu())
            changed += int((believed != volume.target).sum())
            total += int((volume.target != UNANNOTATED).sum())
            labels.target(index).copy_(believed)
    return {"corrected": changed / total if total else 0.0}


def overlap(said: Iterable[Tensor], given: Iterable[Tensor], classes: int) -> list[float]:
    """Intersection over union of each foreground class with the given labels, over annotated voxels of all scans."""
    both, either = [0] * classes, [0] * classes
    for prediction, target in zip(said, given, strict=True):
        seen = target != UNANNOTATED
        for k in range(1, classes):
            a, b = (prediction == k) & seen, target == k
            both[k] += int((a & b).sum())
            either[k] += int((a | b).sum())
    return [a / b if b else 0.0 for a, b in zip(both[1:], either[1:], strict=True)]


def corrected(target: Tensor, probability: Tensor, label: Tensor, memorised: Tensor) -> Tensor:
    """Labels with the network's word where it is sure and a memorised class is meant.

    target       (x, y, z) uint8, 255 where nobody looked
    probability  (x, y, z) of any foreground
    label        (x, y, z) most probable foreground class
    memorised    (classes - 1,) bool
    """
    said = torch.where(probability > 0.5, label, 0)
    meant = torch.cat([torch.tensor([False]), memorised])
    known = target != UNANNOTATED
    concerned = meant[torch.where(known, target, 0).long()] | meant[said.long()]
    sure = (probability > SURE) | (probability < 1 - SURE)
    return torch.where(known & concerned & sure, said, target)


def _all(given: Source) -> Iterator[Volume]:
    """One after the other: a cohort need not fit into memory."""
    return (given[index] for index in range(len(given)))


def _other_scales(
    labels: NoisyLabels, volume: Volume, window: Sequence[int], classes: int, device: torch.device
) -> list[Tensor]:
    """Foreground probability at the scales other than the image's own, on its grid."""
    found = []
    for scale in _scales.SCALES[1:]:
        stacked = torch.stack([channel.contiguous() for channel in volume.channels])[None]
        resized = _scales.rescaled(stacked, scale, (1, 1, 1))[0]
        one = _sliding.predict_volume([labels], list(resized), window, classes, device=device)
        back = torch.nn.functional.interpolate(one.probability[None, None], size=volume.target.shape, mode="trilinear")
        found.append(back[0, 0])
    return found
