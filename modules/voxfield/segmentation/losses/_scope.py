"""Continuity of the shape as a constraint on its graph, after SCOPE (Yeganeh et al., 2023, arXiv 2304.14572).

The paper encodes the continuity of a shape as a graph; its formula is not public, and what follows is our own reading.
The tree is its widened skeleton (`_tube`). Cut into pieces no longer than `node_mm`, it is a graph: the pieces are its
nodes, and its edges are the pieces themselves and every two pieces that touch. Each pair of 26-neighbours (u, v) of
the tube belongs to exactly one edge e, and p(u) p(v) is the probability that it is whole:

    loss = mean over classes and edges e of  1 - mean over pairs (u, v) of e of p(u) p(v).

Every stretch of the tree counts the same however thin it is, where a sum over voxels would let the trunk outvote the
twigs; and a gap costs more than its voxels, since a missing voxel breaks all its pairs. Pieces are cut in mm along
x, y, z, so the graph does not depend on the spacing. What is told outside the tree is left to other terms.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import cc3d
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfield.errors import SettingsError
from voxfield.segmentation.losses._classes import on_tube
from voxfield.segmentation.losses._shifts import HALF, views
from voxfield.segmentation.losses._truth import Truth

Integers = NDArray[np.integer]


@dataclass(frozen=True)
class Scope:
    """One minus the mean continuity of the edges of the annotated tree.

    node_mm  side of the cubes that cut the tree into pieces
    """

    needs_tube: ClassVar[bool] = True
    node_mm: float = 4.0

    def __post_init__(self) -> None:
        if not self.node_mm > 0:
            raise SettingsError(f"regularizer 'scope': node_mm is {self.node_mm:g}; expected a length above 0 mm")

    def __call__(self, logits: Tensor, truth: Truth) -> Tensor:
        """Value, (); 0 for a perfect prediction.

        logits  (b, c, x, y, z), class 0 is background
        """
        inside, _, told = on_tube(logits, truth)
        tube = torch.where(inside, truth.tube, 0).cpu().numpy()
        graph = shape_graph(tube, tuple(max(1.0, self.node_mm / s) for s in truth.spacing_mm))
        first, second, edge, kind = (torch.from_numpy(part).to(told.device) for part in graph)
        whole = told[first] * told[second]
        pairs = torch.bincount(edge, minlength=len(kind)).to(whole.dtype)
        broken = 1 - whole.new_zeros(len(kind)).index_add(0, edge, whole) / pairs
        edges = torch.bincount(kind, minlength=logits.shape[1]).to(whole.dtype)
        by_class = broken.new_zeros(logits.shape[1]).index_add(0, kind, broken) / edges.clamp_min(1)
        return by_class[1:].mean()


class Graph(NamedTuple):
    """Neighbour pairs of a tube by edge.

    first, second  (n,) number of each voxel among those of the tube, in memory order
    edge           (n,) number of the edge that a pair belongs to
    kind           (edges,) class of an edge
    """

    first: Integers
    second: Integers
    edge: Integers
    kind: Integers


def shape_graph(tube: Integers, side: tuple[float, ...]) -> Graph:
    """The graph of the pieces of a tube.

    tube  (b, x, y, z) class index, 0 elsewhere
    side  (3,) voxels of a cube along x, y, z
    """
    node = _pieces(tube, side)
    number = np.cumsum(tube.reshape(-1) > 0).reshape(tube.shape) - 1
    found = []
    for here, there in map(views, HALF):
        pair = (tube[here] > 0) & (tube[here] == tube[there])
        found.append([part[pair] for part in (number[here], number[there], node[here], node[there], tube[here])])
    first, second, one, other, kind = (np.concatenate(parts) for parts in zip(*found, strict=True))
    key = np.minimum(one, other).astype(np.int64) << 32 | np.maximum(one, other)
    _, some, edge = np.unique(key, return_index=True, return_inverse=True)
    return Graph(first, second, edge, kind[some])


def _pieces(tube: Integers, side: tuple[float, ...]) -> Integers:
    """Number the 26-connected pieces of each class in each cube, over the whole batch; 0 outside."""
    along = [np.floor(np.arange(n) / s).astype(np.int32) for n, s in zip(tube.shape[1:], side, strict=True)]
    x, y, z = np.meshgrid(*along, indexing="ij", sparse=True)
    cube = (x * (along[1][-1] + 1) + y) * (along[2][-1] + 1) + z
    label = np.where(tube > 0, cube * (tube.max() + 1) + tube, 0).astype(np.uint32)
    nodes, before = np.zeros(tube.shape, dtype=np.int32), 0
    for case, labels in enumerate(label):
        # One voxel of room: cc3d sizes its tables too small for some arrays of a few voxels.
        pieces, count = cc3d.connected_components(np.pad(labels, 1), connectivity=26, return_N=True)
        nodes[case] = np.where(labels > 0, pieces[1:-1, 1:-1, 1:-1].astype(np.int32) + before, 0)
        before += count
    return nodes
