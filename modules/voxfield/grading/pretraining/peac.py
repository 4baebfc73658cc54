"""The same anatomy in two crops of an image should look the same to the network: PEAC.

Zhou et al., "Learning Anatomically Consistent Embedding for Chest Radiography", BMVC 2023 (arXiv 2312.00335): a student
and its moving average, the teacher, see two crops of an image on one grid, in different views, and agree

    global   D(q(z1), t(z2)),  of whole crops
    local    the mean of D(q(u1), t(u2)) over the cells of the overlap, which correspond one to one (see `crops`)
    D(a, b) = |a/|a| - b/|b||^2 = 2 - 2 cos(a, b)

both ways round, with projections of the pooled crop z and of cells of the maps u. The loss is their sum.

Different here: the paper's transformers also restore the order and the look of shuffled patches, tasks for networks
that see patches one by one; these are left out. What keeps student and teacher from agreeing on a constant is a
predictor q on the student's side alone and normalisation over the batch in the projections (Grill et al. 2020,
"Bootstrap Your Own Latent", NeurIPS); `spread` tells whether it did. Views differ in intensity alone: turning and
scaling would take the cells off the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxfield.grading.algorithms.base import Algorithm, Batch, Nets
from voxfield.grading.augment import mirror_images, strong, view_images
from voxfield.grading.components import Labels, Sizes
from voxfield.grading.pretraining.crops import Crops

VIEW = replace(strong(0.0, 0.0, 0.0), rotation=0.0, shift=0.0, cutout=0.0)


@dataclass
class Peac(Algorithm):
    """What a step of pre-training costs; labels are not looked at.

    crops    of the images
    cell     entries of a cell of the maps     crop  entries of a pooled crop
    mirror   spatial axes along which both crops of an image may be mirrored
    width    of the projections
    """

    crops: Crops
    cell: int
    crop: int
    mirror: Sequence[int] = ()
    width: int = 64

    def begin(self, labels: Labels, sizes: Sizes) -> Any:
        """Projections and predictors, which are thrown away in the end."""
        return nn.ModuleDict(
            {
                "cell": perceptron(self.cell, self.width),
                "cell_predictor": perceptron(self.width, self.width),
                "crop": perceptron(self.crop, self.width),
                "crop_predictor": perceptron(self.width, self.width),
            }
        )

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        images = mirror_images(batch.labelled.image, self.mirror, nets.generator)
        first, second, shift = self.crops.draw(images.shape[2:], len(images), nets.generator)
        both = torch.cat([self.crops.cut(images, corners) for corners in (first, second)])
        views = view_images(both, VIEW, (), nets.generator)
        cells, crops = self._project(nets.student, nets.parts, views, shift)
        with torch.no_grad():
            wanted_cells, wanted_crops = self._project(nets.teacher, nets.teacher_parts, views, shift)
        local = distance(nets.parts["cell_predictor"](cells), swapped(wanted_cells)).mean()
        whole = distance(nets.parts["crop_predictor"](crops), swapped(wanted_crops)).mean()
        figures = {"global": float(whole.detach()), "local": float(local.detach()), "spread": spread(wanted_crops)}
        return whole + local, figures

    def _project(self, network: Any, parts: Any, views: Tensor, shift: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Projections of the overlap's cells (2 n cells, w) and of crops (2 n, w), those of the first crops first."""
        maps = network.trunk(views)
        first, second = maps.chunk(2)
        back = [-s for s in shift]
        cells = torch.cat([self.crops.overlap(first, shift), self.crops.overlap(second, back)])
        return parts["cell"](cells.flatten(0, 1)), parts["crop"](network.pool(maps))


def distance(said: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance of the unit vectors, (n,) from (n, w): 0 for one direction, 4 for opposite ones."""
    return 2 - 2 * functional.cosine_similarity(said, wanted, dim=1)


def swapped(rows: Tensor) -> Tensor:
    """The second half of the rows, then the first."""
    first, second = rows.chunk(2)
    return torch.cat([second, first])


def spread(projections: Tensor) -> float:
    """Standard deviation of unit vectors (n, w) over the batch, times sqrt(w): 1 in all directions, 0 in one."""
    unit = functional.normalize(projections.detach(), dim=1)
    return float(unit.var(0, correction=0).sum().sqrt())


def perceptron(width: int, wide: int) -> Any:
    """One hidden layer, normalised over the batch by the batch's own moments in student and teacher alike."""
    norm = nn.BatchNorm1d(2 * wide, track_running_stats=False)
    return nn.Sequential(nn.Linear(width, 2 * wide), norm, nn.ReLU(), nn.Linear(2 * wide, wide))
