"""In what two runs differ: settings, versions, subjects, files, numbers."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from voxfield.errors import InputError
from voxfield.runs.configuration import changes
from voxfield.runs.contents import REPORT, Contents, Record
from voxfield.runs.pairing import Comparison, compared_numbers
from voxfield.runs.pseudonyms import pseudonymised

MOST_VALUES = 3  # of one setting that are told; one that has more follows from the subjects


@dataclass(frozen=True)
class Change:
    """Something that has another value, or other values, in the other run."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class Outputs:
    """Files of one stage that both runs have."""

    stage: str
    same: int
    differ: int


@dataclass(frozen=True)
class Differences:
    """Everything that B has otherwise than A.

    inputs    inputs of stages that are other files from outside the run, and of how many outputs
    numbers   every number that both runs have
    paired    whether the numbers of subjects are paired by patient; they are not with an export without results
    """

    a: str
    b: str
    pipeline: str
    settings: tuple[Change, ...]
    versions: tuple[Change, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    both: int
    patients: int
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[Outputs, ...]
    numbers: tuple[Comparison, ...]
    paired: bool

    def as_dict(self) -> dict[str, Any]:
        """As JSON values, for `--json`."""
        rows = [{**asdict(n), "difference": n.difference, "excludes_zero": n.excludes_zero} for n in self.numbers]
        return {"schema": 1, **asdict(self), "numbers": rows}


def differences(a: Contents, b: Contents) -> Differences:
    """Compare two runs of one pipeline. Raises InputError for two pipelines."""
    if a.pipeline != b.pipeline:
        message = f"{a.name} is a run of {a.pipeline!r}, {b.name} of {b.pipeline!r}; only runs of one pipeline compare"
        raise InputError(message)
    if a.private != b.private:
        a, b = (contents if contents.private else pseudonymised(contents) for contents in (a, b))
    both = sorted(set(a.subjects) & set(b.subjects))
    pairs = [(a.records[path], b.records[path]) for path in sorted(a.records.keys() & b.records.keys())]
    pairs = [(old, new) for old, new in pairs if old.kind != REPORT]
    return Differences(
        a.name, b.name, a.pipeline,
        tuple(_settings(a, b, pairs)), tuple(_versions(a, b)),
        tuple(sorted(set(a.subjects) - set(both))), tuple(sorted(set(b.subjects) - set(both))),
        len(both), len({a.patients[subject] for subject in both}),
        tuple(_inputs(pairs)), tuple(_outputs(pairs)),
        tuple(compared_numbers(a, b)), not (a.summary or b.summary),
    )  # fmt: skip


Pairs = Iterable[tuple[Record, Record]]


def _settings(a: Contents, b: Contents, pairs: Pairs) -> Iterator[Change]:
    """Settings of the run, and those of the stages as they really ran, defaults included."""
    ran = list(_stage_settings(pairs))
    told = {change.name for change in ran}
    withheld = (*a.withheld, *b.withheld)
    for name, (old, new) in changes(a.config, b.config).items():
        plain = name.removeprefix("stages.")
        if plain not in told and not any(f"{name}.".startswith(f"{hidden}.") for hidden in withheld):
            yield Change(plain, old, new)
    yield from ran


def _stage_settings(pairs: Pairs) -> Iterator[Change]:
    found: dict[str, dict[tuple[str, str], None]] = {}
    for (stage, before, after), _ in Counter((o.stage, o.settings, n.settings) for o, n in pairs).items():
        if before != after:
            old, new = json.loads(before), json.loads(after)
            for name in sorted({*old, *new}):
                one, other = (json.dumps(s[name]) if name in s else "unset" for s in (old, new))
                if one != other:
                    found.setdefault(f"{stage}.{name}", {})[one, other] = None
    for name, values in found.items():
        yield from (Change(name, old, new) for old, new in list(values)[:MOST_VALUES])
        if len(values) > MOST_VALUES:
            yield Change(name, "...", f"{len(values)} pairs of values in all")


def _versions(a: Contents, b: Contents) -> Iterator[Change]:
    """Versions of packages, and version and code hash of the stages that both runs have."""
    before, after = _packages(a), _packages(b)
    yield from _changed(before, after)
    stages = {record.stage for record in a.records.values()} & {record.stage for record in b.records.values()}
    for word in ("version", "code"):
        yield from _changed(*({f"{s} {word}": v for s, v in _stages(c, word).items() if s in stages} for c in (a, b)))


def _packages(contents: Contents) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for text in {record.packages for record in contents.records.values()}:
        for name, version in json.loads(text).items():
            found.setdefault(name, set()).add(version)
    return found


def _stages(contents: Contents, word: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for record in contents.records.values():
        found.setdefault(record.stage, set()).add(str(getattr(record, word)))
    return found


def _changed(before: Mapping[str, set[str]], after: Mapping[str, set[str]]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        old, new = (", ".join(sorted(side.get(name, ()))) or "none" for side in (before, after))
        if old != new:
            yield Change(name, old, new)


def _inputs(pairs: Pairs) -> Iterator[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for old, new in pairs:
        before, after = ({(i.name, i.sha256) for i in record.inputs if not i.path} for record in (old, new))
        counts.update({f"{old.stage} {name}" for name, _ in before ^ after})
    yield from sorted(counts.items())


def _outputs(pairs: Pairs) -> Iterator[Outputs]:
    same: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for old, new in pairs:
        count[old.stage] += 1
        same[old.stage] += old.sha256 == new.sha256
    for stage in sorted(count):
        yield Outputs(stage, same[stage], count[stage] - same[stage])
