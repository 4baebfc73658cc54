"""Problem: a partial differential equation with its domain and data, as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voxfield.artifacts._base import DEFAULT_LIMITS, Artifact, Inspection, Limits
from voxfield.artifacts._files import open_origin, read_bytes
from voxfield.errors import InputError, SettingsError, about

if TYPE_CHECKING:
    from typing import Self

    from voxfield.findings import Findings
    from voxfield.settings import SettingsModel


class Problem(Artifact):
    """What a problem file says: YAML, strictly read, with known keys of known types.

    statement  key -> value, as docs/pde.md tells; formulas are text here, and become functions when the problem is
               posed (`voxfield.pde.problem`)
    """

    suffix = ".yaml"

    def __init__(self, statement: Mapping[str, Any]) -> None:
        super().__init__()
        self.statement = _validated(statement, None)

    @classmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Read `.yaml`. Raises SettingsError, a line a mistake, for what a problem can not say."""
        from voxfield.settings_yaml import load_yaml

        origin = open_origin(path)
        if origin.size > MOST_BYTES:
            raise InputError(f"has {origin.size:,} bytes; a problem file has at most {MOST_BYTES:,}", file=path)
        read_bytes(origin)  # for its hash
        statement = load_yaml(path)
        problem = cls.__new__(cls)
        Artifact.__init__(problem)
        problem.statement = _validated(statement, origin.path)
        problem._opened(origin, findings)
        return problem

    def save(self, path: str | Path) -> None:
        """Write `.yaml`, only what differs from the defaults, in the order of the keys."""
        from voxfield.settings_yaml import dump_yaml

        defaults = {name: default for name, (_, default) in _model().fields.items()}
        said = {key: value for key, value in self.statement.items() if value != defaults[key]}
        Path(path).write_text(dump_yaml(_plain(said)), encoding="utf-8")

    def _check(self, inspection: Inspection) -> None:
        with about(inspection.file):
            _validated(self.statement, inspection.file)


MOST_BYTES = 100_000


def _model() -> SettingsModel:
    from voxfield.settings import SettingsModel

    number = str | float
    return SettingsModel(
        "problem",
        {
            "title": (str, ""),
            "unknown": (str, "u"),
            "unit": (str, ...),
            "box": (dict[str, tuple[number, number]], {}),
            "voxels": (bool, False),
            "length_unit": (str, ""),
            "time": (tuple[number, number] | None, None),
            "time_unit": (str, ""),
            "operator": (str | dict[str, number | dict[str, number]], ...),
            "forcing": (number, 0.0),
            "initial": (number | None, None),
            "boundary": (dict[str, str | dict[str, number]], {}),
            "manufactured": (number | None, None),
            "observations": (Literal["given"] | None, None),
        },
    )


def _validated(statement: Mapping[str, Any], file: Path | None) -> dict[str, Any]:
    if not str(statement.get("unit", "")).strip():
        raise SettingsError('problem: states no unit of the unknown; write, say, `unit: Pa` or `unit: "1"`', file=file)
    if "operator" not in statement:
        raise SettingsError("problem: states no operator; write, say, `operator: poisson`", file=file)
    return _model().validate(statement, file=file)


def _plain(value: Any) -> Any:
    """Lists for tuples, which YAML has not."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
