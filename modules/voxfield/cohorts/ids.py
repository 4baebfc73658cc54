"""Subject ids: letters, digits and hyphens, one a scan, the same again when the cohort has grown."""

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from voxfield.cohorts.scans import Scan

OTHER = re.compile(r"[^A-Za-z0-9-]+")


def subject_ids(scans: Sequence[Scan]) -> list[str]:
    """An id for every scan, made of its names.

    What an id may not hold becomes a hyphen, accents are dropped. Where two names would become one by that, also in
    upper and lower case, which are one folder on some disks, all of them get four digits of their own hash.
    """
    originals = ["/".join(scan.names) for scan in scans]
    joined = ["-".join(plain_name(text) for text in scan.names if text) for scan in scans]
    plain = [name.removeprefix("sub-") or name for name in joined]  # run folders have that in front of every id
    meant: dict[str, set[str]] = defaultdict(set)
    for name, original in zip(plain, originals, strict=True):
        meant[name.lower()].add(original)
    made = [
        name if len(meant[name.lower()]) == 1 else f"{name}-{hashlib.sha256(original.encode()).hexdigest()[:4]}"
        for name, original in zip(plain, originals, strict=True)
    ]
    return _numbered(made)


def plain_name(text: str) -> str:
    """A name in letters, digits and hyphens; its hash where nothing of it is left."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return OTHER.sub("-", ascii_text).strip("-") or hashlib.sha256(text.encode()).hexdigest()[:8]


def _numbered(names: Sequence[str]) -> list[str]:
    """Scans that nothing tells apart are counted."""
    total, count = Counter(names), Counter[str]()
    made = []
    for name in names:
        count[name] += 1
        made.append(f"{name}-{count[name]}" if total[name] > 1 else name)
    return made
