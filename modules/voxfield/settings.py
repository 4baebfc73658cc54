"""Settings: types and bounds from a stage's signature, values from YAML and `--set`, one line per mistake.

Validation is strict (a text is not a number, 1 is not true) and goes through JSON, so that a value from a notebook, a
file and the command line is judged alike. pydantic gives the types, the bounds and the JSON schema.
"""

import difflib
import json
import typing
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxfield.errors import SettingsError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails


SHOWN, LONGEST = 80, 300  # characters of a value and of an explanation that a message shows


class SettingsModel:
    """The settings of one stage.

    name    the stage, for messages
    fields  name -> (annotated type, default)
    """

    def __init__(self, name: str, fields: Mapping[str, tuple[Any, Any]]) -> None:
        self.name = name
        self.fields = dict(fields)

    @property
    def text_fields(self) -> list[str]:
        """Names of the settings that take text and no number."""
        members = {name: set(typing.get_args(hint) or (hint,)) for name, (hint, _) in self.fields.items()}
        return [name for name, kinds in members.items() if str in kinds and kinds <= {str, type(None)}]

    @cached_property
    def model(self) -> "type[BaseModel]":
        """The pydantic model behind the settings."""
        from pydantic import ConfigDict, create_model

        definitions: dict[str, Any] = dict(self.fields)
        config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
        return create_model(self.name, __config__=config, **definitions)

    def validate(self, values: Mapping[str, Any], *, file: str | Path | None = None) -> dict[str, Any]:
        """All settings, defaults filled in. Raises SettingsError with a line per mistake."""
        from pydantic import ValidationError

        try:
            text = json.dumps(dict(values), allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise SettingsError(f"{self.name}: settings are plain finite values: {error}", file=file) from None
        try:
            model = self.model.model_validate_json(text)
        except ValidationError as error:
            lines = [self._explain(detail) for detail in error.errors(include_url=False)]
            raise SettingsError("\n".join(lines), file=file) from None
        return {name: getattr(model, name) for name in self.fields}

    def dump(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Settings as JSON values, the form in which records hold them."""
        return self.model.model_construct(**values).model_dump(mode="json")

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the settings."""
        return self.model.model_json_schema()

    def _explain(self, detail: "ErrorDetails") -> str:
        path = [str(part) for part in detail["loc"]]
        key = ".".join(path) or "settings"
        if detail["type"] == "extra_forbidden":
            return f"{self.name}: {unknown_key(path[-1], self.fields)}"
        return f"{self.name}: setting {key[:SHOWN]!r} is {_shown(detail['input'])}: {detail['msg'].lower()[:LONGEST]}"


def _shown(value: Any) -> str:
    """A value as a message shows it: enough of it to be recognised."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence about a key that is not known, with the nearest one that is."""
    known = sorted(known)
    close = difflib.get_close_matches(key[:SHOWN], known, n=1, cutoff=0.4)
    hint = f"the nearest known one is {close[0]!r}" if close else f"known are: {', '.join(known) or 'none'}"
    return f"setting {key[:SHOWN]!r} is unknown; {hint}"


def parse_assignments(assignments: Iterable[str], text: Collection[str] = ()) -> dict[str, Any]:
    """Values of `--set name=value`; a value is read as YAML (`0.5`, `true`, `[1, 2]`, `null`, text).

    `text` names the settings that are text whatever they look like, such as a subject 01.
    """
    from voxfield.settings_yaml import parse_yaml

    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise SettingsError(f"--set takes name=value; found {assignment!r}")
        if name in values:
            raise SettingsError(f"--set gives {name!r} twice; give it once")
        values[name] = parse_yaml(value, source=f"--set {name}")
        if name in text and isinstance(values[name], int | float):
            values[name] = value
    return values
