"""Two processes train the network that one process trains, up to rounding."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tubes import AFFINE, tube

from voxfield import registry
from voxfield.artifacts import Cohort, Image, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.runner import Call, run
from voxfield.segmentation import train

SETTINGS: dict[str, Any] = {"steps": 4, "batch": 2, "patch": [16, 16, 16], "channels": [4, 8], "validations": 2}
SETTINGS |= {"regularizers": {"cldice": 0.5}}
ROUNDING = 1e-6  # largest difference of a weight; 4 steps at a rate of .005 move weights by up to .02
# A bias before a normalisation moves nothing, and AdamW, which divides gradients by their size, moves it by noise.
IDLE = {"model.0.conv.bias", "model.1.submodule.conv.bias"}


def files(folder: Path, stem: str) -> tuple[dict[str, Any], dict[str, Path]]:
    """Inputs and outputs of a training."""
    many = {f"{name}s": [folder / f"{name}{k}.nii.gz" for k in range(3)] for name in ("image", "mask")}
    outputs = {"model": folder / f"{stem}.safetensors", "metrics": folder / f"{stem}.json"}
    return {"cohort": folder / "cohort.tsv", **many}, outputs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Cohort({"subject": ["a", "b", "c"], "split": ["train", "train", "val"]}).save(tmp_path / "cohort.tsv")
    for k in range(3):
        image, mask = tube(k)
        Image(image, AFFINE).save(tmp_path / f"image{k}.nii.gz")
        LabelMap(mask, AFFINE).save(tmp_path / f"mask{k}.nii.gz")
    return tmp_path


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(folder: Path) -> None:
    run(Call(registry.get("segmentation.train"), *files(folder, "one"), SETTINGS, device="cpu"))
    inputs, outputs = files(folder, "two")
    words = [f"--cohort={inputs['cohort']}", "--images", *inputs["images"], "--masks", *inputs["masks"]]
    words += [f"--out-{name}={path}" for name, path in outputs.items()]
    words += [f"--set={name}={json.dumps(value)}" for name, value in SETTINGS.items()]
    command = [sys.executable, "-m", "voxfield", "segmentation.train", "--processes", "2", "--device", "cpu", *words]
    done = subprocess.run(
        command, check=False, env={**os.environ, "OMP_NUM_THREADS": "2"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    one, two = (load_file(folder / f"{stem}.safetensors") for stem in ("one", "two"))
    assert set(one) > IDLE
    for name in set(one) - IDLE:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=ROUNDING, err_msg=name)
    told = [json.loads((folder / f"{stem}.json").read_text()) for stem in ("one", "two")]
    assert told[0]["validation"] == told[1]["validation"]
    np.testing.assert_allclose(told[1]["loss_curve"]["loss"], told[0]["loss_curve"]["loss"], rtol=1e-5)
    said = [line for line in done.stderr.splitlines() if line.startswith(("info", "warning"))]
    assert len(said) == len(set(said))
    assert not (folder / "two.safetensors.work").exists()


def test_what_processes_can_not_share_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    inputs, _ = files(folder, "refused")
    cohort, images = Cohort.load(inputs["cohort"]), [Image.load(path) for path in inputs["images"]]
    masks = [LabelMap.load(path) for path in inputs["masks"]]
    with pytest.raises(SettingsError, match="3 processes share it"):
        train(cohort, images, masks, batch=2, patch=(16, 16, 16), channels=(4, 8), ctx=Context(device="cpu"))
    call = Call(registry.get("segmentation.annotate"), {}, {"annotation": folder / "a.nii.gz"}, {})
    with pytest.raises(InputError, match=r"segmentation\.annotate runs in one process; 3 were started"):
        run(call)
