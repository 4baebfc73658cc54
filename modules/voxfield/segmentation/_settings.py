"""Settings that stages of the family share; importing this costs nothing."""

from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Len

from voxfield.errors import SettingsError

Side = Annotated[int, Ge(1), Le(512)]
Patch = tuple[Side, Side, Side]
Channels = Annotated[tuple[Annotated[int, Ge(1), Le(1024)], ...], Len(2, 8)]
Millimetres = Annotated[float, Gt(0)]
Spacing = tuple[Millimetres, Millimetres, Millimetres]
Margin = tuple[Annotated[float, Ge(0)], Annotated[float, Ge(0)], Annotated[float, Ge(0)]]
Extra = Literal["lung_distance", "coordinates"]


def input_channels(extras: Sequence[Extra]) -> int:
    """Channels of the network's input: the intensities, and what comes with them."""
    return 1 + sum(3 if extra == "coordinates" else 1 for extra in extras)


def require_patch(patch: Patch, sides: tuple[int, int, int]) -> None:
    """Refuse a patch that a network can not halve: its sides are multiples of `sides`, twice as long at least."""
    if any(n % side or (n < 2 * side and side > 1) for n, side in zip(patch, sides, strict=True)):
        least = tuple(2 * side if side > 1 else 1 for side in sides)
        raise SettingsError(f"patch is {patch}; with this network its sides are multiples of {sides}, at least {least}")
