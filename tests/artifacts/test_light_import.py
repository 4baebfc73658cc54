"""Importing the artifacts costs nearly nothing."""

import subprocess
import sys

HEAVY = ("numpy", "scipy", "torch", "nibabel", "monai", "yaml", "pydantic", "h5py", "vtkmodules", "SimpleITK")


def test_artifacts_and_check_import_nothing_heavy() -> None:
    code = (
        "import sys, voxfield.artifacts, voxfield.checking, voxfield.settings_yaml; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_a_volume_needs_numpy_alone() -> None:
    code = (
        "import sys, voxfield.artifacts as a, numpy as np, tempfile, pathlib; "
        "path = pathlib.Path(tempfile.mkdtemp()) / 'a.nii.gz'; "
        "a.Image(np.arange(60).reshape(3, 4, 5), np.eye(4)).save(path); a.Image.load(path).data; "
        f"print([name for name in {HEAVY[1:]!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
