"""A scan through one or several networks and back to the scan's own grid."""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxfield.errors import InputError
from voxfield.segmentation import _inputs, _preprocess, _sliding
from voxfield.segmentation._plan import PERCENTILES, Plan
from voxfield.segmentation.networks import multiple

Progress = Callable[[list[int]], Iterable[int]]
Member = Callable[[Tensor], Tensor]


class Segmented(NamedTuple):
    """Result of `segment`.

    probability  (x, y, z) float32 in [0, 1], of any foreground
    label        (x, y, z) uint8, most probable foreground class, from 1, also where foreground is improbable
    spread       (x, y, z) float32, standard deviation of the probability between members; None for a single one
    percentiles  of the network's input, at `PERCENTILES`
    frame        between the scan and the model
    retreats     what was given up for want of memory, in words; empty where it sufficed
    """

    probability: NDArray[np.float32]
    label: NDArray[np.uint8]
    spread: NDArray[np.float32] | None
    percentiles: list[float]
    frame: _preprocess.Frame
    retreats: list[str]


def segment(
    data: NDArray[np.float32],
    affine: NDArray[np.float64],
    networks: Sequence[tuple[nn.Module, Plan]],
    *,
    overlap: float,
    flips: bool,
    device: torch.device,
    lung: NDArray[np.integer] | None = None,
    progress: Progress | None = None,
) -> Segmented:
    """Segment one volume.

    data      (x, y, z) finite, any intensity unit
    affine    (4, 4) voxel index to world, mm
    networks  in evaluation mode, with their plans, which differ in weights and normalisation only
    flips     whether to average over the mirror images along every axis too
    lung      (x, y, z), where the plans want it
    """
    plan = networks[0][1]
    frame = _preprocess.frame(data.shape, affine, plan.spacing_mm)
    moments = _preprocess.moments(data)
    terms = [p.normalisation.terms(moments) for _, p in networks]
    normalised = plan.normalisation.apply(data)
    seen = _preprocess.percentiles(normalised, PERCENTILES)
    channels = _inputs.of_scan(normalised, frame, plan.extras, lung)
    turns = _turns(frame.shape) if flips else [()]
    members = [
        _member(network, _relative(own, terms[0]), turn)
        for (network, _), own in zip(networks, terms, strict=True)
        for turn in turns
    ]
    modules = [network for network, _ in networks]
    with torch.inference_mode():
        found, retreats = _within_memory(modules, members, channels, plan, overlap, device, progress)
        probability = frame.from_model(found.probability).clamp_(0, 1)
        label = frame.labels_from_model(found.label)
        spread = None if found.spread is None else frame.from_model(found.spread).numpy()
    if not bool(torch.isfinite(probability).all()):
        raise InputError("the network's output is not finite for this scan; its weights are unusable: train it again")
    return Segmented(probability.numpy(), label.numpy(), spread, seen, frame, retreats)


def _turns(shape: Sequence[int]) -> list[tuple[int, ...]]:
    """All sets of axes of (b, c, x, y, z) that can be mirrored; an axis of one voxel can not."""
    free = [axis for axis, n in enumerate(shape, start=2) if n > 1]
    choices = product((False, True), repeat=len(free))
    return [tuple(axis for axis, chosen in zip(free, choice, strict=True) if chosen) for choice in choices]


def _relative(own: tuple[float, float], first: tuple[float, float]) -> tuple[float, float]:
    """Factor and shift from intensities normalised by the first model's centre and scale to those of another's."""
    return first[1] / own[1], (first[0] - own[0]) / own[1]


def _member(network: nn.Module, intensity: tuple[float, float], turn: tuple[int, ...]) -> Member:
    """A network that sees the scan with its own normalisation, mirrored."""
    factor, shift = intensity

    def member(parts: Tensor) -> Tensor:
        if (factor, shift) != (1.0, 0.0):
            parts = torch.cat([parts[:, :1] * factor + shift, parts[:, 1:]], dim=1)
        logits: Tensor = network(parts.flip(turn)).flip(turn)
        return logits

    return member


def _within_memory(
    networks: Sequence[nn.Module],
    members: Sequence[Member],
    channels: Sequence[Tensor],
    plan: Plan,
    overlap: float,
    device: torch.device,
    progress: Progress | None,
) -> tuple[_sliding.Voxels, list[str]]:
    """Windows of the training patch's size; too large for a GPU's memory, smaller ones, and at last the CPU."""
    retreats: list[str] = []
    attempts = [(device, window) for window in _windows(plan)]
    if device.type != "cpu":
        attempts.append((torch.device("cpu"), plan.patch))
    for place, window in attempts:
        for network in networks:
            network.to(place)
        try:
            found = _sliding.predict_volume(
                members, channels, window, len(plan.labels) + 1, overlap=overlap, device=place, progress=progress
            )
        except torch.OutOfMemoryError:
            retreats.append(f"windows of {window} voxels do not fit into the memory of {place}")
            continue
        return found, retreats
    raise torch.OutOfMemoryError(retreats[-1])


def _windows(plan: Plan) -> list[tuple[int, int, int]]:
    """The patch of training, then half of it as long as the network can take it."""
    sides = multiple(plan.architecture, plan.arguments)
    found = [plan.patch]
    while True:
        smaller = tuple(
            max(-(-n // (2 * side)) * side, 2 * side) if n > 1 else n for n, side in zip(found[-1], sides, strict=True)
        )
        if smaller == found[-1] or any(s > n for s, n in zip(smaller, found[-1], strict=True)):
            return found
        found.append((smaller[0], smaller[1], smaller[2]))
