"""What the training scans hold, and the plan that follows from it. Reads every scan once."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import numpy as np

from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.segmentation import _preprocess
from voxfield.segmentation._augment import UNANNOTATED
from voxfield.segmentation._plan import PERCENTILES, Plan, Ranges
from voxfield.segmentation._preprocess import Normalisation
from voxfield.segmentation._scans import Scan
from voxfield.segmentation._settings import Extra, Margin


@dataclass(frozen=True)
class Facts:
    """What one scan holds.

    spacing, shape  (3,) mm and voxels along R, A, S
    labels          label value -> voxels, in ascending order, without background and unannotated voxels
    annotated       voxels that somebody looked at
    voxels          all of them; these three within the region that is looked at
    moments         mean and standard deviation of its intensities
    percentiles     of its intensities, at `PERCENTILES`
    """

    spacing: tuple[float, ...]
    shape: tuple[int, ...]
    labels: dict[int, int]
    annotated: int
    voxels: int
    moments: tuple[float, float]
    percentiles: list[float]


def survey(scan: Scan) -> Facts:
    """Read a scan, refuse what can not be trained on, and let go of its voxels."""
    data, present = scan.intensities(), scan.mask.present()
    labels = _counts(scan, present)
    frame = _preprocess.frame(data.shape, scan.image.affine)
    voxels = sum(labels.values())
    unannotated = 0 if scan.unannotated is None else labels.pop(scan.unannotated, 0)
    if scan.sparse and scan.unannotated not in present:
        raise InputError(
            f"subject {scan.subject} is annotated sparsely, but no voxel of its mask has the unannotated "
            f"value {scan.unannotated or UNANNOTATED}: zeros would train as background; write that value "
            "where nobody looked, or call the annotation dense",
            file=scan.mask.file,
        )
    if UNANNOTATED in present and UNANNOTATED not in {scan.unannotated, *scan.mask.labels}:
        raise InputError(
            f"holds the label {UNANNOTATED}, by convention that of unannotated voxels, which neither the mask "
            "nor the cohort declares; declare it as one or the other",
            file=scan.mask.file,
        )
    labels.pop(0, None)
    if min(present, default=0) < 0:
        raise InputError(f"holds the label {min(present)}; expected labels from 0 up", file=scan.mask.file)
    facts = Facts(
        spacing=frame.own_spacing,
        shape=frame.own_shape,
        labels=labels,
        annotated=voxels - unannotated,
        voxels=voxels,
        moments=_preprocess.moments(data),
        percentiles=_preprocess.percentiles(data, PERCENTILES),
    )
    scan.release()
    return facts


def _counts(scan: Scan, values: Sequence[int]) -> dict[int, int]:
    """Voxels of every one of the mask's values within the region, in ascending order."""
    labels = scan.labels()
    totals = np.zeros(len(values), dtype=np.int64)
    inside = np.broadcast_to(scan.region.inside, labels.shape)
    for plane, counts in zip(labels, inside, strict=True):  # places in a table take eight times the memory of labels
        totals += np.bincount(np.searchsorted(values, plane[counts]), minlength=len(values))
    return {value: total for value, total in zip(values, totals.tolist(), strict=True) if total}


def label_names(scans: Sequence[Scan], facts: Sequence[Facts]) -> dict[int, str]:
    """Label value -> name, for the labels that occur; refuses masks that disagree and masks that are all
    empty."""
    present = sorted({value for fact in facts for value in fact.labels})
    if not present:
        raise InputError(
            f"no foreground: {len(scans)} mask(s) to train on, none with an annotated label other than 0; "
            "expected at least one",
            file=scans[0].mask.file if len(scans) == 1 else None,
        )
    if len(present) > UNANNOTATED - 2:
        raise InputError(f"the masks hold {len(present)} labels; expected at most {UNANNOTATED - 2}: are they masks?")
    names: dict[int, str] = {}
    for scan in scans:
        for value, name in scan.mask.labels.items():
            if value in present and names.setdefault(value, name) != name:
                raise InputError(
                    f"calls label {value} {name!r}, another mask {names[value]!r}; expected one name a label",
                    file=scan.mask.file,
                )
    return {value: names.get(value, f"label-{value}") for value in present}


def report(scans: Sequence[Scan], facts: Sequence[Facts], ctx: Context) -> None:
    """Findings about single scans that are odd, and how much was annotated in all."""
    for scan, fact in zip(scans, facts, strict=True):
        if not fact.labels:
            message = "no foreground: the label map is empty"
            ctx.finding("empty-mask", "warning", message, file=scan.mask.file or scan.subject)
        if fact.moments[1] == 0:
            message = "its intensities are constant: nothing can be learned from it"
            ctx.finding("constant-image", "warning", message, file=scan.image.file or scan.subject)
    annotated, total = sum(f.annotated for f in facts), sum(f.voxels for f in facts)
    if annotated < total:
        share = annotated / total
        message = f"{annotated} of {total} voxels of {len(scans)} scans are annotated ({share:.1%})"
        ctx.finding("sparse-annotation", "info", message, value=share)


def report_held_out(scans: Sequence[Scan], facts: Sequence[Facts], labels: dict[int, str], ctx: Context) -> None:
    """Findings about validation scans: labels that no training scan has count as unannotated."""
    for scan, fact in zip(scans, facts, strict=True):
        unknown = sorted(set(fact.labels) - set(labels))
        if unknown:
            message = f"labels {unknown} occur in no training scan; their voxels are left out of validation"
            ctx.finding("label-not-trained", "warning", message, file=scan.mask.file or scan.subject, value=unknown)


def make_plan(
    facts: Sequence[Facts],
    labels: dict[int, str],
    *,
    architecture: str,
    arguments: dict[str, Any],
    patch: tuple[int, int, int],
    spacing_mm: tuple[float, float, float] | None,
    normalisation: Literal["volume", "cohort"],
    extras: tuple[Extra, ...] = (),
    lung_margin_mm: Margin | None = None,
) -> Plan:
    """The plan for scans like these; `spacing_mm` None takes the median along each axis."""
    spacings, shapes = [f.spacing for f in facts], [f.shape for f in facts]
    common = spacing_mm or (
        median(s[0] for s in spacings), median(s[1] for s in spacings), median(s[2] for s in spacings)
    )  # fmt: skip
    norm = Normalisation.of(normalisation, [fact.moments for fact in facts])
    terms = [norm.terms(fact.moments) for fact in facts]
    seen = [
        tuple((p - centre) / scale for p in fact.percentiles)
        for fact, (centre, scale) in zip(facts, terms, strict=True)
    ]
    ranges = Ranges(spacing_mm=_ends(spacings), shape=_ends(shapes), percentiles=_ends(seen))
    return Plan(
        architecture, {**arguments, "classes": len(labels) + 1}, patch, common, norm, labels, ranges, extras,
        lung_margin_mm,
    )  # fmt: skip


def _ends(rows: Sequence[tuple[Any, ...]]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    columns = list(zip(*rows, strict=True))
    return tuple(min(c) for c in columns), tuple(max(c) for c in columns)


def account(scans: Sequence[Scan], facts: Sequence[Facts]) -> dict[str, Any]:
    """What was trained on, in numbers."""
    return {
        "scans": len(scans),
        "patients": len({scan.patient for scan in scans}),
        "voxels": sum(fact.voxels for fact in facts),
        "annotated": sum(fact.annotated for fact in facts),
        "labels": {
            str(value): sum(fact.labels.get(value, 0) for fact in facts)
            for value in sorted({value for fact in facts for value in fact.labels})
        },
    }
