"""Staggered (MAC) lattice of a lumen that is given by a signed distance on voxels.

Velocities live on voxel faces (Harlow & Welch, Phys. Fluids 8, 1965): a face is an unknown if its centre lies
in the lumen. Every voxel with at least two such faces carries a pressure, so that the flow through all its
faces can be balanced exactly. Where the neighbour of a face lies beyond the wall, the viscous flux uses the
distance to the wall, theta h, instead of h; keeping the matrix symmetric as in Gibou et al., J. Comput. Phys.
176 (2002), eq. 12, this is second-order accurate although voxels are never cut.

Openings are planes between voxels. Beyond an outlet sits one reservoir: a single pressure that touches all
faces of the plane and whose balance prescribes the outflow. The faces of the inlet plane are known.

Units here: lengths in voxels. All arrays (nx, ny, nz); faces of axis a have one more entry along a.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]
Real = NDArray[np.float64]

WALL_FLOOR = 0.02
"""Least distance to the wall in voxels: a face closer than that moves with the wall anyway."""


@dataclass(frozen=True)
class Opening:
    """A plane between voxels that cuts one vessel.

    axis       normal of the plane, 0, 1 or 2
    plane      index of the faces in the plane: it lies between the voxels plane - 1 and plane
    outward    +1 if the vessel ends towards larger indices, else -1
    beyond     (nx, ny, nz)  voxels of this vessel on the far side
    """

    axis: int
    plane: int
    outward: int
    beyond: Bool


@dataclass(frozen=True)
class Interfaces:
    """Where neighbouring face volumes meet: momentum passes from `left` to `right`.

    left, right    (m,)  faces on the two sides, or `zero`
    far_left, _right  (m,)  the next faces on the same line
    carry_a, _b    (m,)  the two faces whose mean carries the mass across
    share          (m,)  fraction of a full voxel face; doubled in the plane of an outlet, where the far side counts
                         as zero and what leaves has the velocity of the near side
    conductance    (m,)  viscous, in units of viscosity times voxel edge
    """

    left: Int
    right: Int
    far_left: Int
    far_right: Int
    carry_a: Int
    carry_b: Int
    share: Real
    conductance: Real


@dataclass(frozen=True)
class Lattice:
    """Numbering and geometry of one lumen.

    faces        three integer arrays of face numbers: 0 .. n_free-1 unknown, then the inlet, `zero` outside
    cells        (nx, ny, nz)  pressure numbers, -1 outside; reservoirs follow the cells
    divergence   (n_cells + n_outlets, n_faces)  net outflow of every cell and reservoir, unit velocity and area
    outlets      for every outlet the numbers of its faces
    inlet        numbers of the inlet faces
    """

    shape: tuple[int, int, int]
    faces: tuple[Int, Int, Int]
    cells: Int
    n_free: int
    n_known: int
    n_cells: int
    interfaces: Interfaces
    divergence: sparse.csr_matrix
    inlet: Int
    inlet_sign: int
    outlets: tuple[Int, ...]
    outlet_signs: tuple[int, ...]

    @property
    def n_faces(self) -> int:
        return self.n_free + self.n_known

    @property
    def zero(self) -> int:
        """Number of the face that stands for all faces at rest; the last entry of an extended velocity vector."""
        return self.n_faces

    def scatter(self, velocity: Real) -> tuple[Real, Real, Real]:
        """Face velocities (n_faces,) as three dense arrays, zero outside the lumen."""
        extended = np.append(velocity, 0.0)
        return extended[self.faces[0]], extended[self.faces[1]], extended[self.faces[2]]

    def gather(self, dense: tuple[Real, Real, Real]) -> Real:
        """Three dense arrays of face velocities as one vector (n_faces,)."""
        velocity = np.zeros(self.n_faces + 1)
        for ids, values in zip(self.faces, dense, strict=True):
            velocity[ids] = values
        return velocity[:-1]


def build_lattice(level: Real, inlet: Opening, outlets: tuple[Opening, ...]) -> Lattice:
    """Number the faces and voxels of the lumen {level < 0} between its openings.

    level    (nx, ny, nz)  signed distance to the wall in any unit, negative inside, *not* cut at the openings.
             The two outermost voxels on every side must lie outside or beyond an opening.
    """
    openings = (inlet, *outlets)
    beyond = np.zeros(level.shape, dtype=bool)
    for opening in openings:
        beyond |= opening.beyond
    levels = [_face_level(level, axis) for axis in range(3)]
    active, owner = _active_faces(levels, beyond, openings)
    _prune(active, beyond)
    _keep_connected(active, beyond, owner)
    faces, counts = _number_faces(active, owner)
    cells, n_cells = _number_cells(active, beyond)
    inlet_ids, outlet_ids = _plane_faces(faces, owner, len(openings))
    n_faces = counts[0] + counts[1]
    parts = [_interfaces(faces, levels, beyond, owner, openings, a, d, n_faces) for a in range(3) for d in range(3)]
    parts.append(_outflow(outlet_ids, [o.outward for o in outlets], n_faces))
    merged = Interfaces(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in Interfaces.__dataclass_fields__)
    )
    return Lattice(
        shape=(level.shape[0], level.shape[1], level.shape[2]),
        faces=faces,
        cells=cells,
        n_free=counts[0],
        n_known=counts[1],
        n_cells=n_cells,
        interfaces=merged,
        divergence=_divergence(faces, cells, n_cells, outlet_ids, outlets, n_faces),
        inlet=inlet_ids,
        inlet_sign=-inlet.outward,
        outlets=tuple(outlet_ids),
        outlet_signs=tuple(o.outward for o in outlets),
    )


def _take(array: NDArray, axis: int, start: int | None, stop: int | None) -> NDArray:  # type: ignore[type-arg]
    index = [slice(None)] * 3
    index[axis] = slice(start, stop)
    return array[tuple(index)]


def _face_level(level: Real, axis: int) -> Real:
    """Signed distance at the face centres of one axis: mean of the two voxels; the outermost faces copy their voxel."""
    inner = 0.5 * (_take(level, axis, 1, None) + _take(level, axis, None, -1))
    return np.concatenate([_take(level, axis, None, 1), inner, _take(level, axis, -1, None)], axis=axis)


def _active_faces(levels: list[Real], beyond: Bool, openings: tuple[Opening, ...]) -> tuple[list[Bool], list[Int]]:
    """Faces inside the lumen, and for the faces of a plane the index of the opening + 1 (owner, else 0)."""
    active, owner = [], []
    for axis in range(3):
        inside = levels[axis] < 0
        either = np.zeros(inside.shape, dtype=bool)
        _take(either, axis, 1, -1)[...] = _take(beyond, axis, 1, None) | _take(beyond, axis, None, -1)
        inside &= ~either
        owners = np.zeros(inside.shape, dtype=np.int64)
        for number, opening in enumerate(openings, start=1):
            if opening.axis != axis:
                continue
            far = opening.plane if opening.outward > 0 else opening.plane - 1
            near = opening.plane - 1 if opening.outward > 0 else opening.plane
            plane = _take(opening.beyond, axis, far, far + 1) & ~_take(beyond, axis, near, near + 1)
            plane = plane & (_take(levels[axis], axis, opening.plane, opening.plane + 1) < 0)
            _take(inside, axis, opening.plane, opening.plane + 1)[plane] = True
            _take(owners, axis, opening.plane, opening.plane + 1)[plane] = number
        active.append(inside)
        owner.append(owners)
    return active, owner


def _face_count(active: list[Bool], beyond: Bool) -> Int:
    count = sum(_take(a, axis, 1, None).astype(np.int64) + _take(a, axis, None, -1) for axis, a in enumerate(active))
    return np.where(beyond, 0, count)


def _prune(active: list[Bool], beyond: Bool) -> None:
    """Close faces that lead into a voxel with no other face: no steady flow can pass them."""
    while True:
        dead = _face_count(active, beyond) == 1
        if not dead.any():
            return
        for axis in range(3):
            _take(active[axis], axis, 1, None)[dead] = False
            _take(active[axis], axis, None, -1)[dead] = False


def _keep_connected(active: list[Bool], beyond: Bool, owner: list[Int]) -> None:
    """Close faces of voxels that have no way to the inlet."""
    shape = beyond.shape
    index = np.arange(beyond.size).reshape(shape)
    rows, cols = [], []
    for axis in range(3):
        link = _take(active[axis], axis, 1, -1) & (_take(owner[axis], axis, 1, -1) == 0)
        rows.append(_take(index, axis, None, -1)[link])
        cols.append(_take(index, axis, 1, None)[link])
    row, col = np.concatenate(rows), np.concatenate(cols)
    graph = sparse.coo_matrix((np.ones(row.size), (row, col)), shape=(index.size, index.size))
    _, component = csgraph.connected_components(graph, directed=False)
    labels = component.reshape(shape)
    root = _inlet_component(active, owner, labels, beyond)
    for axis in range(3):
        low = np.concatenate([_take(labels, axis, None, 1), labels], axis=axis)
        high = np.concatenate([labels, _take(labels, axis, -1, None)], axis=axis)
        active[axis] &= (low == root) | (high == root)


def _inlet_component(active: list[Bool], owner: list[Int], labels: NDArray[np.int32], beyond: Bool) -> int:
    for axis in range(3):
        where = np.argwhere((owner[axis] == 1) & active[axis])
        if where.size:
            sides = np.repeat(where, 2, axis=0)
            sides[::2, axis] -= 1
            keep = ~beyond[tuple(sides.T)]
            found = labels[tuple(sides[keep].T)]
            return int(np.bincount(found).argmax())
    raise ValueError("the inlet plane does not meet the lumen")


def _number_faces(active: list[Bool], owner: list[Int]) -> tuple[tuple[Int, Int, Int], tuple[int, int]]:
    """Unknown faces first (axis by axis, third axis slowest, so that sweeps follow the flow), then the inlet."""
    free = [a & (o != 1) for a, o in zip(active, owner, strict=True)]
    known = [a & (o == 1) for a, o in zip(active, owner, strict=True)]
    n_free, n_known = sum(int(f.sum()) for f in free), sum(int(k.sum()) for k in known)
    result, at, at_known = [], 0, n_free
    for f, k in zip(free, known, strict=True):
        ids = np.full(f.shape, n_free + n_known, dtype=np.int64)
        n = int(f.sum())
        ids.T[f.T] = np.arange(at, at + n)
        at += n
        m = int(k.sum())
        ids.T[k.T] = np.arange(at_known, at_known + m)
        at_known += m
        result.append(ids)
    return (result[0], result[1], result[2]), (n_free, n_known)


def _number_cells(active: list[Bool], beyond: Bool) -> tuple[Int, int]:
    has = _face_count(active, beyond) > 0
    cells = np.full(beyond.shape, -1, dtype=np.int64)
    n = int(has.sum())
    cells.T[has.T] = np.arange(n)
    return cells, n


def _plane_faces(faces: tuple[Int, Int, Int], owner: list[Int], count: int) -> tuple[Int, list[Int]]:
    last = max(int(f.max()) for f in faces)
    found = []
    for number in range(1, count + 1):
        ids = np.concatenate([f[o == number] for f, o in zip(faces, owner, strict=True)])
        found.append(np.sort(ids[ids < last]))
    return found[0], found[1:]


def _divergence(
    faces: tuple[Int, Int, Int],
    cells: Int,
    n_cells: int,
    outlet_ids: list[Int],
    outlets: tuple[Opening, ...],
    n_faces: int,
) -> sparse.csr_matrix:
    rows, cols, values = [], [], []
    inside = cells >= 0
    for axis in range(3):
        for part, sign in ((_take(faces[axis], axis, None, -1), -1.0), (_take(faces[axis], axis, 1, None), 1.0)):
            keep = inside & (part < n_faces)
            rows.append(cells[keep])
            cols.append(part[keep])
            values.append(np.full(int(keep.sum()), sign))
    for number, (ids, outlet) in enumerate(zip(outlet_ids, outlets, strict=True)):
        rows.append(np.full(ids.size, n_cells + number))
        cols.append(ids)
        values.append(np.full(ids.size, -float(outlet.outward)))
    shape = (n_cells + len(outlets), n_faces)
    return sparse.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))), shape=shape)


def _interfaces(
    faces: tuple[Int, Int, Int],
    levels: list[Real],
    beyond: Bool,
    owner: list[Int],
    openings: tuple[Opening, ...],
    a: int,
    d: int,
    zero: int,
) -> Interfaces:
    """Interfaces along axis d between volumes around the faces of axis a."""
    left, right = _take(faces[a], d, None, -1), _take(faces[a], d, 1, None)
    phi_left, phi_right = _take(levels[a], d, None, -1), _take(levels[a], d, 1, None)
    if a == d:
        carry_a, carry_b = left, right
        crossing = beyond
    else:
        # The volume around a face of axis a reaches half into the voxels on both its sides.
        inner = _take(faces[d], d, 1, -1)
        pad = np.full_like(_take(inner, a, None, 1), zero)
        carry_a = np.concatenate([pad, inner], axis=a)
        carry_b = np.concatenate([inner, pad], axis=a)
        crossing = np.zeros(left.shape, dtype=bool)
    far_left = np.full_like(left, zero)
    _take(far_left, d, 1, None)[...] = _take(left, d, None, -1)
    far_right = np.full_like(left, zero)
    _take(far_right, d, None, -1)[...] = _take(right, d, 1, None)
    on_left, on_right = left < zero, right < zero
    conductance = np.ones(left.shape)
    wall_right, wall_left = on_left & ~on_right, on_right & ~on_left
    conductance[wall_right] = 1.0 / _wall_distance(phi_left[wall_right], phi_right[wall_right])
    conductance[wall_left] = 1.0 / _wall_distance(phi_right[wall_left], phi_left[wall_left])
    share = np.ones(left.shape)
    if a != d:
        # Faces in the plane of an opening own half a volume.
        half = (_take(owner[a], d, None, -1) > 0) | (_take(owner[a], d, 1, None) > 0)
        share[half] = 0.5
        for opening in openings:
            if opening.axis != d:
                continue
            at = opening.plane - 1
            far = opening.plane if opening.outward > 0 else opening.plane - 1
            sides = _take(opening.beyond, d, far, far + 1)
            low = np.concatenate([_take(sides, a, None, 1), sides], axis=a)
            high = np.concatenate([sides, _take(sides, a, -1, None)], axis=a)
            plane = low | high
            if opening is openings[0]:
                # No tangential velocity in the inlet plane, half a voxel away; nothing is carried in.
                _take(conductance, d, at, at + 1)[plane] = 2.0
                _take(carry_a, d, at, at + 1)[plane] = zero
                _take(carry_b, d, at, at + 1)[plane] = zero
            else:
                _take(conductance, d, at, at + 1)[plane] = 0.0
                _take(share, d, at, at + 1)[plane] = 2.0
    keep = (on_left | on_right) & ~crossing
    return Interfaces(
        left[keep],
        right[keep],
        far_left[keep],
        far_right[keep],
        carry_a[keep],
        carry_b[keep],
        share[keep],
        (conductance * share)[keep],
    )


def _wall_distance(inside: Real, outside: Real) -> Real:
    """Distance from a face to the wall in voxels, by linear interpolation of the level."""
    gap = inside - np.maximum(outside, 0.0)
    return np.clip(inside / np.minimum(gap, -1e-300), WALL_FLOOR, 1.0)


def _outflow(outlet_ids: list[Int], outward: list[int], zero: int) -> Interfaces:
    """Momentum leaves through the plane of an outlet with the velocity of the plane."""
    ids = np.concatenate(outlet_ids)
    out = np.concatenate([np.full(i.size, o) for i, o in zip(outlet_ids, outward, strict=True)])
    rest = np.full(ids.size, zero)
    left, right = np.where(out > 0, ids, rest), np.where(out > 0, rest, ids)
    return Interfaces(
        left,
        right,
        np.full(ids.size, zero),
        np.full(ids.size, zero),
        ids,
        ids,
        np.full(ids.size, 2.0),
        np.zeros(ids.size),
    )
