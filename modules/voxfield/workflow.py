"""What the rules of the workflow say about stages, so that a rule is a few lines and says nothing twice.

    stages = Stages(config)

    rule segment:
        input: image="sub-{subject}/angiogram.nii.gz", model="models/vessel.safetensors"
        output: mask="sub-{subject}/mask.nii.gz"
        log: "logs/sub-{subject}/segmentation.predict.log"
        params: **stages.params("segmentation.predict")
        resources: **stages.resources("segmentation.predict")
        shell: stages.shell("segmentation.predict", "image model", "mask")

Settings and code hash of a stage are params, so that exactly the jobs of an edited stage run again. Stages are not
imported here: planning a thousand subjects needs no torch.
"""

import csv
import hashlib
import json
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxfield.batches import write_planned
from voxfield.codehash import code_hash
from voxfield.errors import InputError, SettingsError
from voxfield.paths import RUN_MARKER, resource_folder
from voxfield.registry import module_of, names
from voxfield.seeds import seed_of
from voxfield.settings import unknown_key

SUBJECT = re.compile(r"[A-Za-z0-9-]+")
RESOURCE_NAMES = ("gpu", "mem_mb", "runtime", "threads", "processes")
FILE_COLUMNS = frozenset(
    {"image", "velocity", "annotation", "lumen", "observed", "points", "mesh", "truth"}
    | {"phase_1", "phase_2", "phase_3", "magnitude"}
)
SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
PYTHON = shlex.quote(sys.executable)
LONGEST_WORDS = 32_000  # characters; a command of 131,072 is refused by Linux
RECORDER = f"{PYTHON} -m voxfield.failure"
Params = dict[str, Callable[..., str]]


class Stages:
    """Settings, resources and shell lines of the stages of one run.

    config  the run's configuration: `seed`, `device`, `max_voxels` and, under `stages`, settings by stage name
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.seed = int(config.get("seed", 0))
        self.device = str(config.get("device", "auto"))
        self.max_voxels = config.get("max_voxels")
        self.settings: dict[str, dict[str, Any]] = {k: dict(v or {}) for k, v in config.get("stages", {}).items()}
        for name in self.settings:
            if name not in names():
                raise SettingsError(f"stages: {unknown_key(name, names())}")
        self._resources = _read_resources(config.get("resources"))

    def params(self, name: str, *, settings: Mapping[str, Any] | None = None) -> Params:
        """Settings, seed and code hash as Snakemake params; `settings` are those that the rule itself decides."""
        flags = self.flags({**(settings or {}), **self.settings.get(name, {})})
        code = code_hash(module_of(name))
        return {
            "settings": lambda wildcards: flags,
            "code": lambda wildcards: code,
            "seed": lambda wildcards: str(self.seed_of(name, getattr(wildcards, "subject", ""))),
        }

    def flags(self, settings: Mapping[str, Any]) -> str:
        """Settings and general flags of a stage, quoted for the shell; what is too long for it goes into a file."""
        words = [w for name, value in settings.items() for w in ("--set", f"{name}={json.dumps(value)}")]
        if sum(map(len, words)) > LONGEST_WORDS:
            text = json.dumps(dict(settings), indent=0)
            place = Path("batches", f"settings-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json")
            write_planned(place, text + "\n")
            words = ["--settings", place.as_posix()]
        if self.max_voxels is not None:
            words += ["--max-voxels", str(self.max_voxels)]
        return " ".join(shlex.quote(word) for word in [*words, "--device", self.device])

    def seed_of(self, name: str, subject: str) -> int:
        """A seed of its own for every (run seed, subject, stage)."""
        return seed_of(self.seed, subject, name)

    def resources(self, *names: str, rows: int = 1) -> dict[str, int | Callable[..., int]]:
        """gpu, mem_mb and runtime of stages in a row, on so many rows, in the names that Snakemake's executors read.

        Every further attempt gets the first one's memory once more. Where a run is for the CPU, no GPU is asked for.
        """
        needs = [self.need(name) for name in names]
        mem_mb = max(need["mem_mb"] for need in needs)
        return {
            "gpu": 0 if self.device == "cpu" else max(need["gpu"] for need in needs),
            "mem_mb": lambda wildcards, attempt: attempt * mem_mb,
            "runtime": rows * sum(need["runtime"] for need in needs),
        }

    def threads(self, name: str) -> int:
        """CPU threads of a stage."""
        return self.need(name)["threads"]

    def shell(
        self, name: str, inputs: str, outputs: str, *, subject: str = "{wildcards.subject}", more: str = ""
    ) -> str:
        """The shell line of a rule.

        `inputs` and `outputs` name the flags, each bound to the rule's input or output of the same name. What the stage
        says goes to the rule's log; a failure is written down in `failures/`, and a success removes an older note. A
        job that is ended from outside, and can not say why, leaves the mark of its start (`runs.lost`).
        """
        words = [
            *_command(name, inputs),
            *(f"--out-{flag.replace('_', '-')} {{output.{flag}:q}}" for flag in outputs.split()),
        ]
        words += ["{params.settings}", "--seed", "{params.seed}"]
        if (count := self.need(name)["processes"]) > 1:
            words.append(f"--processes {count}")
        if more:
            words.append(more)
        place = f"failures/{subject or 'cohort'}.{{rule}}"
        job = f"{place}.json '{subject}' {name} {{log:q}}"
        mark = f"{place}.started"
        return _told(" ".join(words), job, mark, f"rm -f {mark} {place}.json")

    def each(self, name: str, inputs: str, columns: Mapping[str, str]) -> str:
        """The shell line of a batch rule (see `Batches`): its stage on every scan of `batches/{rule}/{batch}.tsv`.

        `inputs` names the flags of what the scans share, bound to the rule's inputs; `columns` says what stands behind
        the other flags, with `{column}` for the value of a row. The scans that fail are written down in `failures/`.
        """
        if self.need(name)["processes"] > 1:
            raise SettingsError(f"resources of {name}: it goes through scans one by one, processes train one model")
        table = "batches/{rule}/{wildcards.batch}.tsv"
        rows = "batches/{rule}/{wildcards.batch}.rows"  # row by row; the manifest only comes with the last one
        words = [*_command(name, inputs), f"--each {table} --manifest {rows}"]
        for flag, value in columns.items():
            words.append(f"--{flag} {shlex.quote(value.replace('{', '{{').replace('}', '}}'))}")
        words += ["{params.settings}", "--seed", "{params.seed}"]
        return batch_line(" ".join(words), f"--rows {table} {rows} {{rule}} {name} {{log:q}}", rows)

    def need(self, name: str) -> dict[str, int]:
        """Of a stage; each of its processes has the GPUs, memory and threads that are told for one."""
        defaults = {"gpu": 0, "mem_mb": 2000, "runtime": 30, "threads": 1, "processes": 1}
        need = {**defaults, **self._resources.get(name, {})}
        return need | {key: need["processes"] * need[key] for key in ("gpu", "mem_mb", "threads")}


def _command(name: str, inputs: str) -> list[str]:
    """The command of a stage with its flags for the rule's inputs."""
    return [PYTHON, "-m voxfield", name, *(f"--{flag.replace('_', '-')} {{input.{flag}:q}}" for flag in inputs.split())]


def _told(command: str, job: str, mark: str, done: str) -> str:
    """A shell line that marks its start, and writes its failure down.

    job   what `voxfield.failure` is to be told
    mark  a file that is there while the job is at work, and after it was ended from outside
    done  what follows a success, removing the mark
    """
    start = f"printf '%s\\n' \"${{{{SLURM_JOB_ID:-}}}}\" {job} > {mark}"
    failed = f"{RECORDER} {job} $? || rm -f {mark}; exit 1"  # it ends with the code it is given
    return f"{start}; {command} 2> {{log:q}} && {done} || {{{{ {failed}; }}}}"


def batch_line(command: str, job: str, rows: str) -> str:
    """The shell line of a job on a batch, whose manifest is written to `rows` and comes with the last row."""
    mark = "failures/batch-{wildcards.batch}.{rule}.started"
    done = f"{RECORDER} {job} 0 && mv {rows} {{output.manifest:q}} && rm -f {mark}"
    return _told(command, job, mark, done)


def input_flags(inputs: Mapping[str, str | Sequence[str]]) -> str:
    """The input flags of a rule whose inputs differ from subject to subject, quoted for the shell."""
    words: list[str] = []
    for name, value in inputs.items():
        paths = [value] if isinstance(value, str) else list(value)
        if paths:
            words += [f"--{name.replace('_', '-')}", *paths]
    return " ".join(shlex.quote(word) for word in words)


def subject_ids(ids: Iterable[str]) -> list[str]:
    """Check subject ids: letters, digits and hyphens, each once."""
    found = list(ids)
    bad = sorted({i for i in found if not SUBJECT.fullmatch(i)})
    if bad:
        raise InputError(f"subject id {bad[0]!r} holds something else than letters, digits and hyphens; rename it")
    twice = sorted(i for i, count in Counter(found).items() if count > 1)
    if twice:
        raise InputError(f"subject id {twice[0]!r} stands in two rows; give every scan its own id")
    return found


def cohort_rows(table: str | None) -> dict[str, dict[str, str]]:
    """Rows of a cohort table by subject id (`sub-` in front of an id is dropped); its paths become absolute.

    Read with the standard library, since every start of Snakemake comes through here.
    """
    if not table:
        raise SettingsError("source is 'cohort' but no table is given; set `cohort: path/to/cohort.tsv`")
    place = Path(table)
    if not place.is_file():
        raise InputError("cohort table not found; paths are relative to where the command is given", file=place)
    try:
        with place.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t", strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"is no table in UTF-8: {error}", file=place) from None
    ragged = next((number for number, row in enumerate(rows, start=2) if None in row or None in row.values()), None)
    if ragged is not None:
        raise InputError(f"row {ragged} has another number of columns than the first", file=place)
    if not rows or "subject" not in rows[0]:
        raise InputError("a cohort table is a TSV with a column `subject` and at least one row", file=place)
    ids = subject_ids(row["subject"].removeprefix("sub-") for row in rows)
    folder = place.resolve().parent
    told = [{k: _located(k, v, folder) for k, v in row.items() if v and v != "n/a"} for row in rows]
    return dict(zip(ids, told, strict=True))


def graded_images(table: str, *, sides: bool) -> dict[str, dict[str, str]]:
    """Rows of a table of images to be graded: subject, image, patient, grade [, side, split].

    sides  whether every row must say on which side it is; `side` is then "left" or "right"

    Raises InputError for a grade out of range, a patient in two splits and an image that is not there; all of it before
    anything runs.
    """
    from voxfield.artifacts import Cohort

    Cohort.load(table)
    rows = cohort_rows(table)
    for name, row in rows.items():
        for column in ("image", "patient"):
            if column not in row:
                raise InputError(f"subject {name} has no {column}", file=table)
        if sides:
            side = row.get("side", "")
            row["side"] = SIDES.get(side.lower(), "")
            if not row["side"]:
                found = f"side {side!r}" if side else "no side"
                raise InputError(f"subject {name} has {found}; expected left or right", file=table)
    missing = [row["image"] for row in rows.values() if not Path(row["image"]).is_file()]
    if missing:
        raise InputError(f"{len(missing)} of {len(rows)} images are not there, the first is {missing[0]}", file=table)
    return rows


def series_flag(row: Mapping[str, str]) -> str:
    """Which series of a DICOM folder a row of a cohort table means, as a flag of `io.convert`."""
    return f"--set series={shlex.quote(row['series'])}" if row.get("series") else ""


def _located(column: str, value: str, folder: Path) -> str:
    return str(folder / value) if column in FILE_COLUMNS else value


def failed_jobs(run: Path = Path()) -> set[tuple[str, str]]:
    """(subject, rule) of every job that failed so far and was not tried again with success."""
    names = [file.name.split(".") for file in (run / "failures").glob("*.json")]
    return {(parts[0], parts[1]) for parts in names if len(parts) == 3}


def without_failures(subjects: Sequence[str], *, optional: Collection[str] = (), run: Path = Path()) -> list[str]:
    """The subjects that gathers can still use: no job of theirs has failed, apart from those of `optional` rules."""
    lost = {subject for subject, rule in failed_jobs(run) if rule not in optional}
    return [subject for subject in subjects if subject not in lost]


def begin_run(config: Mapping[str, Any], pipeline: str, run: Path = Path()) -> None:
    """Mark the working directory as a run folder; from now on a file without a record is an error in it."""
    marker = run / RUN_MARKER
    if not marker.is_file():
        marker.write_text(json.dumps({"pipeline": pipeline, "schema": 1}) + "\n")
    (run / "failures").mkdir(exist_ok=True)


def _read_resources(overrides: Mapping[str, Mapping[str, int]] | None) -> dict[str, dict[str, int]]:
    from voxfield.settings_yaml import load_yaml

    place = resource_folder("configs") / "resources.yaml"
    merged: dict[str, dict[str, int]] = {name: dict(need) for name, need in load_yaml(place).items()}
    for name, need in (overrides or {}).items():
        merged[name] = {**merged.get(name, {}), **need}
    for name, need in merged.items():
        for key, value in need.items():
            if key not in RESOURCE_NAMES:
                raise SettingsError(f"resources of {name}: {unknown_key(key, RESOURCE_NAMES)}", file=place)
            least = 0 if key == "gpu" else 1
            if type(value) is not int or value < least:
                raise SettingsError(f"resources of {name}: {key} is {value!r}; expected a whole number from {least} on")
    return merged
