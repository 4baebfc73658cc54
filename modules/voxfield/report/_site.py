"""Templates to pages. Everything that comes from outside is escaped; style and script lie inside the page."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from voxfield import __version__
from voxfield.report import _numbers as numbers


@cache
def environment() -> Environment:
    """Templates of this package, with escaping on and unknown names refused."""
    made = Environment(
        loader=PackageLoader("voxfield.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(duration=numbers.duration, size=numbers.size, compact=compact, significant=numbers.significant)
    return made


def render(template: str, **content: Any) -> bytes:
    """A page, UTF-8."""
    page = (
        environment()
        .get_template(template)
        .render(version=__version__, style=_inside("style.css"), script=_inside("page.js"), **content)
    )
    return page.encode()


def fragment(template: str, **content: Any) -> str:
    """A part of a page."""
    return environment().get_template(template).render(**content)


def compact(value: Any) -> str:
    """A setting as one line of JSON."""
    return json.dumps(value, ensure_ascii=False)


def data(content: Any) -> bytes:
    """`page.json`: what the page says, for programs."""
    return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n").encode()


@cache
def _inside(name: str) -> Markup:
    return Markup(files("voxfield.report").joinpath("templates", name).read_text("utf-8"))  # noqa: S704  (our own file)
