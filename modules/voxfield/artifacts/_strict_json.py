"""JSON as the standard has it: no NaN, no key twice, no integer that another reader would round."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from voxfield.errors import InputError

EXACT = 2**53  # integers beyond this change in readers that hold numbers as doubles (RFC 7493)


def parse_json(text: str | bytes, file: str | Path | None, *, what: str = "the file") -> Any:
    """Parse JSON. Raises InputError, naming the file, for what the standard does not allow or readers "
    "differ on."""

    def refuse(message: str) -> NoReturn:
        raise InputError(f"{what} {message}", file=file)

    def constant(name: str) -> NoReturn:
        refuse(f"holds {name}, which is not JSON; expected finite numbers (null where there is none)")

    def number(digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), float("-inf")):
            refuse(f"holds the number {digits}, which no double can hold; expected finite numbers")
        return value

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in items:
            if key in found:
                refuse(f"holds the key {key!r} twice (duplicate); keep one")
            if type(value) is int and abs(value) > EXACT:
                refuse(f"holds {key!r} = {value}, out of the range of exact integers, +-2^53")
            found[key] = value
        return found

    try:
        return json.loads(text, parse_constant=constant, parse_float=number, object_pairs_hook=pairs)
    except RecursionError:
        refuse("holds JSON that is nested too deep (recursion)")
    except UnicodeDecodeError as error:
        refuse(f"is not UTF-8: {error.reason} at byte {error.start}")
    except ValueError as error:
        refuse(f"is not JSON: {error}")


def write_json(value: Any, *, indent: int | None = 1) -> str:
    """JSON text with sorted keys; raises ValueError for NaN and Infinity."""
    return json.dumps(value, indent=indent, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
