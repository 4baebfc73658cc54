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
TIP_VOXELS = 1.5
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
    patches = _Patches(lumen, spacing)
    names = {WALL: "wall"}
    cuts: dict[int, Cut] = {}
    of_end = [0] * len(ends)
    tree = cKDTree(nodes.points)
    for place, end in enumerate(ends):
        if end.loop:
            continue
        row = nodes.rows[end.path] if end.root else nodes.rows[end.path][::-1]
        cut = _cut(nodes, row, radius, clear, spacing)
        patch = patches.near(nodes.points[row[0]], cut, end.edge)
        cap: Ints = np.zeros((0, 3), np.int64)
        if cut is not None:
            cuts[place] = cut
            if not patch:
                cap = _cap_voxels(labels, lumen, tree, cut, spacing, cap_voxels)
                # An end that the field of view cuts aslant: the patch on the face is its opening.
                patch = patches.among(cap, cut)
        if not patch and (cut is None or cut.radius < min_radius_mm):
            continue
        label = patches.taken.get(patch, FIRST + len(names) - 1)
        if patch:
            patches.draw(labels, patch, label)
        else:
            labels[tuple(cap.T)] = label
        of_end[place] = label
        first_root = label == FIRST and end.root
        names.setdefault(label, "inlet" if first_root else f"{'inlet' if end.root else 'opening'}-{label}")
    lone = patches.left()
    for patch in lone:
        label = FIRST + len(names) - 1
        patches.draw(labels, patch, label)
        names[label] = f"opening-{label}"
    _close(labels, lumen)
    return Openings(labels, of_end, names, cuts, len(lone))


class _Patches:
    """Patches of the lumen on the faces of the field of view, numbered from 1, and the labels that they took."""

    def __init__(self, lumen: Mask, spacing: Floats) -> None:
        self.spacing = spacing
        self.map, _ = label_components(lumen & _shell(lumen.shape))
        self.voxels = np.argwhere(self.map)
        self.number = self.map[tuple(self.voxels.T)].astype(np.int64)
        self.size = np.bincount(self.number, minlength=1)
        self.taken: dict[int, int] = {}

    def near(self, tip: Floats, cut: Cut | None, edge: bool) -> int:
        """The patch that opens an end with its tip (3,) mm; 0 for none. At an edge it is the nearest."""
        if not len(self.voxels):
            return 0
        distance = np.linalg.norm(self.voxels - tip / self.spacing, axis=1)
        nearest = int(distance.argmin())
        patch = int(self.number[nearest])
        return patch if (edge or distance[nearest] <= TIP_VOXELS) and self._wide(patch, cut) else 0

    def among(self, cap: Ints, cut: Cut) -> int:
        """The largest patch that a cap (n, 3) would cover, if it is wide enough to be the opening; 0 for none."""
        found = np.unique(self.map[tuple(cap.T)])
        wide = [int(k) for k in found if k and self._wide(int(k), cut)]
        return max(wide, key=lambda k: int(self.size[k]), default=0)

    def _wide(self, patch: int, cut: Cut | None) -> bool:
        """Whether a patch has half the area of the section: less would throttle the flow."""
        area = float(self.size[patch]) * float(self.spacing.prod()) ** (2 / 3)
        return cut is None or area >= np.pi * cut.radius**2 / 2

    def draw(self, labels: NDArray[np.int32], patch: int, label: int) -> None:
        """Write a patch into the labels."""
        self.taken[patch] = label
        labels[(self.map == patch) & (labels == 0)] = label

    def left(self) -> list[int]:
        """Patches of some size that no end has taken and no cap has covered."""
        return [k for k in np.flatnonzero(self.size >= PATCH).tolist() if k and k not in self.taken]


def fluid(lumen: Mask, labels: NDArray[np.int32]) -> Mask:
    """The lumen without its caps. Labelled voxels on the faces of the field of view belong to it, unless a
       cap has
    cut them off from the rest."""
    rest = lumen & (labels < FIRST)
    parts, count = label_components(rest | (lumen & _shell(lumen.shape)), 6)
    reached = np.zeros(count + 1, bool)
    reached[parts[rest]] = True
    reached[0] = False
    return np.asarray(reached[parts])


def _shell(shape: tuple[int, ...]) -> Mask:
    shell = np.ones(shape, bool)
    shell[tuple(slice(1, -1) if n > 2 else slice(None) for n in shape)] = False
    return shell


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
