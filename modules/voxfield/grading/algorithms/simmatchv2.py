"""SimMatchV2 (Zheng et al. 2023, arXiv 2308.06692): a graph of scans agrees with itself under strong views.

Nodes are scans with their grades p; edges are the similarities of their embeddings e, which a projection head makes of
what the head sees, of unit length. The teacher, a moving average of network and projection, sees weak views and keeps
two memories: the embedding of every labelled scan, and embedding U and p of the last unlabelled ones. With S the
similarities over `temperature`, softmax along each row:

    alignment  p <- p / d, normalised, with d a moving mean of p: as many scans of one grade as of any other
    edge-node  q: first row of (1 - a) (I - a S)^-1 on [p; grades], S among the scan and its nearest labelled ones,
               without self-edges, a = `spread`
    node-node  max p >= threshold: CE(q, p of the student's strong view)
    edge-edge  CE(softmax(e_weak U), softmax(e_strong U))
    node-edge  CE(p, sum_j softmax(e_strong U)_j p_j)
    loss       that of the labelled, plus the last three, weighted; means over all unlabelled

Targets, memories and d carry no gradient; memories are replaced, never written into, and hold only what was seen: a
labelled scan that no batch has drawn yet is no neighbour, and before the first unlabelled ones are remembered there are
no edges. Features are normalised (mean 0, variance 1 of each embedding) before the head and before the projection.

Different here: one strong view instead of six crops, labelled rows in strong views, and smaller weights and memory,
since batches and sets are smaller. Alignment assumes that the unlabelled scans hold as many of each grade; where one
knows that they do not, another algorithm is the better choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn
from torch.nn.functional import normalize

from voxfield.grading.algorithms._memory import Memory
from voxfield.grading.algorithms.base import Algorithm, Batch, Nets, figures, forward
from voxfield.grading.algorithms.supervised import Supervised
from voxfield.grading.components import Labels, Sizes
from voxfield.grading.losses.ordinal import cross_entropy


@dataclass
class SimMatchV2(Algorithm):
    """Options of SimMatchV2.

    node_node, edge_edge, node_edge  weights
    threshold    mass of the most likely grade that accepts a target     temperature  of the similarities
    spread       a of the propagation: 0 leaves p as it is               neighbours   labelled scans in a graph
    memory       unlabelled scans that are remembered                    projection   width of an embedding
    """

    unlabelled_ratio: Annotated[int, Ge(0)] = 2
    node_node: Annotated[float, Ge(0)] = 1.0
    edge_edge: Annotated[float, Ge(0)] = 0.5
    node_edge: Annotated[float, Ge(0)] = 0.5
    threshold: Annotated[float, Ge(0), Le(1)] = 0.7
    temperature: Annotated[float, Gt(0)] = 0.1
    spread: Annotated[float, Ge(0), Lt(1)] = 0.1
    neighbours: Annotated[int, Ge(1)] = 128
    memory: Annotated[int, Ge(1)] = 1024
    projection: Annotated[int, Ge(1)] = 128

    normalised_embedding = True

    def begin(self, labels: Labels, sizes: Sizes) -> Any:
        """The projection head, and empty memories."""
        self.remembered = Memory.empty(labels, self.projection)
        return Projection(sizes.embedding, self.projection)

    def tensors(self) -> dict[str, Tensor]:
        """The memories."""
        return self.remembered.tensors()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The memories of a checkpoint."""
        self.remembered = self.remembered.with_tensors(tensors)

    def loss(self, batch: Batch, nets: Nets) -> tuple[Tensor, dict[str, float]]:
        """See the module."""
        if batch.unlabelled is None:
            return Supervised().loss(batch, nets)
        memory = self.remembered.to(batch.target.device)
        labelled, strong = nets.view(batch.labelled, "strong"), nets.view(batch.unlabelled, "strong")
        with torch.no_grad():
            views = nets.view(batch.labelled, "weak"), nets.view(batch.unlabelled, "weak")
            known, weak = forward(nets.teacher.embed, *views)
            aligned, memory = memory.see(labelled.rows, nets.teacher_parts(known)).align(nets.teacher.head(weak).exp())
            weak = nets.teacher_parts(weak)
            target = self._propagate(weak, aligned, memory)
        known, unknown = forward(nets.student.embed, labelled, strong)
        supervised = nets.label_loss(nets.student.head(known), batch.target, labelled.rows).mean()
        accepted = (aligned.amax(1) >= self.threshold).to(aligned.dtype)
        nodes = (accepted * cross_entropy(nets.student.head(unknown), target)).mean()
        edges, across = self._edges(nets.parts(unknown), weak, aligned, memory)
        self.remembered = memory.push(weak, aligned, self.memory)
        total = supervised + self.node_node * nodes + self.edge_edge * edges + self.node_edge * across
        told = figures(supervised=supervised, node_node=nodes, edge_edge=edges, node_edge=across)
        return total, told | figures(accepted=accepted.mean())

    def _propagate(self, weak: Tensor, aligned: Tensor, memory: Memory) -> Tensor:
        """Targets (n, k) of unlabelled rows: their own grades and those of the nearest labelled ones."""
        embeddings, grades = memory.known[memory.seen], memory.grades[memory.seen]
        near = (weak @ embeddings.T).topk(min(self.neighbours, len(embeddings))).indices
        nodes = torch.cat([weak[:, None], embeddings[near]], dim=1)  # (n, 1 + neighbours, d)
        own = torch.eye(nodes.shape[1], dtype=torch.bool, device=nodes.device)
        similar = torch.softmax((nodes @ nodes.mT / self.temperature).masked_fill(own, -torch.inf), dim=2)
        # The first row alone: (I - a S)^T x = e_0, and the shares are (1 - a) x.
        first = own[0].to(nodes.dtype).expand(len(nodes), -1)
        shares = (1 - self.spread) * torch.linalg.solve(own.to(nodes.dtype) - self.spread * similar.mT, first)
        return torch.einsum("nj,njk->nk", shares, torch.cat([aligned[:, None], grades[near]], dim=1))

    def _edges(self, strong: Tensor, weak: Tensor, aligned: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Edge-edge and node-edge loss; both 0 while no unlabelled row is remembered."""
        if not len(memory.bank):
            return strong.new_zeros(()), strong.new_zeros(())
        said = torch.log_softmax(strong @ memory.bank.T / self.temperature, dim=1)
        wanted = torch.softmax(weak @ memory.bank.T / self.temperature, dim=1)
        among = (said.exp() @ memory.guess).clamp_min(torch.finfo(said.dtype).tiny).log()
        return cross_entropy(said, wanted).mean(), cross_entropy(among, aligned).mean()


class Projection(nn.Module):  # type: ignore[misc]
    """Two layers on the normalised embedding, to unit length."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, out))

    def forward(self, embedding: Tensor) -> Tensor:
        """(n, width) to (n, out)."""
        return normalize(self.layers(embedding), dim=1)
