"""Crops whose cells correspond, losses by hand; the stage: contract, resumption, weights that training takes over."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grading.cohorts import tubes
from voxfield import registry
from voxfield.artifacts import Cohort, Image, Model
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.grading import predict, pretrain, train
from voxfield.grading.networks import NETWORKS, build
from voxfield.grading.pretraining import peac
from voxfield.grading.pretraining.crops import Crops
from voxfield.grading.trainer import Training
from voxfield.runner import Call, run
from voxfield.testing import StageContract

QUICK: dict[str, Any] = {"steps": 6, "batch": 4, "cells": 16, "channels": (4, 8), "learning_rate": 1e-3}
LABELLED: dict[str, Any] = {"steps": 4, "batch": 4, "cells": 16, "channels": (4, 8), "hidden": 4, "bootstrap": 20}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scans(count: int = 8) -> tuple[Cohort, list[Image]]:
    cohort, images, _ = tubes(count, labelled=0.9, grades=3)
    return cohort, images


def planes(images: list[Image]) -> list[Image]:
    return [Image(np.ascontiguousarray(i.data[:, :, :1]), i.affine) for i in images]


class TestPretrain(StageContract):
    name = "grading.pretrain"

    def make_inputs(self) -> Mapping[str, Any]:
        cohort, images = scans()
        return {"cohort": cohort, "images": images}

    def make_settings(self) -> Mapping[str, Any]:
        return {**QUICK, "mirror": ("x",), "checkpoint_every": 2}


@given(
    shape=st.lists(st.integers(12, 40), min_size=2, max_size=3),
    stride=st.sampled_from([2, 4]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_cells_of_the_overlap_show_the_same_place(shape: list[int], stride: int, seed: int) -> None:
    """An image that holds its own coordinates: the overlaps of both crops hold the same, at least half of each crop."""
    crops = Crops.fit(shape, stride)
    place = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in shape], indexing="ij"))
    images = place.expand(3, *place.shape)
    first, second, shift = crops.draw(shape, 3, generator(seed))
    # the coordinates at the first corner of each cell stand for maps
    every = (slice(None), slice(None), *[slice(None, None, stride)] * len(shape))
    ours, theirs = (crops.cut(images, corners)[every] for corners in (first, second))
    mine, yours = crops.overlap(ours, shift), crops.overlap(theirs, [-s for s in shift])
    assert torch.equal(mine, yours)
    assert 2 ** len(shape) * mine.shape[1] >= np.prod(crops.side)
    assert any(not torch.equal(first[0], corner) for corner in first) or max(crops.room) > 0


def test_images_too_small_for_two_crops_are_told() -> None:
    assert Crops.fit((16, 4), 4) == Crops(4, (3, 1), (1, 0))
    for shape in ((8, 8), (16, 3)):
        with pytest.raises(SettingsError, match="cells of this network's maps"):
            Crops.fit(shape, 4)


def test_distances_by_hand() -> None:
    one, other = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]]), torch.tensor([[5.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    torch.testing.assert_close(peac.distance(one, other), torch.tensor([0.0, 2.0, 4.0]))
    assert peac.swapped(torch.tensor([1, 2, 3, 4])).tolist() == [3, 4, 1, 2]
    assert peac.spread(torch.tensor([[1.0, 0.0], [9.0, 0.0]])) == 0
    assert peac.spread(torch.tensor([[1.0, 0.0], [-9.0, 0.0], [0.0, 2.0], [0.0, -1.0]])) == pytest.approx(1)


def test_a_perfect_student_pays_nothing() -> None:
    """Views without change, a predictor that changes nothing, the student itself for a teacher: distance 0 in cells
    whose neighbourhood both crops show, which all do where the network sees one cell at a time."""
    images = torch.randn(4, 1, 12, 12, generator=generator())
    crops = Crops.fit((12, 12), 2)
    aim = peac.Peac(crops, 3, 3)
    network = torch.nn.Module()
    network.trunk, network.pool = torch.nn.Conv2d(1, 3, 2, stride=2), torch.nn.Identity()
    first, second, shift = crops.draw((12, 12), 4, generator(2))
    assert any(shift)
    views = torch.cat([crops.cut(images, corners) for corners in (first, second)])
    parts = {"cell": torch.nn.Identity(), "crop": lambda maps: maps.mean((2, 3))}
    cells, whole = aim._project(network, parts, views, shift)
    torch.testing.assert_close(peac.distance(cells, peac.swapped(cells)), torch.zeros(len(cells)), atol=1e-5, rtol=0)
    assert peac.distance(whole, peac.swapped(whole)).max() > 1e-4, "whole crops show different places"


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_can_be_pretrained_and_gone_on_from(name: str) -> None:
    cohort, images = scans(24)
    images = planes(images) if name == "siamese" else images
    quick = {"network": name, "cells": 16}
    ctx = Context(seed=1, device="cpu")
    start = pretrain(cohort, images, **{**QUICK, **quick}, ctx=ctx).model
    fresh = build({**start.config["network"]}, seed=1).state_dict()
    assert start.weights.keys() == {f"network.{k}" for k in fresh if k.startswith(("trunk", "pool"))}
    assert all(not torch.equal(w, fresh[k.removeprefix("network.")]) for k, w in start.weights.items() if w.ndim > 1)
    # One step at next to no rate: the weights are those that were given.
    settings: dict[str, Any] = {**LABELLED, **quick, "steps": 1, "learning_rate": 1e-12}
    ctx = Context(seed=1, device="cpu")
    made = train(cohort, images, from_=start, **settings, ctx=ctx).model
    assert "continued" in ctx.findings.codes()
    assert "other-cells" not in ctx.findings.codes()
    for key, weight in start.weights.items():
        torch.testing.assert_close(made.weights[key], weight, atol=1e-8, rtol=1e-6)
    # and a graded model is a start too, head and all
    again = train(cohort, images, from_=made, **settings, ctx=Context(seed=5, device="cpu")).model
    torch.testing.assert_close(again.weights["network.head.score.weight"], made.weights["network.head.score.weight"])
    predict(images[0], again, ctx=Context(device="cpu"))


def test_agreement_is_learnt_without_collapse() -> None:
    """Chance is a distance of 2; the spread of what crops are mapped to stays."""
    cohort, images = scans(40)
    settings = {**QUICK, "steps": 150, "batch": 16, "learning_rate": 3e-3}
    ctx = Context(seed=0, device="cpu")
    log = pretrain(cohort, planes(images), **settings, ctx=ctx).metrics.values["log"]
    assert log[-1]["local"] < 0.6 * log[0]["local"]
    assert log[-1]["global"] < 0.6 * log[0]["global"]
    assert log[-1]["spread"] > 0.5
    assert ctx.findings.codes() == ["no-split"]


def test_collapse_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peac, "spread", lambda projections: 0.01)
    cohort, images = scans()
    ctx = Context(device="cpu")
    pretrain(cohort, images, **QUICK, ctx=ctx)
    assert ctx.findings.codes() == ["no-split", "collapsed"]


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


def test_a_killed_pretraining_ends_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, images = scans()
    inputs: dict[str, Any] = {"cohort": tmp_path / "cohort.tsv", "images": []}
    cohort.save(inputs["cohort"])
    for number, image in enumerate(images):
        inputs["images"].append(tmp_path / f"{number}.nii.gz")
        image.save(inputs["images"][-1])

    def call(name: str) -> Path:
        target = tmp_path / name / "model.safetensors"
        settings = {**QUICK, "checkpoint_every": 2}
        run(Call(registry.get("grading.pretrain"), inputs, {"model": target}, settings, seed=3, device="cpu"))
        return target

    whole = call("whole")
    advance = Training.advance

    def killed(self: Training, step: int) -> dict[str, float]:
        if step == 5:
            raise Killed
        return advance(self, step)

    monkeypatch.setattr(Training, "advance", killed)
    with pytest.raises(Killed):
        call("again")
    monkeypatch.setattr(Training, "advance", advance)
    assert call("again").read_bytes() == whole.read_bytes()


def test_mistakes_are_told() -> None:
    cohort, images = scans()
    with pytest.raises(InputError, match="7 images for 8 rows"):
        pretrain(cohort, images[:-1], **QUICK)
    held = Cohort({**cohort.columns, "split": ["test"] * 8})
    with pytest.raises(InputError, match="no row of the cohort is of the split 'train'"):
        pretrain(held, images, **QUICK)
    lines = [Image(np.ascontiguousarray(i.data[:, :1, :1]), i.affine) for i in images]
    with pytest.raises(SettingsError, match="is a line"):
        pretrain(cohort, lines, **QUICK)
    with pytest.raises(SettingsError, match="raise cells, or give fewer channels"):
        pretrain(cohort, images, **{**QUICK, "channels": (4, 8, 8)})


def test_a_cohort_without_splits_is_told() -> None:
    cohort, images = scans()
    for columns, told in (({}, ["no-split"]), ({"split": ["train"] * len(cohort)}, [])):
        given = Cohort({"subject": cohort.column("subject"), **columns})
        ctx = Context(device="cpu")
        pretrain(given, images, **{**QUICK, "steps": 1}, ctx=ctx)
        assert [code for code in ctx.findings.codes() if code == "no-split"] == told


def test_models_that_do_not_fit_are_refused() -> None:
    cohort, images = scans(24)
    ctx = Context(seed=1, device="cpu")
    start = pretrain(cohort, images, **QUICK, ctx=ctx).model
    with pytest.raises(InputError, match=r"architecture 'convolutional'; expected .* network 'residual'"):
        train(cohort, images, from_=start, network="residual", **LABELLED, ctx=ctx)
    with pytest.raises(InputError, match=r"channels \[4, 8\]\) than .* channels \[8, 8\]"):
        train(cohort, images, from_=start, **{**LABELLED, "channels": (8, 8)}, ctx=ctx)
    with pytest.raises(InputError, match=r"dims 3, .* dims 2"):
        train(cohort, planes(images), from_=start, **LABELLED, ctx=ctx)
    foreign = Model(start.weights, start.config, family="segmentation", architecture="convolutional", licence="none")
    with pytest.raises(InputError, match="family 'segmentation'"):
        train(cohort, images, from_=foreign, **LABELLED, ctx=ctx)
    ctx = Context(seed=1, device="cpu")
    train(cohort, images, from_=start, **{**LABELLED, "cells": 8}, ctx=ctx)
    assert "other-cells" in ctx.findings.codes()


def test_a_start_that_has_seen_held_out_scans_is_told() -> None:
    cohort, images = scans(24)
    roles = ["train"] * 12 + ["val"] * 4 + ["calibration"] * 4 + ["test"] * 4
    kept = Cohort({**cohort.columns, "split": roles})
    moved = Cohort({**cohort.columns, "split": [*roles[6:], *roles[:6]]})  # rows 6 to 11 trained, and are held out now
    for make in (pretrain, lambda *given, **more: train(*given, **{**LABELLED, **more})):
        settings = QUICK if make is pretrain else {}
        start = make(kept, images, **settings, ctx=Context(seed=1, device="cpu")).model
        for again, told in ((kept, []), (moved, ["learnt-before"])):
            ctx = Context(seed=1, device="cpu")
            train(again, images, from_=start, **LABELLED, ctx=ctx)
            assert [code for code in ctx.findings.codes() if code == "learnt-before"] == told


def test_held_out_rows_are_left_alone() -> None:
    cohort, images = scans()
    split = Cohort({**cohort.columns, "split": ["train"] * 5 + ["Training", "test", "val"]})
    changed = [*images[:6], Image(images[6].data + 50, images[6].affine), images[6]]
    first, second = (pretrain(split, i, **QUICK, ctx=Context(device="cpu")).model for i in (images, changed))
    assert all(torch.equal(w, second.weights[k]) for k, w in first.weights.items())
