"""`voxfield check`: what would a stage say of these files?

Every file is read to its end by the reader of its kind. One that can not be used is an error, anything odd
about it is a finding; a bad file does not keep the others from being looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from voxfield import artifacts
from voxfield.artifacts import (
    Artifact,
    Cohort,
    Image,
    LabelMap,
    Limits,
    Metrics,
    Report,
    Table,
    VectorImage,
    check_pair,
)
from voxfield.artifacts._archive import refuse_archive
from voxfield.artifacts._files import open_origin
from voxfield.artifacts._nifti._reader import NiftiFile
from voxfield.artifacts._safetensors import TensorFile
from voxfield.errors import InputError
from voxfield.findings import Findings
from voxfield.intact import agree
from voxfield.leftovers import note_leftovers
from voxfield.paths import is_folder
from voxfield.records import hash_file, read_record, sidecar_sha256
from voxfield.settings_check import check_settings

KINDS: dict[str, type[Artifact]] = {
    name.lower(): kind
    for name, kind in vars(artifacts).items()
    if isinstance(kind, type) and issubclass(kind, Artifact) and kind is not Artifact
} | {"mask": LabelMap}
SUFFIXES: dict[str, type[Artifact]] = {
    ".swc": artifacts.Centerline, ".vtp": artifacts.Polyline, ".graphml": artifacts.Graph, ".json": Metrics,
    ".gii": artifacts.Mesh,
}  # fmt: skip
OUTPUT = "output"


@dataclass(frozen=True)
class Verdict:
    """What was found about one file.

    file      as it was given
    kind      what it was read as
    error     why it can not be used; None where it can
    findings  what is odd about it
    """

    file: Path
    kind: str
    error: InputError | None
    findings: Findings

    def lines(self) -> list[str]:
        """One line for each thing worth telling; a sound file has one as well."""
        told = [f"{finding.level}: {self.file}: {finding.message} [{finding.code}]" for finding in self.findings]
        if self.error is not None:
            return [*told, *(f"error: {self.error.file}: {line}" for line in self.error.message.splitlines())]
        return told or [f"{self.file}: a sound {self.kind}"]


def check_files(
    files: Sequence[Path],
    *,
    kind: str | None = None,
    pair: Sequence[Path] | None = None,
    labels: Sequence[int] | None = None,
    schema: str | None = None,
    max_voxels: float | None = None,
) -> int:
    """Judge files, write a line for each thing worth telling, and return the exit code: 2 where one can not be used."""
    verdicts = judge(files, kind=kind, pair=pair, labels=labels, schema=schema, max_voxels=max_voxels)
    for verdict in verdicts:
        for line in verdict.lines():
            told = line.encode("utf-8", "backslashreplace").decode()  # a file's name may be no text
            sys.stdout.write(f"{told}\n")
    codes = [verdict.error.exit_code for verdict in verdicts if verdict.error is not None]
    if kind is None and schema is None:
        codes += [_check_cohort(verdict, labels, max_voxels) for verdict in verdicts]
    return max(codes, default=0)


def _check_cohort(verdict: Verdict, labels: Sequence[int] | None, max_voxels: float | None) -> int:
    """Go through the scans of a table that pipelines would take, which is a sound TSV; a `.csv` is but a table."""
    if verdict.kind != Cohort.kind or verdict.error is not None or not verdict.file.name.endswith(".tsv"):
        return 0
    from voxfield.checking_cohort import check_scans

    return check_scans(verdict.file, labels, Limits() if max_voxels is None else Limits(max_voxels=int(max_voxels)))


def judge(
    files: Sequence[Path],
    *,
    kind: str | None = None,
    pair: Sequence[Path] | None = None,
    labels: Sequence[int] | None = None,
    schema: str | None = None,
    max_voxels: float | None = None,
) -> list[Verdict]:
    """One verdict a file, and one for the pair.

    kind    class name of an artifact, any case, or "output" for a file that must have its record; by the name and
            header of each file where it is None
    pair    an image and its mask, which must share one grid
    labels  what a mask is declared to hold
    schema  a stage, a pipeline or a JSON Schema, for settings files
    """
    if not files and not pair:
        raise InputError("check needs a file, or --pair IMAGE MASK")
    if kind is not None and _key(kind) not in {*KINDS, OUTPUT}:
        raise InputError(f"kind {kind!r} is unknown; known are {', '.join(sorted({*KINDS, OUTPUT}))}")
    limits = Limits() if max_voxels is None else Limits(max_voxels=int(max_voxels))
    verdicts = []
    for file in files:
        if schema is not None:
            check: Callable[[Findings], str] = partial(check_settings, file, schema)
        elif kind is not None and _key(kind) == OUTPUT:
            check = partial(_check_output, file)
        else:
            check = partial(_check_one, file, kind, labels, limits)
        verdicts.append(_verdict(file, check))
    if pair:
        image, mask = pair
        verdicts.append(_verdict(mask, partial(_check_pair, image, mask, labels, limits)))
    return verdicts


def _verdict(file: Path, check: Callable[[Findings], str]) -> Verdict:
    findings = Findings()
    try:
        kind = check(findings)
    except InputError as error:
        if error.file is None:
            error = type(error)(error.message, file=file)
        return Verdict(file, "file", error, findings)
    return Verdict(file, kind, None, findings)


def _check_one(path: Path, kind: str | None, labels: Sequence[int] | None, limits: Limits, findings: Findings) -> str:
    chosen = KINDS[_key(kind)] if kind else kind_of(path, limits, masks=bool(labels))
    if chosen is None:
        return _check_foreign(path, limits, findings)
    artifact = chosen.load(path, limits=limits, findings=findings)
    if isinstance(artifact, LabelMap) and labels:
        artifact.declare(dict.fromkeys(labels, ""))
    artifact.check(findings)
    _check_record(artifact, findings)
    return artifact.kind


def _check_record(artifact: Artifact, findings: Findings) -> None:
    """Compare a file with its record, and look beside it."""
    if artifact.origin is not None:
        agree(artifact.origin.path, artifact.origin.sha256)
        note_leftovers([artifact.origin.path], findings)


def _check_output(path: Path, findings: Findings) -> str:
    """Judge any file as the output of a stage: it has a record, and is what the record says."""
    if not is_folder(path):
        open_origin(path)
    if read_record(path) is None and sidecar_sha256(path) is None:
        raise InputError("its record is missing, as if its job was killed before it ended; make it anew", file=path)
    agree(path, hash_file(path)[0])
    note_leftovers([path], findings)
    return "output that agrees with its record"


def _key(kind: str) -> str:
    return kind.lower().replace("-", "").replace("_", "")


def _check_pair(
    image_path: Path, mask_path: Path, labels: Sequence[int] | None, limits: Limits, findings: Findings
) -> str:
    image = Image.load(image_path, limits=limits, findings=findings)
    mask = LabelMap.load(mask_path, limits=limits, findings=findings)
    if labels:
        mask.declare(dict.fromkeys(labels, ""))
    check_pair(image, mask)
    image.check(findings)
    image.release()
    mask.check(findings)
    for artifact in (image, mask):
        _check_record(artifact, findings)
    return "mask on the grid of its image"


def kind_of(path: Path, limits: Limits, *, masks: bool = False) -> type[Artifact] | None:
    """The kind that a file is by its name and header; None for foreign formats that `check` knows without a
    kind.

    masks  take a volume for a label map
    """
    name = path.name.lower()
    if is_folder(path) and not name.endswith((".nii", ".nii.gz")):
        return None if _holds_dicom(path) else Report
    if name.endswith((".nii", ".nii.gz", ".hdr", ".img")):
        header = NiftiFile(path, limits, Findings()).header
        if len(header.shape) == 5:
            return VectorImage
        return LabelMap if masks or header.note.labels or header.note.unannotated is not None else Image
    if name.endswith(".safetensors"):
        return KINDS.get(str(TensorFile(path, limits, Findings()).content.get("kind")).lower())
    if name.endswith((".tsv", ".csv")):
        return Cohort if "subject" in Table.load(path).columns else Table
    return next((kind for suffix, kind in SUFFIXES.items() if name.endswith(suffix)), None)


def _check_foreign(path: Path, limits: Limits, findings: Findings) -> str:
    """Files that are no artifact and that a user may still want judged."""
    name = path.name.lower()
    if is_folder(path):
        return _check_convertible(path, limits, findings)
    if name.endswith((".yaml", ".yml")):
        from voxfield.settings_yaml import load_yaml

        load_yaml(path)
        return "settings file"
    if name.endswith(".safetensors"):
        _check_tensors(TensorFile(path, limits, findings))
        return "safetensors file"
    if name.endswith((".pt", ".pth")):
        from voxfield.io._checkpoint import read_checkpoint

        read_checkpoint(path, findings)
        return "checkpoint"
    if name.endswith(".npy"):
        from voxfield.io._array_file import read_array

        read_array(path, limits=limits)
        return "array"
    if name.endswith((".nrrd", ".mha", ".vtk", ".h5", ".hdf5", ".dcm", ".png")):
        return _check_convertible(path, limits, findings)
    refuse_archive(path, b"")
    artifacts.RawFile(path, limits=limits)
    raise InputError(
        f"the kind of a file named {path.suffix or 'like this'} is not known; give it with --as", file=path
    )


def _holds_dicom(folder: Path) -> bool:
    """Whether a folder is a DICOM series: some file in it begins like one."""
    from voxfield.io._dicom_header import begins_like_dicom

    return any(place.is_file() and begins_like_dicom(place) for place in sorted(folder.iterdir()))


def _check_convertible(path: Path, limits: Limits, findings: Findings) -> str:
    from voxfield.context import Context
    from voxfield.io import convert

    found = convert(artifacts.RawFile(path, limits=limits), ctx=Context(findings=findings))
    held = [name for name, artifact in zip(found._fields, found, strict=True) if artifact is not None]
    for artifact in found:
        if artifact is not None:
            artifact.check(findings)
    return f"file for io.convert: {', '.join(held)}"


def _check_tensors(source: TensorFile) -> None:
    import numpy as np

    for name, array in source.read().items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            source.inspection.note("non-finite-weights", "warning", f"tensor {name!r} holds NaN or Infinity")
