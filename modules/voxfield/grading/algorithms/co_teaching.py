"""Two networks that choose each other's labels, on compressed features (Chen et al., "Boosting Co-teaching with
Compression Regularization for Label Noise", 2021, arXiv 2104.13766; co-teaching: Han et al. 2018, arXiv 1804.06872).

Labels that a network finds hard early on are often wrong. Each network ranks the rows by their loss, and the *other*
learns from those of small loss only, so that neither is confirmed in its own errors. The share that is left out grows
from 0 to `forget`, which should be about the share of wrong labels. Nested dropout (Rippel et al. 2014) compresses what
the heads see: only the first k entries of an embedding are kept, k at random, so that what matters most is stored
first and less is left to learn errors with.

Different from the papers:
- rows are ranked within their grade: a small loss across grades would starve the rare ones, whose losses are large
- they are ranked against the last losses of all rows of that grade, since a batch holds a few of each only
- ranks come from the whole embedding and the ordinal loss, whatever the label loss is; one that remembers rows is asked
  by both networks and remembers the two together
- k is drawn evenly, for a share `compressed` of the rows; the others keep the whole embedding, which is what prediction
  sees. The paper draws small k more often and chooses the k of predictions on validation labels
- the moving average of the first network is the result, where the paper averages both

Both learn from every batch. The second network starts from weights of its own, also where the first goes on from a
model: two equal networks would choose alike.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le, Lt
from torch import Tensor

from voxfield.grading.algorithms._consistency import linear_ramp
from voxfield.grading.algorithms.base import Algorithm, Batch, Inputs, Nets
from voxfield.grading.components import Labels, Sizes
from voxfield.grading.losses.ordinal import Ordinal

RANKING = Ordinal()


@dataclass
class CoTeaching(Algorithm):
    """Options of co-teaching.

    forget      share of each grade's rows that is left out in the end
    ramp        share of the training over which that share grows from 0
    compressed  share of the rows that keep the first entries of their embedding only; 0 is plain co-teaching
    """

    forget: Annotated[float, Ge(0), Lt(1)] = 0.2
    ramp: Annotated[float, Ge(0), Le(1)] = 0.3
    compressed: Annotated[float, Ge(0), Le(1)] = 0.5

    def begin(self, labels: Labels, sizes: Sizes) -> Any:
        """The second network."""
        self._grades = labels.grades.cpu()
        self._losses = torch.full((2, len(self._grades)), torch.nan)
        return fresh(sizes.network)

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        inputs = nets.view(batch.labelled, "strong")
        forget = self.forget * linear_ramp(batch.progress, self.ramp)
        networks = (nets.student, nets.parts)
        embeddings = [network.embed(inputs.image, inputs.features) for network in networks]
        easy = []
        for number, (network, embedding) in enumerate(zip(networks, embeddings, strict=True)):
            with torch.no_grad():
                each = RANKING(network.head(embedding), batch.target).cpu()
            easy.append(self._easy(number, each, inputs.rows.cpu(), forget))
        costs = [
            self._cost(network, embedding, batch.target, inputs, chosen, nets)
            for network, embedding, chosen in zip(networks, embeddings, reversed(easy), strict=True)
        ]
        figures = {"supervised": float(costs[0].detach()), "kept": float(easy[1].float().mean())}
        return costs[0] + costs[1], figures

    def _easy(self, number: int, losses: Tensor, rows: Tensor, forget: float) -> Tensor:
        """Which rows (n,) network `number` finds easy; the one of least loss where it finds none."""
        memory = self._losses[number]
        memory[rows] = losses.to(memory)
        grades = self._grades[rows]
        limits = torch.full((int(self._grades.max()) + 1,), torch.nan)
        for grade in grades.unique():
            limits[grade] = torch.nanquantile(memory[self._grades == grade], 1 - forget)
        easy = losses <= limits[grades]
        return easy if easy.any() else losses == losses.min()

    def _cost(
        self, network: Any, embedding: Tensor, target: Tensor, inputs: Inputs, chosen: Tensor, nets: Nets
    ) -> Tensor:
        """Mean label loss of the chosen rows, their embedding compressed."""
        seen = compress(embedding[chosen], self.compressed, nets.generator)
        return nets.label_loss(network.head(seen), target[chosen], inputs.rows[chosen]).mean()

    def tensors(self) -> dict[str, Tensor]:
        """The last loss of each row, of both networks."""
        return {"losses": self._losses}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take them back."""
        self._losses = tensors["losses"].clone()


def fresh(network: Any) -> Any:
    """A network of the same form with weights drawn anew."""
    other = copy.deepcopy(network)
    for module in other.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return other


def compress(embedding: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A share of the rows (n, d) with zeros behind their first k entries, k even in 1..d for each row."""
    count, width = embedding.shape
    kept = torch.randint(1, width + 1, (count, 1), generator=generator)
    whole = torch.rand((count, 1), generator=generator) >= share
    return embedding * ((torch.arange(width) < kept) | whole).to(embedding)
