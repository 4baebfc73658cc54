"""The texts of a BIDS derivative: sidecars, label tables, and what the specification wants at the top of a data set."""

import csv
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxfield import __version__
from voxfield.records import hash_file, record_path
from voxfield.runs.derivative_names import STANDARD, Name, ignored
from voxfield.runs.derivative_scans import Scan
from voxfield.runs.folder import write_whole

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


def describe(run: Path, target: Path, output: Output, targets: Mapping[str, str]) -> None:
    """Write the sidecar of a file, and for a label map the table of its labels.

    targets  path in the run -> name in the tree, of every file that is in both

    The record comes along without what may name a person: files from outside the run, and the words of findings.
    """
    record = {
        **output.record,
        "inputs": _inside(output.record.get("inputs", {}), targets),
        "findings": [
            {key: found[key] for key in ("code", "level", "value") if key in found}
            for found in output.record.get("findings", [])
        ],
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
        _write_labels(run / output.path, target)


def _write_labels(source: Path, target: Path) -> None:
    """The table of the labels of a map that names them."""
    from voxfield.artifacts import LabelMap

    labels = LabelMap.load(source).labels
    if labels:
        lines = ["index\tname", *(f"{value}\t{name}" for value, name in sorted(labels.items())), ""]
        _write(target.with_name(f"{target.name.removesuffix('.nii.gz')}.tsv"), "\n".join(lines))


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


def describe_dataset(
    folder: Path, pipeline: str, table: Path | None, suffixes: Collection[str], scans: Mapping[str, Scan]
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
    if set(suffixes) - STANDARD:
        _write(folder / ".bidsignore", "\n".join([*ignored(), ""]))
    _write(folder / DESCRIPTION, json.dumps(description, indent=1, ensure_ascii=False) + "\n")


def _doi(table: Path) -> dict[str, str]:
    """The DOI of the BIDS data set that the scans of a table come from, where they do and it says one."""
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
