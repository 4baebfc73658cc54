"""`voxfield check cohort.tsv`: every file of every scan, one scan in memory at a time, findings grouped over all scans.

    17 of 40 scans: anisotropic-spacing (largest 5.2): a, b, c, ...

Each file is read once, also where several rows name it. Label maps and velocities must lie on the grid of their image.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from voxfield.artifacts import (
    Artifact,
    Image,
    ImageSeries,
    LabelMap,
    Limits,
    Mesh,
    PointField,
    PointSamples,
    RawFile,
    VectorImage,
)
from voxfield.artifacts._cohort import ANNOTATIONS
from voxfield.artifacts._volume import Volume
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.findings import Finding, Findings
from voxfield.workflow import cohort_rows

if TYPE_CHECKING:
    from voxfield.artifacts._grid import Grid

NIFTI = (".nii", ".nii.gz")
KINDS: Mapping[str, type[Artifact]] = {
    "image": Image, "annotation": LabelMap, "lumen": LabelMap, "velocity": VectorImage, "magnitude": ImageSeries,
    "phase_1": ImageSeries, "phase_2": ImageSeries, "phase_3": ImageSeries, "mesh": Mesh, "observed": PointField,
    "points": PointField, "truth": PointField,
}  # fmt: skip
ON_THE_IMAGE = ("annotation", "lumen", "velocity")
SHOWN = 8  # subjects of a group that are named


@dataclass(frozen=True)
class Judged:
    """What was found about one file.

    grid    of its voxels, where it has any
    sha256  of its bytes, where the pass that read them took it
    error   why it can not be used; None where it can
    """

    findings: tuple[Finding, ...]
    grid: Grid | None = None
    sha256: str | None = None
    error: str | None = None


@dataclass
class Tally:
    """What was found about a cohort so far: findings by code and column, faults by subject, who has which bytes."""

    groups: dict[tuple[str, str], list[tuple[str, Finding]]] = field(default_factory=lambda: defaultdict(list))
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    owners: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def check_scans(table: Path, labels: Sequence[int] | None, limits: Limits) -> int:
    """Judge the scans of a table that is sound itself; returns the exit code: 2 where one can not be used."""
    rows = {subject: _with_files(row) for subject, row in cohort_rows(str(table)).items()}
    columns = [name for name in KINDS if any(name in row for row in rows.values())]
    if not columns:
        return 0
    tally, judged = Tally(), {}
    bar = Context(show=sys.stderr.isatty()).progress
    for subject, row in bar(rows.items(), total=len(rows), desc="scans"):
        for column in columns:
            if column in row:
                key = row[column], column, row.get("series", "")
                if key not in judged:
                    judged[key] = _judge(Path(row[column]), column, row.get("series"), labels, limits)
                _enter(tally, subject, column, Path(row[column]), judged[key])
        _compare_grids(tally, subject, {c: judged[row[c], c, row.get("series", "")] for c in columns if c in row}, row)
    for line in _lines(tally, len(rows)):
        sys.stdout.write(f"{line.encode('utf-8', 'backslashreplace').decode()}\n")
    return InputError.exit_code if tally.faults else 0


def _with_files(row: Mapping[str, str]) -> Mapping[str, str]:
    """A row without an `annotation` that is a word about masks, which are given elsewhere."""
    return {name: value for name, value in row.items() if name != "annotation" or Path(value).name not in ANNOTATIONS}


def _judge(path: Path, column: str, series: str | None, labels: Sequence[int] | None, limits: Limits) -> Judged:
    findings = Findings()
    try:
        artifact = _read(path, column, series, labels, limits, findings)
        artifact.check(findings)
    except InputError as error:
        named = "" if error.file in (None, path) else f"{error.file}: "
        return Judged(tuple(findings), error=f"{named}{error.message}")
    grid = artifact.grid if isinstance(artifact, Volume) else None
    return Judged(tuple(findings), grid, artifact.origin.digest if artifact.origin else None)


def _read(
    path: Path, column: str, series: str | None, labels: Sequence[int] | None, limits: Limits, findings: Findings
) -> Artifact:
    kind = KINDS[column]
    if not issubclass(kind, Volume):
        return _points(path, kind, limits, findings)
    artifact: Artifact
    if path.name.lower().endswith(NIFTI):
        artifact = kind.load(path, limits=limits, findings=findings)
    else:
        artifact = _converted(path, kind, series, limits, findings)
    if labels and isinstance(artifact, LabelMap):
        artifact.declare(dict.fromkeys(labels, ""))
    return artifact


def _points(path: Path, kind: type[Artifact], limits: Limits, findings: Findings) -> Artifact:
    """Points, which are a PointField or PointSamples by what their file says."""
    if kind is PointField:
        from voxfield.checking import kind_of

        kind = PointSamples if kind_of(path, limits) is PointSamples else PointField
    return kind.load(path, limits=limits, findings=findings)


def _converted(path: Path, kind: type[Volume], series: str | None, limits: Limits, findings: Findings) -> Artifact:
    from voxfield.io import convert

    raw, ctx = RawFile(path, limits=limits), Context(findings=findings)
    found = convert(raw, content="labels" if kind is LabelMap else "image", series=series, ctx=ctx)
    held = {LabelMap: found.labels, VectorImage: found.velocity}.get(kind, found.image)
    if held is None:
        raise InputError(f"holds no {kind.kind}", file=path)
    return held


def _enter(tally: Tally, subject: str, column: str, path: Path, judged: Judged) -> None:
    if judged.error is not None:
        tally.faults[subject].append(f"{column}: {path}: {judged.error}")
    for finding in judged.findings:
        tally.groups[finding.code, column].append((subject, finding))
    if judged.sha256 is not None and column == "image":
        tally.owners[judged.sha256].append(subject)


def _compare_grids(tally: Tally, subject: str, files: Mapping[str, Judged], row: Mapping[str, str]) -> None:
    """A label map that lies elsewhere than its image is of no use; a velocity may still be aligned."""
    image = files.get("image")
    if image is None or image.grid is None:
        return
    for column in ON_THE_IMAGE:
        grid = files[column].grid if column in files else None
        if grid is None or grid.same_as(image.grid):
            continue
        off = f"is on another grid than the image: {grid!r}, the image {image.grid!r}"
        if column == "velocity":
            finding = Finding("other-grid", "warning", f"{off}; `align: true` lays it over", Path(row[column]).name)
            tally.groups[finding.code, column].append((subject, finding))
        else:
            tally.faults[subject].append(f"{column}: {row[column]}: {off}")


def _lines(tally: Tally, total: int) -> Iterator[str]:
    order = {"error": 0, "warning": 1, "info": 2}
    groups = sorted(tally.groups.items(), key=lambda item: (order[item[1][0][1].level], -len(item[1]), item[0]))
    for (code, column), found in groups:
        subjects = list(dict.fromkeys(subject for subject, _ in found))
        where = "" if column == "image" else f" in {column}"
        example, largest = _largest(found)
        head = f"{example.level}: {len(subjects)} of {total} scans: {code}{where}{largest}: {_some(subjects)}"
        yield f"{head} (such as {example.file or subjects[0]}: {example.message})"
    for subjects in tally.owners.values():
        if len(subjects) > 1:
            yield f"warning: {len(subjects)} scans are the same file, byte by byte: {_some(subjects)} [same-scan]"
    for subject, faults in tally.faults.items():
        yield from (f"error: {subject}: {fault}" for fault in faults)
    yield f"{total - len(tally.faults)} of {total} scans can be used"


def _largest(found: Sequence[tuple[str, Finding]]) -> tuple[Finding, str]:
    """The finding with the largest value, and that value in words where values are numbers."""
    numbers = [
        finding for _, finding in found if isinstance(finding.value, int | float) and math.isfinite(finding.value)
    ]
    if not numbers:
        return found[0][1], ""
    largest = max(numbers, key=lambda finding: abs(finding.value))
    return largest, f" (largest {largest.value:.4g})" if len(numbers) > 1 else ""


def _some(subjects: Sequence[str]) -> str:
    more = f" and {len(subjects) - SHOWN} more" if len(subjects) > SHOWN else ""
    return ", ".join(subjects[:SHOWN]) + more
