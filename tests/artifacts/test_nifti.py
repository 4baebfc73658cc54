"""NIfTI files: exact geometry and values, agreement with nibabel, and what the battery has no case for."""

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies import affines, label_arrays, shapes, volumes
from voxfield.artifacts import Image, ImageSeries, LabelMap, PartialVectorImage, VectorImage
from voxfield.errors import InputError
from voxfield.findings import Findings

AFFINE = np.array([[0.7, 0, 0, -20.1], [0, 0.8, 0, 15.2], [0, 0, 1.5, 5.3], [0, 0, 0, 1]])
in_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)


def checked(artifact: Any) -> list[str]:
    findings = Findings()
    artifact.check(findings)
    return findings.codes()


@in_folder
@given(
    data=volumes(),
    affine=affines(),
    unit=st.sampled_from([None, "Pa", "µm/s"]),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
)
def test_an_image_comes_back_exactly(
    data: NDArray[np.float32], affine: NDArray[np.float64], unit: str | None, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    Image(data, affine, unit=unit).save(path)
    back = Image.load(path)
    np.testing.assert_array_equal(back.data, data)
    np.testing.assert_array_equal(back.affine, affine)  # to the last bit, though NIfTI-1 keeps float32
    assert back.unit == unit
    assert back.data.flags.c_contiguous
    assert not set(checked(back)) - {"anisotropic"}


@in_folder
@given(data=label_arrays(), affine=affines())
def test_a_label_map_comes_back_exactly(data: NDArray[np.int64], affine: NDArray[np.float64], tmp_path: Path) -> None:
    labels, path = {1: "lumen", 2: "brücke"}, tmp_path / "a.nii.gz"
    written = LabelMap(data, affine, labels=labels, unannotated=7)
    written.save(path)
    back = LabelMap.load(path)
    np.testing.assert_array_equal(back.data, data)
    np.testing.assert_array_equal(back.affine, affine)
    assert (back.labels, back.unannotated, back.data.dtype) == (labels, 7, written.data.dtype)
    assert back.present() == sorted(set(data.ravel().tolist()))


@in_folder
@given(shape=shapes(5), frames=st.integers(1, 3), affine=affines(), seed=st.integers(0, 99))
def test_a_vector_image_comes_back_exactly(
    shape: tuple[int, int, int], frames: int, affine: NDArray[np.float64], seed: int, tmp_path: Path
) -> None:
    data = np.random.default_rng(seed).standard_normal((*shape, frames, 3)).astype(np.float32)
    path = tmp_path / "a.nii.gz"
    VectorImage(data, affine, unit="m/s").save(path)
    back = VectorImage.load(path)
    np.testing.assert_array_equal(back.data, data)
    np.testing.assert_array_equal(back.affine, affine)
    assert back.unit == "m/s"
    other = nib.load(path)
    np.testing.assert_array_equal(np.asanyarray(other.dataobj), data)
    assert other.header["intent_code"] == 1007


@in_folder
@given(data=volumes(), affine=affines())
def test_nibabel_reads_what_we_write(data: NDArray[np.float32], affine: NDArray[np.float64], tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    Image(data, affine).save(path)
    other = nib.load(path)
    np.testing.assert_array_equal(np.asanyarray(other.dataobj), data)
    np.testing.assert_array_equal(other.affine, affine.astype(np.float32))
    assert other.header.get_xyzt_units()[0] == "mm"


@in_folder
@given(
    affine=affines(),
    dtype=st.sampled_from(["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8"]),
    forms=st.sampled_from(["sform", "qform", "both"]),
    version=st.sampled_from([nib.Nifti1Image, nib.Nifti2Image]),
    order=st.sampled_from("<>"),
)
def test_we_read_what_nibabel_writes(
    affine: NDArray[np.float64], dtype: str, forms: str, version: Any, order: str, tmp_path: Path
) -> None:
    data = np.random.default_rng(3).integers(0, 100, (4, 5, 6)).astype(dtype)
    image = version(data, affine, header=version.header_class(endianness=order))
    image.header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    image.set_sform(affine, code=1 if forms != "qform" else 0)
    image.set_qform(affine, code=1 if forms != "sform" else 0)
    path = tmp_path / "a.nii.gz"
    nib.save(image, path)
    expected = nib.load(path)
    back = Image.load(path)
    np.testing.assert_array_equal(back.data, np.asanyarray(expected.dataobj))
    np.testing.assert_allclose(back.affine, expected.affine, atol=1e-4)
    assert not set(checked(back)) - {"anisotropic"}


def test_scaling_is_applied_in_double_precision(tmp_path: Path) -> None:
    stored = np.arange(-500, 500, dtype=np.int16).reshape(10, 10, 10)
    image = nib.Nifti1Image(stored, AFFINE)
    image.header.set_slope_inter(0.1, -1024.3)
    nib.save(image, tmp_path / "a.nii")
    slope, inter = (float(np.float32(value)) for value in (0.1, -1024.3))
    expected = (stored.astype(np.float64) * slope + inter).astype(np.float32)
    np.testing.assert_array_equal(Image.load(tmp_path / "a.nii").data, expected)


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    data = np.random.default_rng(0).standard_normal((9, 8, 7)).astype(np.float32)
    Image(data, AFFINE).save(tmp_path / "a.nii.gz")
    Image(np.asfortranarray(data), AFFINE).save(tmp_path / "b.nii.gz")
    raw = (tmp_path / "a.nii.gz").read_bytes()
    assert raw == (tmp_path / "b.nii.gz").read_bytes()
    assert raw[4:8] == bytes(4)  # no time stamp


def test_values_are_read_when_first_used_and_again_after_release(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    Image(np.arange(60.0).reshape(3, 4, 5), AFFINE).save(path)
    image = Image.load(path)
    digest = image.origin.sha256 if image.origin else ""
    first = image.data
    assert image.data is first
    image.release()
    again = image.data
    assert again is not first
    np.testing.assert_array_equal(again, first)
    assert image.origin is not None
    assert image.origin.sha256 == digest


def test_a_file_that_changes_between_header_and_voxels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    Image(np.arange(60.0).reshape(3, 4, 5), AFFINE).save(path)
    image = Image.load(path)
    Image(np.arange(60.0).reshape(3, 5, 4), AFFINE).save(path)
    with pytest.raises(InputError, match="changed while it was being read"):
        _ = image.data


def test_digits_of_the_extension_yield_to_an_edited_sform(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    Image(np.arange(60.0).reshape(3, 4, 5), AFFINE).save(path)
    other = nib.load(path)
    moved = other.affine.copy()
    moved[:3, 3] += 5
    other.set_sform(moved, code=1)
    nib.save(nib.Nifti1Image(other.get_fdata(), moved, other.header), tmp_path / "b.nii")
    np.testing.assert_allclose(Image.load(tmp_path / "b.nii").affine, moved, atol=1e-5)


def test_a_series_is_refused_where_a_volume_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    data = np.random.default_rng(0).standard_normal((3, 4, 5, 2)).astype(np.float32)
    Image(data, AFFINE).save(path)
    with pytest.raises(InputError, match=r"has 4 dimensions, 3 x 4 x 5 x 2; expected 3D \(x, y, z\)"):
        Image.load(path)
    np.testing.assert_array_equal(ImageSeries.load(path).data, data)


def test_a_series_of_one_frame_is_a_volume(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    Image(np.arange(60.0).reshape(3, 4, 5, 1), AFFINE).save(path)
    assert Image.load(path).shape == (3, 4, 5)


def test_nothing_of_a_foreign_header_is_kept(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), AFFINE)
    image.header["descrip"] = b"Jane Doe 1970"
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"patient Jane Doe"))
    nib.save(image, tmp_path / "a.nii")
    Image.load(tmp_path / "a.nii").save(tmp_path / "b.nii")
    assert b"Jane" not in (tmp_path / "b.nii").read_bytes()


@pytest.mark.parametrize(
    "junk", [b"{", b'{"voxfield":[]}', b'{"voxfield":{"labels":{"x":"y"}}}', b'{"voxfield":{"unit":3}}']
)
def test_a_spoilt_extension_of_ours_is_refused(junk: bytes, tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), AFFINE)
    content = junk if junk.startswith(b'{"voxfield":') else b'{"voxfield":' + junk
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, content))
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(InputError, match="extension"):
        Image.load(tmp_path / "a.nii")


def test_padding_after_the_gzip_data_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    Image(np.arange(60.0).reshape(3, 4, 5), AFFINE).save(path)
    path.write_bytes(path.read_bytes() + bytes(700_000))
    assert Image.load(path).data.sum() == 1770
    path.write_bytes(path.read_bytes() + gzip.compress(b""))  # an empty member, as bgzip ends its files
    assert Image.load(path).data.sum() == 1770
    path.write_bytes(path.read_bytes() + gzip.compress(b"x"))
    with pytest.raises(InputError, match="trailing data"):
        _ = Image.load(path).data


def test_many_small_members_are_one_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    data = np.random.default_rng(0).standard_normal((20, 20, 20)).astype(np.float32)
    Image(data, AFFINE).save(path)
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(b"".join(gzip.compress(raw[at : at + 97], mtime=0) for at in range(0, len(raw), 97)))
    np.testing.assert_array_equal(Image.load(path).data, data)


def test_data_of_every_kind_is_judged_on_the_way_out() -> None:
    with pytest.raises(InputError, match=r"1 of 60 voxels are not finite \(NaN\), the first at index \(0, 0, 3\)"):
        checked(Image(np.where(np.arange(60.0) == 3, np.nan, 1.0).reshape(3, 4, 5), AFFINE))
    assert checked(Image(np.ones((3, 4, 5)), AFFINE)) == ["constant-image"]
    assert checked(Image(np.arange(24.0).reshape(2, 3, 4), AFFINE)) == []
    assert checked(VectorImage(np.zeros((3, 4, 5, 3)), AFFINE)) == ["zero-field", "unit-not-stated"]


def test_gaps_in_a_vector_image_are_read_where_they_are_allowed(tmp_path: Path) -> None:
    data = np.random.default_rng(0).standard_normal((3, 4, 5, 2, 3)).astype(np.float32)
    data[1, 2, 3, 1] = np.nan
    path = tmp_path / "gaps.nii.gz"
    PartialVectorImage(data, AFFINE, unit="m/s").save(path)
    back = PartialVectorImage.load(path)
    assert checked(back) == []
    np.testing.assert_array_equal(back.data, data)
    with pytest.raises(InputError, match=r"3 of 360 voxels are not finite \(NaN\).*is for a PartialVectorImage"):
        checked(VectorImage.load(path))
    data[0, 0, 0, 0, 0] = np.inf
    with pytest.raises(InputError, match=r"1 of 360 components are not finite \(Infinity\).*or NaN where nothing"):
        checked(PartialVectorImage(data, AFFINE))
    with pytest.raises(InputError, match="all 360 components are NaN: nothing was measured"):
        checked(PartialVectorImage(np.full_like(data, np.nan), AFFINE))


def test_gaps_survive_the_scaling_of_a_header(tmp_path: Path) -> None:
    stored = np.arange(180, dtype=np.float32).reshape(3, 4, 5, 1, 3)
    stored[2, 1, 0] = np.nan
    image = nib.Nifti1Image(stored, AFFINE)
    image.header.set_intent(1007)
    image.header.set_slope_inter(0.5, 1.0)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "scaled.nii.gz")
    back = PartialVectorImage.load(tmp_path / "scaled.nii.gz").data
    np.testing.assert_allclose(back, np.asanyarray(nib.load(tmp_path / "scaled.nii.gz").dataobj), rtol=1e-6)
    assert np.isnan(back).sum() == 3
