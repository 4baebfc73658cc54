"""What a run folder of the flagship promises, on tiny phantoms: a kill costs nothing, growth touches nobody.

One run is left alone. Another is killed three times by SIGKILL, each time a little later, and started again: it has to
end with the same bytes, records (they tell times) and pages (they show records) apart. Then it gets one subject more:
nothing of the others may be made anew but what gathers all of them.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import Claim, finish, options
from voxfield.records import hash_file, read_record
from voxfield.settings_yaml import dump_yaml

STAGES = {
    "phantoms.vessel": {"spacing_mm": 1.4, "bifurcations": 1, "stenoses": 0},
    "segmentation.train": {"steps": 60, "patch": [16, 16, 16], "channels": [8, 16, 32]},
    "fields.reconstruct": {"wall": "none"},
}
# The run is killed as soon as these are there: in the middle of the training, of a batch, of the last stages.
MOMENTS = ("models/segmentation.safetensors.work", "sub-01/probability.nii.gz", "sub-01/velocity.nii.gz")
GATHERS = ("report", "models/training.tsv")


def command(run: Path, config: Path, count: int) -> list[str]:
    """The run of so many subjects; a new one does not train."""
    words = ["run", "vessel_flow", "--config", str(config), "--directory", str(run), "--set", f"phantoms.count={count}"]
    return [sys.executable, "-m", "voxfield", *words]


def kill_when(words: list[str], sign: Path) -> bool:
    """Start a run and kill it and all its jobs when `sign` exists; whether it was still alive then."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, start_new_session=True, stdout=quiet, stderr=quiet) as process:
        while process.poll() is None and not sign.exists():
            time.sleep(0.01)
        alive = process.poll() is None
        if alive:
            os.killpg(process.pid, signal.SIGKILL)
    return alive


def results(run: Path) -> dict[str, Path]:
    """The recorded files of a run, pages apart."""
    files = [path for path in run.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    return {str(path.relative_to(run)): path for path in files if read_record(path) is not None}


def differing(one: Path, other: Path) -> list[str]:
    """Names of results that are not in both runs with the same bytes."""
    a, b = results(one), results(other)
    return sorted(
        name for name in {*a, *b} if name not in a or name not in b or hash_file(a[name]) != hash_file(b[name])
    )


def times(run: Path) -> dict[str, int]:
    """When every result was written."""
    return {name: path.stat().st_mtime_ns for name, path in results(run).items()}


def experiment(folder: Path, count: int, moments: tuple[str, ...]) -> dict[str, Any]:
    """The three runs; how many kills hit, and which files should not be as they are."""
    config, whole, killed = folder / "config.yaml", folder / "whole", folder / "killed"
    config.write_text(dump_yaml({"phantoms": {"annotated": 1}, "grading": {"cohort": 0}, "stages": STAGES}))
    subprocess.run(command(whole, config, count), check=True, capture_output=True)
    hits = sum(kill_when(command(killed, config, count), killed / sign) for sign in moments)
    subprocess.run(command(killed, config, count), check=True, capture_output=True)
    different = differing(whole, killed)
    before = times(killed)
    subprocess.run(command(killed, config, count + 1), check=True, capture_output=True)
    grown = folder / "killed-2"  # another count is another setting: a run of its own, which begins with these results
    after = times(grown)
    again = [name for name in before if before[name] != after.get(name) and not name.startswith(GATHERS)]
    subprocess.run([sys.executable, "-m", "voxfield", "verify", str(grown)], check=True, capture_output=True)
    return {
        "kills": hits,
        "results": len(before),
        "different after the kills": len(different),
        "made anew by growth": len(again),
        "of the new subject": len(after) - len(before),
        "which": " ".join([*different, *again]),
    }


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__ or "", seeds=1)
    with tempfile.TemporaryDirectory() as folder:
        row = experiment(Path(folder), 1 if chosen.quick else 3, MOMENTS[1:2] if chosen.quick else MOMENTS)
    claims = [
        Claim("kills that hit a living run", row["kills"], 1 if chosen.quick else len(MOMENTS), ">="),
        Claim("results that differ after the kills", row["different after the kills"], 0, "<="),
        Claim("results of others made anew by one subject more", row["made anew by growth"], 0, "<="),
        Claim("results of the new subject", row["of the new subject"], 1, ">="),
    ]
    finish(chosen, claims, [row])


if __name__ == "__main__":
    main()
