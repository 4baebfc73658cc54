"""Polyline: curves with values at their points, as VTK XML PolyData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._files import open_origin
from voxfield.artifacts._xml import read_xml
from voxfield.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from voxfield.findings import Findings


class Polyline(Artifact):
    """Curves in the world, for viewers.

    points      (n, 3) float64, mm
    lines       index arrays into the points, one a curve
    point_data  name -> (n,) or (n, c) values at the points
    """

    suffix = ".vtp"

    def __init__(
        self, points: ArrayLike, lines: Sequence[ArrayLike], point_data: Mapping[str, ArrayLike] | None = None
    ) -> None:
        import numpy as np

        super().__init__()
        self.points: NDArray[np.float64] = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        self.lines: list[NDArray[np.int64]] = [np.asarray(line, dtype=np.int64).ravel() for line in lines]
        self.point_data: dict[str, NDArray[Any]] = {name: np.asarray(v) for name, v in (point_data or {}).items()}
        fault = self._fault()
        if fault:
            raise InputError(f"polyline: {fault}")

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Read what `save` wrote: PolyData with its arrays as text."""
        origin = open_origin(path)
        line = read_xml(origin, limits, "VTK PolyData with arrays as ascii text", lambda root: cls(*_parse(root)))
        line._opened(origin, findings)
        return line

    def _fault(self) -> str | None:
        count = len(self.points)
        for line in self.lines:
            if len(line) and not 0 <= line.min() <= line.max() < count:
                return f"a line names the points {line.min()} to {line.max()}; there are {count}"
        for name, values in self.point_data.items():
            if values.dtype.kind not in "biuf" or values.ndim not in (1, 2) or len(values) != count:
                found = f"shape {values.shape} and dtype {values.dtype}"
                return f"values {name!r} have {found}; expected {count} numbers or rows"
        return None

    def save(self, path: str | Path) -> None:
        """Write `.vtp`, arrays as text; floating-point numbers keep every digit."""
        Path(path).write_text("\n".join(self._xml()) + "\n", encoding="utf-8")

    def _xml(self) -> Iterator[str]:
        import numpy as np

        ends = np.cumsum([len(line) for line in self.lines], dtype=np.int64)
        chain = np.concatenate([np.zeros(0, dtype=np.int64), *self.lines])
        yield '<?xml version="1.0"?>'
        yield '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian"><PolyData>'
        yield f'<Piece NumberOfPoints="{len(self.points)}" NumberOfLines="{len(self.lines)}">'
        yield "<PointData>"
        for name, values in sorted(self.point_data.items()):
            yield _array(name, values)
        yield "</PointData><Points>"
        yield _array("Points", self.points)
        yield "</Points><Lines>"
        yield _array("connectivity", chain)
        yield _array("offsets", ends)
        yield "</Lines></Piece></PolyData></VTKFile>"

    def _check(self, inspection: Inspection) -> None:
        import numpy as np

        if not np.isfinite(self.points).all():
            inspection.refuse("its points hold NaN or Infinity; expected finite millimetres")
        if not self.lines:
            inspection.note("empty-polyline", "warning", "the polyline has no line")


def _array(name: str, values: NDArray[Any]) -> str:
    from xml.sax.saxutils import quoteattr

    kind = "Float64" if values.dtype.kind == "f" else "Int64"
    parts = 1 if values.ndim == 1 else values.shape[1]
    numbers = values.astype(float if kind == "Float64" else int).ravel().tolist()
    text = " ".join(repr(number) for number in numbers)
    head = f'type="{kind}" Name={quoteattr(name)} NumberOfComponents="{parts}" format="ascii"'
    return f"<DataArray {head}>{text}</DataArray>"


def _parse(root: ET.Element) -> tuple[NDArray[Any], list[NDArray[Any]], dict[str, NDArray[Any]]]:
    piece = root.find("PolyData/Piece")
    if root.get("type") != "PolyData" or piece is None:
        raise ValueError("no PolyData piece")
    named = {array.get("Name"): array for array in piece.findall("Lines/DataArray")}
    points = piece.find("Points/DataArray")
    if points is None:
        raise ValueError("no points")
    chain, ends = _numbers(named["connectivity"]), _numbers(named["offsets"])
    if chain.dtype.kind != "i" or ends.dtype.kind != "i":
        raise ValueError("lines are chains of whole numbers")
    starts = [0, *ends.tolist()[:-1]]
    if sorted(starts) != starts or (len(ends) and ends[-1] != len(chain)):
        raise ValueError("offsets of the lines do not fit")
    lines = [chain[a:b] for a, b in zip(starts, ends.tolist(), strict=False)]
    data = {str(array.get("Name")): _numbers(array) for array in piece.findall("PointData/DataArray")}
    return _numbers(points), lines, data


def _numbers(array: ET.Element) -> NDArray[Any]:
    import numpy as np

    if array.get("format") != "ascii":
        raise ValueError(f"array {array.get('Name')!r} has format {array.get('format')!r}")
    words = (array.text or "").split()
    parts = int(array.get("NumberOfComponents", "1"))
    if not 1 <= parts <= max(1, len(words)):
        raise ValueError(f"array {array.get('Name')!r} has {parts} components")
    kind = np.int64 if str(array.get("type")).startswith("Int") else np.float64
    values = np.array([int(word) if kind is np.int64 else float(word) for word in words], dtype=kind)
    return values if parts == 1 else values.reshape(-1, parts)
