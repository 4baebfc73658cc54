"""Where a lumen is cut: caps at the ends of its trees, and patches on the faces of the field of view.

At an end inside the volume the cross-section shrinks over the last half voxel (cut square) up to a radius
(rounded or ragged). The lumen is cut there by a plane perpendicular to the centerline, at the last node whose
radius is at least `WHOLE` of the branch's, and at least half a voxel before the tip. What lies beyond the
plane becomes the cap, together with a disc of background, `cap_voxels` thick and half as wide again as the
lumen, so that a slightly larger lumen (a level set of the probability, a finer grid) is cut by it as well.
Caps therefore lie outside the lumen that flow sees: the mask without the caps.

Where the lumen leaves the field of view, its voxels on the face carry the label themselves and stay lumen.
Every patch of `PATCH` voxels or more is an opening, with or without a centerline that ends there: a lumen cut
lengthwise is open.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from voxfield.segmentation.metrics._topology import Mask, label_components
from voxfield.segmentation.tree._ends import End
from voxfield.segmentation.tree._nodes import Nodes, distance_along
from voxfield.segmentation.tree._skeleton import Floats, Ints

WALL, FIRST = 1, 2
WHOLE = 0.9
PATCH = 4
DEEPEST_CUT = 3.0
CAP_WIDTH = 1.5


class Cut(NamedTuple):
    """The plane of an end: a point (3,) mm, the unit normal out of the lumen, the radius there, the nodes beyond."""

    point: Floats
    normal: Floats
    radius: float
    beyond: Ints


class Openings(NamedTuple):
    """labels (x, y, z): 0, 1 wall, k >= 2; and for each end its label (0 for a loop or an end left closed).

    names         label -> "wall", "inlet", "opening-3", ...
    cuts          for each end with a clear section, by place, the plane beyond which no section is whole
    lone_patches  openings on the field of view where no centerline ends
    """

    labels: NDArray[np.int32]
    of_end: list[int]
    names: dict[int, str]
    cuts: dict[int, Cut]
    lone_patches: int


def mark_openings(
    lumen: Mask,
    nodes: Nodes,
    radius: Floats,
    clear: NDArray[np.bool_],
    ends: list[End],
    spacing: Floats,
    cap_voxels: float,
    min_radius_mm: float,
) -> Openings:
    """Label the openings of a traced (x, y, z) lumen; the ends of the first tree come first, its root as label 2."""
    labels = np.zeros(lumen.shape, np.int32)
    of_end = [0] * len(ends)
    names = {WALL: "wall"}
    cuts: dict[int, Cut] = {}
    patches, patch_voxels, patch_of = _patches(lumen)
    label_of_patch: dict[int, int] = {}
    tree = cKDTree(nodes.points)
    for place, end in enumerate(ends):
        row = nodes.rows[end.path] if end.root else nodes.rows[end.path][::-1]
        if end.loop:
            continue
        patch = _patch_near(nodes.points[row[0]], patch_voxels, patch_of, spacing, end.edge)
        label = label_of_patch.get(patch, FIRST + len(names) - 1) if patch else FIRST + len(names) - 1
        cut = _cut(nodes, row, radius, clear, spacing)
        if cut is not None:
            cuts[place] = cut
        if not patch and cut is not None and cut.radius >= min_radius_mm:
            cap = _cap_voxels(labels, lumen, tree, cut, spacing, cap_voxels)
            # An end that the field of view cuts aslant: the patch on the face is its opening.
            on_face = patches[tuple(cap[lumen[tuple(cap.T)]].T)]
            patch = int(on_face.max(initial=0))
            label = label_of_patch.get(patch, label)
            if not patch:
                labels[tuple(cap.T)] = label
        elif not patch:
            continue
        if patch:
            label_of_patch[patch] = label
            labels[(patches == patch) & (labels == 0)] = label
        of_end[place] = label
        if label not in names:
            first_root = label == FIRST and end.root
            names[label] = "inlet" if first_root else f"inlet-{label}" if end.root else f"opening-{label}"
    lone = 0
    sizes = np.bincount(patch_of) if len(patch_of) else np.zeros(1, int)
    for patch in np.flatnonzero(sizes >= PATCH).tolist():
        if patch and patch not in label_of_patch:
            label = FIRST + len(names) - 1
            labels[(patches == patch) & (labels == 0)] = label
            names[label] = f"opening-{label}"
            lone += 1
    _close(labels, lumen)
    return Openings(labels, of_end, names, cuts, lone)


def fluid(lumen: Mask, labels: NDArray[np.int32]) -> Mask:
    """The lumen without its caps; voxels on the faces of the field of view belong to it."""
    return np.asarray(lumen & ((labels < FIRST) | _shell(lumen.shape)))


def _shell(shape: tuple[int, ...]) -> Mask:
    shell = np.ones(shape, bool)
    shell[tuple(slice(1, -1) if n > 2 else slice(None) for n in shape)] = False
    return shell


def _patches(lumen: Mask) -> tuple[NDArray[np.integer], Ints, Ints]:
    """Patches of the lumen on the faces of the volume: labels, their voxels (n, 3), the patch (n,) of each."""
    patches, _ = label_components(lumen & _shell(lumen.shape))
    voxels = np.argwhere(patches)
    return patches, voxels, patches[tuple(voxels.T)].astype(np.int64)


def _patch_near(tip: Floats, voxels: Ints, patch_of: Ints, spacing: Floats, edge: bool) -> int:
    """The patch at a tip (3,) mm: the nearest one at an edge, else one within a voxel and a half; 0 for none."""
    if not len(voxels):
        return 0
    distance = np.linalg.norm(voxels - tip / spacing, axis=1)
    nearest = int(distance.argmin())
    return int(patch_of[nearest]) if edge or distance[nearest] <= 1.5 else 0


def _cut(nodes: Nodes, row: Ints, radius: Floats, clear: NDArray[np.bool_], spacing: Floats) -> Cut | None:
    """The cutting plane of an end, given its branch from the tip inwards; None where no section is clear."""
    line = nodes.points[row]
    along = distance_along(line)
    good = clear[row] & np.isfinite(radius[row])
    if not good.any() or len(row) < 2:
        return None
    rough = float(np.median(radius[row][good]))
    typical_at = good & (along >= rough) & (along <= 4 * rough)
    typical = float(np.median(radius[row][typical_at if typical_at.any() else good]))
    wholly = good & (radius[row] >= WHOLE * typical) & (along >= 0.5 * spacing.min())
    wholly &= along <= DEEPEST_CUT * typical
    # A short branch keeps at least half of itself.
    wholly &= along <= max(along[-1] / 2, along[min(1, len(row) - 1)])
    if not wholly.any():
        return None
    at = int(np.flatnonzero(wholly)[0])
    inner = int(np.searchsorted(along, along[at] + max(typical, 2 * spacing.min())))
    chord = line[at] - line[min(max(inner, at + 1), len(row) - 1)]
    size = float(np.linalg.norm(chord))
    if size == 0:
        return None
    return Cut(line[at], chord / size, float(radius[row[at]]), row[: at + 1])


def _cap_voxels(labels: NDArray[np.int32], lumen: Mask, tree: cKDTree, cut: Cut, spacing: Floats, thick: float) -> Ints:
    """Voxels (n, 3) of the cap of one end: lumen beyond the plane, and the disc."""
    points = tree.data[cut.beyond]
    reach = CAP_WIDTH * cut.radius + (thick + 2) * spacing.max()
    low = np.maximum(np.floor((points.min(axis=0) - reach) / spacing).astype(int), 0)
    high = np.minimum(np.ceil((points.max(axis=0) + reach) / spacing).astype(int) + 1, lumen.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    offset = (np.indices(tuple(high - low)).reshape(3, -1).T + low) * spacing - cut.point
    height = offset @ cut.normal
    side = np.linalg.norm(offset - height[:, None] * cut.normal, axis=1)
    shape = tuple(high - low)
    inside, free = lumen[box], labels[box] == 0
    over = (height > 0).reshape(shape)
    # Beyond the plane the lumen is cap where this end's own nodes are the nearest ones.
    tip = np.zeros(shape, bool)
    candidates = np.flatnonzero((inside & over & free).ravel())
    nearest = tree.query(offset[candidates] + cut.point)[1]
    tip.ravel()[candidates[np.isin(nearest, cut.beyond)]] = True
    width = CAP_WIDTH * cut.radius + 1.5 * spacing.max()
    disc = ((height > 0) & (height <= thick * spacing.max()) & (side <= width)).reshape(shape) & ~inside & free
    # The disc must not open the side of a vessel that passes by.
    disc &= ~_beside(inside & over & ~tip)
    return np.asarray(np.argwhere(tip | disc) + low)


def _beside(mask: Mask) -> Mask:
    """Voxels that share a face with a voxel of the mask."""
    near = np.zeros_like(mask)
    for axis in range(3):
        into, out = np.moveaxis(near, axis, 0), np.moveaxis(mask, axis, 0)
        into[1:] |= out[:-1]
        into[:-1] |= out[1:]
    return near


def _close(labels: NDArray[np.int32], lumen: Mask) -> None:
    """Give what a cap has cut off to that cap, and mark the wall."""
    left = fluid(lumen, labels)
    before, count = label_components(lumen, 6)
    parts, now = label_components(left, 6)
    if now > count:
        sizes = np.bincount(parts.ravel(), minlength=now + 1)
        home = np.zeros(now + 1, np.int64)
        home[parts[left]] = before[left]
        for part in np.unique(parts[_beside(labels >= FIRST) & left]).tolist():
            if sizes[part] < sizes[1:][home[1:] == home[part]].max():
                piece = parts == part
                near = labels[_beside(piece) & (labels >= FIRST)]
                labels[piece & (labels == 0)] = int(np.bincount(near).argmax())
        left = fluid(lumen, labels)
    labels[_beside(left) & ~lumen & (labels == 0)] = WALL
