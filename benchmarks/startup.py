"""What starting costs: CPU seconds of the command and of stages with ever heavier imports, and the overhead of a run.

The overhead is read from the records of the run folder of `make demo`: CPU seconds of the whole run over CPU seconds
inside stage bodies. `voxfield run` notes the former in voxfield-run.json.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from _common import ROOT, Claim, finish, options
from voxfield.artifacts import Image, LabelMap

REPEATS = 5


def child_cpu(words: Sequence[str]) -> float:
    """CPU seconds of one command, its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def median_cpu(words: Sequence[str], repeats: int) -> float:
    """Median over repeats, after one warm-up."""
    child_cpu(words)
    return statistics.median(child_cpu(words) for _ in range(repeats))


def commands(folder: Path) -> dict[str, list[str]]:
    """The commands that are timed, on a scan of 16^3 voxels."""
    voxfield = [sys.executable, "-m", "voxfield"]
    scan, mask, other = (folder / f"{name}.nii.gz" for name in ("scan", "mask", "other"))
    data = np.random.default_rng(0).random((16, 16, 16)).astype("f4")
    Image(data, np.eye(4)).save(scan)
    LabelMap((data > 0.5).astype("u1"), np.eye(4)).save(mask)
    LabelMap((data > 0.4).astype("u1"), np.eye(4)).save(other)
    annotate = ["--image", str(scan), "--set", "threshold=0.5", "--out-annotation", str(folder / "a.nii.gz")]
    evaluate = ["--prediction", str(mask), "--reference", str(other), "--out-metrics", str(folder / "m.json")]
    return {
        "voxfield list": [*voxfield, "list"],
        "voxfield --help": [*voxfield, "--help"],
        "segmentation.annotate (numpy, nibabel)": [*voxfield, "segmentation.annotate", *annotate],
        "segmentation.evaluate (scipy, skimage)": [*voxfield, "segmentation.evaluate", *evaluate],
        "import torch": [sys.executable, "-c", "import torch"],
        "import monai.networks.nets": [sys.executable, "-c", "import monai.networks.nets"],
    }


def run_overhead(run: Path) -> dict[str, float] | None:
    """Whole-run CPU over CPU in stage bodies, and wall over summed stage wall; None where there is no run."""
    marker = run / "voxfield-run.json"
    if not marker.is_file():
        return None
    spent = json.loads(marker.read_text()).get("seconds")
    if not spent:
        return None
    jobs: dict[str, dict[str, Any]] = {}
    for file in run.rglob("*.json"):
        record = json.loads(file.read_text())
        if isinstance(record, dict) and isinstance(record.get("voxfield"), dict):
            jobs[record["voxfield"]["key"]] = record["voxfield"]["seconds"]
    body = sum(job["body_cpu"] for job in jobs.values())
    wall = sum(job["wall"] for job in jobs.values())
    return {"jobs": len(jobs), "cpu": spent["cpu"] / body, "wall": spent["wall"] / wall}


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "", seeds=1)
    with tempfile.TemporaryDirectory() as folder:
        timed = {
            name: median_cpu(words, 2 if chosen.quick else REPEATS) for name, words in commands(Path(folder)).items()
        }
    rows: list[dict[str, Any]] = [{"command": name, "CPU s": seconds} for name, seconds in timed.items()]
    claims = [Claim("CPU seconds of voxfield list", timed["voxfield list"], 0.5, "<=")]
    overhead = run_overhead(ROOT / "runs" / "vessel_flow")
    if overhead:
        rows.append({"command": f"demo, {overhead['jobs']:.0f} jobs: run CPU / stage CPU", "CPU s": overhead["cpu"]})
        claims.append(Claim("demo: whole-run CPU over CPU in stage bodies", overhead["cpu"], 1.3, "<="))
        claims.append(Claim("demo: wall over summed stage wall", overhead["wall"], 0.75, "<="))
    finish(chosen, claims, rows)


if __name__ == "__main__":
    main()
