"""DICOM series: every voxel in its place in the patient, and no volume out of slices that make none."""

import gzip
import os
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from artifacts.in_child import in_child
from dicom_files import IMPLICIT, PERSON, RLE, element, planes, write_enhanced, write_series
from strategies import affines, shapes
from voxfield.artifacts import Image, Limits, RawFile
from voxfield.cli import main
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.io import convert
from voxfield.records import record_path

pytest.importorskip("SimpleITK")

DATA = np.random.default_rng(0).integers(0, 4000, (4, 3, 6)).astype(np.uint16)
AFFINE = np.array([[-0.7, 0, 0, 90], [0, -0.8, 0, 120], [0, 0, 2.5, -40], [0, 0, 0, 1.0]])
PLACES = planes(AFFINE, 6)[2]


def image_of(place: Path, ctx: Context | None = None, **chosen: Any) -> Image:
    found = convert(RawFile.load(place), ctx=ctx or Context(), **chosen).image
    assert found is not None
    return found


def assert_in_place(image: Image, values: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Every value of an array lies at its point of the world in the image, and nothing else does."""
    index = np.indices(values.shape).reshape(3, -1).T
    world = index @ affine[:3, :3].T + affine[:3, 3]
    voxel = image.grid.index(world)
    np.testing.assert_allclose(voxel, np.rint(voxel), atol=1e-3)
    found = image.data[tuple(np.rint(voxel).astype(int).T)]
    np.testing.assert_array_equal(found, values.reshape(-1))
    assert image.data.size == values.size


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(affine=affines(), shape=shapes(5), syntax=st.sampled_from(["1.2.840.10008.1.2.1", IMPLICIT]))
def test_every_voxel_keeps_its_place(
    affine: NDArray[np.float64], shape: tuple[int, int, int], syntax: str, tmp_path: Path
) -> None:
    """Any axis order, flip, spacing and rotation; names of files say nothing about the order."""
    shutil.rmtree(tmp_path / "s", ignore_errors=True)
    data = np.arange(np.prod(shape)).reshape(shape)
    write_series(tmp_path / "s", data, affine, intercept="-1024", slope="1", syntax=syntax)
    image = image_of(tmp_path / "s")
    assert image.data.dtype == np.int16
    assert_in_place(image, data - 1024, affine)


def test_a_tilted_gantry_is_a_sheared_grid_and_told(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[1, 2] = 2.5 * np.tan(np.radians(12))
    write_series(tmp_path / "s", DATA, affine)
    ctx = Context()
    image = image_of(tmp_path / "s", ctx)
    assert_in_place(image, DATA, affine)
    (finding,) = ctx.findings
    assert (finding.code, finding.value) == ("tilted-slices", 12)


def test_rescaling_of_each_slice(tmp_path: Path) -> None:
    """As PET has it: a slope a slice. In CT that is told."""
    write_series(tmp_path / "s", DATA[:, :, :3], AFFINE, slope="0.5")
    upper = AFFINE.copy()
    upper[2, 3] += 3 * 2.5
    write_series(tmp_path / "s", DATA[:, :, 3:], upper, prefix="j", slope="0.25", intercept="10")
    ctx = Context()
    image = image_of(tmp_path / "s", ctx)
    assert_in_place(image, np.concatenate([DATA[:, :, :3] / 2, DATA[:, :, 3:] / 4 + 10], axis=2), AFFINE)
    assert ctx.findings.codes() == ["scales-vary"]


def test_nothing_of_the_person_is_kept(tmp_path: Path) -> None:
    """Neither of headers nor of names of folders and files, in the volume and in its record."""
    shifted = [*PLACES[:3], "-90\\-120\\-32.4", *PLACES[4:]]  # so that there is a finding
    write_series(tmp_path / "DOE_JANE", DATA, AFFINE, prefix="mrn4711-", position=shifted)
    out = tmp_path / "a.nii.gz"
    assert main(["io.convert", "--source", str(tmp_path / "DOE_JANE"), "--out-image", str(out)]) == 0
    content = gzip.decompress(out.read_bytes()) + record_path(out).read_bytes()
    assert b"uneven-slices" in content
    assert not any(text.encode() in content for text in (*PERSON.values(), "DOE_JANE", "mrn4711"))


class TestEnhanced:
    """Many frames in one file, stored from the last to the first, thickness 99 mm where their distance is 2.5."""

    def test_frames_lie_where_their_groups_say(self, tmp_path: Path) -> None:
        image = image_of(write_enhanced(tmp_path / "e.dcm", DATA, AFFINE))
        assert_in_place(image, DATA * 2.0 - 1000, AFFINE)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
    @given(affine=affines())
    def test_oblique(self, affine: NDArray[np.float64], tmp_path: Path) -> None:
        assert_in_place(image_of(write_enhanced(tmp_path / "e.dcm", DATA, affine)), DATA * 2.0 - 1000, affine)

    def test_frames_that_scale_differently_are_refused(self, tmp_path: Path) -> None:
        path = write_enhanced(tmp_path / "e.dcm", DATA, AFFINE, slopes=("1", "2"))
        with pytest.raises(InputError, match="scales its frames differently"):
            image_of(path)


FAR = "-90\\-120\\-28"
SHIFTED = "-85\\-120\\-30"


@pytest.mark.parametrize(
    ("position", "words"),
    [
        ([p for k, p in enumerate(PLACES) if k != 3], "slices are missing: 5 mm from .* where others are 2.5 mm"),
        ([*PLACES[:5], PLACES[2]], r"lies where .*\.dcm does: 1 places have more than one slice"),
        ([*PLACES[:3], *PLACES[:3]], "all 3 places have 2 slices: phases, echoes"),
        ([*PLACES[:5], FAR], "the spacing varies"),
        ([*PLACES[:4], SHIFTED, PLACES[5]], "slices are shifted"),
        ([*PLACES[:5], ""], "no position of its plane"),
        ([*PLACES[:5], "1\\2"], r"the position '1\\\\2' of its plane"),
        ([PLACES[0]], "is a single slice"),
    ],
)
def test_places_that_make_no_volume(position: list[str], words: str, tmp_path: Path) -> None:
    write_series(tmp_path / "s", DATA, AFFINE, position=position)
    with pytest.raises(InputError, match=words) as caught:
        image_of(tmp_path / "s")
    assert caught.value.file is not None
    assert caught.value.file.suffix == ".dcm"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"orientation": "1\\0\\0\\0\\0\\-1"}, "mixed orientations, planes 90.0 degrees apart"),
        ({"spacing": "3\\3"}, r"its pixel spacing is 3 x 3 mm where i"),
        ({"modality": "PT"}, "its modality is PT where i.*has CT"),
        ({"photometric": "MONOCHROME1"}, "no grey values of a volume"),
        ({"orientation": "1\\0\\0\\1\\0\\0"}, "unit vectors at right"),
    ],
)
def test_slices_of_another_volume(changed: dict[str, str], words: str, tmp_path: Path) -> None:
    write_series(tmp_path / "s", DATA[:, :, :5], AFFINE)
    write_series(tmp_path / "s", DATA[:, :, 5:], AFFINE, prefix="other", position=[PLACES[5]], **changed)
    with pytest.raises(InputError, match=words) as caught:
        image_of(tmp_path / "s")
    assert caught.value.file == tmp_path / "s" / "other000.dcm"


def test_mixed_series_are_refused_until_one_is_chosen(tmp_path: Path) -> None:
    write_series(tmp_path / "s", DATA, AFFINE)
    write_series(tmp_path / "s", DATA + 1, AFFINE, prefix="j", series="1.2.3.9")
    with pytest.raises(InputError, match=r"mixes 2 series: \w{8} \(6 files such as i000.dcm\)") as caught:
        image_of(tmp_path / "s")
    key = str(caught.value).split("i000.dcm), ")[1][:8]
    assert_in_place(image_of(tmp_path / "s", series=key), DATA + 1, AFFINE)
    with pytest.raises(InputError, match="has no series 'x'"):
        image_of(tmp_path / "s", series="x")


def test_what_is_odd_is_told(tmp_path: Path) -> None:
    shifted = [*PLACES[:3], "-90\\-120\\-32.4", *PLACES[4:]]  # 0.1 mm off
    write_series(tmp_path / "s", DATA, AFFINE, position=shifted, images_in_acquisition="8")
    (tmp_path / "s" / "notes.txt").write_text("x")
    (tmp_path / "s" / "._i000.dcm").write_text("x")
    ctx = Context()
    image_of(tmp_path / "s", ctx)
    assert {finding.code: finding.value for finding in ctx.findings} == {
        "other-files": 1, "uneven-slices": 0.1, "fewer-slices": 2
    }  # fmt: skip


def test_damaged_files_are_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s", DATA, AFFINE)
    whole = paths[2].read_bytes()
    for content, words in ((whole[:-5], "5 bytes are missing"), (whole[:200], "truncated"), (b"", "no DICOM file")):
        paths[2].write_bytes(content)
        with pytest.raises(InputError, match=words) as caught:
            image_of(tmp_path / "s")
        assert caught.value.file == paths[2]
    paths[2].write_bytes(whole)
    with pytest.raises(InputError, match="72 values, over the limit of 71"):
        convert(RawFile.load(tmp_path / "s", limits=Limits(max_voxels=71)))
    (tmp_path / "s" / "j.dcm").symlink_to(tmp_path / "absent")
    with pytest.raises(InputError, match="is a broken link among the slices"):
        image_of(tmp_path / "s")
    (tmp_path / "s" / "j.dcm").unlink()
    os.mkfifo(tmp_path / "s" / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        image_of(tmp_path / "s")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no DICOM image"):
        image_of(tmp_path / "empty")


def test_a_header_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements of no length, one after the other: as many as are walked over, no more, and none is kept."""
    from voxfield.io import _dicom_header

    monkeypatch.setattr(_dicom_header, "MOST", 1000)
    path = write_series(tmp_path / "s", DATA, AFFINE)[0]
    raw = path.read_bytes()
    place = raw.index(b"\x28\x00\x02\x00US")
    path.write_bytes(raw[:place] + element(0x21, 1, "LO", b"") * 2000 + raw[place:])
    with pytest.raises(InputError, match="more than 1,000 elements"):
        _dicom_header.read_header(path)


def test_bits_flipped_in_headers_are_read_or_refused(tmp_path: Path) -> None:
    """The header parser under 600 random damages: a header, or an InputError with the file, and nothing else."""
    from voxfield.io._dicom_header import read_header

    path = write_enhanced(tmp_path / "e.dcm", DATA, AFFINE)
    raw, rng = path.read_bytes(), np.random.default_rng(3)
    head = raw.rindex(b"\xe0\x7f\x10\x00")
    read = 0
    for _ in range(600):
        spoilt = bytearray(raw)
        spoilt[rng.integers(128, head)] ^= rng.integers(1, 256)
        path.write_bytes(bytes(spoilt) if rng.random() < 0.8 else raw[: rng.integers(1, len(raw))])
        with suppress(InputError):
            read_header(path)
            read += 1
    assert 40 < read < 500


def test_compressed_slices(tmp_path: Path) -> None:
    """Run-length encoding; a stream that ends early is found by the header parser."""
    data = np.tile(DATA, (8, 8, 1))  # GDCM takes no smaller ones
    paths = write_series(tmp_path / "s", data, AFFINE, syntax=RLE)
    assert_in_place(image_of(tmp_path / "s"), data, AFFINE)
    paths[2].write_bytes(paths[2].read_bytes()[:-9])
    with pytest.raises(InputError, match=r"truncated") as caught:
        image_of(tmp_path / "s")
    assert caught.value.file == paths[2]


def _damaged(place: Path, path: Path, times: int) -> dict[str, int]:
    raw, rng, count = path.read_bytes(), np.random.default_rng(5), {"read": 0, "refused": 0}
    for _ in range(times):
        spoilt = bytearray(raw)
        spoilt[rng.integers(128, len(raw))] ^= rng.integers(1, 256)
        path.write_bytes(bytes(spoilt) if rng.random() < 0.8 else raw[: rng.integers(1, len(raw))])
        try:
            found = convert(RawFile(place, limits=Limits(max_voxels=100_000)), ctx=Context()).image
            assert found is not None
            found.check(Context())
            count["read"] += 1
        except InputError:
            count["refused"] += 1
    return count


@pytest.mark.parametrize("syntax", [IMPLICIT, RLE, "enhanced"])
def test_damage_is_read_or_refused_and_never_worse(syntax: str, tmp_path: Path) -> None:
    """Pixels have no checksum in DICOM, so that damage among them is read; nothing hangs, crashes or takes much."""
    data = np.tile(DATA, (6, 6, 1))
    if syntax == "enhanced":
        path = place = write_enhanced(tmp_path / "e.dcm", data, AFFINE)
    else:
        path, place = write_series(tmp_path / "s", data, AFFINE, syntax=syntax)[1], tmp_path / "s"
    outcome = in_child(partial(_damaged, place, path, 60), seconds=120, extra_mib=1000)
    assert outcome.ending == "returned", outcome.value
    assert outcome.value["refused"] > 10
