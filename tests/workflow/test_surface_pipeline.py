"""The pipeline surface_field: what its configurations plan, what they refuse, and a phantom from end to end."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
from runs import run_pipeline

run = partial(run_pipeline, "surface_field")


def plan(folder: Path, *more: str) -> dict[str, int]:
    ended = run(folder, "-n", *more)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", ended.stdout, re.MULTILINE)}


def own(folder: Path, columns: str) -> tuple[str, ...]:
    """Flags for a cohort of one subject with these columns, whose files are empty."""
    names = {name: f"{name}.{'surf.gii' if name == 'mesh' else 'safetensors'}" for name in columns.split()}
    for file in names.values():
        (folder / file).touch()
    table = folder / "cohort.tsv"
    table.write_text("\t".join(["subject", *names]) + "\n" + "\t".join(["mine", *names.values()]) + "\n")
    return ("--set", "phantoms.count=0", "--set", f"cohort={table}")


@pytest.mark.slow
def test_what_is_known_decides_what_is_done(tmp_path: Path) -> None:
    jobs = plan(tmp_path / "a", *own(tmp_path, "observed points"))
    assert jobs["graph"] == jobs["fit"] == jobs["predict"] == jobs["surface_page"] == 1
    assert not {"singularities", "evaluate_points", "surface_phantom"} & set(jobs)
    jobs = plan(tmp_path / "b", *own(tmp_path, "observed mesh truth"))
    assert jobs["singularities"] == jobs["evaluate_points"] == 1


@pytest.mark.slow
def test_a_subject_without_a_domain_is_refused(tmp_path: Path) -> None:
    ended = run(tmp_path / "run", "-n", *own(tmp_path, "observed truth"))
    assert ended.returncode != 0
    assert "subject mine needs `observed`, and `mesh` or `points`" in ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("use_mesh", ["true", "false"])
def test_a_phantom_from_end_to_end(tmp_path: Path, use_mesh: str) -> None:
    config = tmp_path / "small.yaml"
    config.write_text("phantoms: {count: 1}\nstages:\n  phantoms.surface: {vertices: 300, observed_share: 0.5}\n")
    ended = run(tmp_path / "run", "--config", str(config), "--set", f"use_mesh={use_mesh}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    metrics = json.loads((tmp_path / "run" / "sub-01" / "field_metrics.json").read_text())
    assert metrics["relative_l2"] < 0.2
    found = json.loads((tmp_path / "run" / "sub-01" / "singularities.json").read_text())
    assert found["index_sum_smallest"] == found["index_sum_largest"] == found["euler_characteristic"] == 2
    assert (tmp_path / "run" / "report" / "index.html").exists()
