"""What the whole suite shares: the folder of public data sets, which is absent on most machines."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every machine, and no clock in the verdict: a busy machine is not a failure.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder named by VOXFIELD_SHARED, or `../shared` beside the checkout; skips where there is none."""
    folder = Path(os.environ.get("VOXFIELD_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"shared data folder not found at {folder}; set VOXFIELD_SHARED to run this test")
    return folder
