"""Run folders written by hand: records and metrics without anything having run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxfield.artifacts import Metrics
from voxfield.paths import RUN_MARKER
from voxfield.records import hash_file, record_path
from voxfield.settings_yaml import dump_yaml

SHA = "0" * 64
Scans = Mapping[str, Mapping[str, Any]]


def write_run(
    folder: Path,
    metrics: Scans,
    *,
    pipeline: str = "vessel_flow",
    config: Mapping[str, Any] | None = None,
    patients: Mapping[str, str] | None = None,
    scans: Mapping[str, str] | None = None,
    model: Mapping[str, Any] | None = None,
    **record: Any,
) -> Path:
    """A run with one metrics file a subject.

    metrics   subject -> content of `sub-<subject>/metrics.json`
    patients  subject -> patient, as the table that the run was given says
    scans     subject -> sha256 of its scan, which came from outside
    model     content of `models/training.json`
    record    entries of every record
    """
    folder.mkdir(parents=True)
    (folder / RUN_MARKER).write_text(json.dumps({"pipeline": pipeline, "schema": 1}))
    settings = dict(config or {"seed": 0})
    if patients:
        table = folder.parent / f"{folder.name}.tsv"
        rows = "".join(f"{subject}\t{patient}\n" for subject, patient in patients.items())
        table.write_text(f"subject\tpatient\n{rows}")
        settings["cohort"] = str(table)
    (folder / "config.yaml").write_text(dump_yaml(settings))
    for subject, values in metrics.items():
        source = {"path": f"{subject}.nii.gz", "sha256": (scans or {}).get(subject, SHA), "bytes": 1}
        write_metrics(folder, f"sub-{subject}/metrics.json", values, {"image": source if scans else None}, **record)
    if model is not None:
        write_metrics(folder, "models/training.json", model, {}, **record)
    return folder


def write_metrics(folder: Path, name: str, values: Mapping[str, Any], inputs: Mapping[str, Any], **record: Any) -> None:
    """One metrics file and its record."""
    place = folder / name
    place.parent.mkdir(exist_ok=True)
    Metrics(values).save(place)
    sha256, size = hash_file(place)
    output = {"path": name, "sha256": sha256, "bytes": size, "name": "metrics", "kind": "Metrics"}
    told = {
        "schema": 1, "stage": "segmentation.evaluate", "version": 1, "code": "c0de", "settings": {"tolerance_mm": 1.0},
        "seed": 7, "inputs": inputs, "findings": [], "packages": {"numpy": "2.4.6", "python": "3.11.2"}, **record,
    }  # fmt: skip
    record_path(place).write_text(json.dumps({"voxfield": {**told, "output": output}}))
