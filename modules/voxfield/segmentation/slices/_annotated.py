"""Everything that was drawn, as labelled points in the world: from a sparse volume and from single slices."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voxfield.artifacts import LabelMap
from voxfield.errors import InputError
from voxfield.segmentation.slices._planes import SCATTERED, find_planes, fit_plane

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
CONVENTION = 255  # what stands for unannotated where nobody declares it


@dataclass(frozen=True)
class Annotated:
    """Annotated voxel centres, world mm, and which of them face each other across a contour.

    points   (n, 3)
    classes  (n,) 0 for background, c for the c-th label
    planes   (n,) number of the plane that a point lies on, or SCATTERED
    edges    (m, 2) points of one plane and different classes whose voxels share a face
    """

    points: Floats
    classes: Ints
    planes: Ints
    edges: Ints

    @property
    def plane_numbers(self) -> list[int]:
        """The planes that there are."""
        return sorted(set(self.planes.tolist()) - {SCATTERED})

    def keep(self, kept: NDArray[np.bool_]) -> "Annotated":
        """Some of the points, with the edges between them."""
        number = np.cumsum(kept) - 1
        edges = self.edges[kept[self.edges].all(axis=1)]
        return Annotated(self.points[kept], self.classes[kept], self.planes[kept], number[edges])


def gather(maps: Sequence[LabelMap], labels: Sequence[int], rng: np.random.Generator) -> Annotated:
    """Points of all maps; planes are numbered along the axis that they mostly face, so that neighbours follow."""
    parts: list[Annotated] = []
    points = planes = 0
    for label_map in maps:
        part = _points(label_map, labels, rng)
        shifted = np.where(part.planes == SCATTERED, SCATTERED, part.planes + planes)
        parts.append(Annotated(part.points, part.classes, shifted, part.edges + points))
        points, planes = points + len(part.points), planes + len(part.plane_numbers)
    names = ("points", "classes", "planes", "edges")
    whole = Annotated(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
    return replace(whole, planes=_in_order(whole))


def _points(label_map: LabelMap, labels: Sequence[int], rng: np.random.Generator) -> Annotated:
    values = label_map.data
    seen = np.ones(values.shape, bool) if label_map.unannotated is None else values != label_map.unannotated
    index = np.argwhere(seen)
    classes = np.searchsorted([0, *labels], values[seen]).astype(np.int64)
    planes = _dense_planes(index, label_map) if seen.all() else find_planes(seen, rng)
    number = np.full(values.shape, -1, dtype=np.int64)
    number[seen] = np.arange(len(index))
    pairs = np.concatenate([_face_neighbours(number, axis) for axis in range(3)])
    # Between two planes nobody saw where the contour runs, however close they are.
    contour = (np.ptp(classes[pairs], axis=1) > 0) & (np.ptp(planes[pairs], axis=1) == 0)
    return Annotated(label_map.grid.world(index), classes, planes, pairs[contour])


def _dense_planes(index: Ints, label_map: LabelMap) -> Ints:
    """Planes of a map that is annotated throughout: its slices across the axis with the widest spacing."""
    shape, spacing = np.array(label_map.grid.shape), label_map.grid.spacing
    axis = int(np.argmin(shape)) if shape.min() == 1 else int(np.argmax(spacing))
    return index[:, axis]


def _face_neighbours(number: Ints, axis: int) -> Ints:
    """Pairs (m, 2) of numbers >= 0 that follow each other along an axis."""
    lines = np.moveaxis(number, axis, 0)
    both = (lines[:-1] >= 0) & (lines[1:] >= 0)
    return np.stack([lines[:-1][both], lines[1:][both]], axis=1)


def _in_order(annotated: Annotated) -> Ints:
    """Plane numbers (n,) in the order of the axis that a plane faces and of its place along it."""
    place = {}
    for plane in annotated.plane_numbers:
        normal, centre = fit_plane(annotated.points[annotated.planes == plane])
        axis = int(np.argmax(np.abs(normal)))
        place[plane] = (axis, float(centre @ normal * np.sign(normal[axis])))
    order = sorted(place, key=lambda plane: place[plane])
    number = np.full(len(order) + 1, SCATTERED)  # SCATTERED is -1, the last entry, and stays
    number[order] = np.arange(len(order))
    return number[annotated.planes]


def label_names(maps: Sequence[LabelMap]) -> dict[int, str]:
    """Value -> name of every label drawn; raises InputError for masks that a shape can not be made from."""
    names: dict[int, str] = {}
    background = False
    for label_map in maps:
        present = [value for value in label_map.present() if value != label_map.unannotated]
        if CONVENTION in present and CONVENTION not in label_map.labels:
            raise InputError(
                "holds 255, which stands for unannotated by convention, but declares no unannotated value; "
                "declare 255 as unannotated or as a label",
                file=label_map.file,
            )
        if present and present[0] < 0:
            raise InputError(f"holds the label {present[0]}; expected 0 and positive labels", file=label_map.file)
        background = background or 0 in present
        for value in (value for value in present if value):
            name = label_map.labels.get(value, names.get(value, f"label-{value}"))
            if names.setdefault(value, name) != name:
                raise InputError(
                    f"calls label {value} {name!r}, another map {names[value]!r}; expected one name a label",
                    file=label_map.file,
                )
    if not names or not background:
        found = "background (0)" if background else ", ".join(map(str, sorted(names))) or "nothing"
        raise InputError(
            f"the annotated voxels hold only {found}; a shape needs inside and outside drawn", file=maps[0].file
        )
    return dict(sorted(names.items()))
