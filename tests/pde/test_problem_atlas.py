"""The problem files of the atlas: the twelve equations of GP-HM against their forcing by hand; all can be posed."""

from pathlib import Path

import numpy as np
import pytest

from pde.highfreq import CASES
from voxfield.artifacts import Problem
from voxfield.findings import Findings
from voxfield.paths import resource_folder
from voxfield.pde.problem import exact, pose

FOLDER = resource_folder("pipelines") / "pde_atlas" / "problems"


def file_of(name: str) -> Path:
    return FOLDER / f"{name.replace('_', '-').replace('allencahn', 'allen-cahn')}.yaml"


@pytest.mark.parametrize("name", CASES)
def test_the_twelve_equations_are_those_of_the_paper(name: str) -> None:
    """Same operator, box, forcing and boundary values as in the hand-made list."""
    case, problem = CASES[name], Problem.load(file_of(name))
    posed, truth = pose(problem), exact(problem)
    assert truth is not None
    assert [(axis.low, axis.high) for axis in posed.box.axes] == [(i.low, i.high) for i in case.equation.box]
    assert set(posed.operator.terms) == set(case.equation.operator.terms)
    assert dict(posed.operator.reaction) == dict(case.equation.operator.reaction)
    rng = np.random.default_rng(1)
    places = [axis.low + axis.length * rng.random(200) for axis in posed.box.axes]
    np.testing.assert_allclose(truth(*places), case.exact(*places), atol=1e-12)
    forcing = case.equation.forcing
    expected = forcing(*places) if callable(forcing) else np.full(200, forcing)
    np.testing.assert_allclose(posed.forcing(*places), expected, atol=1e-9 * max(1.0, np.abs(expected).max()))
    held = [condition for condition in posed.conditions.values() if condition.kind == "dirichlet"]
    assert len(held) + (posed.initial is not None) == len(case.equation.conditions)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_is_a_sound_problem(path: Path) -> None:
    problem = Problem.load(path)
    problem.check(Findings())
    assert problem.statement["title"]
    pose(problem)
