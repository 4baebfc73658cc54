"""What all artifacts share: the three methods, where a file came from, and how much a reader may allocate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from voxfield.errors import InputError
from voxfield.findings import Findings, Level

if TYPE_CHECKING:
    from typing import Self

    from voxfield.context import Context


TEXT_ALWAYS = 1 << 20  # bytes of text that are read whatever the limit


@dataclass(frozen=True)
class Limits:
    """How much a reader takes on, judged from the header or the size before anything is allocated.

    max_voxels  values of one array: all axes multiplied, frames and components included; also pixels of a picture,
                and values of a mesh or a tensor
    """

    max_voxels: int = 400_000_000

    @property
    def max_text_bytes(self) -> int:
        """Bytes of a file that is read as text (tables, JSON, XML, SWC): a value takes some four of them."""
        return max(TEXT_ALWAYS, self.max_voxels // 4)

    def excess(self, count: int, what: str = "values") -> str | None:
        """Why `count` of something is too much, and how to allow it; None where it is not."""
        if count <= self.max_voxels:
            return None
        return f"{count:,} {what}, over the limit of {self.max_voxels:,}; raise --max-voxels if that is meant"


DEFAULT_LIMITS = Limits()


@dataclass
class Origin:
    """The file that an artifact was read from.

    `sha256` is taken in the pass that reads the bytes; asked for before that, the file is hashed on its own.
    """

    path: Path
    size: int
    digest: str | None = field(default=None, repr=False)

    @property
    def sha256(self) -> str:
        """sha256 of the file as it was read, hexadecimal."""
        if self.digest is None:
            from voxfield.records import hash_file

            self.digest = hash_file(self.path)[0]
        return self.digest

    @property
    def record(self) -> dict[str, Any] | None:
        """What the record beside the file says; None where there is none."""
        from voxfield.records import read_record

        return read_record(self.path)


class Inspection:
    """The judgement of one file: what is wrong with it stops here, what is odd about it is noted."""

    def __init__(self, file: Path | None, findings: Findings) -> None:
        self.file = file
        self.findings = findings

    def refuse(self, message: str) -> NoReturn:
        """Raise InputError with the name of the file."""
        raise InputError(message, file=self.file)

    def note(self, code: str, level: Level, message: str, value: Any = None) -> None:
        """Record a finding about the file."""
        self.findings.add(code, level, message, file=self.file, value=value)


class Artifact(ABC):
    """One piece of data and its file.

    kind      the name of the class
    suffix    what the names of its files end in
    origin    the file that it was read from; None for an artifact made in memory
    findings  what its reader found odd
    """

    kind: ClassVar[str]
    suffix: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.kind = cls.__name__

    def __init__(self) -> None:
        self.origin: Origin | None = None
        self.findings = Findings()

    @classmethod
    @abstractmethod
    def load(cls, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, findings: Findings | None = None) -> Self:
        """Open a file. Its header is judged now, its values are read when they are first used.

        Whatever is odd goes into `findings`; raises InputError when the file can not be what it should be.
        """

    @abstractmethod
    def save(self, path: str | Path) -> None:
        """Write exactly to `path`; the same artifact gives the same bytes."""

    @abstractmethod
    def _check(self, inspection: Inspection) -> None:
        """Judge every value."""

    def check(self, target: Context | Findings) -> None:
        """Read everything and judge it: raises InputError, or adds what is odd to the findings of "
        "`target`."""
        findings = target if isinstance(target, Findings) else target.findings
        self._check(Inspection(self.file, self.findings))
        if findings is not self.findings:
            for found in self.findings:
                findings.add(found.code, found.level, found.message, file=found.file, value=found.value)

    def release(self) -> None:  # noqa: B027  (nothing to drop, unless a kind reads lazily)
        """Drop values that can be read again from the file."""

    @property
    def file(self) -> Path | None:
        """The path that the artifact was read from."""
        return None if self.origin is None else self.origin.path

    def _opened(self, origin: Origin, findings: Findings | None) -> None:
        self.origin = origin
        if findings is not None:
            self.findings = findings
