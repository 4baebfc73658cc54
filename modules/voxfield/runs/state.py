"""What a run wrote about itself, read back: a file that was damaged since is named, and nothing is made of the rest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxfield.artifacts._strict_json import parse_json
from voxfield.errors import InputError


def read_state(place: Path, kinds: Mapping[str, type | tuple[type, ...]] | None = None) -> dict[str, Any]:
    """The mapping in a JSON file; an empty one where there is no file. Raises InputError for a damaged file.

    kinds  key -> type of what has to be there
    """
    if not place.is_file():
        return {}
    content = parse_json(place.read_bytes(), place)
    if not isinstance(content, dict):
        raise InputError(f"holds a {type(content).__name__}; expected a mapping: it is damaged, remove it", file=place)
    for key, kind in (kinds or {}).items():
        if not isinstance(content.get(key), kind):
            raise InputError(f"does not say {key!r} as it should: it is damaged, remove it", file=place)
    return content
