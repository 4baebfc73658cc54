"""Centerline: a tree of nodes with radii, as an SWC file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._files import open_origin, read_text
from voxfield.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from voxfield.findings import Findings

VESSEL, BRIDGE = 0, 7
LARGEST = 2**53  # of every number in a file


class Centerline(Artifact):
    """A forest of nodes; each node but the roots has one parent.

    points   (n, 3) float64, world, mm
    radii    (n,) float64, mm; NaN across a bridge, where nothing was measured (the file says 0)
    parents  (n,) int64, index of the parent, -1 for a root
    kinds    (n,) int64: 0 vessel, 7 bridge
    """

    suffix = ".swc"

    def __init__(self, points: ArrayLike, radii: ArrayLike, parents: ArrayLike, kinds: ArrayLike | None = None) -> None:
        import numpy as np

        super().__init__()
        self.points: NDArray[np.float64] = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        count = len(self.points)
        self.radii: NDArray[np.float64] = np.asarray(radii, dtype=np.float64)
        self.parents: NDArray[np.int64] = np.asarray(parents, dtype=np.int64)
        given = np.zeros(count, dtype=np.int64) if kinds is None else np.asarray(kinds, dtype=np.int64)
        self.kinds: NDArray[np.int64] = given
        shapes = {"radii": self.radii.shape, "parents": self.parents.shape, "kinds": self.kinds.shape}
        wrong = [f"{name} {shape}" for name, shape in shapes.items() if shape != (count,)]
        if wrong:
            raise InputError(
                f"a centerline of {count} nodes has one radius, parent and kind a node; found {', '.join(wrong)}"
            )

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Read SWC: number, kind, x, y, z, radius, parent's number (-1 for a root)."""
        origin = open_origin(path)
        rows = _parse(read_text(origin, limits), origin.path)
        place = {number: index for index, (number, *_) in enumerate(rows)}
        parents = [-1 if row[6] == -1 else place.get(int(row[6]), -2) for row in rows]
        radii = [math.nan if row[5] == 0 else row[5] for row in rows]
        line = cls([row[2:5] for row in rows], radii, parents, [row[1] for row in rows])
        line._opened(origin, findings)
        if len(place) != len(rows):
            raise InputError("two nodes have one number (duplicate); each has its own", file=origin.path)
        if -2 in parents:
            raise InputError(
                f"node {rows[parents.index(-2)][0]} has a parent that is not in the file", file=origin.path
            )
        line._check(Inspection(origin.path, line.findings))
        return line

    def __len__(self) -> int:
        """Number of nodes."""
        return len(self.points)

    def save(self, path: str | Path) -> None:
        """Write SWC; coordinates and radii keep every digit."""
        lines = ["# voxfield centerline; mm, RAS+; kind 7 is a bridge, across which no radius is claimed (0)"]
        rows = zip(self.kinds.tolist(), self.points.tolist(), self.radii.tolist(), self.parents.tolist(), strict=True)
        for number, (kind, (x, y, z), radius, parent) in enumerate(rows, start=1):
            shown = 0 if math.isnan(radius) else radius
            lines.append(f"{number} {kind} {x!r} {y!r} {z!r} {shown!r} {parent + 1 if parent >= 0 else -1}")
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _check(self, inspection: Inspection) -> None:
        import numpy as np

        if not len(self):
            inspection.note("empty-centerline", "warning", "the centerline has no node")
            return
        if not np.isfinite(self.points).all() or np.isinf(self.radii).any() or (self.radii < 0).any():
            inspection.refuse("coordinates and radii of a centerline are finite, and radii not negative")
        if (self.parents < -1).any() or (self.parents >= len(self)).any():
            inspection.refuse(
                f"parents of {len(self)} nodes lie between -1 and {len(self) - 1}; found "
                f"{self.parents.min()}, {self.parents.max()}"
            )
        if not _reaches_roots(self.parents):
            inspection.refuse("the parents run in a circle; a centerline is a tree")


def _reaches_roots(parents: NDArray[np.int64]) -> bool:
    """Whether every node comes to a root, by doubling the step: n steps in log2(n) rounds."""
    import numpy as np

    count = len(parents)
    reach = np.append(np.where(parents < 0, count, parents), count)
    for _ in range(count.bit_length()):
        reach = reach[reach]
    return bool((reach == count).all())


def _parse(text: str, file: Path) -> list[tuple[float, ...]]:
    rows: list[tuple[float, ...]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = line.split()
        try:
            values = tuple(float(word) if 2 <= place <= 5 else int(word) for place, word in enumerate(words))
        except ValueError:
            values = ()
        if len(values) != 7 or not all(abs(value) < LARGEST for value in values):  # NaN is not smaller either
            raise InputError(
                f"line {number} is {line.strip()[:60]!r}; expected number, kind, x, y, z, radius, parent",
                file=file,
            )
        rows.append(values)
    return rows
