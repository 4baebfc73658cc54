"""Pages to look at: one a subject, and one about all of them.

A page is HTML with its style inside, pictures beside it, and `page.json`, which says the same to programs. It
opens from disk, without server or network, in light and in dark. Pictures are small rasters at the resolution of
the data under vector outlines, arrows and letters, so that they stay sharp at every size and a page stays small.
"""

from typing import TYPE_CHECKING

from voxfield._lazy import lazy

if TYPE_CHECKING:
    from voxfield.report._build import build as build
    from voxfield.report._grading import grading as grading
    from voxfield.report._problem import problem as problem
    from voxfield.report._subject import subject as subject
    from voxfield.report._surface import surface as surface

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {"build": "_build", "grading": "_grading", "problem": "_problem", "subject": "_subject", "surface": "_surface"},
)
