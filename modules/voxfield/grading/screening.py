"""What is odd about the images of a cohort, before anybody learns from them: several sizes, one image twice."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from voxfield.artifacts import Image
from voxfield.context import Context
from voxfield.findings import Level

Size = tuple[tuple[int, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Screened:
    """One entry an image.

    digests  equal where every voxel is
    sizes    voxels and spacing in mm (rounded to microns)
    """

    digests: tuple[str, ...]
    sizes: tuple[Size, ...]

    @classmethod
    def of(cls, images: Iterable[Image]) -> "Screened":
        """Read the images, one at a time."""
        digests, sizes = [], []
        for image in images:
            digests.append(hashlib.sha256(repr(image.shape).encode() + image.data.tobytes()).hexdigest())
            sizes.append((tuple(image.shape), tuple(round(float(s), 3) for s in image.grid.spacing)))
            image.release()
        return cls(tuple(digests), tuple(sizes))

    def once(self, subjects: Sequence[str]) -> list[int]:
        """The first row of each subject's image: a scan has a row for each of its readers."""
        first: dict[tuple[str, str], int] = {}
        for row, key in enumerate(zip(subjects, self.digests, strict=True)):
            first.setdefault(key, row)
        return list(first.values())

    def repeated(self, rows: Sequence[int]) -> list[list[int]]:
        """Groups of some rows with one image."""
        groups: dict[str, list[int]] = {}
        for row in rows:
            groups.setdefault(self.digests[row], []).append(row)
        return [group for group in groups.values() if len(group) > 1]


def tell(found: Screened, subjects: Sequence[str], patients: Sequence[str], ctx: Context) -> dict[str, Any]:
    """The findings `several-sizes`, `image-repeated` and `image-of-two-patients`, and the same as figures."""
    scans = found.once(subjects)
    sizes = Counter(found.sizes[row] for row in scans).most_common()
    if len(sizes) > 1:
        words = ", ".join(f"{_words(size)} ({count:,})" for size, count in sizes[:4])
        more = f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""
        message = f"images have {len(sizes)} sizes: {words}{more}; where the pixels' size is a guess, so are lengths"
        ctx.finding("several-sizes", "warning", message, value=len(sizes))
    groups = found.repeated(scans)
    shared = [rows for rows in groups if len({patients[row] for row in rows}) > 1]
    own = [rows for rows in groups if rows not in shared]
    told: tuple[tuple[str, Level, list[list[int]], str], ...] = (
        ("image-of-two-patients", "error", shared, "different patients, who may train and test"),
        ("image-repeated", "warning", own, "one patient"),
    )
    for code, level, some, whose in told:
        if some:
            first = " and ".join(subjects[row] for row in some[0][:2])
            message = f"{len(some)} images stand more than once, as subjects of {whose}; the first are {first}"
            ctx.finding(code, level, message, value=len(some))
    return {
        "sizes": [{"voxels": list(size[0]), "spacing_mm": list(size[1]), "images": count} for size, count in sizes],
        "images_of_two_patients": [[subjects[row] for row in rows] for rows in shared],
        "images_repeated": [[subjects[row] for row in rows] for rows in own],
    }


def _words(size: Size) -> str:
    return f"{' x '.join(map(str, size[0]))} of {' x '.join(f'{s:g}' for s in size[1])} mm"
