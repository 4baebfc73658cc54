"""JSON as the standard has it: no NaN, no key twice, no integer that another reader would round, no endless nesting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from voxfield.errors import InputError

EXACT = 2**53  # integers beyond this change in readers that hold numbers as doubles (RFC 7493)
DEEPEST = 50  # far more than anything we write, and far less than what recursion bears


def parse_json(text: str | bytes, file: str | Path | None, *, what: str = "the file") -> Any:
    """Parse JSON. Raises InputError, naming the file, for what the standard does not allow or readers "
    "differ on."""

    def refuse(message: str) -> NoReturn:
        raise InputError(f"{what} {message}", file=file)

    def constant(name: str) -> NoReturn:
        refuse(f"holds {name}, which is not JSON; expected finite numbers (null where there is none)")

    def real(digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), float("-inf")):
            refuse(f"holds the number {digits[:40]}, which no double can hold; expected finite numbers")
        return value

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in items:
            if key in found:
                refuse(f"holds the key {key!r} twice (duplicate); keep one")
            found[key] = value
        return found

    try:
        value = json.loads(text, parse_constant=constant, parse_float=real, object_pairs_hook=pairs)
    except RecursionError:
        refuse("holds JSON that is nested too deep (recursion)")
    except UnicodeDecodeError as error:
        refuse(f"is not UTF-8: {error.reason} at byte {error.start}")
    except ValueError as error:
        refuse(f"is not JSON: {error}")
    fault = _fault(value)
    if fault:
        refuse(fault)
    return value


def _fault(value: Any) -> str | None:
    """What other readers would stumble over: deep nesting, integers that they would round, halves of characters."""
    layer: list[tuple[str, Any]] = [("", value)]
    for _ in range(DEEPEST):
        following: list[tuple[str, Any]] = []
        for name, item in layer:
            if isinstance(item, dict):
                following.extend(item.items())
            elif isinstance(item, list):
                following.extend((name, element) for element in item)
            elif type(item) is int and abs(item) > EXACT:
                where = f"{name!r} = " if name else ""
                return f"holds {where}{str(item)[:40]}, out of the range of exact integers, +-2^53"
            if not _is_text(name) or (isinstance(item, str) and not _is_text(item)):
                return "holds half of a surrogate pair (\\ud800 to \\udfff), which is no text"
        if not following:
            return None
        layer = following
    return f"holds JSON that is nested more than {DEEPEST} deep (recursion)"


def _is_text(text: str) -> bool:
    """Whether UTF-8 can hold it: JSON may escape one half of a surrogate pair, which no file can."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def write_json(value: Any, *, indent: int | None = 1) -> str:
    """JSON text with sorted keys; raises ValueError for NaN and Infinity."""
    return json.dumps(value, indent=indent, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
