"""Metrics: results that a script reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._files import open_origin, read_bytes
from voxfield.artifacts._strict_json import parse_json, write_json
from voxfield.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    from voxfield.findings import Findings


class Metrics(Artifact):
    """A JSON mapping of names to numbers, text, lists and mappings; unknown values are null, never NaN.

    values  the mapping
    """

    suffix = ".json"

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self.values = {name: _plain(value) for name, value in values.items()}

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Read `.json`, by the standard: no NaN, no key twice."""
        origin = open_origin(path)
        values = parse_json(read_bytes(origin, limits), origin.path)
        if not isinstance(values, dict):
            message = f"holds a {type(values).__name__}; expected a mapping of names to values"
            raise InputError(message, file=origin.path)
        metrics = cls(values)
        metrics._opened(origin, findings)
        return metrics

    def save(self, path: str | Path) -> None:
        """Write `.json` with sorted keys."""
        Path(path).write_text(write_json(self.values), encoding="utf-8")

    def _check(self, inspection: Inspection) -> None:
        try:
            write_json(self.values)
        except (TypeError, ValueError) as error:
            inspection.refuse(f"metrics are JSON values, all of them finite: {error}")


def _plain(value: Any) -> Any:
    """Python's own types for numpy's numbers and arrays."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value
