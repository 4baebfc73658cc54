"""The pipeline pde_atlas: what its configurations plan, what they refuse, and problems of one's own to the end."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
from runs import run_pipeline

FINE = """
title: A bar
unit: K
box: {x: [0, 1]}
length_unit: m
operator: poisson
manufactured: sin(3*x)
boundary: {all: dirichlet}
"""


run = partial(run_pipeline, "pde_atlas")


@pytest.mark.slow
def test_the_built_in_problems_are_planned(tmp_path: Path) -> None:
    ended = run(tmp_path, "-n")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", ended.stdout, re.MULTILINE)}
    assert jobs["solve_finite_volume"] == jobs["compare"] == jobs["problem_page"] >= 15
    assert jobs["solve_chebyshev"] >= 12


@pytest.mark.slow
def test_a_problem_needs_two_solvers(tmp_path: Path) -> None:
    (tmp_path / "bar.yaml").write_text(FINE)
    ended = run(tmp_path / "run", "-n", "--set", f"folder={tmp_path}", "--set", "solvers=[chebyshev]")
    assert ended.returncode != 0
    assert "problem bar names 1 solver(s); expected two or more" in ended.stdout + ended.stderr


@pytest.mark.slow
def test_own_problems_from_end_to_end(tmp_path: Path) -> None:
    """A sound one, and one without a boundary condition, which leaves the other alone and is told of."""
    (tmp_path / "bar.yaml").write_text(FINE)
    (tmp_path / "bad.yaml").write_text(FINE.replace("all: dirichlet", "x-: dirichlet"))
    ended = run(tmp_path / "run", "--set", f"folder={tmp_path}")
    assert ended.returncode == 3, ended.stdout + ended.stderr
    agreement = json.loads((tmp_path / "run" / "sub-bar" / "agreement.json").read_text())
    assert agreement["agree"]
    assert agreement["solvers"]["chebyshev"]["error_l2"] < 1e-12
    page = (tmp_path / "run" / "sub-bad" / "page" / "index.html").read_text()
    assert "face x+ has no boundary condition" in page
    assert (tmp_path / "run" / "report" / "index.html").exists()
