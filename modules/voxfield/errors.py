"""The one family of errors that Voxfield raises on purpose.

A message names the file, says what was found, what was expected and what to do, in one line so that logs can be
searched. Anything else that escapes a stage is a bug.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class VoxfieldError(Exception):
    """Base of all errors that are meant for the person who gets them."""

    exit_code = 1

    def __init__(self, message: str, *, file: str | Path | None = None) -> None:
        self.message = message
        self.file = None if file is None else Path(file)
        super().__init__(message if file is None else f"{file}: {message}")


class InputError(VoxfieldError):
    """A file or a value that a stage can not work with."""

    exit_code = 2


class DamagedError(InputError):
    """A file of a run folder that is no longer what its stage wrote; `voxfield run` makes it anew.

    Jobs tell of it in words, through their logs and the notes of failures: `damage_in` finds them again.
    """

    def __init__(self, fault: str, *, file: str | Path) -> None:
        super().__init__(f"is damaged: {fault}; `voxfield run` makes it anew", file=file)


def damage_in(message: str) -> tuple[str, str] | None:
    """The file that a DamagedError of this text is about, and what is wrong with it; None for any other error."""
    file, found, rest = message.partition(": is damaged: ")
    return (file, rest.rpartition("; ")[0]) if found else None


class SettingsError(InputError):
    """A setting that is unknown, out of bounds or of the wrong type."""


class MachineError(VoxfieldError):
    """The machine fell short: disk, memory or device."""

    exit_code = 3


class CohortError(VoxfieldError):
    """Some rows of a cohort failed; the others are finished."""

    exit_code = 3


class FewFinishedError(CohortError):
    """So few scans of a cohort finished that the run as a whole failed; what could finish has."""

    exit_code = 4


@contextmanager
def about(file: Path | None) -> Iterator[None]:
    """Name the file in an InputError of code that works on arrays, and knows of no file."""
    try:
        yield
    except InputError as error:
        if error.file is None and file is not None:
            raise type(error)(error.message, file=file) from None
        raise
