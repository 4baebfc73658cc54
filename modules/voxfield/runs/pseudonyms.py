"""Pseudonyms for whom the scans of a run are of.

A pseudonym is a hash of the scans that came from outside the run: it is the same in every export, tells nothing to
those who do not have the scans, and lets those who have them find their own. Subjects that the run itself made, such as
phantoms, keep their names. What would tell a name to those who guess it is left out: seeds, which follow from it, and
settings that name a subject or its files.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from voxfield.runs.contents import PLACES, REPORT, Contents, Input, Record

DIGITS = 10  # hexadecimal: among 10,000 subjects two share a pseudonym by a chance of 1 in 20,000
TELLING = 4  # letters of an id from which on it is looked for within texts; "01" stands in many numbers


def pseudonymised(contents: Contents) -> Contents:
    """The same with pseudonyms in the place of subjects and patients. Pages, which are prose, are left out.

    A run whose subjects are all its own is returned as it is.
    """
    names = _names(contents)
    if not names:
        return contents
    patients = _patients(contents, names)
    people = {contents.patients[subject]: patients[name] for subject, name in names.items()}
    rename = _Renamer(names, people)
    withheld: list[str] = []
    config = {key: rename.setting(value, key, withheld) for key, value in contents.config.items()}
    kept = [record for record in contents.records.values() if record.kind != REPORT]
    records = {record.path: record for record in (rename.record(record) for record in kept)}
    origins = {rename.path(record.path): record.path for record in kept}
    return replace(
        contents, config=config, records=records, patients=patients, private=True, origins=origins,
        withheld=tuple(withheld), hidden=frozenset({*names, *people}),
    )  # fmt: skip


def _names(contents: Contents) -> dict[str, str]:
    """Subject -> pseudonym, of those whose scans came from outside."""
    scans: dict[str, set[str]] = {}
    outputs: dict[str, list[str]] = {}
    for record in contents.records.values():
        if record.subject:
            outputs.setdefault(record.subject, []).append(record.sha256)
            given = {i.sha256 for i in record.inputs if not i.path and "model" not in i.name}
            scans.setdefault(record.subject, set()).update(given)
    names: dict[str, str] = {}
    twins: Counter[str] = Counter()  # the same scan under several ids
    for subject in sorted(scans, key=lambda name: _digest(outputs[name])):  # no order of ids shows
        if scans[subject]:
            name = f"p{_digest(scans[subject])}"
            twins[name] += 1
            names[subject] = name if twins[name] == 1 else f"{name}-{twins[name]}"
    return names


def _patients(contents: Contents, names: Mapping[str, str]) -> dict[str, str]:
    """New subject -> new patient: a hash of the patient's pseudonyms; who keeps a name keeps the patient's."""
    scans: dict[str, list[str]] = {}
    for subject, patient in contents.patients.items():
        scans.setdefault(patient, []).append(names.get(subject, subject))
    return {
        names.get(subject, subject): f"patient-{_digest(scans[patient])}" if subject in names else patient
        for subject, patient in contents.patients.items()
    }


def _is_path(text: str) -> bool:
    return "/" in text and (" " not in text or bool(PurePosixPath(text).suffix))


def _digest(words: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(words)).encode()).hexdigest()[:DIGITS]


class _Renamer:
    """Puts pseudonyms wherever a subject or a patient is named."""

    def __init__(self, names: Mapping[str, str], patients: Mapping[str, str]) -> None:
        self._names, self._all = names, {**patients, **names}
        telling = [name for name in self._all if len(name) >= TELLING or any(letter.isalpha() for letter in name)]
        words = [*(re.escape(f"sub-{name}") for name in names), *map(re.escape, telling)]
        any_of = "|".join(sorted(words, key=len, reverse=True))
        self._words = re.compile(rf"(?<![A-Za-z0-9])(?:{any_of})(?![A-Za-z0-9])")
        self.text, self._word = cache(self._text), cache(self._renamed)

    def path(self, path: str) -> str:
        """A path in the run."""
        *folders, file = path.split("/")
        stem, dot, ending = file.partition(".")
        return "/".join([*map(self._part, folders), f"{self._part(stem)}{dot}{ending}"])

    def record(self, record: Record) -> Record:
        """A record; what it tells by a guess is gone."""
        return replace(
            record, path=self.path(record.path), subject=self._names.get(record.subject, record.subject),
            settings=self.text(record.settings),
            inputs=tuple(Input(i.name, self.path(i.path), i.sha256) for i in record.inputs),
            more={name: value for name, value in record.more.items() if name != "seed"},
        )  # fmt: skip

    def setting(self, value: Any, name: str, withheld: list[str]) -> Any:
        """A setting of the run; None, and its name among the withheld, where it names files or subjects."""
        if isinstance(value, Mapping):
            if self._names.keys() & value.keys():
                withheld.append(name)
                return None
            return {key: self.setting(inner, f"{name}.{key}", withheld) for key, inner in value.items()}
        if isinstance(value, str) and name not in PLACES and (_is_path(value) or value in self._names):
            withheld.append(name)
            return None
        return json.loads(self.text(json.dumps(value)))

    def _part(self, part: str) -> str:
        bare = part.removeprefix("sub-")
        return f"{part[: len(part) - len(bare)]}{self._all[bare]}" if bare in self._all else part

    def _text(self, text: str) -> str:
        """Settings as JSON."""
        return json.dumps(self._value(json.loads(text)), sort_keys=True)

    def _value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {self._word(key): self._value(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._value(inner) for inner in value]
        return self._word(value) if isinstance(value, str) else value

    def _renamed(self, word: str) -> str:
        return self._all.get(word) or self._words.sub(lambda found: self._part(found[0]), word)
