"""A toy stage registered like a plug-in, and its input as a file."""

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from voxfield import registry
from voxfield.artifacts import Image
from voxfield.stage import Stage


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Stage[..., object]:
    """The stage `toys.scale`, found by its entry point."""
    entries = {"toys.scale": EntryPoint("toys.scale", "toys._scale:scale", registry.GROUP)}
    monkeypatch.setattr(registry, "_entries", lambda: entries)
    return registry.get("toys.scale")


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    """A small image as a file."""
    path = tmp_path / "image.nii.gz"
    Image(np.arange(120, dtype="f4").reshape(4, 5, 6), np.diag([1.0, 2.0, 3.0, 1.0])).save(path)
    return path
