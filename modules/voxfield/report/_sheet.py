"""The pictures of one page: rasters under vectors, with letters, a scale bar, and words for who can not see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from voxfield.report._numbers import fixed
from voxfield.report._raster import Bytes, png
from voxfield.report._view import LETTERS, Floats, Frame, View

SCALE_LENGTHS_MM = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
MOST_TAGS = 10  # words in a picture
TAG_WIDTH, TAG_HEIGHT = 20.0, 5.0  # per cent of a picture


@dataclass(frozen=True)
class Tag:
    """A word in a picture, at a place in per cent of its width and height."""

    text: str
    left: float
    top: float


@dataclass(frozen=True)
class Picture:
    """One picture: what lies in it, and what is said of it.

    title    a few words under the picture
    alt      a sentence for those who can not see it
    layers   names of rasters in `assets`, each with a class of the style sheet, the lowest first
    drawing  SVG over them, in millimetres
    """

    view: View
    title: str
    alt: str
    layers: Sequence[tuple[str, str]]
    drawing: Markup
    tags: Sequence[Tag] = ()


@dataclass
class Sheet:
    """Collects the rasters of a page and turns pictures into what the templates draw."""

    frame: Frame
    assets: dict[str, bytes] = field(default_factory=dict)

    def add(self, name: str, pixels: Bytes) -> str:
        """Keep a raster; returns its name in the page."""
        path = f"assets/{name}.png"
        self.assets[path] = png(pixels)
        return path

    def show(self, picture: Picture) -> dict[str, Any]:
        """What the template of a picture needs."""
        width, height = self.frame.size
        bar = max((s for s in SCALE_LENGTHS_MM if s <= 0.3 * width), default=SCALE_LENGTHS_MM[0])
        return {
            "title": picture.title,
            "alt": picture.alt,
            "letters": picture.view.letters,
            "width": round(width, 2),
            "height": round(height, 2),
            "scale": {"text": f"{bar:g} mm", "percent": round(100 * bar / width, 2)},
            "layers": picture.layers,
            "drawing": picture.drawing,
            "tags": apart([t for t in picture.tags if 0 <= t.left <= 100 and 0 <= t.top <= 100]),
        }

    def tags(self, view: View, places: Mapping[str, Floats]) -> list[Tag]:
        """Words at world points (3,) mm; none where there are too many to be read."""
        return [self._tag(text, view, point) for text, point in places.items()] if len(places) <= MOST_TAGS else []

    def _tag(self, text: str, view: View, point: Floats) -> Tag:
        x, y = self.frame.plane(view, point[None])[0]
        return Tag(text, round(100 * float(x) / self.frame.size[0], 1), round(100 * float(y) / self.frame.size[1], 1))

    def title(self, view: View, position: float | None = None) -> str:
        """`Axial, S 12.5 mm`: the view and where it cuts."""
        depth = float(self.frame.focus[view.axis] if position is None else position)
        return f"{view.name.capitalize()}, {LETTERS[view.axis][depth >= 0]} {fixed(abs(depth), 1)} mm"


def apart(tags: Sequence[Tag]) -> list[Tag]:
    """Tags moved down until none lies on another."""
    placed: list[Tag] = []
    for tag in tags:
        top = tag.top
        while any(abs(top - other.top) < TAG_HEIGHT and abs(tag.left - other.left) < TAG_WIDTH for other in placed):
            top = round(top + TAG_HEIGHT / 2, 1)
        placed.append(Tag(tag.text, tag.left, top))
    return placed
