"""`voxfield run` on a pipeline of light stages: failures, growth, edits, integrity, kills."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import command, make_cohort, mtimes, voxfield

from voxfield.artifacts import Cohort
from voxfield.errors import InputError, SettingsError
from voxfield.records import hash_file
from voxfield.runs.configuration import merged_config

MINI = Path(__file__).parent / "mini"
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_failures_growth_edits_and_damage(tmp_path: Path) -> None:
    run = tmp_path / "run"
    table = make_cohort(tmp_path / "scans", ["sub-a", "sub-b", "c"])
    (tmp_path / "scans" / "sub-b.nii.gz").write_bytes(b"broken")

    ended = voxfield(MINI, table, run)
    assert ended.returncode == 3, ended.stderr
    assert "b: segmentation.annotate" in ended.stderr
    assert "logs/sub-b/segmentation.annotate.log" in ended.stderr
    assert Cohort.load(run / "cohort.tsv").column("subject") == ["a", "c"]

    make_cohort(tmp_path / "new", ["sub-b"])
    (tmp_path / "scans" / "sub-b.nii.gz").write_bytes((tmp_path / "new" / "sub-b.nii.gz").read_bytes())
    before = mtimes(run)
    ended = voxfield(MINI, make_cohort(tmp_path / "scans", ["sub-a", "sub-b", "c", "d"]), run)
    assert ended.returncode == 0, ended.stderr
    assert Cohort.load(run / "cohort.tsv").column("subject") == ["a", "b", "c", "d"]
    after = mtimes(run)
    assert {name: after[name] for name in before} == before, "adding a subject computes one subject"

    table = tmp_path / "scans" / "cohort.tsv"
    dry = voxfield(MINI, table, run, "-n", "--set", "stages.segmentation.annotate.every=3").stdout
    assert re.search(r"annotate\s+4\n", dry), "an edited setting recomputes what follows from it"
    started = time.monotonic()
    again = voxfield(MINI, table, run)
    assert "Nothing to be done" in again.stdout + again.stderr
    assert time.monotonic() - started < 30

    victim = run / "sub-a" / "annotation.nii.gz"
    verify = [sys.executable, "-m", "voxfield", "verify", str(run)]
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0
    victim.write_bytes(victim.read_bytes()[:-3])
    told = subprocess.run(verify, check=False, capture_output=True, text=True)
    assert told.returncode == 2
    assert "sub-a/annotation.nii.gz" in told.stderr


@pytest.mark.slow
def test_killed_run_resumes_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    table = make_cohort(tmp_path / "scans", [f"s{n}" for n in range(6)])
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert voxfield(MINI, table, whole).returncode == 0
    with subprocess.Popen(
        command(MINI, table, killed), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while len(list(killed.rglob("annotation.nii.gz"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    ended = voxfield(MINI, table, killed)
    assert ended.returncode == 0, ended.stderr
    for file in [*whole.rglob("*.nii.gz"), whole / "cohort.tsv"]:
        assert hash_file(file) == hash_file(killed / file.relative_to(whole))
    assert not list(killed.rglob(".vf*"))


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["Snakefile", "workflow/Snakefile"])
def test_plain_snakemake_plans_the_flagship(entry: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "snakemake", "-n", "--snakefile", entry, "--config", f"run_folder={tmp_path}"]
    planned = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search(r"phantom\s+16\n", planned.stdout + planned.stderr)


def test_configuration_is_judged_before_anything_runs(tmp_path: Path) -> None:
    for assignment, words in (
        ("sed=1", "setting 'sed' is unknown; the nearest known one is 'seed'"),
        ("phantoms.cont=3", "'phantoms.cont' is unknown"),
    ):
        with pytest.raises(SettingsError) as caught:
            merged_config(Path("pipelines/vessel_flow").resolve(), None, [assignment])
        assert words in str(caught.value)
    merged = merged_config(MINI, None, ["stages.segmentation.annotate.every=5"])
    assert merged["stages"]["segmentation.annotate"] == {"every": 5, "threshold": 0.5}


def test_bad_cohort_is_one_line(tmp_path: Path) -> None:
    from voxfield.workflow import cohort_rows

    for rows, words in (
        (["a", "a"], "two rows"),
        (["../evil"], "letters, digits and hyphens"),
    ):
        table = tmp_path / "bad.tsv"
        table.write_text("subject\timage\n" + "".join(f"{r}\tx.nii.gz\n" for r in rows))
        with pytest.raises(InputError, match=words):
            cohort_rows(str(table))
