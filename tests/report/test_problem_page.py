"""report.problem: what solvers said stands on the page, also where they disagreed or failed."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from html_check import Page

from voxfield.artifacts import Metrics, Picture, Problem, Table
from voxfield.errors import InputError
from voxfield.report import problem as problem_page
from voxfield.testing import StageContract

STATEMENT = {
    "title": "A bar", "unit": "K", "box": {"x": [0, 1]}, "length_unit": "m", "operator": "poisson",
    "boundary": {"all": {"dirichlet": 0}},
}  # fmt: skip


def picture(shade: int) -> Picture:
    pixels = np.full((40, 60, 3), 255, dtype=np.uint8)
    pixels[10:30, 10:50] = shade
    return Picture(pixels)


def summary(solver: str, estimate: float) -> Metrics:
    values = {"solver": solver, "points": [64], "error_estimate": estimate, "residual": 1e-12, "iterations": 1}
    return Metrics({**values, "error_largest": None, "largest_sd": None})


def pairs(excess: float) -> Table:
    row = {"first": "chebyshev", "second": "finite_volume", "largest_difference": 1e-3, "place": "x = 0.5"}
    return Table.from_rows([row | {"allowed_there": 1e-3 / excess, "excess": excess, "agree": int(excess <= 1)}])


class TestProblemPage(StageContract):
    """Two solvers and their agreement."""

    name = "report.problem"

    def make_inputs(self) -> Mapping[str, Any]:
        return {
            "problem": Problem(STATEMENT), "pictures": [picture(10), picture(90)],
            "summaries": [summary("chebyshev", 1e-12), summary("finite_volume", 1e-4)],
            "comparison": picture(50), "pairs": pairs(0.3),
        }  # fmt: skip


def test_disagreement_is_marked() -> None:
    inputs = TestProblemPage().make_inputs()
    made = problem_page(**{**inputs, "pairs": pairs(4.0)}, subject="bar").page
    html = made.pages["index.html"].decode()
    Page(html)
    assert "NO" in html
    assert 'class="value error">4.00' in html
    assert json.loads(made.pages["page.json"])["facts"]["excess"] == 4.0


def test_a_page_without_anything_says_so() -> None:
    failure = ("pde.compare", "chebyshev and finite_volume disagree: they differ by 0.1", "logs/a.log")
    made = problem_page(Problem(STATEMENT), failures=(failure,)).page
    html = made.pages["index.html"].decode()
    assert "No solver finished." in html
    assert "they differ by 0.1" in html


def test_pictures_without_their_summaries_are_refused() -> None:
    with pytest.raises(InputError, match="found 1 pictures and 0 summaries"):
        problem_page(Problem(STATEMENT), [picture(10)])
