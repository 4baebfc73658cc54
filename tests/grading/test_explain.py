"""Saliency: exact for linear networks, complete for all, on the scan's own voxels; examples by hand; the stage."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from grading.cohorts import tubes
from voxfield.artifacts import Image, Model
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.grading import explain, predict, train
from voxfield.grading.calibration import Temperature
from voxfield.grading.examples import Examples, nearest
from voxfield.grading.familiarity import Bank
from voxfield.grading.grader import Grader
from voxfield.grading.inputs import InputGrid, resample, to_ras
from voxfield.grading.overlay import LOWERS, PIXELS, RAISES, overlay
from voxfield.grading.saliency import along, attribute, cell_weights, expected_grade, from_ras
from voxfield.testing import StageContract

QUICK: dict[str, Any] = {"steps": 60, "batch": 8, "cells": 12, "channels": (4, 8), "hidden": 4, "bootstrap": 10}
CPU = torch.device("cpu")
TURNS = (
    np.diag([1.0, 1.0, 1.0, 1.0]),
    np.diag([-1.0, 1.0, -1.0, 1.0]),
    np.array([[0, -1.0, 0, 3], [0, 0, 1.0, 0], [1.0, 0, 0, -2], [0, 0, 0, 1]]),
)


@pytest.fixture(scope="module")
def model() -> Model:
    cohort, images, _ = tubes(60, labelled=0.9)
    made: Model = train(cohort, images, algorithm="supervised", **QUICK, ctx=Context(seed=1, device="cpu")).model
    return made


def scan(seed: int = 5) -> Image:
    return tubes(2, seed=seed)[1][0]


class TestExplain(StageContract):
    name = "grading.explain"

    def make_inputs(self) -> Mapping[str, Any]:
        cohort, images, tables = tubes(24, labelled=0.9, grades=3)
        ctx = Context(seed=1, device="cpu")
        made = train(cohort, images, tables, inputs="both", **{**QUICK, "steps": 6}, ctx=ctx)
        return {"image": images[0], "model": made.model, "features": tables[0]}

    def make_settings(self) -> Mapping[str, Any]:
        return {"points": 8}


def test_the_expected_grade_is_that_of_the_calibrated_distribution() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(5), 6)
    for temperature in (Temperature(0.5), Temperature(), Temperature(3.0), Temperature(0.5, "classes")):
        wanted = temperature.apply(p) @ np.arange(5)
        found = expected_grade(torch.log(torch.from_numpy(p)), temperature)
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-9)
    sure = torch.log_softmax(torch.tensor([[0.0, 400.0, 0.0]]), dim=1)
    assert expected_grade(sure, Temperature(0.7)).item() == pytest.approx(1), "no probability of 0 spoils it"


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    cells=st.tuples(*[st.integers(1, 6)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 3.0)] * 3),
    turn=st.sampled_from(TURNS),
)
@settings(max_examples=50, deadline=None)
def test_pulling_back_is_the_transpose_of_resampling(
    shape: tuple[int, int, int], cells: tuple[int, int, int], spacing: tuple[float, float, float], turn: NDArray[Any]
) -> None:
    rng = np.random.default_rng(0)
    grid = InputGrid(cells, (1.0, 1.5, 0.8))
    affine = turn @ np.diag([*spacing, 1.0])
    data, gradient = rng.normal(size=shape), rng.normal(size=cells)
    volume, spacing_mm = to_ras(data, affine)
    weights = cell_weights(volume.shape, spacing_mm, grid)
    # as matrices they are the resampling itself, around the floor that it puts outside the scan
    floor = np.float32(np.percentile(volume, 1.0))
    same = weights[0].shape == (cells[0], volume.shape[0]) and volume.shape == cells
    expected = resample(volume, spacing_mm, grid)
    if not (same and np.allclose(spacing_mm, grid.spacing_mm, rtol=1e-3)):
        np.testing.assert_allclose(along(weights, volume - floor) + floor, expected, atol=1e-4)
    pulled = along([w.T for w in weights], gradient)
    assert np.vdot(along(weights, volume), gradient) == pytest.approx(np.vdot(volume, pulled), abs=1e-9)
    np.testing.assert_array_equal(from_ras(volume, affine), data)


class Linear(torch.nn.Module):
    """Two grades, of which the second has log odds that are linear in the cells: the expected grade is a sigmoid."""

    def __init__(self, weight: NDArray[np.float64], offset: float) -> None:
        super().__init__()
        self.weight = torch.from_numpy(weight.astype(np.float32))
        self.offset = offset

    def forward(self, image: torch.Tensor, features: None) -> torch.Tensor:
        odds = (image[:, 0] * self.weight).flatten(1).sum(1) + self.offset
        return torch.nn.functional.logsigmoid(torch.stack([-odds, odds], dim=1))


@pytest.mark.parametrize("turn", TURNS)
def test_of_linear_odds_every_voxel_has_its_share(turn: NDArray[Any], model: Model) -> None:
    """A sigmoid of w x: the gradient has one direction along the path, so shares are w_c W_cv (x_v - mean) exactly."""
    grader = Grader.from_model(model, CPU)
    image = Image(scan().data, turn @ np.diag([0.9, 1.1, 1.0, 1.0]))
    weight = np.random.default_rng(1).normal(size=grader.grid.shape) * 0.05
    grader.network = Linear(weight, 0.2)
    found = attribute(grader, image, None, 64, CPU)
    volume, spacing = to_ras(np.asarray(image.data, dtype=np.float64), image.affine)
    weights = cell_weights(volume.shape, spacing, grader.grid)
    share = from_ras((volume - volume.mean()) * along([w.T for w in weights], weight), image.affine)
    share *= (found.expected - found.baseline) / share.sum()
    np.testing.assert_allclose(found.voxels, share, atol=1e-4 * np.abs(share).max())


def test_the_sum_is_the_difference_of_the_grades(model: Model) -> None:
    image = scan()
    ctx = Context(device="cpu")
    told = explain(image, model, points=256, ctx=ctx)
    facts = told.explanation.values
    grade = predict(image, model, ctx=Context(device="cpu")).grade.values["grade_expected"]
    assert facts["grade_expected"] == pytest.approx(grade, abs=1e-5)
    total = float(told.saliency.data.astype(np.float64).sum())
    assert total == pytest.approx(facts["grade_expected"] - facts["grade_expected_baseline"], abs=0.01)
    assert abs(total) > 0.05
    assert not len(ctx.findings)
    np.testing.assert_array_equal(told.saliency.affine, image.affine)
    assert told.saliency.shape == image.shape
    # half the points miss more
    grader = Grader.from_model(model, CPU)
    missed = [attribute(grader, image, None, points, CPU).missed for points in (8, 512)]
    assert missed[1] < missed[0]


def test_a_turned_scan_has_the_turned_saliency(model: Model) -> None:
    grader = Grader.from_model(model, CPU)
    image = scan()
    turned = Image(np.transpose(image.data, (2, 0, 1))[::-1].copy(), np.eye(4))
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -1, 1, 1, 1
    straight = attribute(grader, image, None, 16, CPU)
    other = attribute(grader, Image(turned.data, affine), None, 16, CPU)
    np.testing.assert_allclose(other.voxels, np.transpose(straight.voxels, (2, 0, 1))[::-1], atol=1e-9)


def test_other_weights_other_saliency(model: Model) -> None:
    """Adebayo et al. 2018: an explanation that does not change with the weights explains nothing of the network."""
    grader = Grader.from_model(model, CPU)
    first = attribute(grader, scan(), None, 32, CPU).voxels
    for seed in range(3):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for weight in grader.network.parameters():
                torch.nn.init.normal_(weight, 0.0, 0.3)
        other = attribute(grader, scan(), None, 32, CPU).voxels
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.7


def test_what_the_network_does_not_see_has_no_share(model: Model) -> None:
    image = scan()
    padded = np.pad(image.data, ((0, 0), (0, 0), (40, 40)), constant_values=float(np.median(image.data)))
    grader = Grader.from_model(model, CPU)
    found = attribute(grader, Image(padded, image.affine), None, 8, CPU).voxels
    assert not found[:, :, :20].any()
    assert found[:, :, 40:56].any()
    constant = attribute(grader, Image(np.full((12, 12, 16), 3.0, np.float32), np.eye(4)), None, 8, CPU)
    assert not constant.voxels.any()
    assert constant.missed == 0


def test_nearest_examples_by_hand() -> None:
    bank = Bank(np.array([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]]), np.array([1.0, 1.0]), np.array([2.0, 1.0]), 5.0, 1)
    examples = Examples(("a", "b", None), ((2,), (1, 3), ()))
    found = nearest(examples, bank, np.array([1.0, 1.0]), 5)
    assert found == [
        {"subject": "a", "grades": [2], "distance": 0.0},
        {"subject": "b", "grades": [1, 3], "distance": 1.0},
    ]
    assert nearest(examples, bank, np.array([7.0, 5.0]), 1)[0]["subject"] == "b"


def test_a_training_scan_is_its_own_nearest_example(model: Model) -> None:
    cohort, images, _ = tubes(60, labelled=0.9)
    names, grades = cohort.column("subject"), cohort.column("grade")
    listed = model.config["examples"]["subjects"]
    assert "examples" not in " ".join(model.weights), "names and grades are all that is kept beside the embeddings"
    rows = [i for i, name in enumerate(names) if name in listed][:5]
    for row in rows:
        told = explain(images[row], model, points=8, neighbours=3, ctx=Context(device="cpu")).explanation.values
        assert len(told["nearest"]) == 3
        first = told["nearest"][0]
        assert (first["subject"], first["grades"]) == (names[row], [grades[row]])
        assert first["distance"] == pytest.approx(0, abs=1e-3)
    unlabelled = {name for name, grade in zip(names, grades, strict=True) if grade is None}
    assert not unlabelled & set(listed)


def test_colours_lie_where_the_grade_moves() -> None:
    """A radiograph of a coronal plane: patient's right on the left, head up."""
    data, marks = np.linspace(0, 1, 20 * 10).reshape(20, 1, 10), np.zeros((20, 1, 10))
    marks[17, 0, 8], marks[3, 0, 1] = 2.0, -2.0
    pixels = overlay(data, marks, np.eye(4), 0.0)
    assert pixels.shape == (PIXELS // 2, PIXELS, 3)
    step = PIXELS // 20
    raised, lowered = pixels[1 * step + 3, 2 * step + 3], pixels[8 * step + 3, 16 * step + 3]
    grey = np.clip(data / np.percentile(data, 99.5), 0, 1)
    for pixel, colour, value in ((raised, RAISES, grey[17, 0, 8]), (lowered, LOWERS, grey[3, 0, 1])):
        np.testing.assert_allclose(pixel, 0.3 * 255 * value + 0.7 * np.array(colour), atol=3)
    plain = np.ones(pixels.shape[:2], bool)
    plain[step : 2 * step, 2 * step : 3 * step] = plain[8 * step : 9 * step, 16 * step : 17 * step] = False
    assert (np.ptp(pixels[plain].astype(int), axis=1) == 0).all(), "grey elsewhere"
    volume = overlay(np.random.default_rng(0).random((8, 6, 4)), np.zeros((8, 6, 4)), np.eye(4), 1.0)
    assert volume.shape == (PIXELS * 6 // 8, 2 * PIXELS + PIXELS * 6 // 8 + 16, 3)


def test_what_can_not_be_explained_is_told(model: Model) -> None:
    cohort, images, tables = tubes(24, labelled=0.9, grades=3)
    quick = {**QUICK, "steps": 4}
    blind = train(cohort, images, tables, inputs="features", **quick, ctx=Context(device="cpu")).model
    with pytest.raises(InputError, match="grades features alone"):
        explain(images[0], blind, tables[0])
    both = train(cohort, images, tables, inputs="both", **quick, ctx=Context(device="cpu")).model
    with pytest.raises(InputError, match="trained with features and none were given"):
        explain(images[0], both)


@pytest.mark.parametrize("shape", [(1, 1, 1), (9, 1, 1)])
def test_a_point_and_a_line_are_no_picture(shape: tuple[int, int, int], model: Model) -> None:
    with pytest.raises(InputError, match=r"x 1 x 1 voxels: a picture needs several along two axes"):
        explain(Image(np.ones(shape), np.eye(4)), model, ctx=Context(device="cpu"))


def test_a_loose_sum_is_told(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxfield.grading import _explain

    monkeypatch.setattr(_explain, "LOOSE", -1.0)
    ctx = Context(device="cpu")
    explain(scan(), model, points=8, ctx=ctx)
    assert ctx.findings.codes() == ["loose-attribution"]
