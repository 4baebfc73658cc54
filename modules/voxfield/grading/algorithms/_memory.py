"""What the teacher of SimMatchV2 remembers of the scans; a change makes a new memory and leaves the old one alone."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from voxfield.grading.components import Labels
from voxfield.grading.losses.ordinal import one_hot

RETAINED = 0.9
"""Of the moving mean of the probabilities, by each batch."""


@dataclass(frozen=True)
class Memory:
    """Embeddings and grades by scan.

    slots   (n,) place of each row of the training set among the m labelled ones, -1 without
    grades  (m, k) one-hot        known  (m, d) embeddings        seen  (m,) whether there is one yet
    bank    (f, d) embeddings of the last unlabelled scans, the last ones first
    guess   (f, k) their aligned probabilities
    mean    (k,) moving mean of the probabilities of unlabelled scans, from evenly spread ones on
    """

    slots: Tensor
    grades: Tensor
    known: Tensor
    seen: Tensor
    bank: Tensor
    guess: Tensor
    mean: Tensor

    @classmethod
    def empty(cls, labels: Labels, width: int) -> "Memory":
        """Nothing seen yet; embeddings will have `width` entries."""
        labelled, count = labels.grades >= 0, labels.count
        slots = torch.where(labelled, torch.cumsum(labelled, 0) - 1, -1)
        grades = one_hot(labels.grades[labelled], count)
        known, seen = torch.zeros(len(grades), width), torch.zeros(len(grades), dtype=torch.bool)
        return cls(slots, grades, known, seen, torch.zeros(0, width), torch.zeros(0, count), torch.ones(count) / count)

    def to(self, device: Any) -> "Memory":
        """The same on a device, but for the slots, which rows on the CPU look up."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "slots"}
        return replace(self, **moved)

    def tensors(self) -> dict[str, Tensor]:
        """What changes as training goes on."""
        return {name: getattr(self, name) for name in ("known", "seen", "bank", "guess", "mean")}

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> "Memory":
        """The same scans with the `tensors` of another moment."""
        return replace(self, **tensors)

    def see(self, rows: Tensor, embeddings: Tensor) -> "Memory":
        """With embeddings (n, d) of labelled rows (n,); of a row that stands there twice, the first."""
        places = torch.arange(len(self.known), device=embeddings.device)
        same = self.slots[rows].to(embeddings.device) == places[:, None]  # (m, n)
        drawn = same.any(1)
        first = same.to(torch.uint8).argmax(1)
        known = torch.where(drawn[:, None], embeddings[first], self.known)
        return replace(self, known=known, seen=self.seen | drawn)

    def align(self, probability: Tensor) -> "tuple[Tensor, Memory]":
        """Probabilities (n, k) over their moving mean, normalised; and the memory with that mean moved on."""
        mean = RETAINED * self.mean + (1 - RETAINED) * probability.mean(0)
        return normalize(probability / mean, p=1, dim=1), replace(self, mean=mean)

    def push(self, embeddings: Tensor, guess: Tensor, size: int) -> "Memory":
        """With unlabelled rows before all others; no more than `size` stay."""
        bank, old = torch.cat([embeddings, self.bank])[:size], torch.cat([guess, self.guess])[:size]
        return replace(self, bank=bank, guess=old)
