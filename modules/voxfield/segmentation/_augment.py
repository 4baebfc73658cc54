"""Random deformation and random intensity of training patches.

Elastic deformation (Cicek et al., MICCAI 2016, arXiv 1606.06650: B-splines on a coarse control grid):
displacements at control points `spacing` voxels apart are normal, and the displacement of a voxel is their
tensor product with cubic B-splines B_0..B_3,

    u(x) = sum_{i,j,k} B_i(x_1) B_j(x_2) B_k(x_3) c_{ijk}.

Control displacements are held below 0.4 spacings along each axis; the bound 0.48 of Choi and Lee (Graph.
Models 2000) for uniform cubic B-splines then makes every deformation one-to-one: no vessel is folded onto
itself. Image, label and weight are read at the same deformed positions: linearly for the image, nearest for
the label.

Every random number comes from a generator on the CPU, so that a step's patches do not depend on the device.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

UNANNOTATED = 255  # class index of voxels that nobody looked at; outside the volume as well


def bspline_basis(n: int, spacing: float) -> Tensor:
    """Cubic B-spline values at n voxels of control points `spacing` voxels apart: (n, m), rows sum to 1."""
    t = torch.arange(n, dtype=torch.float64) / spacing
    cell = t.floor().long()
    u = t - cell
    values = torch.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], dim=1)
    basis = torch.zeros(n, int(cell[-1]) + 4, dtype=torch.float64)
    basis.scatter_(1, cell[:, None] + torch.arange(4), values / 6)
    return basis


def smooth_field(channels: int, shape: Sequence[int], spacing: float, generator: torch.Generator) -> Tensor:
    """A random B-spline field (channels, x, y, z) whose control values are standard normal, held within
    2.5."""
    bases = [bspline_basis(n, spacing).float() for n in shape]
    controls = torch.randn(channels, *(b.shape[1] for b in bases), generator=generator).clamp_(-2.5, 2.5)
    for axis, basis in enumerate(bases, start=1):
        controls = torch.tensordot(controls, basis, dims=([axis], [1])).movedim(-1, axis)
    return controls


def elastic(shape: Sequence[int], spacing: float, sd: float, generator: torch.Generator) -> Tensor:
    """Random displacements (3, x, y, z) in voxels.

    spacing  voxels between control points
    sd       voxels, of the control displacements; lowered where folds could arise; an axis of one voxel stays
    """
    free = torch.tensor([float(n > 1) for n in shape]).view(3, 1, 1, 1)
    return smooth_field(3, shape, spacing, generator) * (free * min(sd, 0.4 * spacing / 2.5))


def positions(start: Sequence[int], shape: Sequence[int], flips: Sequence[bool]) -> Tensor:
    """Voxel coordinates (3, x, y, z) of a patch that begins at `start`, mirrored along the flipped axes."""
    axes = [torch.arange(s, s + n, dtype=torch.float32) for s, n in zip(start, shape, strict=True)]
    axes = [a.flip(0) if f else a for a, f in zip(axes, flips, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def read_image(volume: Tensor, where: Tensor) -> Tensor:
    """Trilinear values of `volume` (x, y, z) at `where` (3, ...) voxels; the edge goes on outside."""
    low = [max(0, math.floor(float(c.min()))) for c in where]
    # Only the box that the patch touches is handed on: a patch must not cost a pass over the volume.
    low = [min(a, n - 1) for a, n in zip(low, volume.shape, strict=True)]
    high = [min(n, math.ceil(float(c.max())) + 1) for c, n in zip(where, volume.shape, strict=True)]
    box = volume[tuple(slice(a, max(b, a + 1)) for a, b in zip(low, high, strict=True))]
    unit = [
        2 * (c - a) / max(n - 1, 1) - 1 for c, a, n in zip(where, low, box.shape, strict=True)
    ]  # grid_sample wants coordinates in [-1, 1], last axis first
    grid = torch.stack(unit[::-1], dim=-1)
    sampled = torch.nn.functional.grid_sample(
        box[None, None], grid[None].to(box), mode="bilinear", padding_mode="border", align_corners=True
    )
    return sampled[0, 0]


def read_labels(labels: Tensor, where: Tensor, outside: int = UNANNOTATED) -> Tensor:
    """Nearest labels of (x, y, z) uint8 at `where` (3, ...) voxels; `outside` beyond the volume."""
    index = (where + 0.5).floor().long()
    shape = torch.tensor(labels.shape).view(3, *[1] * (where.dim() - 1))
    inside = ((index >= 0) & (index < shape)).all(dim=0)
    i, j, k = index.clamp_min(0).minimum(shape - 1)
    return torch.where(inside, labels[i, j, k], outside)


def vary_intensity(patch: Tensor, generator: torch.Generator) -> Tensor:
    """Random bias field, gamma, contrast and noise of a normalised patch (x, y, z); each in a part of the
    calls.

    Bias and gamma act on intensities counted from the patch's minimum, as a coil and a display curve do.
    """
    dice = torch.rand(8, generator=generator).tolist()
    low, high = patch.min(), patch.max()
    span = (high - low).clamp_min(1e-6)
    unit = (patch - low) / span
    if dice[0] < 0.3:
        spacing = max(patch.shape) / 2
        unit = unit * torch.exp(0.2 * smooth_field(1, patch.shape, spacing, generator)[0].to(unit))
    if dice[1] < 0.3:
        unit = unit ** math.exp(0.4 * (2 * dice[2] - 1))
    patch = low + unit * span
    if dice[3] < 0.3:
        patch = patch * (0.75 + 0.5 * dice[4]) + 0.4 * (dice[5] - 0.5)
    if dice[6] < 0.3:
        noise = torch.randn(patch.shape, generator=generator).to(patch)
        patch = patch + 0.3 * dice[7] * noise
    return patch
