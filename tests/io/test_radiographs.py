"""Radiographs: which way round they lie, how large their pixels are, and what is no radiograph."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from dicom_files import write_radiograph
from voxfield.artifacts import Image, Limits, RawFile
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.io import convert

PIXELS = np.arange(12, dtype=np.uint16).reshape(3, 4) * 100


def image_of(path: Path, **settings: object) -> Image:
    found = convert(RawFile.load(path), **settings).image  # type: ignore[arg-type]
    assert found is not None
    return found


def value_at(image: Image, world: tuple[float, float, float]) -> float:
    """Grey value of the pixel whose middle lies there, mm."""
    voxel = np.rint(np.linalg.inv(image.affine) @ [*world, 1]).astype(int)[:3]
    return float(image.data[tuple(voxel)])


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_grey_png_of_both_depths_is_shown_as_radiographs_are(tmp_path: Path, depth: type) -> None:
    pixels = (PIXELS // 10).astype(depth)
    Picture.fromarray(pixels).save(tmp_path / "a.png")
    image = image_of(tmp_path / "a.png", view="radiograph", pixel_mm=2.0)
    assert image.shape == (4, 1, 3)
    assert image.grid.spacing.tolist() == [2, 2, 2]
    # the last column is on the patient's left (low x), the first row towards the head (high z)
    assert value_at(image, (-3, 0, 2)) == pixels[0, 3]
    assert value_at(image, (3, 0, -2)) == pixels[2, 0]


def test_mirrored_exchanges_left_and_right_and_moves_no_pixel(tmp_path: Path) -> None:
    Picture.fromarray(PIXELS.astype(np.uint8)).save(tmp_path / "a.png")
    plain, mirrored = (image_of(tmp_path / "a.png", view="radiograph", mirrored=m) for m in (False, True))
    assert np.array_equal(plain.data, mirrored.data)
    for x, z in ((-1.5, 1), (0.5, -1)):
        assert value_at(plain, (x, 0, z)) == value_at(mirrored, (-x, 0, z))


def test_nifti_is_taken_as_it_is(tmp_path: Path) -> None:
    made = Image(PIXELS.T[:, None, :].astype(np.int16), np.diag([-1, 1, -1, 1]))
    made.save(tmp_path / "a.nii.gz")
    found = image_of(tmp_path / "a.nii.gz", mirrored=True)
    assert np.array_equal(found.data, made.data)
    assert found.affine.diagonal().tolist() == [1, 1, -1, 1]


class TestDicom:
    @pytest.fixture(autouse=True)
    def needs_library(self) -> None:
        pytest.importorskip("SimpleITK")

    def test_calibrated_pixels(self, tmp_path: Path) -> None:
        image = image_of(write_radiograph(tmp_path / "a", PIXELS, spacing="0.5\\0.25", imager_spacing="9\\9"))
        assert image.shape == (4, 1, 3)
        assert image.grid.spacing.tolist() == [0.25, 0.25, 0.5]
        assert value_at(image, (-0.375, 0, 0.5)) == PIXELS[0, 3]

    def test_low_is_bright_becomes_high_is_bright(self, tmp_path: Path) -> None:
        image = image_of(write_radiograph(tmp_path / "a", PIXELS, photometric="MONOCHROME1"))
        assert np.array_equal(image.data[:, 0].T, 65535.0 - PIXELS)

    @pytest.mark.parametrize(("sides", "x"), [("L\\F", -1.5), ("R\\F", 1.5)])
    def test_the_header_says_where_left_is(self, tmp_path: Path, sides: str, x: float) -> None:
        context = Context()
        raw = RawFile.load(write_radiograph(tmp_path / "a", PIXELS, orientation=sides, spacing="1\\1"))
        image = convert(raw, ctx=context).image
        assert image is not None
        assert value_at(image, (x, 0, 1)) == PIXELS[0, 3]
        assert context.findings.codes() == []

    def test_what_the_header_leaves_open_is_told(self, tmp_path: Path) -> None:
        for tags, code in (({"imager_spacing": "1\\1"}, "magnified"), ({}, "spacing-assumed")):
            context = Context()
            convert(RawFile.load(write_radiograph(tmp_path / "a", PIXELS, **tags)), ctx=context)
            assert context.findings.codes() == [code, "orientation-assumed"]

    @pytest.mark.parametrize(
        ("tags", "words"),
        [
            ({"photometric": "RGB", "samples": "3"}, "colour"),
            ({"frames": "3"}, "has 3 frames"),
            ({"plane": "1\\0\\0\\0\\1\\0"}, "slice of a volume"),
            ({"spacing": "0\\1"}, "two positive numbers"),
            ({"orientation": "A\\F"}, "from the front or back"),
        ],
    )
    def test_refusals(self, tmp_path: Path, tags: dict[str, str], words: str) -> None:
        with pytest.raises(InputError, match=words):
            image_of(write_radiograph(tmp_path / "a", PIXELS, **tags))

    def test_pixels_that_are_not_there_are_not_read(self, tmp_path: Path) -> None:
        path = write_radiograph(tmp_path / "a", PIXELS)
        content = path.read_bytes()
        path.write_bytes(content[:-10])
        with pytest.raises(InputError):
            image_of(path)
        rows = content.index(b"\x28\x00\x10\x00US") + 8
        path.write_bytes(content[:rows] + b"\x09" + content[rows + 1 :])
        with pytest.raises(InputError, match="holds 24 bytes of pixels where its header claims 72"):
            image_of(path)
        path.write_bytes(content)
        with pytest.raises(InputError, match="over the limit"):
            convert(RawFile.load(path, limits=Limits(max_voxels=10)))
