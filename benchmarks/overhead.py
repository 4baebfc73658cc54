"""What a run costs beside its stages: planning a cohort, running tiny scans, and growing by one.

A tiny pipeline takes every scan through four light stages and gathers all of them in a table. Planned with 10, 1,000
and 10,000 scans (empty files: planning reads none): CPU seconds, and the peak of the process tree's memory. Run with
1,000 scans on two cores: overhead is the CPU of the process tree minus the CPU in the bodies of the stages, as their
records tell, by scan. Then one scan more: the jobs of the plan. The real pipelines are planned with 10,000 rows.

CPU seconds throughout, since a machine may be shared.
"""

import csv
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from _common import ROOT, Claim, finish, options
from voxfield.artifacts import Image
from voxfield.records import read_record

TINY = ROOT / "tests" / "workflow" / "chained"
REAL = ("vessel_flow", "airway", "knee")
COLUMNS = {
    "tiny": ("image",),
    "vessel_flow": ("image", "velocity", "annotation"),
    "airway": ("image", "annotation"),
    "knee": ("image",),
}
ANNOTATED = 20  # scans that train the networks of the real pipelines
SIDE = 12  # voxels along each axis of a tiny scan
POLL_S = 0.25


def cohort(folder: Path, pipeline: str, count: int, *, empty: bool = True) -> Path:
    """A table of so many scans; their files are made where they are not there, empty or with random voxels."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        subject = f"s{number:05}"
        row: dict[str, Any] = {"subject": subject}
        for column in COLUMNS[pipeline]:
            there = column != "annotation" or number < ANNOTATED
            row[column] = f"{subject}_{column}.nii.gz" if there else "n/a"
            if there and not (folder / row[column]).exists():
                _fill(folder / row[column], number, empty=empty)
        if pipeline == "knee":
            row |= {"patient": f"p{number // 2:05}", "grade": number % 5, "side": "lr"[number % 2]}
        rows.append(row)
    table = folder / "cohort.tsv"
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return table


def _fill(file: Path, number: int, *, empty: bool) -> None:
    if empty:
        file.touch()
    else:
        Image(np.random.default_rng(number).random((SIDE,) * 3).astype("f4"), np.eye(4)).save(file)


def measured(words: Sequence[str]) -> dict[str, Any]:
    """Run a command to its end: CPU seconds and peak memory (MB) of its process tree, wall seconds, what it printed."""
    started, peak = time.monotonic(), 0.0
    with tempfile.TemporaryFile("w+") as told, subprocess.Popen(words, stdout=told, stderr=told) as process:
        before = _children_cpu()
        while process.poll() is None:
            peak = max(peak, _tree_mb(process.pid))
            time.sleep(POLL_S)
        wall, cpu = time.monotonic() - started, _children_cpu() - before
        told.seek(0)
        text = told.read()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}\n{text[-2000:]}")
    return {"CPU s": cpu, "peak MB": peak, "wall s": wall, "text": text}


def _children_cpu() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _tree_mb(pid: int) -> float:
    """Resident memory of a process and all its descendants."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.Error:
        pass
    return total / 2**20


def words(pipeline: str, table: Path, run: Path, *more: str) -> list[str]:
    """The words of `voxfield run` on two cores."""
    name = str(TINY) if pipeline == "tiny" else pipeline
    source = ["--set", "source=cohort"] if pipeline == "vessel_flow" else []
    start = [sys.executable, "-m", "voxfield", "run", name, "--directory", str(run), "--cores", "2"]
    return [*start, "--set", f"cohort={table}", *source, *more]


def jobs(plan: str) -> int:
    """The number of jobs that a dry run tells."""
    totals = [line.split()[1] for line in plan.splitlines() if line.startswith("total ")]
    return int(totals[0])


def planning(folder: Path, pipeline: str, count: int) -> dict[str, Any]:
    """One dry run."""
    table = cohort(folder / f"{pipeline}-{count}", pipeline, count)
    found = measured(words(pipeline, table, folder / f"plan-{pipeline}-{count}", "-n"))
    return {"pipeline": pipeline, "scans": count, "jobs": jobs(found.pop("text")), **found}


def running(folder: Path, count: int) -> dict[str, Any]:
    """The tiny pipeline on so many scans, and the plan for one scan more."""
    run, scans = folder / "run", folder / "scans"
    table = cohort(scans, "tiny", count, empty=False)
    found = measured(words("tiny", table, run))
    body = sum(_body_cpu(run))
    grown = cohort(scans, "tiny", count + 1, empty=False)
    plan = measured(words("tiny", grown, run, "-n"))["text"]
    made = [line.split() for line in plan.splitlines() if line.startswith("scans ")]
    return {
        "scans": count,
        "CPU s": found["CPU s"],
        "CPU s in stages": body,
        "overhead s a scan": (found["CPU s"] - body) / count,
        "wall s": found["wall s"],
        "peak MB": found["peak MB"],
        "jobs on scans after growth by one": int(made[0][1]),
        "jobs after growth by one": jobs(plan),
    }


def _body_cpu(run: Path) -> list[float]:
    """CPU seconds in the body of every call of a stage, by the records."""
    files = [*run.glob("sub-*/*.nii.gz"), run / "cohort.tsv"]
    records = [record for file in files if (record := read_record(file)) is not None]
    return [float(record["seconds"]["body_cpu"]) for record in records]


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "", seeds=1)
    counts = (10, 1000) if chosen.quick else (10, 1000, 10_000)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plans = [planning(folder, "tiny", count) for count in counts]
        if not chosen.quick:
            plans += [planning(folder, pipeline, counts[-1]) for pipeline in REAL]
        run = running(folder, 48 if chosen.quick else 1000)
    claims = [
        Claim(f"{p['pipeline']}, {p['scans']} scans: CPU s of planning", p["CPU s"], 60, "<=")
        for p in plans
        if p["scans"] == max(counts)
    ]
    claims += [
        Claim("largest plan: peak MB", max(p["peak MB"] for p in plans), 2048, "<="),
        Claim(f"overhead, CPU s a scan, {run['scans']} scans", run["overhead s a scan"], 0.6, "<="),
        Claim("jobs on scans when one is added", run["jobs on scans after growth by one"], 1, "<="),
    ]
    finish(chosen, claims, plans, [run])


if __name__ == "__main__":
    main()
