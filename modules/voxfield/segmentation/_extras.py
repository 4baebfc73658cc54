"""Names of what a network may see of a scan besides its intensities; importing this costs nothing."""

from collections.abc import Sequence
from typing import Literal

Extra = Literal["lung_distance", "coordinates"]


def channels(extras: Sequence[Extra]) -> int:
    """Channels of the network's input: the intensities, and what comes with them."""
    return 1 + sum(3 if extra == "coordinates" else 1 for extra in extras)
