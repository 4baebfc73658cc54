"""Peak memory of `segmentation.predict`: a chest CT of 512 x 512 x 700 voxels through windows, from file to files.

The network is the smallest there is: what is measured is what the stage holds besides it, which does not depend on it.
MONAI's sliding window is run on the same volume beside it, with classes x volume held at once, as its users do.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from _common import Claim, finish, options
from voxfield.records import peak_memory_mb

SHAPE, QUICK = (512, 512, 700), (128, 128, 175)
CLASSES = 4
WINDOW = (96, 96, 96)
LIMIT_GIB = 8.0


def model(path: Path) -> None:
    """A network of random weights."""
    from voxfield.artifacts import Model
    from voxfield.segmentation._plan import Plan, Ranges
    from voxfield.segmentation._preprocess import Normalisation
    from voxfield.segmentation.networks import build

    arguments = {"in_channels": 1, "classes": CLASSES, "channels": [2, 2]}
    wide = Ranges(((0.1,) * 3, (9.0,) * 3), ((1,) * 3, (999,) * 3), ((-99.0,) * 3, (99.0,) * 3))
    labels = {k: f"part {k}" for k in range(1, CLASSES)}
    plan = Plan("unet", arguments, WINDOW, (0.7, 0.7, 0.7), Normalisation(), labels, wide)
    weights = build("unet", arguments).state_dict()
    Model(weights, plan.as_config(), family="segmentation", architecture="unet", licence="none").save(path)


def scan(path: Path, shape: tuple[int, ...]) -> None:
    """Noise in int16, as a CT is stored."""
    from voxfield.artifacts import Image

    values = np.random.default_rng(0).integers(-1000, 1000, shape, dtype=np.int16)
    Image(values, np.diag([0.7, 0.7, 0.7, 1.0])).save(path)


def ours(folder: Path, shape: tuple[int, ...]) -> None:
    """The stage, from file to files."""
    from voxfield import cli

    arguments = ["segmentation.predict", "--image", str(folder / "ct.nii"), "--model", str(folder / "m.safetensors")]
    arguments += ["--out-probability", str(folder / "p.nii.gz"), "--out-mask", str(folder / "mask.nii.gz")]
    assert cli.main([*arguments, "--set", "overlap=0.0", "--set", "bits=8", "--device", "cpu"]) == 0


def peer(folder: Path, shape: tuple[int, ...]) -> None:
    """MONAI's sliding window over the whole volume, then softmax and the most probable class."""
    import torch
    from monai.inferers import sliding_window_inference
    from monai.networks.nets import UNet

    from voxfield.artifacts import Image

    network = UNet(3, 1, CLASSES, (2, 2), (1,), num_res_units=0).eval()
    data = torch.from_numpy(Image.load(folder / "ct.nii").data.astype(np.float32))[None, None]
    with torch.inference_mode():
        scores = sliding_window_inference(data, WINDOW, 2, network, overlap=0.0, mode="gaussian").softmax(1)
        assert scores.argmax(1).shape[1:] == shape


def child(name: str, folder: Path, shape: tuple[int, ...]) -> None:
    """Run one of the two in this process and print its peak memory, GiB, and CPU seconds."""
    started = time.process_time()
    {"ours": ours, "peer": peer}[name](folder, shape)
    peak = peak_memory_mb()["host"] / 1024
    print(f"RESULT {peak} {time.process_time() - started}")


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] == "--child":
        return child(sys.argv[2], Path(sys.argv[3]), tuple(int(n) for n in sys.argv[4].split("x")))
    chosen = options(__doc__ or "")
    shape = QUICK if chosen.quick else SHAPE
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model(folder / "m.safetensors")
        scan(folder / "ct.nii", shape)
        for name in ("ours", "peer"):
            command = [sys.executable, __file__, "--child", name, place, "x".join(map(str, shape))]
            text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            line = [part for part in text.splitlines() if part.startswith("RESULT ")]
            peak, seconds = (float(v) for v in line[0].split()[1:]) if line else (None, None)
            rows.append({"method": name, "shape": "x".join(map(str, shape)), "peak GiB": peak, "CPU s": seconds})
    peak = rows[0]["peak GiB"] or float("inf")
    finish(chosen, [Claim("peak memory of predict, GiB", peak, 1.5 if chosen.quick else LIMIT_GIB, "<=")], rows)
    return None


if __name__ == "__main__":
    main()
