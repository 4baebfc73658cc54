"""Reading XML that may come from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from xml.etree import ElementTree as ET

from voxfield.artifacts._files import read_text
from voxfield.errors import InputError

if TYPE_CHECKING:
    from voxfield.artifacts._base import Limits, Origin

T = TypeVar("T")


def read_xml(origin: Origin, limits: Limits, expected: str, make: Callable[[ET.Element], T]) -> T:
    """What `make` makes of the root element; raises InputError for any other file.

    expected  what the file should be, such as "GraphML"
    make      may raise ValueError, KeyError, OverflowError or InputError for what it does not know
    """
    text = read_text(origin, limits)
    if "<!ENTITY" in text:  # entities can grow without end; a document type that declares none is harmless
        raise InputError(f"holds a document type that declares entities; expected plain {expected}", file=origin.path)
    try:
        return make(ET.fromstring(text))  # noqa: S314  (entities were refused above)
    except (ET.ParseError, ValueError, KeyError, OverflowError, InputError) as error:
        what = error.message if isinstance(error, InputError) else str(error)
        raise InputError(f"is no {expected}: {what}", file=origin.path) from None
