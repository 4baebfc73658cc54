"""Fitting the field to what was drawn, from coarse to fine.

OReX (arXiv 2211.12886): the cross entropy of the estimates of *all* rounds, so that early rounds hold the coarse shape;
samples ever nearer to the contours, whose own points are half inside (section 3, hierarchical sampling); and a hinge
on the gradient, |grad f| <= a near contours, against ripples (the regularization section),

    L = mean_i CE(f_i, y) + w mean max(|grad f_T| / a - 1, 0).

Ours, because masks are voxels and not polygons: samples are annotated voxel centres, level k drawing from those within
2^-k of the farthest one from a contour; a is 2 logits per voxel edge that a contour crosses; Fourier features end at a
wavelength of about four times the widest gap between planes (finer ones would be free to ripple between them); the
shape ends beyond the outer planes as `_beyond` says; and foreground farther from all foreground drawn than the widest
gap is not believed: the field says background there.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional

from voxfield.segmentation._optimise import Schedule, step_generator
from voxfield.segmentation.slices._annotated import Annotated, Floats
from voxfield.segmentation.slices._beyond import background_beyond
from voxfield.segmentation.slices._field import Field, with_background

BATCH = 512  # drawn voxels of a step; contour points, and points beyond the planes, are an eighth of it each
LEARNING_RATE = 1e-2
LEVELS = 4  # of sampling, from all voxels near the shape to those at its contours
ANYWHERE = 0.25  # share of a batch that is drawn regardless of the contours, at every level
HINGE_WEIGHT = 0.2
HINGE_SLOPE = 2.0  # logits per voxel edge
LARGEST_BANDS = 6
BLOCK = 65_536  # points that are evaluated at a time


@dataclass(frozen=True)
class Fitted:
    """A field and where it may be asked.

    centre, scale_mm  field coordinates are (x - centre) / scale_mm
    shape             the foreground drawn, for distances
    gap_mm            beyond this distance from it everything is background
    """

    field: Field
    centre: Floats
    scale_mm: float
    shape: cKDTree
    gap_mm: float

    def probabilities(self, points: Floats) -> NDArray[np.float32]:
        """Class probabilities (n, 1 + labels) at world points (n, 3), block by block."""
        result = np.zeros((len(points), 1 + self.field.labels), dtype=np.float32)
        result[:, 0] = 1
        device = self.field.first_state.device
        for start in range(0, len(points), BLOCK):
            block = points[start : start + BLOCK]
            near = np.flatnonzero(np.isfinite(_distances(self.shape, block, self.gap_mm)))
            inputs = torch.from_numpy((block[near] - self.centre) / self.scale_mm).float().to(device)
            with torch.no_grad():
                logits = with_background(self.field(inputs)[-1])
            result[start + near] = logits.softmax(dim=1).cpu().numpy()
        return result


def prepare(annotated: Annotated, labels: int, seed: int) -> Fitted:
    """An untrained field around what was drawn; weights follow from `seed`."""
    foreground = annotated.points[annotated.classes > 0]
    low, high = foreground.min(axis=0), foreground.max(axis=0)
    gap = widest_gap_mm(annotated)
    scale = float((high - low).max() / 2 + gap)
    bands = min(LARGEST_BANDS, max(1, round(math.log2(2 * scale / gap))))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = Field(labels, bands)
    return Fitted(field, (low + high) / 2, scale, cKDTree(foreground), gap)


def widest_gap_mm(annotated: Annotated) -> float:
    """The farthest that foreground of a plane lies from any point of another plane; of one plane, its own width."""
    foreground = annotated.points[annotated.classes > 0]
    low, high = foreground.min(axis=0), foreground.max(axis=0)
    width = float((high - low).max())
    near = annotated.keep(((annotated.points >= low - width) & (annotated.points <= high + width)).all(axis=1))
    gaps = [0.0]
    for plane in near.plane_numbers:
        own = near.planes == plane
        inside = own & (near.classes > 0)
        if inside.any() and not own.all():
            gaps.append(float(_distances(cKDTree(near.points[~own]), near.points[inside]).max()))
    return max(gaps) or width or 1.0


def _distances(tree: cKDTree, points: Floats, limit_mm: float = math.inf) -> Floats:
    """Distance (n,) of points (n, 3) to the nearest of the tree, infinite beyond a limit."""
    found, _ = tree.query(points, distance_upper_bound=limit_mm * (1 + 1e-9))
    return np.asarray(found, dtype=np.float64)


class Samples:
    """Points, targets and contours of one fit, in field coordinates, and how they are chosen.

    Points farther than two gaps from the foreground are left out: the field is never asked so far away.
    """

    def __init__(self, annotated: Annotated, fitted: Fitted, seed: int, device: torch.device) -> None:
        near = annotated.keep(np.isfinite(_distances(fitted.shape, annotated.points, 2 * fitted.gap_mm)))
        ends = near.points[near.edges]
        middles = ends.mean(axis=1)
        self.edge = float(np.median(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1))) / fitted.scale_mm
        distance = _distances(cKDTree(middles), near.points)
        farthest = distance.max()
        reaches = [max(farthest / 2**k, 1.5 * self.edge * fitted.scale_mm) for k in range(LEVELS)]
        self.levels = [torch.from_numpy(np.flatnonzero(distance <= reach)) for reach in reaches]
        beyond = background_beyond(annotated, fitted.gap_mm, np.random.default_rng(seed))
        classes = np.concatenate([near.classes, np.zeros(len(beyond), dtype=np.int64)])
        points = (np.concatenate([near.points, beyond]) - fitted.centre) / fitted.scale_mm
        self.targets = torch.eye(1 + fitted.field.labels)[torch.from_numpy(classes)].to(device)
        self.points = torch.from_numpy(points).float().to(device)
        self.edges = torch.from_numpy(near.edges)
        self.drawn, self.beyond = torch.arange(len(near.points)), torch.arange(len(near.points), len(points))
        self.gap = fitted.gap_mm / fitted.scale_mm

    def draw(self, level: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Points (b, 3) and class probabilities (b, 1 + labels) of one step, all levels up to `level` alike."""
        anywhere = int(BATCH * ANYWHERE)
        index = [_some(self.drawn, anywhere, generator), _some(self.beyond, BATCH // 8, generator)]
        index += [_some(self.levels[k], (BATCH - anywhere) // (level + 1), generator) for k in range(level + 1)]
        edges = _some(self.edges, BATCH // 8, generator)
        chosen = torch.cat(index)
        return (
            torch.cat([self.points[chosen], self.points[edges].mean(dim=1)]),
            torch.cat([self.targets[chosen], self.targets[edges].mean(dim=1)]),
        )

    def around(self, level: int, generator: torch.Generator) -> Tensor:
        """Points (b, 3) on contours and off the planes near them, where slopes are bounded."""
        edges = _some(self.edges, BATCH // 8, generator)
        near = _some(self.levels[level], BATCH // 8, generator)
        aside = torch.randn(len(near), 3, generator=generator) * self.gap / 3
        return torch.cat([self.points[edges].mean(dim=1), self.points[near] + aside.to(self.points.device)])


def _some(items: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Items drawn with replacement; none of none."""
    return items[torch.randint(len(items), (count,), generator=generator)] if len(items) else items


def fit(annotated: Annotated, fitted: Fitted, *, steps: int, seed: int, device: torch.device) -> None:
    """Train the field in place; all that is random in a step follows from (seed, step)."""
    field = fitted.field.to(device).train()
    samples = Samples(annotated, fitted, seed, device)
    schedule = Schedule(steps, LEARNING_RATE, checkpoint_every=steps)
    optimiser = torch.optim.Adam(field.parameters(), lr=LEARNING_RATE)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        level = step * LEVELS // steps
        generator = step_generator(seed, step)
        loss = _misfit(field, *samples.draw(level, generator))
        loss = loss + HINGE_WEIGHT * _hinge(field, samples.around(level, generator), HINGE_SLOPE / samples.edge)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    field.eval()


def _misfit(field: Field, points: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy, mean over points and rounds."""
    rounds = [functional.cross_entropy(with_background(logits), targets) for logits in field(points)]
    return torch.stack(rounds).mean()


def _hinge(field: Field, points: Tensor, slope: float) -> Tensor:
    """How far the gradient of a logit exceeds `slope`, relative to it; with several labels each takes its turn."""
    points.requires_grad_()
    logits = field(points)[-1]
    turn = torch.arange(len(points), device=points.device)[:, None] % field.labels
    (gradient,) = torch.autograd.grad(logits.gather(1, turn).sum(), points, create_graph=True)
    return functional.relu(gradient.norm(dim=1) - slope).mean() / slope
