"""The same anatomy in two scans should look the same to the network.

Jiang et al., "Anatomical Invariance Modeling and Semantic Alignment for Self-supervised Learning in 3D Medical Image
Analysis" (Alice), ICCV 2023 (arXiv 2302.05615): patches of two scans that show the same part of the body are a positive
pair of a contrastive loss,

    L = - mean_i log [ exp(q_i . k_i / t) / sum_j exp(q_i . k_j / t) ]

with the student's embeddings q of one scan's regions and the teacher's embeddings k of the other's. The paper finds the
matching patch by an embedding that was pre-trained for it. Different here, since no weights ship: scans of one body
part in RAS order correspond roughly by their relative coordinates, and among a few candidates around the corresponding
place the one whose embedding (the teacher's) is closest is taken. The paper's semantic alignment module is left out.
"""

import torch
from torch import Tensor

TEMPERATURE = 0.2
REGIONS = 2  # along each axis of a patch


def regions(embedding: Tensor) -> Tensor:
    """Unit vectors of the regions of a patch, (b, e, x, y, z) -> (b, regions, e)."""
    sides = [min(REGIONS, n) for n in embedding.shape[2:]]
    pooled = torch.nn.functional.adaptive_avg_pool3d(embedding, sides).flatten(2).transpose(1, 2)
    return torch.nn.functional.normalize(pooled, dim=-1)


def closest(wanted: Tensor, candidates: Tensor) -> Tensor:
    """Number of the candidate whose regions agree best with those of `wanted`.

    wanted      (regions, e) unit vectors
    candidates  (m, regions, e) unit vectors
    """
    return (candidates * wanted).sum(dim=(1, 2)).argmax()


def contrast(queries: Tensor, keys: Tensor) -> Tensor:
    """Contrastive loss of regions that correspond, (); all other regions of the batch are negatives.

    queries  (b, regions, e) unit vectors, differentiable
    keys     (b, regions, e) unit vectors
    """
    q, k = queries.flatten(0, 1), keys.flatten(0, 1)
    return torch.nn.functional.cross_entropy(q @ k.T / TEMPERATURE, torch.arange(len(q), device=q.device))
