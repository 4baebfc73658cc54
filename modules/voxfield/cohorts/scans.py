"""What the readers of all layouts hand over."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scan:
    """One row of a cohort.

    patient, session  whose scan it is and of which visit; a session is empty where a patient has one
    part              what tells several scans of a session apart, such as `run-2`
    site              where it was made
    files             kind -> path, relative to the folder
    more              further columns, such as split or modality
    by_site           whether its id begins with the site, since sites may count their patients alike
    """

    patient: str
    session: str = ""
    part: str = ""
    site: str = ""
    files: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)
    by_site: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What its id is made of."""
        return (self.site if self.by_site else "", self.patient, self.session, self.part)


@dataclass(frozen=True)
class Left:
    """A file or a folder that came into no row, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Found:
    """A folder as its layout tells it.

    layout  its name, and by what it was recognised
    scans   in the order of patient, session and part
    left    what came into no row
    notes   what the person should know, a sentence each
    image   kind that the layout itself takes for the image, where it does
    """

    layout: str
    scans: Sequence[Scan]
    left: Sequence[Left]
    notes: Sequence[str] = ()
    image: str = ""
