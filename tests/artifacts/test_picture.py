"""Pictures come back as they were written; what is none is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from voxfield.artifacts import Limits, Picture
from voxfield.errors import InputError
from voxfield.findings import Findings


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_a_picture_comes_back(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for name in ("a.png", "b.png"):
        Picture(pixels).save(tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    back = Picture.load(tmp_path / "a.png")
    np.testing.assert_array_equal(back.pixels, pixels)
    findings = Findings()
    back.check(findings)
    assert not len(findings)


def test_a_blank_picture_is_told() -> None:
    findings = Findings()
    Picture(np.zeros((4, 4), np.uint8)).check(findings)
    assert findings.codes() == ["blank-picture"]


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    for wrong in (np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 4), np.uint8)):
        with pytest.raises(InputError, match="pixels of a picture"):
            Picture(wrong)
    path = tmp_path / "a.png"
    Picture(np.zeros((40, 40), np.uint8)).save(path)
    with pytest.raises(InputError, match="claims 1,600 pixels, over the limit of 1,000; raise --max-voxels"):
        Picture.load(path, limits=Limits(max_voxels=1000))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="is no readable PNG"):
        Picture.load(path)
    Pillow.fromarray(np.zeros((4, 4), np.uint16)).save(path)
    with pytest.raises(InputError, match="mode I;16; expected L or RGB"):
        Picture.load(path)
