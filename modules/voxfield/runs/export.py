"""`voxfield export RUN_DIR --out FILE.tar.gz`: a run, packed so that another site can repeat it.

    README.md            what this is, and the commands that repeat it
    export.json          pipeline, its hash, versions, what is left out
    config.yaml          the settings of the run, without places on the machine
    constraints.txt      versions of the packages
    records.jsonl        what the record of every output says, but for words
    subjects.jsonl       subject and patient
    numbers.jsonl        numbers of the metrics files: of the whole cohort; of every subject with `--with results`
    summary.jsonl        mean, standard deviation and patients of the numbers of the subjects
    pipelines/           the pipeline, where it is not Voxfield's own
    artifacts/           with `--with all`, the files themselves
    manifest-sha256.txt

No image, no table and no number of a single patient is in it unless asked for. Subjects whose scans came from outside
bear pseudonyms (see `pseudonyms`), and of these a mean is told of at least `FEWEST` patients.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from voxfield import __version__
from voxfield.errors import InputError
from voxfield.records import hash_file
from voxfield.removed import removed_place
from voxfield.runs.archive import Member, write_archive
from voxfield.runs.contents import METRICS, Contents, contents_of_run
from voxfield.runs.engine import Engine
from voxfield.runs.export_readme import readme
from voxfield.runs.exported import ABOUT, MANIFEST, NUMBERS, RECORDS, SCHEMA, SUBJECTS, SUMMARY, record_entry
from voxfield.runs.folder import SETTINGS, read_marker
from voxfield.runs.pairing import summary_of
from voxfield.runs.pseudonyms import pseudonymised
from voxfield.settings_yaml import dump_yaml

Amount = Literal["records", "results", "all"]
ENDING = ".tar.gz"
FEWEST = 5  # patients below which a mean says too much of each of them
PIPELINE_FILES = ("Snakefile", "*.smk", "*.py", "*.yaml", "*.md")


def export_run(run: Path, out: Path, *, amount: Amount = "records", keep_ids: bool = False) -> int:
    """Pack a run into `out`. Raises InputError where files are asked for under pseudonyms."""
    if not out.name.endswith(ENDING):
        raise InputError(f"an export is a {ENDING}; give it such a name", file=out)
    if amount == "all" and not keep_ids:
        raise InputError("--with all packs the files as they are, with the subjects' ids in them: add --keep-ids")
    found = contents_of_run(run)
    if not found.records:
        raise InputError("holds no result yet; run it first", file=run)
    contents = found if keep_ids else pseudonymised(found)
    own = "folder" in read_marker(run)
    pipeline = _pipeline(Engine.of(run).home)
    about = _about(contents, pipeline, amount)
    name = out.name.removesuffix(ENDING)
    members = _members(contents, amount)
    members |= {ABOUT: _json(about), "README.md": readme(name, about, own=own).encode()}
    if own:
        members |= {f"pipelines/{contents.pipeline}/{path}": file for path, file in pipeline.items()}
    write_archive(out, name, members, MANIFEST)
    replaced = len({*contents.subjects} - {*found.subjects})
    words = f"{replaced} subjects bear pseudonyms" if replaced else "subjects keep their names"
    sys.stdout.write(f"{out}: {len(contents.records)} records, {words}\n")
    return 0


def _members(contents: Contents, amount: Amount) -> dict[str, Member]:
    members: dict[str, Member] = {
        SETTINGS: dump_yaml(dict(contents.config)).encode(),
        "constraints.txt": _constraints(contents).encode(),
        RECORDS: _lines(record_entry(contents.records[path]) for path in sorted(contents.records)),
        SUBJECTS: _lines({"subject": s, "patient": contents.patients[s]} for s in contents.subjects),
        NUMBERS: _lines(_numbers(contents, everybody=amount != "records")),
        SUMMARY: _lines(_summary(contents, FEWEST if contents.private else 1)),
    }
    if amount == "all":
        members |= {f"artifacts/{path}": file for record in contents.records for path, file in _files(contents, record)}
    return members


def _about(contents: Contents, pipeline: Mapping[str, Path], amount: Amount) -> dict[str, Any]:
    parts = "".join(f"{name} {hash_file(file)[0]}\n" for name, file in sorted(pipeline.items()))
    return {
        "schema": SCHEMA, "voxfield": __version__, "pipeline": contents.pipeline,
        "pipeline_sha256": hashlib.sha256(parts.encode()).hexdigest(),
        "subjects": len(contents.subjects), "patients": len(set(contents.patients.values())),
        "pseudonyms": contents.private, "withheld": list(contents.withheld), "with": amount,
    }  # fmt: skip


def _constraints(contents: Contents) -> str:
    """The versions that the records name; of several the one that most of them name."""
    counts: dict[str, dict[str, int]] = {}
    for record in contents.records.values():
        for name, version in json.loads(record.packages).items():
            versions = counts.setdefault(name, {})
            versions[version] = versions.get(version, 0) + 1
    lines = []
    for name, versions in sorted(counts.items()):
        version = max(sorted(versions), key=lambda v: versions[v]).partition("+")[0]  # 2.13.0 also allows 2.13.0+cpu
        others = f"  # also ran: {', '.join(sorted(versions))}" if len(versions) > 1 else ""
        lines.append(f"# python {version}\n" if name == "python" else f"{name}=={version}{others}\n")
    return "".join(lines)


def _numbers(contents: Contents, *, everybody: bool) -> Iterable[dict[str, Any]]:
    for path, record in sorted(contents.records.items()):
        if record.kind == METRICS and (everybody or not record.subject):
            yield {"path": path, "numbers": contents.numbers(path)}


def _summary(contents: Contents, fewest: int) -> Iterable[dict[str, Any]]:
    for (file, name), (mean, sd, patients) in sorted(summary_of(contents).items()):
        if patients >= fewest:
            yield {"file": file, "name": name, "mean": mean, "sd": sd, "patients": patients}


def _pipeline(home: Path) -> dict[str, Path]:
    files = {file for pattern in PIPELINE_FILES for file in home.rglob(pattern) if file.is_file()}
    return {file.relative_to(home).as_posix(): file for file in files}


def _files(contents: Contents, path: str) -> Iterable[tuple[str, Path]]:
    """The files of an artifact, as its record has them; none of one that was let go. Raises InputError for others."""
    place = contents.place(path)
    if removed_place(place).exists():
        return
    if not place.exists() or hash_file(place)[0] != contents.records[path].sha256:
        raise InputError("is not what its record says; run again before you export", file=place)
    if place.is_dir():
        yield from (
            (f"{path}/{file.relative_to(place).as_posix()}", file) for file in place.rglob("*") if file.is_file()
        )
    else:
        yield path, place


def _lines(entries: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(entry, sort_keys=True, allow_nan=False) + "\n" for entry in entries).encode()


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
