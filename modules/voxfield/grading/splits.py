"""Who trains, who validates, who calibrates, who tests: decided by patient, never by row.

Roles: `train` (labelled and unlabelled), `val` (temperature, and figures to look at while developing),
`calibration` (the conformal quantile and nothing else), `test`. A column `split` of the cohort is obeyed;
roles that it does not name are drawn from its labelled training patients. Without one, labelled patients are
drawn stratified by their worse grade. Held-out patients are divided into calibration and test by a plain
draw: that makes the two exchangeable, which is what the conformal guarantee rests on. Unlabelled patients of
no given split train.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxfield.errors import InputError, SettingsError

ROLES = ("train", "val", "calibration", "test")
ALIASES = {
    "training": "train",
    "validation": "val",
    "valid": "val",
    "dev": "val",
    "cal": "calibration",
    "testing": "test",
}


def role_of(value: Any) -> str | None:
    """The role that an entry of a column `split` means, one of ROLES; None where it is empty.

    Raises InputError for any other word.
    """
    word = "" if value is None else str(value).strip().lower()
    role = ALIASES.get(word, word)
    if role and role not in ROLES:
        raise InputError(f"column split: {value!r} is no split; allowed are {', '.join(ROLES)}, n/a")
    return role or None


@dataclass(frozen=True)
class Fractions:
    """Shares of the labelled patients that do not train; the rest trains."""

    val: float = 0.15
    calibration: float = 0.25
    test: float = 0.2

    def of(self, role: str) -> float:
        """The share of one role."""
        return float(getattr(self, role))


def assign_roles(
    patients: Sequence[str],
    grades: Sequence[int | None],
    split: Sequence[Any] | None,
    fractions: Fractions,
    rng: np.random.Generator,
) -> dict[str, str]:
    """The role of every patient.

    patients  (n,) the patient of each row
    grades    (n,) the grade of each row, None where unlabelled
    split     (n,) the cohort's own column, or None
    returns   patient -> one of ROLES
    """
    if fractions.val + fractions.calibration + fractions.test >= 1:
        given = f"val {fractions.val}, calibration {fractions.calibration}, test {fractions.test}"
        raise SettingsError(f"fractions are {given}; together they must stay below 1, or no patient trains")
    worst = _worst_grade(patients, grades)
    roles = {} if split is None else _given_roles(patients, split)
    missing = [role for role in ROLES[1:] if role not in roles.values()]
    pool = [p for p in worst if worst[p] is not None and roles.get(p, "train") == "train"]
    drawn = _draw(pool, worst, {role: fractions.of(role) for role in missing}, rng)
    return {p: drawn.get(p) or roles.get(p, "train") for p in worst}


def limit_labels(
    grades: Sequence[int | None], rows: Sequence[int], per_grade: int, rng: np.random.Generator
) -> list[int]:
    """The labelled ones of `rows`, at most `per_grade` of each grade, drawn at random."""
    kept: list[int] = []
    for grade in sorted({g for r in rows if (g := grades[r]) is not None}):
        candidates = [r for r in rows if grades[r] == grade]
        order = rng.permutation(len(candidates))[:per_grade]
        kept += [candidates[i] for i in order]
    return sorted(kept)


def trim_patients(patients: Sequence[str], limit: int, rng: np.random.Generator) -> set[str]:
    """At most `limit` of the patients, drawn at random: validation is no larger than what trains."""
    unique = list(dict.fromkeys(patients))
    return {unique[i] for i in rng.permutation(len(unique))[:limit]}


def _worst_grade(patients: Sequence[str], grades: Sequence[int | None]) -> dict[str, int | None]:
    worst: dict[str, int | None] = {}
    for patient, grade in zip(patients, grades, strict=True):
        known = [g for g in (worst.get(patient), grade) if g is not None]
        worst[patient] = max(known) if known else None
    return worst


def _given_roles(patients: Sequence[str], split: Sequence[Any]) -> dict[str, str]:
    roles: dict[str, str] = {}
    for patient, value in zip(patients, split, strict=True):
        role = role_of(value)
        if role is None:
            continue
        if roles.setdefault(patient, role) != role:
            both = f"{roles[patient]} and {role}"
            raise InputError(f"patient {patient} has rows in {both}; a patient belongs to one split")
    return roles


def _draw(
    pool: Sequence[str],
    worst: Mapping[str, int | None],
    shares: Mapping[str, float],
    rng: np.random.Generator,
) -> dict[str, str]:
    """Roles for part of the pool: stratified into kept, val and held out; held out then divided plainly."""
    held = {role: shares[role] for role in ("calibration", "test") if role in shares}
    counts = {role: round(share * len(pool)) for role, share in shares.items()}
    order = _stratified_order(pool, worst, rng)
    taken = iter(order)
    roles = {next(taken): "val" for _ in range(counts.get("val", 0))}
    rest = [next(taken) for _ in range(sum(counts[role] for role in held))]
    words = [role for role in held for _ in range(counts[role])]
    return roles | dict(zip((rest[i] for i in rng.permutation(len(rest))), words, strict=True))


def _stratified_order(pool: Sequence[str], worst: Mapping[str, int | None], rng: np.random.Generator) -> list[str]:
    """An order in which every prefix holds the grades in about their own shares, random within a grade."""
    shuffled = [pool[i] for i in rng.permutation(len(pool))]
    sizes = Counter(worst[p] for p in shuffled)
    seen: Counter[int | None] = Counter()
    offsets = {grade: rng.random() for grade in sorted(sizes, key=str)}
    place: dict[str, float] = {}
    for patient in shuffled:
        grade = worst[patient]
        place[patient] = (seen[grade] + offsets[grade]) / sizes[grade]
        seen[grade] += 1
    return sorted(shuffled, key=place.__getitem__)
