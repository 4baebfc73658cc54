"""Settings files: YAML 1.2 (core schema) without the parts that surprise.

PyYAML reads YAML 1.1, where `no` is false, `1e-3` is text and `010` is 8. Here `no` is text, `1e-3` a number
and `010` ten. Refused, with file, line and column: a key twice, aliases, tags, numbers that are not finite,
integers that other readers would round, and keys that are not text. Nothing in a file can name code, and what some
systems evaluate (text that begins with `$`) is refused too. A file is moreover read by others, Snakemake among them, so
that what YAML 1.1 takes for something else has to be written such that both versions agree: 'no', false, 1.0e-3.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from voxfield.artifacts._files import open_origin, read_text
from voxfield.artifacts._strict_json import DEEPEST, EXACT, parse_json
from voxfield.errors import SettingsError

MOST_BYTES = 1_000_000
# The core schema of YAML 1.2 (section 10.3.2), in the order in which it is tried.
NULL = re.compile(r"(?:null|Null|NULL|~|)\Z")
TRUE = re.compile(r"(?:true|True|TRUE)\Z")
FALSE = re.compile(r"(?:false|False|FALSE)\Z")
DECIMAL = re.compile(r"[-+]?[0-9]+\Z")
OCTAL = re.compile(r"0o[0-7]+\Z")
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+\Z")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")


def load_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file (or JSON, by its name). Raises SettingsError with file, line and column."""
    origin = open_origin(path)
    if origin.size > MOST_BYTES:
        message = f"has {origin.size:,} bytes; expected at most {MOST_BYTES:,}: long lists belong into a table"
        raise SettingsError(message, file=path)
    text = read_text(origin)
    name = origin.path.name.lower()
    value = parse_json(text, origin.path) if name.endswith(".json") else _parse(text, origin.path, "")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SettingsError(f"holds a {type(value).__name__}; expected a mapping of names to values", file=path)
    _refuse_expressions("", value, path)
    return value


def parse_yaml(text: str, *, source: str) -> Any:
    """One value in YAML, such as `0.5`, `true`, `[1, 2]` or text. `source` names it in messages."""
    return _parse(text, None, f"{source}: ")


def dump_yaml(value: Mapping[str, Any]) -> str:
    """YAML text of plain values, keys in their order; readers of YAML 1.1 and 1.2 understand it alike."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes every value out, and quotes text that some reader would take for something else."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
        quoted = any(pattern.match(data) for pattern in (OCTAL, FLOAT))  # those that YAML 1.1 lets stand bare
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="'" if quoted else None)

    Dumper.add_representer(str, text)
    return str(yaml.dump(dict(value), Dumper=Dumper, sort_keys=False, allow_unicode=True))


def _refuse_expressions(name: str, value: Any, file: str | Path) -> None:
    """Nothing here evaluates `$...`, so a file that asks for it was written for another system, or to do harm."""
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_expressions(f"{name}.{key}" if name else key, item, file)
    elif isinstance(value, list):
        for item in value:
            _refuse_expressions(name, item, file)
    elif isinstance(value, str) and value.startswith("$"):
        message = f"{name!r} is {value[:60]!r}, an expression ($); nothing is evaluated here, write the value itself"
        raise SettingsError(message, file=file)


def _parse(text: str, file: Path | None, prefix: str) -> Any:
    import yaml

    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{prefix}{error}".replace("\n", " "), file=file) from None
    reader = _Reader(loader, file, prefix)
    try:
        return reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        hint = " (a tab can not indent)" if "\\t" in str(error.problem) else ""
        raise SettingsError(f"{prefix}{where}{error.problem}{hint}", file=file) from None
    finally:
        loader.dispose()


class _Reader:
    """Builds plain values from the events of PyYAML's parser, so that no constructor ever runs."""

    def __init__(self, loader: Any, file: Path | None, prefix: str) -> None:
        self._loader = loader
        self._file = file
        self._prefix = prefix

    def document(self) -> Any:
        """The value of the only document; None where there is none."""
        from yaml import events

        self._loader.get_event()  # the start of the stream
        if self._loader.check_event(events.StreamEndEvent):
            return None
        self._loader.get_event()  # the start of the document
        value = self._value(0)
        self._loader.get_event()  # its end
        if not self._loader.check_event(events.StreamEndEvent):
            self._refuse(self._loader.peek_event(), "a second document begins; expected a single one")
        return value

    def _value(self, depth: int) -> Any:
        from yaml import events

        event = self._loader.get_event()
        if isinstance(event, events.AliasEvent):
            self._refuse(event, f"alias *{event.anchor}; aliases are not allowed, write the value out")
        if event.tag is not None and event.tag != "!":
            self._refuse(
                event,
                f"tag {event.tag}; tags (python objects, other types) are not allowed, write a plain value",
            )
        if depth > DEEPEST:
            self._refuse(event, f"nested more than {DEEPEST} deep")
        if isinstance(event, events.MappingStartEvent):
            return self._mapping(depth)
        if isinstance(event, events.SequenceStartEvent):
            return self._sequence(depth)
        return self._scalar(event)

    def _sequence(self, depth: int) -> list[Any]:
        from yaml import events

        items = []
        while not self._loader.check_event(events.SequenceEndEvent):
            items.append(self._value(depth + 1))
        self._loader.get_event()
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        from yaml import events

        found: dict[str, Any] = {}
        while not self._loader.check_event(events.MappingEndEvent):
            at = self._loader.peek_event()
            key = self._value(depth + 1)
            if not isinstance(key, str):
                self._refuse(at, f"key {key!r} is no text; put it in quotes")
            if key in found:
                self._refuse(at, f"key {key!r} is given twice (duplicate); keep one")
            found[key] = self._value(depth + 1)
        self._loader.get_event()
        return found

    def _scalar(self, event: Any) -> Any:
        if not event.implicit[0]:  # quoted
            return event.value
        value = self._plain(event)
        if self._file is not None:
            self._refuse_if_ambiguous(event, value)
        return value

    def _refuse_if_ambiguous(self, event: Any, value: Any) -> None:
        other = _by_yaml_1_1(self._loader, event.value)
        if type(other) is not type(value) or other != value:
            sure = dump_yaml({"x": value}).removeprefix("x: ").strip()
            self._refuse(
                event,
                f"{event.value} is {_described(value)} in YAML 1.2 and {_described(other)} in YAML 1.1, which other "
                f"readers follow; write {sure} if the first is meant",
            )

    def _plain(self, event: Any) -> Any:
        text = event.value
        if NULL.match(text):
            return None
        if TRUE.match(text) or FALSE.match(text):
            return bool(TRUE.match(text))
        if NOT_FINITE.match(text):
            self._refuse(event, f"{text} is not finite; expected a finite number (null where there is none)")
        for pattern, base in ((DECIMAL, 10), (OCTAL, 8), (HEXADECIMAL, 16)):
            if pattern.match(text):
                return self._integer(event, text, base)
        if FLOAT.match(text):
            number = float(text)
            if not math.isfinite(number):
                self._refuse(event, f"{text} is beyond the range of numbers")
            return number
        return text

    def _integer(self, event: Any, text: str, base: int) -> int:
        if len(text) > 20 or abs(number := int(text.replace("0o", ""), base)) > EXACT:
            self._refuse(event, f"integer {text[:40]} is out of range, +-2^53")
        return number

    def _refuse(self, event: Any, message: str) -> NoReturn:
        mark = event.start_mark
        raise SettingsError(f"{self._prefix}line {mark.line + 1}, column {mark.column + 1}: {message}", file=self._file)


def _by_yaml_1_1(loader: Any, text: str) -> Any:
    """What PyYAML makes of a plain scalar; the class of a value that is no value at all, such as the 30th February."""
    from yaml import ScalarNode, YAMLError

    node = ScalarNode(loader.resolve(ScalarNode, text, (True, False)), text)
    try:
        return loader.construct_object(node)
    except (YAMLError, ValueError, OverflowError):
        return node


def _described(value: Any) -> str:
    names = {bool: "the boolean", int: "the integer", float: "the number", str: "the text"}
    if value is None:
        return "null"
    return f"{names[type(value)]} {value!r}" if type(value) in names else "something else (a date, a merge)"
