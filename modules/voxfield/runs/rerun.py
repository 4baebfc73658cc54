"""`voxfield verify RUN_DIR --rerun K`: what was made of some subjects is made once more, elsewhere, and compared.

Every job is repeated alone, from the inputs, settings, seed and number of threads in its record, so that a difference
is told of the job that it comes from. With the packages, CPU instruction set and device of the record the bytes have to
be the same; with others, each file has to lie within the rule for its stage and kind (`tolerance`).
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from voxfield.codehash import code_hash
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.records import hash_file, read_record
from voxfield.registry import module_of
from voxfield.runs.folder import files_of, recorded_output, require_run
from voxfield.runs.originals import Originals
from voxfield.runs.tolerance import tolerance_for
from voxfield.settings import unknown_key

SURROUNDINGS = ("packages", "cpu", "threads", "device", "processes")
Job = list[dict[str, Any]]  # the records of what one call of a stage wrote


class Verdict(NamedTuple):
    """What became of a file: `same`, `within` a tolerance, `differs` or `left out`; and by which rule."""

    path: str
    outcome: str
    rule: str


def rerun_subjects(run: Path, asked: Sequence[str], seed: int = 0) -> int:
    """Make what was made of some subjects once more, and print a line a file. Raises InputError when one differs.

    asked  ids of subjects, or how many of them are drawn by `seed`
    """
    require_run(run)
    run = run.resolve()
    jobs = _jobs(run)
    chosen = drawn(sorted({_subject(job) for job in jobs} - {""}), asked, seed)
    originals = Originals(run)
    mine = [job for job in jobs if _subject(job) in chosen]
    verdicts: list[Verdict] = []
    for job in Context(show=sys.stderr.isatty()).progress(mine, total=len(mine), desc="rerun"):
        verdicts += _again(run, job, originals)
    sys.stdout.writelines(f"{v.path}: {v.outcome} ({v.rule})\n" for v in verdicts)
    outcomes = [v.outcome for v in verdicts]
    counted = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in dict.fromkeys(outcomes))
    told = f"{len(outcomes)} files of {', '.join(chosen)} made again: {counted}"
    if "differs" in outcomes:
        raise InputError(f"{told}; see above", file=run)
    sys.stdout.write(f"{told}\n")
    return 0


def drawn(subjects: Collection[str], asked: Sequence[str], seed: int) -> list[str]:
    """The subjects that are asked for: by name, or so many of them."""
    if len(asked) == 1 and asked[0].isdecimal() and asked[0] not in subjects:
        draw = random.Random(seed)  # noqa: S311  # no secret
        return sorted(draw.sample(sorted(subjects), min(int(asked[0]), len(subjects))))
    named = [subject.removeprefix("sub-") for subject in asked]
    for subject in named:
        if subject not in subjects:
            raise InputError(unknown_key(subject, subjects).replace("setting", "subject", 1))
    return named


def _jobs(run: Path) -> list[Job]:
    """Every call of a stage whose outputs lie in a run."""
    found: dict[tuple[str, str], Job] = {}
    for place in files_of(run):
        told = recorded_output(place, run)
        record = read_record(told[0]) if told and told[0].exists() else None
        if record is not None:
            # A stage that was called twice with equal inputs and settings is told apart by where it wrote.
            folder = Path(record["output"]["path"]).parent.as_posix()
            found.setdefault((record["key"], folder), []).append(record)
    return list(found.values())


def _subject(job: Job) -> str:
    """Whom a call was about; empty where it was about the cohort."""
    first = Path(job[0]["output"]["path"]).parts[0]
    return first.removeprefix("sub-") if first.startswith("sub-") else ""


def _again(run: Path, job: Job, originals: Originals) -> list[Verdict]:
    """Call the stage once more and compare what it makes."""
    stage = job[0]["stage"]
    if job[0]["code"] != code_hash(module_of(stage)):
        return _left_out(job, f"the code of {stage} is not that of the record; the release that made it repeats it")
    with tempfile.TemporaryDirectory(prefix="voxfield-rerun-") as folder:
        scratch = Path(folder)
        try:
            words = [*_inputs(job[0], originals), *_settings(job[0], scratch)]
        except InputError as error:
            return _left_out(job, str(error))
        for record in job:
            words += [f"--out-{_flag(record['output']['name'])}", str(scratch / record["output"]["path"])]
        ended = subprocess.run(
            [sys.executable, "-m", "voxfield", stage, *words],
            cwd=run,  # names of inputs are those of the run
            env={**os.environ, "OMP_NUM_THREADS": str(job[0]["threads"])},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            why = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
            return [Verdict(record["output"]["path"], "differs", f"{stage} failed: {why}") for record in job]
        return [_compare(run, record, scratch) for record in job]


def _left_out(job: Job, why: str) -> list[Verdict]:
    return [Verdict(record["output"]["path"], "left out", why) for record in job]


def _inputs(record: dict[str, Any], originals: Originals) -> list[str]:
    words: list[str] = []
    for name, described in record["inputs"].items():
        files = described if isinstance(described, list) else [described] if described else []
        if files:
            words += [f"--{_flag(name)}", *(str(originals.find(file)) for file in files)]
    return words


def _settings(record: dict[str, Any], scratch: Path) -> list[str]:
    place = scratch / "settings.json"
    place.write_text(json.dumps(record["settings"]), encoding="utf-8")
    words = ["--settings", str(place), "--seed", str(record["seed"])]
    words += ["--device", "cpu" if record["device"] == "cpu" else "auto"]
    return [*words, *(["--processes", str(record["processes"])] if record.get("processes", 1) > 1 else [])]


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _compare(run: Path, record: dict[str, Any], scratch: Path) -> Verdict:
    """Judge one file that was made again."""
    output = record["output"]
    made = scratch / output["path"]
    if hash_file(made)[0] == output["sha256"]:
        return Verdict(output["path"], "same", "equal bytes")
    now = read_record(made) or {}
    others = [name for name in SURROUNDINGS if {"processes": 1, **record}.get(name) != now.get(name)]
    if not others:
        return Verdict(output["path"], "differs", f"other bytes, with {', '.join(SURROUNDINGS)} as in the record")
    rule = tolerance_for(record["stage"], output["kind"])
    told = f"other {', '.join(others)}; {rule}"
    if rule.none:
        return Verdict(output["path"], "left out", told)
    fault = rule.fault(made, run / output["path"])
    return Verdict(output["path"], "differs", f"{fault}; {told}") if fault else Verdict(output["path"], "within", told)
