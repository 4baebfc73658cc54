"""The pipeline operator: what it plans, what it refuses, and a problem of one's own to the end."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
from runs import run_pipeline

PROBLEM = """
unit: m
box: {x: [0, 1], y: [0, 1]}
length_unit: km
operator: {"div(a grad u)": "6 + 2*sin(3*x)"}
forcing: -1
boundary: {all: {dirichlet: 0}}
"""
SMALL = """
pairs: {train: {samples: 6, points: [8, 8]}, test: {samples: 2, points: [15, 15]}}
solvers: [learned, finite_volume]
stages:
  pde.operator_train: {network: fno, arguments: {width: 8, modes: 2, layers: 1}, steps: 3}
  pde.solve: {samples: [21, 21]}
"""


run = partial(run_pipeline, "operator")


@pytest.mark.slow
def test_the_built_in_problems_are_planned(tmp_path: Path) -> None:
    ended = run(tmp_path, "-n")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", ended.stdout, re.MULTILINE)}
    assert (jobs["operator_pairs"], jobs["operator_train"], jobs["operator_predict"]) == (2, 1, 1)
    assert jobs["solve_learned"] == jobs["solve_finite_volume"] == jobs["compare"] == jobs["problem_page"] == 3


@pytest.mark.slow
def test_own_pairs_are_two_files(tmp_path: Path) -> None:
    ended = run(tmp_path, "-n", "--set", "inputs=mine.safetensors")
    assert ended.returncode != 0
    assert "set both `inputs` and `solutions`, or neither" in ended.stdout + ended.stderr


@pytest.mark.slow
def test_an_own_problem_from_end_to_end(tmp_path: Path) -> None:
    (tmp_path / "ground.yaml").write_text(PROBLEM)
    (tmp_path / "small.yml").write_text(SMALL)
    ended = run(tmp_path / "run", "--config", str(tmp_path / "small.yml"), "--set", f"folder={tmp_path}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    agreement = json.loads((tmp_path / "run" / "sub-ground" / "agreement.json").read_text())
    assert agreement["agree"]
    told = json.loads((tmp_path / "run" / "operator" / "training.json").read_text())
    assert [one["points"] for one in told["judged"]] == [[8, 8], [15, 15]]
    assert json.loads((tmp_path / "run" / "operator" / "prediction.json").read_text())["residual"] < 1e-7
    assert (tmp_path / "run" / "report" / "index.html").exists()
