"""Training the autoencoder of shapes, and what its points are worth."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfield.segmentation._optimise import History, Schedule, optimise, step_generator
from voxfield.segmentation.losses._spanning_tree import distances, spread_loss, topological_loss
from voxfield.segmentation.networks._shape_autoencoder import ShapeAutoencoder
from voxfield.workspace import Workspace

NEIGHBOURS = 5


def fit(
    shapes: NDArray[np.float32],
    latent: int,
    batch: int,
    weights: tuple[float, float],
    schedule: Schedule,
    *,
    seed: int,
    device: torch.device,
    workspace: Workspace,
    progress: Callable[[Sequence[int]], Any] = iter,
) -> tuple[ShapeAutoencoder, History]:
    """Train on shapes (n, s, s, s).

    weights  of the topological term and of the spread
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ShapeAutoencoder(shapes.shape[-1], latent)
    volumes = torch.from_numpy(shapes)[:, None]

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        chosen = torch.randperm(len(volumes), generator=step_generator(seed, step))[:batch]
        inputs = volumes[chosen].to(device)
        points = network.encode(inputs)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(network.decode(points), inputs)
        terms = {"base": entropy}
        if weights[0]:
            terms["topology"] = topological_loss(inputs, points, network.log_scale)
        if weights[1]:
            terms["spread"] = spread_loss(points)
        scales = {"base": 1.0, "topology": weights[0], "spread": weights[1]}
        total = torch.stack([scales[name] * value for name, value in terms.items()]).sum()
        return total, {name: float(value.detach()) for name, value in terms.items()}

    history = optimise(network, loss_of, schedule, device=device, workspace=workspace, progress=progress)
    return network, history


def describe(
    network: ShapeAutoencoder, shapes: NDArray[np.float32], device: torch.device
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Points (n, k), Dice of each decoded shape (n,), and the share of nearest shapes that are nearest points too."""
    volumes = torch.from_numpy(shapes)[:, None]
    with torch.inference_mode():
        points = torch.cat([network.encode(part.to(device)).cpu() for part in volumes.split(64)])
        decoded = torch.cat([(network.decode(part.to(device)) > 0).cpu() for part in points.split(64)])
    truth = volumes > 0.5
    overlap = (decoded & truth).flatten(1).sum(1)
    size = (decoded.flatten(1).sum(1) + truth.flatten(1).sum(1)).clamp_min(1)
    kept = _shared_neighbours(distances(volumes), distances(points))
    return points.double().numpy(), (2 * overlap / size).double().numpy(), kept


def _shared_neighbours(first: Tensor, second: Tensor) -> float:
    k = min(NEIGHBOURS, len(first) - 2)
    near = [(d + torch.diag(torch.full((len(d),), torch.inf))).topk(k, largest=False).indices for d in (first, second)]
    shared = (near[0][:, :, None] == near[1][:, None, :]).any(-1)
    return float(shared.float().mean())
