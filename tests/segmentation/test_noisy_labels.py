"""Readers, scales, memorisation and correction by hand; training that sees through readers' errors."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from voxfield import memorisation, registry
from voxfield.artifacts import Cohort, Image, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.runner import Call, run
from voxfield.segmentation import _optimise, _scans, predict, train
from voxfield.segmentation.noise import _correction, _scales
from voxfield.segmentation.noise._readers import PACE, RELIABLE, ReaderNoise, entropy

AFFINE = np.eye(4)


def test_what_a_reader_writes_by_hand() -> None:
    noise = ReaderNoise(2, 2)
    chances = torch.tensor([[[0.9, 0.1], [0.4, 0.6]], [[1 - 1e-6, 1e-6], [1e-6, 1 - 1e-6]]])
    noise.scores.data = chances.log() / PACE
    logits = torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1, 1).repeat(2, 1, 1, 1, 1)  # the truth is 1 by 3/4
    written = noise(logits, torch.tensor([0, 1])).exp().view(2, 2)
    torch.testing.assert_close(written[0], torch.tensor([0.25 * 0.9 + 0.75 * 0.4, 0.25 * 0.1 + 0.75 * 0.6]))
    torch.testing.assert_close(written[1], torch.tensor([0.25, 0.75]), atol=1e-5, rtol=0)
    torch.testing.assert_close(ReaderNoise(1, 3).matrices()[0].diagonal(), torch.full((3,), RELIABLE))


def test_entropy_by_hand() -> None:
    logits = torch.zeros(1, 2, 2, 1, 1)
    logits[0, 1, 1] = 50.0
    weight = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1)
    assert entropy(logits, weight).item() == pytest.approx(math.log(2) / 4)
    assert entropy(logits, torch.zeros_like(weight)).item() == 0


def test_scales_that_agree_cost_nothing() -> None:
    one = torch.randn(1, 2, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    assert _scales.disagreement([one, one + 5]).item() == pytest.approx(0, abs=1e-6)
    sure = torch.zeros(1, 2, 1, 1, 1)
    sure[0, 0] = 50.0
    # KL of (1, 0) and of (0, 1) from their mean (1/2, 1/2) is log 2 each.
    assert _scales.disagreement([sure, sure.flip(1)]).item() == pytest.approx(math.log(2))
    assert _scales.rescaled(torch.zeros(1, 1, 16, 16, 1), 0.75, (4, 4, 1)).shape == (1, 1, 12, 12, 1)


@pytest.mark.parametrize("parameters", [(0.9, 0.5, 1.0), (0.7, 0.2, 1.4), (0.95, 1.2, 0.6)])
def test_the_curve_is_found_again(parameters: tuple[float, float, float]) -> None:
    a, b, c = parameters
    course = [a * (1 - math.exp(-b * t**c)) for t in range(1, 15)]
    assert memorisation.fit(course) == pytest.approx(parameters, rel=1e-3)
    step = 1e-5
    numeric = (a * math.exp(-b * (3 - step) ** c) - a * math.exp(-b * (3 + step) ** c)) / (2 * step)
    assert memorisation.slope(parameters, 3.0) == pytest.approx(numeric, rel=1e-4)


def test_memorisation_begins_where_the_slope_has_fallen_by_nine_tenths() -> None:
    # f'(t) / f'(1) = exp(-(t - 1) / 2) is .1 at t = 1 + 2 log 10 = 5.6
    course = [0.9 * (1 - math.exp(-0.5 * t)) for t in range(1, 20)]
    first = next(n for n in range(1, 20) if memorisation.memorised(course[:n]))
    assert first == 6
    assert not memorisation.memorised([0.0] * 10)


def test_only_sure_voxels_of_a_memorised_class_are_corrected() -> None:
    target = torch.tensor([0, 0, 1, 1, 2, 255, 0], dtype=torch.uint8).view(7, 1, 1)
    probability = torch.tensor([0.9, 0.7, 0.1, 0.4, 0.1, 0.9, 0.95]).view(7, 1, 1)
    label = torch.tensor([1, 1, 1, 1, 2, 1, 2], dtype=torch.uint8).view(7, 1, 1)
    found = _correction.corrected(target, probability, label, torch.tensor([True, False]))
    assert found.flatten().tolist() == [1, 0, 0, 1, 2, 255, 0]


def test_overlap_by_hand() -> None:
    said = torch.tensor([1, 1, 0, 1]).view(4, 1, 1)
    given = torch.tensor([1, 0, 1, 255]).view(4, 1, 1)
    assert _correction.overlap([said, said], [given, given], 3) == [1 / 3, 0.0]


def box(size: int = 24) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((size, size, size), dtype=np.uint8)
    mask[8:16, :, 8:16] = 1
    return mask, (mask + np.random.default_rng(0).normal(0, 0.2, mask.shape)).astype(np.float32)


SETTINGS: dict[str, Any] = {"steps": 120, "patch": (16, 16, 16), "channels": (6, 12), "elastic_share": 0.0}


def dice(image: Image, model: Any, truth: np.ndarray) -> float:
    found = predict(image, model, ctx=Context(device="cpu")).mask.data > 0
    return float(2 * (found & (truth > 0)).sum() / (found.sum() + truth.sum()))


def test_readers_with_opposite_errors_are_told_apart() -> None:
    mask, image = box()
    rng = np.random.default_rng(1)
    careless = np.where((mask == 1) & (rng.random(mask.shape) < 0.4), 0, mask)
    eager = np.where((mask == 0) & (rng.random(mask.shape) < 0.2), 1, mask)
    columns = {"subject": ["a"] * 4, "reader": ["careful", "careful", "careless", "eager"]}
    masks = [LabelMap(m.astype(np.uint8), AFFINE) for m in (mask, mask, careless, eager)]
    scan = Image(image, AFFINE)
    found = train(Cohort(columns), [scan] * 4, masks, **SETTINGS, ctx=Context(device="cpu"))
    readers = found.metrics.values["readers"]
    assert readers["careless"][1][0] > 0.2 > readers["careful"][1][0]
    assert readers["eager"][0][1] > 0.1 > readers["careful"][0][1]
    assert dice(scan, found.model, mask) > 0.95


def test_a_row_without_reader_is_refused() -> None:
    mask, image = box()
    columns = {"subject": ["a", "b"], "reader": ["x", None]}
    scans, masks = [Image(image, AFFINE)] * 2, [LabelMap(mask, AFFINE)] * 2
    with pytest.raises(InputError, match="row 2 has no reader"):
        train(Cohort(columns), scans, masks, **SETTINGS, ctx=Context(device="cpu"))
    settings = {**SETTINGS, "architecture": "airwaynet", "correct_labels": True}
    with pytest.raises(SettingsError, match="has a loss of its own"):
        train(Cohort({"subject": ["a", "b"]}), scans, masks, **settings, ctx=Context(device="cpu"))


def careless() -> tuple[np.ndarray, Image, LabelMap]:
    """An exact mask, its scan, and what a reader drew who misses a quarter of the voxels."""
    mask, image = box()
    missed = (mask == 1) & (np.random.default_rng(1).random(mask.shape) < 0.25)
    return mask, Image(image, AFFINE), LabelMap(np.where(missed, 0, mask).astype(np.uint8), AFFINE)


def test_corrected_labels_are_part_of_the_training() -> None:
    mask, scan, wrong = careless()
    cohort = Cohort({"subject": ["a"]})
    settings = {**SETTINGS, "correct_labels": True, "validations": 12}
    found = train(cohort, [scan], [wrong], **settings, ctx=Context(device="cpu"))
    assert len(found.metrics.values["validation"]) == 12
    assert found.metrics.values["validation"][-1]["corrected"] > 0.01
    assert dice(scan, found.model, mask) > 0.9


def test_a_killed_training_goes_on_with_its_corrected_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, scan, wrong = careless()
    scan.save(tmp_path / "i.nii.gz")
    wrong.save(tmp_path / "m.nii.gz")
    Cohort({"subject": ["a"]}).save(tmp_path / "c.tsv")
    # Memorised from the first check on: labels are corrected before the checkpoint at step 6.
    monkeypatch.setattr(memorisation, "memorised", lambda course: True)
    monkeypatch.setattr(_correction, "SURE", 0.5)
    changes: dict[str, Any] = {"steps": 8, "correct_labels": True, "validations": 4, "checkpoint_every": 6}

    def call(name: str) -> Call:
        inputs: Any = {"cohort": tmp_path / "c.tsv", "images": [tmp_path / "i.nii.gz"]}
        inputs["masks"] = [tmp_path / "m.nii.gz"]
        settings = {**SETTINGS, **changes, "patch": [16, 16, 16], "channels": [6, 12]}
        outputs = {"model": tmp_path / name / "m.safetensors", "metrics": tmp_path / name / "m.json"}
        return Call(registry.get("segmentation.train"), inputs, outputs, settings, seed=2, device="cpu")

    run(call("whole"))
    update = _optimise._update

    def cut(network: Any, optimiser: Any, loss_of: Any, step: int) -> Any:
        if step == 7:
            raise KeyboardInterrupt
        return update(network, optimiser, loss_of, step)

    with monkeypatch.context() as patched:
        patched.setattr(_optimise, "_update", cut)
        with pytest.raises(KeyboardInterrupt):
            run(call("cut"))
    run(call("cut"))
    for name in ("m.safetensors", "m.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_readers_of_held_out_rows_are_no_concern() -> None:
    columns = {"subject": ["a", "b", "c"], "split": ["train", "train", "val"], "reader": ["x", "y", None]}
    assert _scans.readers(Cohort(columns)) == ["x", "y"]
