"""The pipeline airway: what its configurations plan, and what they refuse."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "pipelines" / "airway"


def plan(run: Path, *more: str) -> dict[str, int]:
    """Number of jobs of every rule, by a dry run."""
    words = ["run", "airway", "-n", "--directory", str(run), *more]
    ended = subprocess.run([sys.executable, "-m", "voxfield", *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", ended.stdout, re.MULTILINE)}


@pytest.mark.slow
def test_phantoms_are_simulated_segmented_and_evaluated(tmp_path: Path) -> None:
    jobs = plan(tmp_path, "--set", "phantoms.count=5", "--set", "batch=4")
    for rule in ("airway_phantom", "simulate", "lung", "trees", "pages"):
        assert jobs[rule] == 5
    assert jobs["segment"] == 2
    assert jobs["train_segmentation"] == 1
    assert "summarise_segmentation" not in jobs  # all of them train


@pytest.mark.slow
def test_own_scans_with_a_model_need_neither_training_nor_reference(tmp_path: Path) -> None:
    (tmp_path / "ct.nii.gz").touch()
    (tmp_path / "model.safetensors").touch()
    table = tmp_path / "cohort.tsv"
    table.write_text("subject\timage\nmine\tct.nii.gz\n")
    own = ("--set", "phantoms.count=0", "--set", f"cohort={table}", "--set", f"model={tmp_path / 'model.safetensors'}")
    jobs = plan(tmp_path / "run", *own)
    assert jobs["segment"] == jobs["lung"] == 1
    assert not {"train_segmentation", "summarise_segmentation", "simulate"} & set(jobs)
    jobs = plan(tmp_path / "run", *own, "--set", "lungs=false")
    assert "lung" not in jobs


@pytest.mark.slow
def test_a_run_without_training_or_model_is_refused(tmp_path: Path) -> None:
    words = ["run", "airway", "-n", "--directory", str(tmp_path), "--set", "phantoms.training=0"]
    ended = subprocess.run([sys.executable, "-m", "voxfield", *words], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "no subject trains the network" in ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("medrad", {"simulate": 4, "lung": 4, "trees": 4, "summarise_segmentation": 1}),
        ("octa", {"convert_scan": 12, "convert_reference": 12, "trees": 12}),
        ("totalsegmentator", {"simulate": 8, "lung": 11, "trees": 11}),
    ],
)
def test_configurations_find_their_data(tmp_path: Path, shared: Path, name: str, jobs: dict[str, int]) -> None:
    found = plan(tmp_path, "--config", str(FOLDER / f"{name}.yaml"), "--set", f"data={shared / 'data'}")
    assert {rule: found[rule] for rule in jobs} == jobs
    assert ("lung" in found) == ("lung" in jobs)
