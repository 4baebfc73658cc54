"""Checks of architecture arguments that may come from a file."""

from collections.abc import Mapping, Sequence
from typing import Any

from voxfield.errors import InputError


def integers(arguments: Mapping[str, Any], key: str, low: int, high: int) -> list[int]:
    """The list of integers under `key`, each within [low, high]."""
    value = arguments.get(key)
    good = isinstance(value, Sequence) and not isinstance(value, str) and 2 <= len(value) <= 8
    if not good or any(type(v) is not int or not low <= v <= high for v in value or ()):
        raise InputError(f"architecture argument {key} is {value!r}; expected 2 to 8 integers in [{low}, {high}]")
    return list(value or ())


def integer(arguments: Mapping[str, Any], key: str, low: int, high: int) -> int:
    """The integer under `key`, within [low, high]."""
    value = arguments.get(key)
    if type(value) is not int or not low <= value <= high:
        raise InputError(f"architecture argument {key} is {value!r}; expected an integer in [{low}, {high}]")
    return value


def only(arguments: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse arguments that the architecture does not have."""
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise InputError(f"architecture argument {unknown[0]!r} is unknown; known: {', '.join(known)}")


def dims_of(arguments: Mapping[str, Any]) -> int:
    """The argument `dims`, 2 or 3 (the default)."""
    return integer({"dims": 3, **arguments}, "dims", 2, 3)


def sides(arguments: Mapping[str, Any], side: int) -> tuple[int, int, int]:
    """What the sides of a patch are multiples of: `side`, but 1 along z in 2D."""
    return side, side, (1 if dims_of(arguments) == 2 else side)
