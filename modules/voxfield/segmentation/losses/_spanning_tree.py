"""Terms on the minimum spanning tree of a cloud: topological autoencoder and T-REGS.

The 0-dimensional Vietoris-Rips persistence pairs of a cloud are the edges of its minimum spanning tree.

Topological autoencoder (Moor et al., ICML 2020, arXiv 1906.00722): with the distances D_X of the inputs, divided by
their maximum, the distances D_Z of the latent points, divided by a learned scale, and their trees pi_X and pi_Z,

    L = 1/n [ sum_{(i, j) in pi_X} (D_X - D_Z)_ij^2 + sum_{(i, j) in pi_Z} (D_Z - D_X)_ij^2 ]

T-REGS (Mordacq et al., NeurIPS 2025, arXiv 2510.23484): the longer the tree, the more evenly the points fill their
space, so that a representation does not collapse; a second term keeps the points near the unit sphere,

    L_E = - 1/n sum_{(i, j) in pi_Z} |z_i - z_j|,      L_S = 1/n sum_i (|z_i| - 1)^2

Different from both: trees come from SciPy, not from a scan over all pairs in Python. Where two edges are equally long
the tree is not unique, and either choice is a subgradient.
"""

import numpy as np
import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor


def spanning_edges(distance: Tensor) -> Tensor:
    """Edges (n - 1, 2) of the minimum spanning tree of points with distances (n, n)."""
    matrix = distance.detach().double().cpu().numpy()
    # SciPy takes 0 for "no edge": points that coincide are joined by the smallest number there is.
    weights = np.triu(np.maximum(matrix, np.finfo(np.float64).tiny), 1)
    tree = minimum_spanning_tree(weights).tocoo()
    return torch.from_numpy(np.stack([tree.row, tree.col], axis=1).astype(np.int64)).to(distance.device)


def distances(points: Tensor) -> Tensor:
    """Euclidean distances (n, n) of points (n, ...)."""
    flat = points.flatten(1)
    return torch.cdist(flat, flat)


def topological_loss(inputs: Tensor, latent: Tensor, log_scale: Tensor) -> Tensor:
    """How differently the trees of inputs and latent points are long, ().

    inputs     (n, ...), n >= 2
    latent     (n, k), differentiable
    log_scale  () logarithm of the scale of latent distances, learned with the encoder
    """
    ours = distances(latent) / log_scale.exp()
    theirs = distances(inputs)
    theirs = theirs / theirs.max().clamp_min(torch.finfo(theirs.dtype).tiny)
    edges = torch.cat([spanning_edges(theirs), spanning_edges(ours)])
    i, j = edges.T
    return (theirs[i, j] - ours[i, j]).square().sum() / len(inputs)


def spread_loss(latent: Tensor, sphere: float = 1.0) -> Tensor:
    """T-REGS: minus the length of the tree per point, plus `sphere` times the squared distance to the unit sphere, ().

    latent  (n, k), n >= 2, differentiable
    """
    i, j = spanning_edges(distances(latent)).T
    length = (latent[i] - latent[j]).norm(dim=1).sum() / len(latent)
    return sphere * (latent.norm(dim=1) - 1).square().mean() - length
