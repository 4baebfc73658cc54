"""Two files that should hold the same: byte for byte, or within what another machine may change.

The rules stand in `configs/tolerances.yaml`, stage by stage and with their reasons.
"""

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.errors import SettingsError
from voxfield.paths import resource_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = Mapping[str, NDArray[Any]]

TEXTS = (".graphml", ".swc", ".vtp")
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")
ENTRIES = frozenset({"absolute", "relative", "share", "none", "reason"})


@dataclass(frozen=True)
class Tolerance:
    """How far values may lie apart.

    absolute, relative  a value may differ by absolute + relative * (largest magnitude of its array)
    share               of the values that may differ by more
    none                is not compared at all
    reason              why so much
    """

    reason: str
    absolute: float = 0.0
    relative: float = 0.0
    share: float = 0.0
    none: bool = False

    def __str__(self) -> str:
        if self.none:
            return f"not compared: {self.reason}"
        parts = [f"{name} {value:g}" for name, value in self._bounds().items() if value]
        return f"{', '.join(parts) or 'equal'} ({self.reason})"

    def _bounds(self) -> dict[str, float]:
        return {"absolute": self.absolute, "relative": self.relative, "share": self.share}

    def fault(self, made: Path, recorded: Path) -> str | None:
        """In what the files differ by more than is allowed; None where they do not."""
        ours, theirs = values_of(made), values_of(recorded)
        if ours is None or theirs is None:
            return "differs, and holds no numbers that could be compared"
        if ours.keys() != theirs.keys():
            return f"holds {_first(ours.keys() ^ theirs.keys())} in one of the two only"
        return next((f"{name} {why}" for name in ours if (why := self._apart(ours[name], theirs[name]))), None)

    def _apart(self, ours: "NDArray[Any]", theirs: "NDArray[Any]") -> str | None:
        import numpy as np

        if ours.shape != theirs.shape:
            return f"has shape {ours.shape}, recorded is {theirs.shape}"
        if ours.dtype.kind not in "biuf":
            return None if np.array_equal(ours, theirs) else "has other texts"
        ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
        finite = np.isfinite(theirs)
        if not np.array_equal(np.where(finite, 0, theirs), np.where(finite, 0, ours), equal_nan=True):
            return "has other gaps"
        if not finite.any():
            return None
        apart = np.abs(ours - theirs)[finite]
        bound = self.absolute + self.relative * np.abs(theirs[finite]).max()
        outside = np.count_nonzero(apart > bound) / apart.size
        if outside <= self.share:
            return None
        return f"differs by up to {apart.max():.3g}, {outside:.3%} of the values by more than {bound:.3g}"


def tolerance_for(stage: str, kind: str) -> Tolerance:
    """The rule for a kind of output of a stage."""
    from voxfield.settings_yaml import load_yaml

    place = resource_folder("configs") / "tolerances.yaml"
    table = load_yaml(place)
    for name in (stage, f"{stage.partition('.')[0]}.*", "default"):
        for which in (kind, "all"):
            entry = table.get(name, {}).get(which)
            if entry is not None:
                if unknown := set(entry) - ENTRIES:
                    raise SettingsError(f"{name}: {which}: {_first(unknown)!r} is unknown", file=place)
                return Tolerance(**entry)
    raise SettingsError("has no rule for `default: all`", file=place)


def values_of(path: Path) -> "Values | None":
    """The values of a file by name: voxels, tensors, columns, entries, numbers; None where there are only bytes."""
    import numpy as np

    if path.name.endswith(".nii.gz"):
        import nibabel as nib

        image = nib.load(path)
        return {"voxels": np.asanyarray(image.dataobj), "affine": np.asarray(image.affine)}
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return dict(load_file(path))
    if path.suffix == ".tsv":
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        return {column: _column([row[column] for row in rows]) for column in (rows[0] if rows else {})}
    if path.suffix == ".json":
        return {name: np.asarray(value) for name, value in _entries(json.loads(path.read_text()), "")}
    if path.suffix in TEXTS:
        text = path.read_text(encoding="utf-8")
        return {"numbers": np.asarray(NUMBER.findall(text), float), "text": np.asarray(NUMBER.sub("#", text))}
    return None


def _column(cells: list[str]) -> "NDArray[Any]":
    import numpy as np

    try:
        return np.asarray([float("nan") if cell == "n/a" else float(cell) for cell in cells])
    except ValueError:
        return np.asarray(cells)


def _entries(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [entry for key, inner in value.items() for entry in _entries(inner, f"{name}.{key}".lstrip("."))]
    if isinstance(value, list) and not all(isinstance(inner, int | float) for inner in value):
        return [entry for place, inner in enumerate(value) for entry in _entries(inner, f"{name}.{place}")]
    return [(name, "null" if value is None else value)]


def _first(names: Any) -> str:
    return str(min(names, key=str))
