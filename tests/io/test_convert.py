"""Foreign formats: the grid where it was, values as they were, no text of the header, damage refused."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from artifacts.in_child import in_child
from strategies import affines, shapes
from voxfield.artifacts import LabelMap, Limits, RawFile
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.findings import Findings
from voxfield.io import convert

sitk = pytest.importorskip("SimpleITK")
h5py = pytest.importorskip("h5py")
pytest.importorskip("vtkmodules.vtkIOLegacy")

NAME = "Doe^Jane"
in_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)


def write_itk(
    path: Path, data: NDArray[Any], affine: NDArray[np.float64], *, vector: bool = False, packed: bool = True
) -> None:
    """Write (x, y, z) or (x, y, z, c) by SimpleITK with an affine in RAS+, and a name in the header."""
    order = (2, 1, 0, 3) if vector else (2, 1, 0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.transpose(order)), isVector=vector)
    lps = np.diag([-1, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetMetaData("PatientName", NAME)
    sitk.WriteImage(image, str(path), useCompression=packed)


def write_h5(
    path: Path, shape: tuple[int, int, int], frames: int = 1, **changed: Any
) -> dict[str, NDArray[np.float32]]:
    """Write a 4D-flow file; `changed` replaces datasets."""
    rng = np.random.default_rng(0)
    names = ("u", "v", "w", "mag_u", "mag_v", "mag_w", "mask")
    arrays = {name: rng.random((frames, *shape)).astype(np.float32) for name in names}
    arrays |= {"dx": np.array([[0.5, 0.75, 2.0]], dtype=np.float32), **changed}
    with h5py.File(path, "w") as file:
        file.attrs["PatientName"] = NAME
        for name, array in arrays.items():
            file[name] = array
    return arrays


def write_vtk(
    path: Path, shape: tuple[int, int, int], *, binary: bool = True
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Write legacy structured points byte by byte: no reader under test makes its own input."""
    rng = np.random.default_rng(0)
    scalars = rng.random(shape).astype(np.float32)
    vectors = rng.random((*shape, 3)).astype(np.float32)
    flat = scalars.ravel(order="F"), vectors.transpose(2, 1, 0, 3).ravel()
    kind = "BINARY" if binary else "ASCII"
    x, y, z = shape
    head = (
        f"# vtk DataFile Version 3.0\n{NAME}\n{kind}\nDATASET STRUCTURED_POINTS\nDIMENSIONS {x} {y} {z}\n"
        f"SPACING 0.5 1 2\nORIGIN 100 80 1\nPOINT_DATA {x * y * z}\nSCALARS scalars float\nLOOKUP_TABLE default\n"
    )
    parts = [
        array.astype(">f4").tobytes() if binary else " ".join(map(repr, array.tolist())).encode() for array in flat
    ]
    path.write_bytes(head.encode() + parts[0] + b"\nVECTORS vectors float\n" + parts[1] + b"\n")
    return scalars, vectors


@in_folder
@given(
    shape=shapes(),
    affine=affines(),
    suffix=st.sampled_from([".nrrd", ".mha"]),
    packed=st.booleans(),
    dtype=st.sampled_from(["i2", "f4", "u1"]),
)
def test_a_volume_keeps_values_and_place(
    shape: tuple[int, int, int], affine: NDArray[np.float64], suffix: str, packed: bool, dtype: str, tmp_path: Path
) -> None:
    data = (np.random.default_rng(0).random(shape) * 99).astype(dtype)
    write_itk(tmp_path / f"a{suffix}", data, affine, packed=packed)
    image, labels, velocity = convert(RawFile(tmp_path / f"a{suffix}"))
    assert image is not None
    assert (labels, velocity) == (None, None)
    np.testing.assert_array_equal(image.data, data)
    np.testing.assert_allclose(image.affine, affine, rtol=1e-5, atol=1e-4)
    image.save(tmp_path / "b.nii")
    assert NAME.encode() in (tmp_path / f"a{suffix}").read_bytes()
    assert b"Doe" not in (tmp_path / "b.nii").read_bytes()


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_vectors_are_turned_into_the_world(suffix: str, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).random((3, 4, 5, 3)).astype(np.float32)  # left, posterior, superior
    write_itk(tmp_path / f"a{suffix}", vectors, np.eye(4), vector=True)
    velocity = convert(RawFile(tmp_path / f"a{suffix}"), velocity_unit="cm/s").velocity
    assert velocity is not None
    np.testing.assert_allclose(velocity.data[:, :, :, 0], vectors * [-0.01, -0.01, 0.01], rtol=1e-6)
    assert velocity.unit == "m/s"


def test_vectors_that_were_not_measured_stay_gaps(tmp_path: Path) -> None:
    vectors = np.ones((3, 4, 5, 3), np.float32)
    vectors[1, 2, 3] = np.nan
    write_itk(tmp_path / "a.nrrd", vectors, np.eye(4), vector=True)
    velocity = convert(RawFile(tmp_path / "a.nrrd"), velocity_unit="m/s").velocity
    assert velocity is not None
    np.testing.assert_array_equal(np.isnan(velocity.data[:, :, :, 0]), np.isnan(vectors))
    velocity.check(Findings())
    vectors[0, 0, 0, 0] = np.inf
    write_itk(tmp_path / "b.nrrd", vectors, np.eye(4), vector=True)
    with pytest.raises(InputError, match=r"1 of 180 values are not finite \(Infinity\)"):
        convert(RawFile(tmp_path / "b.nrrd"))


def test_labels_are_said_to_be_labels(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 4, (3, 4, 5)).astype(np.uint8)
    write_itk(tmp_path / "a.nrrd", data, np.eye(4))
    converted = convert(RawFile(tmp_path / "a.nrrd"), content="labels")
    assert isinstance(converted.labels, LabelMap)
    np.testing.assert_array_equal(converted.labels.data, data)
    write_itk(tmp_path / "b.nrrd", data / np.float32(2), np.eye(4))
    with pytest.raises(InputError, match="not whole numbers"):
        convert(RawFile(tmp_path / "b.nrrd"), content="labels")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("packed", [True, False])
def test_cut_itk_files_are_refused(suffix: str, packed: bool, tmp_path: Path) -> None:
    write_itk(tmp_path / f"a{suffix}", np.random.default_rng(0).random((9, 8, 7)), np.eye(4), packed=packed)
    raw = (tmp_path / f"a{suffix}").read_bytes()
    for cut in (len(raw) - 1, len(raw) - 300, 40):
        (tmp_path / f"b{suffix}").write_bytes(raw[:cut])
        with pytest.raises(InputError, match="truncated"):
            convert(RawFile(tmp_path / f"b{suffix}"))


def test_a_flow_file_gives_velocity_magnitude_and_mask(tmp_path: Path) -> None:
    arrays = write_h5(tmp_path / "a.h5", (4, 3, 5), frames=2)
    ctx = Context()
    image, labels, velocity = convert(RawFile(tmp_path / "a.h5"), level=0.4, ctx=ctx)
    assert image is not None
    assert labels is not None
    assert velocity is not None
    assert velocity.unit == "m/s"
    assert velocity.data.shape == (4, 3, 5, 2, 3)
    for component, name in enumerate("uvw"):
        np.testing.assert_array_equal(velocity.data[..., component], np.moveaxis(arrays[name], 0, -1))
    np.testing.assert_allclose(image.data, sum(arrays[f"mag_{c}"].mean(axis=0) for c in "uvw") / 3, rtol=1e-6)
    np.testing.assert_array_equal(labels.data, arrays["mask"].mean(axis=0) > 0.4)
    np.testing.assert_array_equal(velocity.affine, np.diag([0.5, 0.75, 2, 1]))
    assert ctx.findings.codes() == ["orientation-assumed"]
    chosen = convert(RawFile(tmp_path / "a.h5"), field="mag_v").image
    assert chosen is not None
    np.testing.assert_allclose(chosen.data, arrays["mag_v"].mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"w": np.zeros((1, 4, 3, 4), "f4")}, "have the shapes"),
        ({"u": np.zeros((4, 3), "f4")}, r"expected \(t, x, y, z\)"),
        ({"mask": np.zeros((1, 3, 3, 5), "f4")}, "have the shapes"),
        ({"u": np.full((1, 4, 3, 5), b"x")}, "expected real numbers"),
    ],
)
def test_a_flow_file_that_disagrees_with_itself_is_refused(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_h5(tmp_path / "a.h5", (4, 3, 5), **changed)
    with pytest.raises(InputError, match=message):
        convert(RawFile(tmp_path / "a.h5"))


def test_a_flow_file_reads_no_other_file(tmp_path: Path) -> None:
    write_h5(tmp_path / "a.h5", (4, 3, 5))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        for name in ("u", "v", "w", "dx"):
            file[name] = h5py.ExternalLink(str(tmp_path / "a.h5"), name)
    with pytest.raises(InputError, match="is a link"):
        convert(RawFile(tmp_path / "b.h5"))
    with pytest.raises(InputError, match="60 values, over the limit"):
        convert(RawFile(tmp_path / "a.h5", limits=Limits(max_voxels=59)))


@pytest.mark.parametrize("binary", [True, False])
def test_structured_points_keep_values_and_place(binary: bool, tmp_path: Path) -> None:
    scalars, vectors = write_vtk(tmp_path / "a.vtk", (3, 4, 5), binary=binary)
    image, labels, velocity = convert(RawFile(tmp_path / "a.vtk"))
    assert image is not None
    assert velocity is not None
    assert labels is None
    np.testing.assert_array_equal(image.data, scalars)
    np.testing.assert_array_equal(velocity.data[:, :, :, 0], vectors)
    np.testing.assert_array_equal(image.affine, [[0.5, 0, 0, 100], [0, 1, 0, 80], [0, 0, 2, 1], [0, 0, 0, 1]])
    assert velocity.unit is None
    with pytest.raises(InputError, match="has no scalars 'x'; it has scalars"):
        convert(RawFile(tmp_path / "a.vtk"), field="x")


def test_structured_points_that_are_damaged(tmp_path: Path) -> None:
    write_vtk(tmp_path / "a.vtk", (9, 8, 7))
    raw = (tmp_path / "a.vtk").read_bytes()
    damaged = {
        "truncated": raw[:-900],
        "10,000,000,000,000 values, over the limit": raw.replace(b"DIMENSIONS 9 8 7", b"DIMENSIONS 100000 100000 1000"),
        "give 504 points, POINT_DATA 505": raw.replace(b"POINT_DATA 504", b"POINT_DATA 505"),
        "expected DATASET STRUCTURED_POINTS": raw.replace(b"STRUCTURED_POINTS", b"POLYDATA"),
        "expected NRRD, MetaImage, legacy VTK": raw[3:],
        "at least one voxel": raw.replace(b"DIMENSIONS 9 8 7", b"DIMENSIONS 9 8 0"),
    }
    for message, content in damaged.items():
        (tmp_path / "b.vtk").write_bytes(content)
        with pytest.raises(InputError, match=message):
            convert(RawFile(tmp_path / "b.vtk"))


def test_another_format_and_a_missing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.dcm").write_bytes(b"x")
    with pytest.raises(InputError, match="expected NRRD, MetaImage, legacy VTK, HDF5, PNG, DICOM or NIfTI"):
        convert(RawFile(tmp_path / "a.dcm"))
    write_h5(tmp_path / "a.h5", (4, 3, 5))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"read by h5py, which is not installed; .* pip install 'voxfield\[formats\]'"):
        convert(RawFile(tmp_path / "a.h5"))


def _survives(path: Path) -> str:
    try:
        found = convert(RawFile(path, limits=Limits(max_voxels=10_000)))
        for artifact in found:
            if artifact is not None:
                artifact.check(Context())
    except InputError as error:
        return "refused" if error.file == path else f"blamed on {error.file}"
    return "read"


def _fuzz(path: Path, raw: bytes, times: int) -> int | str:
    rng = np.random.default_rng(4)
    for _ in range(times):
        spoilt = bytearray(raw)
        spoilt[rng.integers(len(raw))] ^= rng.integers(1, 256)
        path.write_bytes(bytes(spoilt) if rng.random() < 0.8 else raw[: rng.integers(1, len(raw))])
        outcome = _survives(path)
        if outcome not in ("read", "refused"):
            return outcome
    return times


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".vtk", ".h5"])
def test_damage_is_read_or_refused_and_never_worse(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".vtk":
        write_vtk(path, (3, 4, 5))
    elif suffix == ".h5":
        write_h5(path, (3, 4, 5))
    else:
        write_itk(path, np.random.default_rng(0).random((3, 4, 5)), np.eye(4))
    outcome = in_child(partial(_fuzz, path, path.read_bytes(), 300), seconds=120, extra_mib=1000)
    assert outcome.value == 300, outcome.value


@pytest.mark.data
def test_the_shared_flow_case(shared: Path) -> None:
    folder = shared / "data" / "fields" / "flow4d_cerebro_pair"
    low, high = (convert(RawFile(folder / name)) for name in ("example_data.h5", "example_data_HR_half.h5"))
    assert low.labels is not None
    assert low.image is not None
    assert high.image is None
    assert high.velocity is not None
    assert int(low.labels.data.sum()) == 6814
    assert low.image.shape == (42, 38, 36)
    np.testing.assert_allclose(high.velocity.grid.world([2, 2, 2]), low.image.grid.world([1, 1, 1]))


@pytest.mark.data
def test_the_shared_angiogram(shared: Path) -> None:
    found = convert(RawFile(shared / "data" / "fields" / "carotid_mra" / "carotid.vtk"))
    assert found.image is not None
    assert found.velocity is not None
    assert found.image.shape == (76, 49, 45)
    assert (found.image.data.max(), found.velocity.unit) == (580, None)
    speed = np.linalg.norm(found.velocity.data, axis=-1)
    assert int((speed > 1).sum()) == 4680
