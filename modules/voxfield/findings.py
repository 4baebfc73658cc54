"""Things worth telling that are no reason to stop: data with a code and a level, never a log line."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Level = Literal["info", "warning", "error"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Finding:
    """One observation: a code that a script can match, a level, and a sentence with the numbers in it.

    `file` is a name without its folder, since findings are written into records, which hold no absolute path.
    """

    code: str
    level: Level
    message: str
    file: str | None = None
    value: Any = None

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON values, without the fields that say nothing."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        where = f"{self.file}: " if self.file else ""
        return f"{self.level}: {where}{self.message} [{self.code}]"


class Findings:
    """A growing list of findings; a stage and the readers of its inputs write into the same one."""

    def __init__(self) -> None:
        self._items: list[Finding] = []

    def add(self, code: str, level: Level, message: str, *, file: object = None, value: Any = None) -> Finding:
        """Record a finding. The same finding twice is recorded once."""
        if level not in LEVELS:
            error = f"level {level!r} of finding {code!r} is none of {', '.join(LEVELS)}"
            raise ValueError(error)
        name = None if file is None else str(file).replace("\\", "/").rsplit("/", 1)[-1]
        finding = Finding(code, level, message, name, value)
        if finding not in self._items:
            self._items.append(finding)
        return finding

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def codes(self) -> list[str]:
        """The codes in the order in which they were found."""
        return [finding.code for finding in self._items]
