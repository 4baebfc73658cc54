"""Grey PNG pictures: one slice, rows along x, finer labels in register with their image."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from voxfield.artifacts import Limits, RawFile
from voxfield.errors import InputError
from voxfield.io import convert


def write(path: Path, pixels: np.ndarray) -> RawFile:
    Picture.fromarray(pixels).save(path)
    return RawFile.load(path)


def test_pixels_are_kept(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7)).astype(np.uint8)
    image = convert(write(tmp_path / "a.png", pixels), pixel_mm=0.5).image
    assert image is not None
    assert np.array_equal(image.data[:, :, 0], pixels)
    assert image.grid.spacing.tolist() == [0.5, 0.5, 0.5]


def test_fine_labels_lie_on_the_grid_of_their_image(tmp_path: Path) -> None:
    fine = np.zeros((8, 12), bool)
    fine[:3, :4] = True  # three quarters of one pixel of the image
    fine[4:6, 4:8] = True  # half of another, which is not more than a half
    image = convert(write(tmp_path / "a.png", np.zeros((2, 3), np.uint8) + np.arange(3, dtype=np.uint8))).image
    found = convert(write(tmp_path / "b.png", fine), content="labels", pixel_mm=0.25, reduce=4)
    assert image is not None
    assert found.labels is not None
    assert found.image is None
    assert found.labels.grid.same_as(image.grid)
    assert found.labels.data[:, :, 0].tolist() == [[1, 0, 0], [0, 0, 0]]


def test_refusals(tmp_path: Path) -> None:
    colour = write(tmp_path / "c.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match="colour"):
        convert(colour)
    grey = write(tmp_path / "g.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(InputError, match="does not divide"):
        convert(grey, reduce=4)
    with pytest.raises(InputError, match="over the limit"):
        convert(RawFile.load(grey.path, limits=Limits(max_voxels=10)))
    broken = tmp_path / "b.png"
    broken.write_bytes(grey.path.read_bytes()[:40])
    with pytest.raises(InputError, match="readable"):
        convert(RawFile.load(broken))
