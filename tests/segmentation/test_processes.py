"""Two processes train the network that one process trains, up to rounding."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tubes import AFFINE, tube

from voxfield import registry
from voxfield.artifacts import Cohort, Image, LabelMap, Model
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.runner import Call, run
from voxfield.segmentation import predict, train

SETTINGS = ["steps=4", "batch=2", "patch=[16, 16, 16]", "channels=[4, 8]", "regularizers={cldice: 0.5}"]


def command(name: str) -> list[str]:
    words = ["segmentation.train", "--cohort", "cohort.tsv", "--images", "i0.nii.gz", "i1.nii.gz"]
    words += ["--masks", "m0.nii.gz", "m1.nii.gz", "--out-model", name, "--device", "cpu"]
    return [*words, *(word for setting in SETTINGS for word in ("--set", setting))]


def start(launcher: list[str], folder: Path, name: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", *launcher, *command(name)]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Cohort({"subject": ["a", "b"]}).save(tmp_path / "cohort.tsv")
    for k in range(2):
        image, mask = tube(k)
        Image(image, AFFINE).save(tmp_path / f"i{k}.nii.gz")
        LabelMap(mask, AFFINE).save(tmp_path / f"m{k}.nii.gz")
    return tmp_path


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(folder: Path) -> None:
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "voxfield"]
    for words, name in ((["voxfield"], "one.safetensors"), (launcher, "two.safetensors")):
        done = start(words, folder, name)
        assert done.returncode == 0, done.stderr
    # What the network says, not its weights: a bias before a normalisation moves nothing, and AdamW moves it by noise.
    image = Image.load(folder / "i0.nii.gz")
    models = [Model.load(folder / f"{name}.safetensors") for name in ("one", "two")]
    one, two = (predict(image, model, ctx=Context(device="cpu")).probability.data for model in models)
    np.testing.assert_allclose(two, one, atol=1e-3)
    assert not (folder / "two.safetensors.work").exists()


def test_what_processes_can_not_share_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    cohort, images = Cohort.load(folder / "cohort.tsv"), [Image.load(folder / f"i{k}.nii.gz") for k in range(2)]
    masks = [LabelMap.load(folder / f"m{k}.nii.gz") for k in range(2)]
    with pytest.raises(SettingsError, match="3 processes share it"):
        train(cohort, images, masks, batch=2, patch=(16, 16, 16), channels=(4, 8), ctx=Context(device="cpu"))
    call = Call(registry.get("segmentation.annotate"), {}, {"annotation": folder / "a.nii.gz"}, {})
    with pytest.raises(InputError, match=r"segmentation\.annotate runs in one process; 3 were started"):
        run(call)
