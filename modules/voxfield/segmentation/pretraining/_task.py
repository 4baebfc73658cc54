"""One step of pre-training: hide, tell, foresee, align."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxfield.segmentation._optimise import layout, mixed_precision, step_generator
from voxfield.segmentation.pretraining import _alignment, _masking, _views
from voxfield.segmentation.pretraining._siblings import Siblings
from voxfield.sharing import shared

CANDIDATES = 4


@dataclass(frozen=True)
class Task:
    """What is learnt from scans without labels.

    scans   channels of each scan on the model's grid, each (x, y, z)
    patch   (3,) voxels
    batch   pairs of patches of a step
    cell    voxels along each side of a hidden cell
    share   of the cells that are hidden
    align   weight of the contrastive loss
    steps   of the whole training
    """

    scans: Sequence[Sequence[Tensor]]
    patch: tuple[int, int, int]
    batch: int
    cell: int
    share: float
    align: float
    steps: int

    def loss(self, both: Siblings, step: int, seed: int, device: torch.device) -> tuple[Tensor, dict[str, float]]:
        """Loss () of a step and its parts."""
        generator = step_generator(seed, step)
        both.follow()
        first, second = self._pairs(both, generator, device)
        with mixed_precision(device):
            foreseen, _ = both.teach(first)
            easy = _masking.cells(foreseen.float(), self.cell)
            hidden = _masking.hide(easy, self.share, step / self.steps, generator)
            shown = first * ~_masking.spread(hidden, first[:, 0].shape, self.cell)[:, None]
            outputs = shared(both.student, shown).float()
            keys = _alignment.regions(both.teach(second)[1].float())
        tell, error = _masking.told(first[:, 0], outputs[:, 0], hidden, self.cell)
        foresee = _masking.foresight_loss(_masking.cells(outputs[:, 1], self.cell), error, hidden)
        align = _alignment.contrast(_alignment.regions(outputs[:, 2:]), keys)
        parts = {"tell": tell, "foresee": foresee, "align": align}
        return tell + foresee + self.align * align, {name: float(v.detach()) for name, v in parts.items()}

    def _pairs(self, both: Siblings, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """Patches of scans, and of other scans at the same anatomy: twice (b, channels, x, y, z)."""
        firsts, seconds = [], []
        for _ in range(self.batch):
            one, other = self._two(generator)
            place = torch.rand(3, generator=generator)
            patch = _views.cut(self.scans[one], place, self.patch)
            places = _views.around(place, CANDIDATES if other != one else 1, generator)
            candidates = torch.stack([_views.cut(self.scans[other], p, self.patch) for p in places])
            chosen = self._best(both, patch, candidates, device)
            firsts.append(_views.vary(patch, generator))
            seconds.append(_views.vary(candidates[chosen], generator))
        form = layout(both)
        return (
            torch.stack(firsts).to(device=device, memory_format=form),
            torch.stack(seconds).to(device=device, memory_format=form),
        )

    def _two(self, generator: torch.Generator) -> tuple[int, int]:
        """Two scans, different ones where there are two."""
        n = len(self.scans)
        one = int(torch.randint(n, (1,), generator=generator))
        if n == 1:
            return one, one
        step = 1 + int(torch.randint(n - 1, (1,), generator=generator))
        return one, (one + step) % n

    def _best(self, both: Siblings, patch: Tensor, candidates: Tensor, device: torch.device) -> int:
        if len(candidates) == 1:
            return 0
        with mixed_precision(device):
            _, embedding = both.teach(torch.cat([patch[None], candidates]).to(device))
        found = _alignment.regions(embedding.float())
        return int(_alignment.closest(found[0], found[1:]))
