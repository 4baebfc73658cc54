"""segmentation.train: the contract, what it refuses, what it says, that it learns and that it resumes to
the bit."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tubes import AFFINE, cohort, sparse, tube

from voxfield import registry
from voxfield.artifacts import Artifact, Cohort, Image, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.runner import Call, run
from voxfield.segmentation import _optimise, _patches, train
from voxfield.testing import StageContract

TINY = {"steps": 3, "patch": [16, 16, 16], "channels": [4, 8], "validations": 1}


class TestTrain(StageContract):
    """Three steps on one tube, one held out."""

    name = "segmentation.train"
    needs = ("monai",)

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        table, images, masks = cohort(["train", "val"])
        return {"cohort": table, "images": images, "masks": masks}

    def make_settings(self) -> Mapping[str, Any]:
        return TINY


def test_learns_a_tube_from_every_fourth_slice() -> None:
    table, images, masks = cohort(["train", "train", "val"])
    ctx = Context(seed=1, device="cpu")
    trained = train(table, images, masks, steps=60, patch=(16, 16, 16), channels=(8, 16), learning_rate=0.01, ctx=ctx)
    values = trained.metrics.values
    assert values["validation"][-1]["dice"]["lumen"] > 0.9
    assert [v["step"] for v in values["validation"]] == [15, 30, 45, 60]
    assert values["loss_curve"]["loss"][-1] < 0.5 * values["loss_curve"]["loss"][0]
    assert "sparse-annotation" in ctx.findings.codes()
    config = trained.model.config
    assert config["spacing_mm"] == [0.5, 0.5, 0.5]
    assert config["labels"] == [[1, "lumen"]]
    assert config["training"]["annotated"] == 2 * 24 * 24 * 8
    assert config["ranges"]["shape"] == [[24, 24, 32], [24, 24, 32]]


def killed_at(step: int) -> Callable[..., Any]:
    """An update that fails before the given step, counted from 0 over the process."""
    update, calls = _optimise._update, iter(range(10**9))

    def wrapped(*arguments: Any) -> Any:
        if next(calls) == step:
            raise KeyboardInterrupt
        return update(*arguments)

    return wrapped


@pytest.mark.parametrize("step", [2, 5])
def test_killed_training_resumes_and_ends_with_the_same_bytes(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, images, masks = cohort(["train", "train", "val"])
    table.save(tmp_path / "cohort.tsv")
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        image.save(tmp_path / f"image-{i}.nii.gz")
        mask.save(tmp_path / f"mask-{i}.nii.gz")
    inputs = {
        "cohort": tmp_path / "cohort.tsv",
        "images": [tmp_path / f"image-{i}.nii.gz" for i in range(3)],
        "masks": [tmp_path / f"mask-{i}.nii.gz" for i in range(3)],
    }
    settings = {**TINY, "steps": 8, "checkpoint_every": 2, "validations": 4}

    def call(folder: Path) -> Call:
        outputs = {"model": folder / "m.safetensors", "metrics": folder / "m.json"}
        return Call(registry.get("segmentation.train"), inputs, outputs, settings, seed=4, device="cpu")

    run(call(tmp_path / "whole"))
    with monkeypatch.context() as patched:
        patched.setattr(_optimise, "_update", killed_at(step))
        with pytest.raises(KeyboardInterrupt):
            run(call(tmp_path / "cut"))
    assert not (tmp_path / "cut" / "m.safetensors").exists()
    steps_left = []
    update = _optimise._update
    monkeypatch.setattr(_optimise, "_update", lambda *a: steps_left.append(1) or update(*a))
    run(call(tmp_path / "cut"))
    assert len(steps_left) == 8 - step // 2 * 2, "it should go on from the last checkpoint"
    for name in ("m.safetensors", "m.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def quick(table: Cohort, images: Sequence[Image], masks: Sequence[LabelMap], **settings: Any) -> Context:
    ctx = Context(device="cpu")
    train(table, images, masks, **{**TINY, "steps": 1, **settings}, ctx=ctx)
    return ctx


def named(volume: Any, path: Path) -> Any:
    """The same volume, read back from a file."""
    volume.save(path)
    return type(volume).load(path)


def test_sparse_mask_without_unannotated_voxels_is_refused(tmp_path: Path) -> None:
    table, images, masks = cohort(["train"])
    zeros = LabelMap(np.where(masks[0].data == 255, 0, masks[0].data), AFFINE, unannotated=255)
    zeros = named(zeros, tmp_path / "zeros.nii.gz")
    with pytest.raises(InputError, match=r"zeros\.nii\.gz: .*zeros would train as background"):
        quick(table, images, [zeros])


def test_unannotated_value_of_the_cohort_counts_where_the_mask_declares_none() -> None:
    table, images, masks = cohort(["train"])
    mask = LabelMap(np.where(masks[0].data == 255, 9, masks[0].data), AFFINE)
    columns = {**table.columns, "unannotated": [9]}
    model = train(Cohort(columns), images, [mask], **TINY, ctx=Context(device="cpu")).model
    assert model.config["labels"] == [[1, "label-1"]]


def test_all_empty_masks_are_refused_and_one_is_a_finding() -> None:
    table, images, masks = cohort(["train", "train"])
    empty = LabelMap(np.where(masks[0].data == 255, 255, 0), AFFINE, unannotated=255)
    with pytest.raises(InputError, match="no foreground: 2 mask"):
        quick(table, images, [empty, empty])
    assert "empty-mask" in quick(table, images, [empty, masks[1]]).findings.codes()


def test_mask_on_another_grid_is_refused_with_both_names(tmp_path: Path) -> None:
    table, images, masks = cohort(["train"])
    image = named(images[0], tmp_path / "scan.nii.gz")
    moved = AFFINE.copy()
    moved[0, 3] = 3
    mask = named(LabelMap(masks[0].data, moved, unannotated=255), tmp_path / "drawn.nii.gz")
    with pytest.raises(InputError, match=r"drawn\.nii\.gz.*scan\.nii\.gz"):
        quick(table, [image], [mask])


def test_rows_and_files_must_match_and_patients_must_not_leak() -> None:
    table, images, masks = cohort(["train", "val"])
    with pytest.raises(InputError, match="2 rows, but 1 images and 2 masks"):
        quick(table, images[:1], masks)
    leak = Cohort({**table.columns, "patient": ["p", "p"]})
    with pytest.raises(InputError, match="a leak"):
        quick(leak, images, masks)
    with pytest.raises(InputError, match="no row has the split 'train'"):
        quick(Cohort({**table.columns, "split": ["test", "val"]}), images, masks)


def test_masks_must_agree_on_names() -> None:
    table, images, masks = cohort(["train", "train"])
    other = LabelMap(masks[1].data, AFFINE, labels={1: "wall"}, unannotated=255)
    with pytest.raises(InputError, match="expected one name a label"):
        quick(table, images, [masks[0], other])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"patch": [18, 16, 16], "channels": [4, 8, 8, 8]}, r"multiples of \(4, 4, 4\)"),
        ({"patch": [8, 8, 8], "channels": [4] * 5}, r"at least \(16, 16, 16\)"),
        ({"channels": [4]}, "channels"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        quick(*cohort(["train"]), **settings)


def test_divergence_is_told_and_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_optimise, "_update", lambda *_: (float("nan"), {}))
    with pytest.raises(SettingsError, match="diverged: the loss of step 0 is nan; lower learning_rate"):
        quick(*cohort(["train"]))


def test_anisotropic_scans_of_any_orientation_share_one_grid() -> None:
    image, mask = tube(0)
    coarse = np.diag([0.5, 0.5, 1.0, 1.0])
    flipped = np.array([[0, 0.5, 0, 0], [-0.5, 0, 0, 12], [0, 0, 0.5, 0], [0, 0, 0, 1]])
    images = [Image(image, AFFINE), Image(image[:, :, ::2], coarse), Image(image, flipped)]
    masks = [
        LabelMap(mask, AFFINE), LabelMap(mask[:, :, ::2], coarse), LabelMap(sparse(mask), flipped, unannotated=255)
    ]  # fmt: skip
    table = Cohort({"subject": ["a", "b", "c"]})
    trained = train(table, images, masks, **TINY, normalisation="cohort", ctx=Context(device="cpu"))
    config = trained.model.config
    assert config["spacing_mm"] == [0.5, 0.5, 0.5]
    assert config["ranges"]["spacing_mm"] == [[0.5, 0.5, 0.5], [0.5, 0.5, 1.0]]
    assert config["normalisation"]["scale"] > 1


def test_small_cache_changes_time_and_not_the_weights() -> None:
    inputs = cohort(["train", "train"])
    models = [train(*inputs, **{**TINY, "cache_mb": mb}, ctx=Context(seed=2, device="cpu")).model for mb in (0, 100)]
    assert all(torch.equal(models[0].weights[k], models[1].weights[k]) for k in models[0].weights)


def test_importing_the_stages_imports_nothing_heavy() -> None:
    program = (
        "import sys, voxfield.segmentation._train, voxfield.segmentation._predict\n"
        "print([m for m in ('torch', 'monai', 'scipy', 'nibabel') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_two_unannotated_values_and_an_undeclared_255_are_refused() -> None:
    table, images, masks = cohort(["train"])
    with pytest.raises(InputError, match=r"declares 255 .* the cohort 9"):
        quick(Cohort({**table.columns, "unannotated": [9]}), images, masks)
    with pytest.raises(InputError, match="neither the mask nor the cohort declares"):
        quick(Cohort({"subject": ["a"]}), images, [LabelMap(masks[0].data, AFFINE)])


def test_label_that_only_a_validation_scan_has_is_left_out() -> None:
    table, images, masks = cohort(["train", "val"])
    other = masks[1].data.copy()
    other[0, 0, 1] = 5
    ctx = quick(table, images, [masks[0], LabelMap(other, AFFINE, unannotated=255)])
    assert "label-not-trained" in ctx.findings.codes()


def test_positions_are_counted_evenly_over_a_large_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_patches, "_CENTRES", 10)
    target = torch.full((7, 5, 6), 255, dtype=torch.uint8)
    target[1:6, 2, :] = 0
    target[3, 4, 4] = 2
    volume = _patches.volume(torch.zeros(target.shape), target)
    background, single = volume.centres
    assert single.tolist() == [[3, 4, 4]]
    every = torch.nonzero(target == 0)
    assert background.tolist() == every[::3].tolist()
