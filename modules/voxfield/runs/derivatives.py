"""`voxfield derivatives RUN_DIR FOLDER`: the results of every scan as a BIDS derivative.

Files are linked, not copied, where the file system can; a file is under its name as a whole or not at all, and what is
there already is left as it is, so that the same command goes on after a kill and takes up what a grown run has added.
Sidecars hold the record of the file, without names of files from outside the run.
"""

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxfield import __version__
from voxfield.errors import InputError
from voxfield.records import hash_file, read_record, record_path
from voxfield.runs.derivative_names import SCANS, STANDARD, Name, file_name, ignored, named
from voxfield.runs.derivative_scans import Scan, scans_of
from voxfield.runs.folder import SETTINGS, files_of, read_marker, recorded_output, require_run, write_whole

BIDS_VERSION = "1.10.0"
DESCRIPTION = "dataset_description.json"


@dataclass(frozen=True)
class Output:
    """A file of the run, its record, and its name in the tree.

    path    in the run
    target  in the tree
    """

    path: str
    target: str
    name: Name
    record: Mapping[str, Any]


def write_derivatives(run: Path, folder: Path) -> int:
    """Write the tree. Raises InputError where a file is not what its record says, when everything else is written."""
    require_run(run)
    pipeline = str(read_marker(run).get("pipeline", ""))
    if pipeline not in SCANS:
        known = ", ".join(sorted(SCANS))
        raise InputError(f"is a run of {pipeline or 'no pipeline'}, whose subjects are no scans; BIDS has a place for "
                         f"those of {known}", file=run)  # fmt: skip
    table = _table(run)
    _claim(folder, run)
    outputs, strangers = _outputs(run, table)
    if not outputs[0]:
        raise InputError("holds no finished result of a scan; `voxfield run` makes them", file=run)
    found, scans = outputs
    targets = {output.path: output.target for output in found}
    done, damaged = Counter[str](), []
    for output in found:
        if not _is_whole(run / output.path, output.record):
            damaged.append(output.path)
            continue
        done[_bring(run / output.path, folder / output.target, output.record)] += 1
        _describe(run, folder / output.target, output, targets)
    _describe_dataset(folder, pipeline, table, {output.name.suffix for output in found}, scans)
    _say(done, len(scans), strangers)
    if damaged:
        listing = "\n".join(damaged)
        raise InputError(f"{len(damaged)} files differ from their records and were left out; see `voxfield verify`\n"
                         f"{listing}", file=run)  # fmt: skip
    return 0


def _claim(folder: Path, run: Path) -> None:
    """Make the folder, or take it up where an earlier call left it."""
    if run.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise InputError("lies in the run folder, whose files all have records; choose a folder outside", file=folder)
    place = folder / DESCRIPTION
    if place.is_file():
        try:
            makers = json.loads(place.read_text(encoding="utf-8")).get("GeneratedBy", [])
            ours = any(maker.get("Name") == "voxfield" for maker in makers)
        except (ValueError, AttributeError):
            ours = False
        if not ours:
            raise InputError("is a data set that Voxfield did not write; choose another folder", file=folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"is not empty and has no {DESCRIPTION}; choose another folder", file=folder)
    folder.mkdir(parents=True, exist_ok=True)
    for partial in folder.rglob(".vf*"):  # a kill left it behind
        partial.unlink()
    if not place.is_file():
        write_whole(place, json.dumps({"Name": "unfinished", "GeneratedBy": [{"Name": "voxfield"}]}) + "\n")


def _table(run: Path) -> Path | None:
    """The cohort table that the run was started on, where it still is; else the one that it made."""
    from voxfield.settings_yaml import load_yaml

    config = load_yaml(run / SETTINGS) if (run / SETTINGS).is_file() else {}
    given = config.get("cohort")
    places = [*([Path(given)] if isinstance(given, str) else []), run / "cohort.tsv"]
    return next((place for place in places if place.is_file()), None)


def _outputs(run: Path, table: Path | None) -> tuple[tuple[list[Output], dict[str, Scan]], Counter[str]]:
    """Outputs of single scans with their places in the tree, the scans, and names of files without one."""
    told: list[tuple[str, str, Name, Mapping[str, Any]]] = []
    strangers = Counter[str]()
    for path, record in _recorded(run):
        match = named(path)
        if match:
            told.append((path, *match, record))
        elif path.startswith("sub-") and record["output"]["kind"] != "Report":
            strangers[path.rpartition("/")[2]] += 1
    scans = scans_of(sorted({subject for _, subject, _, _ in told}), table)
    found = [
        Output(path, f"{scans[who].folder}/{file_name(scans[who].entities, name, path)}", name, record)
        for path, who, name, record in told
    ]
    return (found, scans), strangers


def _recorded(run: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Path and record of every output that is there; those that were let go (`keep:`) have a record alone."""
    for place in files_of(run):
        recorded = recorded_output(place, run)
        if recorded is not None and recorded[0].exists():
            record = read_record(recorded[0])
            if record is not None:
                yield recorded[0].relative_to(run).as_posix(), record


def _is_whole(source: Path, record: Mapping[str, Any]) -> bool:
    """Whether a file has the size that its record says; `voxfield verify` hashes all of it."""
    return source.stat().st_size == int(record["output"]["bytes"])


def _bring(source: Path, target: Path, record: Mapping[str, Any]) -> str:
    """Link a file to its new name, or copy it; returns what was done."""
    if target.exists() and (target.samefile(source) or _is_copy(target, record)):
        return "there already"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".vf{os.getpid()}-{len(target.name)}")
    how = "linked"
    try:
        os.link(source, partial)
    except OSError:  # another file system, or one without links
        how = "copied"
        shutil.copyfile(source, partial)
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
    partial.replace(target)
    return how


def _is_copy(target: Path, record: Mapping[str, Any]) -> bool:
    """Whether a file has the size of the output, and a sidecar, written after it, that tells the same hash."""
    beside = read_record(target)
    return _is_whole(target, record) and beside is not None and beside["output"]["sha256"] == record["output"]["sha256"]


def _describe(run: Path, target: Path, output: Output, targets: Mapping[str, str]) -> None:
    """The sidecar of a file, and for a label map the table of its labels."""
    record = {
        **output.record,
        "inputs": _inside(output.record.get("inputs", {}), targets),
        "output": {**output.record["output"], "path": output.target},
    }
    sources = sorted({f"bids::{given['path']}" for given in _each(record["inputs"]) if "path" in given})
    unit = output.record.get("unit")
    said = {
        "Description": output.name.about,
        **({"Units": unit} if unit else {}),
        **({"Sources": sources} if sources else {}),
        "voxfield": record,
    }
    _write(record_path(target), json.dumps(said, indent=1, ensure_ascii=False) + "\n")
    if output.name.suffix == "dseg":
        from voxfield.artifacts import LabelMap

        labels = LabelMap.load(run / output.path).labels
        if labels:
            lines = [f"{value}\t{name}" for value, name in sorted(labels.items())]
            _write(
                target.with_name(f"{target.name.removesuffix('.nii.gz')}.tsv"), "\n".join(["index\tname", *lines, ""])
            )


def _inside(inputs: Mapping[str, Any], targets: Mapping[str, str]) -> dict[str, Any]:
    """Inputs with the names that they have in the tree; of those from elsewhere hash and size alone."""

    def one(given: Mapping[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in given.items() if key != "path"}
        place = targets.get(str(given.get("path")))
        return {"path": place, **rest} if place else rest

    return {
        name: [one(entry) for entry in given] if isinstance(given, list) else given and one(given)
        for name, given in inputs.items()
    }


def _each(inputs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for given in inputs.values():
        yield from given if isinstance(given, list) else [given] if given else []


def _describe_dataset(
    folder: Path, pipeline: str, table: Path | None, suffixes: set[str], scans: Mapping[str, Scan]
) -> None:
    """What BIDS wants at the top of a data set."""
    about = f"The pipeline {pipeline}: every file's sidecar holds settings, versions and hashes under `voxfield`"
    description: dict[str, Any] = {
        "Name": f"Voxfield {pipeline}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "voxfield", "Version": __version__, "Description": about}],
    }
    if table is not None:
        description["SourceDatasets"] = [
            {**_doi(table), "Version": f"sha256 of the cohort table: {hash_file(table)[0]}"}
        ]
    sites = {scan.participant: scan.site for scan in scans.values()}
    columns = ["participant_id", "site"] if any(sites.values()) else ["participant_id"]
    rows = [[who, sites[who] or "n/a"][: len(columns)] for who in sorted(sites)]
    _write(folder / "participants.tsv", "".join("\t".join(row) + "\n" for row in [columns, *rows]))
    _write(folder / "README", f"Derived by Voxfield {__version__}, pipeline {pipeline}. {about}.\n")
    if suffixes - STANDARD:
        _write(folder / ".bidsignore", "\n".join([*ignored(), ""]))
    _write(folder / DESCRIPTION, json.dumps(description, indent=1, ensure_ascii=False) + "\n")


def _doi(table: Path) -> dict[str, str]:
    """The DOI of the BIDS data set that the scans of a table come from, where they do and it says one."""
    import csv

    with table.open(newline="", encoding="utf-8") as stream:
        row = next(csv.DictReader(stream, delimiter="\t"), {})
    for parent in (table.resolve().parent / (row.get("image") or ".")).resolve().parents:
        place = parent / DESCRIPTION
        if place.is_file():
            doi = json.loads(place.read_text(encoding="utf-8")).get("DatasetDOI")
            return {"DOI": str(doi)} if doi else {}
    return {}


def _write(place: Path, text: str) -> None:
    """Write a text where it is another than what is there."""
    if not place.is_file() or place.read_text(encoding="utf-8") != text:
        write_whole(place, text)


def _say(done: Counter[str], scans: int, strangers: Counter[str]) -> None:
    counts = ", ".join(f"{count} {how}" for how, count in done.items())
    sys.stdout.write(f"{sum(done.values())} files of {scans} scans: {counts or 'none'}\n")
    if strangers:
        names = ", ".join(f"{name} ({count})" for name, count in strangers.most_common(8))
        sys.stdout.write(f"without a name in BIDS, and left out: {names}\n")
