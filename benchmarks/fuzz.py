"""Readers, settings and records under bytes that look for new branches (atheris, on libFuzzer), against blind ones.

    python benchmarks/fuzz.py --quick          # some hundred inputs for four of the targets
    python benchmarks/fuzz.py --json FILE      # all targets, some ten minutes of CPU

Every target starts from a few sound files. `guided` keeps what reaches a new branch and goes on from there, `blind`
makes the same mutations of the sound files only; both get as many inputs. The only outcomes allowed are values and an
InputError that names the file. What else comes up is copied to `runs/fuzz/`, one input a failure.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from _common import ROOT, Claim, finish, options

sys.path.insert(0, str(ROOT / "tests"))

from artifacts.kinds import save_sound
from dicom_files import write_series

RUNS, QUICK_RUNS = 40_000, 1_500
QUICK = ("nifti", "safetensors", "settings", "record")
SLOW = {
    "png": 8,
    "problem": 20,
    "settings": 10,
    "gzip": 4,
    "gifti": 4,
    "npy": 4,
    "safetensors": 4,
}  # so many times fewer
SEEDS = {
    "nifti": ("Image", "LabelMap", "VectorImage", "PartialImage"), "gzip": ("Image", "LabelMap"),
    "safetensors": ("FaceFlux", "FieldSamples", "GridField", "Manifold", "Model", "PointField", "PointSamples"),
    "table": ("Table", "Cohort"), "json": ("Metrics",), "swc": ("Centerline",), "vtp": ("Polyline",),
    "graphml": ("Graph",), "gifti": ("Mesh",), "png": ("Picture",), "problem": ("Problem",),
}  # fmt: skip
CRASHES = ROOT / "runs" / "fuzz"
TARGETS = (*SEEDS, "settings", "record", "npy", "dicom")


def write_seeds(folder: Path) -> None:
    """Sound files of every target."""
    for target in TARGETS:
        (folder / target).mkdir(parents=True)
    for target, kinds in SEEDS.items():
        for kind in kinds:
            path = save_sound(kind, folder / target, ".nii" if target == "nifti" else None)
            path.replace(path.with_name(f"{kind}{path.name.removeprefix('sound')}"))
    (folder / "settings" / "a.yaml").write_text("rate: 0.5\nsteps: 7\nnames: [a, 'no', \"b c\"]\non: true\n# end\n")
    (folder / "settings" / "b.yaml").write_text("{rate: 1.0e-3, steps: 0x10,\n names: [a, |-\n  b]}\n")
    output = {"path": "a.tsv", "sha256": "0" * 64, "bytes": 3}
    record = {"schema": 1, "stage": "a.b", "settings": {"x": [1, 2.5, None]}, "output": output}
    (folder / "record" / "a.tsv.json").write_text(json.dumps({"voxfield": record}, indent=1))
    np.save(folder / "npy" / "a.npy", np.arange(6.0, dtype="f4").reshape(2, 3))
    write_series(folder / "dicom", np.arange(60).reshape(5, 4, 3), np.eye(4))


def fuzz(target: str, way: str, runs: int, seed: int, folder: Path) -> dict[str, Any]:
    """Branches that one target reached, and the CPU seconds of its process."""
    words = [sys.executable, str(Path(__file__).with_name("_fuzz_target.py")), target, str(folder), way]
    words += [f"-runs={runs}", f"-seed={seed}", "-max_len=4096", "-len_control=0", "-timeout=120", "-rss_limit_mb=3000"]
    words += [f"-artifact_prefix={folder}/crashes/"]
    work = folder / f"{target}-{way}-{seed}"
    work.mkdir()
    with subprocess.Popen(words, cwd=work, stderr=subprocess.PIPE, text=True) as process:
        said = process.stderr.read() if process.stderr else ""
        _, status, spent = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    found = re.findall(r"#(\d+)\s+DONE\s+cov: (\d+)", said)
    if not found:
        (folder / "crashes" / f"{work.name}-ended.txt").write_text(f"ended early: {said[-2000:]}\n")
    done, branches = (int(number) for number in found[-1]) if found else (0, 0)
    return {"runs": done, "branches": branches, "cpu": spent.ru_utime + spent.ru_stime}


def main() -> None:
    """Fuzz every target both ways, and print what was reached and what came up."""
    chosen = options(__doc__, seeds=1)
    runs = QUICK_RUNS if chosen.quick else RUNS
    with tempfile.TemporaryDirectory(dir=memory()) as place, ThreadPoolExecutor(os.cpu_count()) as pool:
        folder = Path(place)
        (folder / "crashes").mkdir()
        write_seeds(folder / "seeds")
        jobs = [
            (target, seed) for target in (QUICK if chosen.quick else TARGETS) for seed in range(1, chosen.seeds + 1)
        ]
        rows = list(pool.map(lambda job: compare(*job, runs, folder), jobs))
        faults = sorted(file.read_text().strip() for file in (folder / "crashes").glob("*.txt"))
        if faults:
            shutil.copytree(folder / "crashes", CRASHES, dirs_exist_ok=True)
    for fault in faults:
        print(f"failure: {fault}")
    ahead = [row["branches, guided"] - row["branches, blind"] for row in rows]
    inputs, cpu = (sum(row[name] for row in rows) for name in ("inputs each way", "CPU s"))
    print(
        f"2 x {inputs:,} inputs, {cpu:.0f} CPU s; guidance is ahead on {sum(gain > 0 for gain in ahead)} of {len(rows)}"
    )
    claims = [Claim("failures other than an InputError that names its file", len(faults), 0, "<=")]
    if not chosen.quick:  # some thousand inputs are too few to learn from
        share = sum(gain >= 0 for gain in ahead) / len(rows)
        claims.append(Claim("share of targets where guidance reaches as many branches as blind", share, 0.9, ">="))
    finish(chosen, claims, rows)


def compare(target: str, seed: int, runs: int, folder: Path) -> dict[str, Any]:
    """A row of the table: one target, guided and blind."""
    count = runs // SLOW.get(target, 1)
    guided, blind = (fuzz(target, way, count, seed, folder) for way in ("guided", "blind"))
    return {
        "target": target,
        "seed": seed,
        "inputs each way": guided["runs"],
        "branches, guided": guided["branches"],
        "branches, blind": blind["branches"],
        "CPU s": round(guided["cpu"] + blind["cpu"], 1),
    }


def memory() -> str | None:
    """A folder in memory where there is one: every input is a file."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  (a folder of its own is made in it)


if __name__ == "__main__":
    main()
