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
    """A word at a place (2,) in a picture, mm from its upper left corner."""

    text: str
    place: Floats


@dataclass(frozen=True)
class Picture:
    """One picture: what lies in it, and what is said of it.

    title    a few words under the picture
    alt      a sentence for those who can not see it
    layers   names of rasters in `assets`, each with a class of the style sheet, the lowest first
    drawing  SVG over them, in millimetres
    letters  of the body at the four sides
    """

    title: str
    alt: str
    layers: Sequence[tuple[str, str]]
    drawing: Markup
    tags: Sequence[Tag] = ()
    letters: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Sheet:
    """Collects the rasters of a page and turns pictures into what the templates draw.

    size  width and height of every picture, mm
    """

    size: tuple[float, float]
    assets: dict[str, bytes] = field(default_factory=dict)

    def add(self, name: str, pixels: Bytes) -> str:
        """Keep a raster; returns its name in the page."""
        path = f"assets/{name}.png"
        self.assets[path] = png(pixels)
        return path

    def show(self, picture: Picture) -> dict[str, Any]:
        """What the template of a picture needs."""
        width, height = self.size
        bar = max((s for s in SCALE_LENGTHS_MM if s <= 0.3 * width), default=SCALE_LENGTHS_MM[0])
        return {
            "title": picture.title,
            "alt": picture.alt,
            "letters": picture.letters,
            "width": round(width, 2),
            "height": round(height, 2),
            "scale": {"text": f"{bar:g} mm", "percent": round(100 * bar / width, 2)},
            "layers": picture.layers,
            "drawing": picture.drawing,
            "tags": self._apart(picture.tags),
        }

    def _apart(self, tags: Sequence[Tag]) -> list[dict[str, Any]]:
        """The tags that lie in the picture, in per cent of it, moved down until none lies on another."""
        placed: list[dict[str, Any]] = []
        for tag in tags:
            left, top = (round(100 * float(p) / s, 1) for p, s in zip(tag.place, self.size, strict=True))
            if not (0 <= left <= 100 and 0 <= top <= 100):
                continue
            while any(abs(top - t["top"]) < TAG_HEIGHT and abs(left - t["left"]) < TAG_WIDTH for t in placed):
                top = round(top + TAG_HEIGHT / 2, 1)
            placed.append({"text": tag.text, "left": left, "top": top})
        return placed


def place_tags(frame: Frame, view: View, places: Mapping[str, Floats]) -> list[Tag]:
    """Words at world points (3,) mm; none where there are too many to be read."""
    if len(places) > MOST_TAGS:
        return []
    return [Tag(text, frame.plane(view, point[None])[0]) for text, point in places.items()]


def cut_title(frame: Frame, view: View, position: float | None = None) -> str:
    """`Axial, S 12.5 mm`: the view and where it cuts."""
    depth = float(frame.focus[view.axis] if position is None else position)
    return f"{view.name.capitalize()}, {LETTERS[view.axis][depth >= 0]} {fixed(abs(depth), 1)} mm"
