"""What comes from outside: foreign formats converted into artifacts, and lists of scans made into cohorts."""

from typing import TYPE_CHECKING

from voxfield._lazy import lazy

if TYPE_CHECKING:
    from voxfield.io._array_file import read_array as read_array
    from voxfield.io._checkpoint import read_checkpoint as read_checkpoint
    from voxfield.io._cohort import cohort as cohort
    from voxfield.io._convert import convert as convert
    from voxfield.io._relabel import relabel as relabel

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "cohort": "_cohort",
        "convert": "_convert",
        "read_array": "_array_file",
        "read_checkpoint": "_checkpoint",
        "relabel": "_relabel",
    },
)
