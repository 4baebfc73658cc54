"""Surfaces of triangles: topology worked by hand, GIfTI by the reference reader, and what is refused."""

import base64
import re
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fields.surfaces import torus
from voxfield.artifacts import Limits, Mesh
from voxfield.checking import judge
from voxfield.errors import InputError
from voxfield.findings import Findings

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])  # outward for the corners below
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)


def tetrahedron() -> Mesh:
    return Mesh(CORNERS, TETRAHEDRON)


def codes(mesh: Mesh) -> list[str]:
    findings = Findings()
    mesh.check(findings)
    return findings.codes()


def test_topology_of_surfaces_that_are_known() -> None:
    ball, ring = tetrahedron(), torus(5, 4)
    assert (ball.euler_characteristic, len(ball.edges)) == (2, 6)
    assert (ring.euler_characteristic, len(ring.edges)) == (0, 60)
    for mesh in (ball, ring):
        assert (mesh.is_closed, mesh.is_oriented, mesh.is_manifold) == (True, True, True)
        assert codes(mesh) == []
    disk = Mesh(CORNERS, TETRAHEDRON[:3])
    assert disk.euler_characteristic == 1
    assert (disk.is_closed, disk.is_oriented, disk.is_manifold) == (False, True, True)
    assert codes(disk) == ["open-surface"]


def test_what_is_no_oriented_manifold_is_told() -> None:
    turned = TETRAHEDRON.copy()
    turned[0] = turned[0, ::-1]
    assert codes(Mesh(CORNERS, turned)) == ["not-oriented"]
    book = Mesh(np.vstack([CORNERS, [[-1, -1, 0]]]), [[0, 1, 2], [1, 0, 3], [0, 1, 4]])  # three pages at one edge
    assert not book.is_manifold
    assert codes(book) == ["open-surface", "not-oriented", "not-manifold"]
    hourglass = Mesh(np.vstack([CORNERS, -CORNERS[1:]]), [[0, 1, 2], [0, 4, 5]])  # two fans at one vertex
    assert hourglass.is_oriented
    assert not hourglass.is_manifold
    apart = Mesh(np.vstack([CORNERS, CORNERS + 5, [[9, 9, 9]]]), np.vstack([TETRAHEDRON, TETRAHEDRON + 4]))
    assert (apart.euler_characteristic, apart.is_manifold) == (4, True)
    assert codes(apart) == ["unused-vertices"]


def test_sides_name_their_edges() -> None:
    mesh = torus(5, 4)
    for corner in range(3):
        ends = np.sort(mesh.triangles[:, [corner, (corner + 1) % 3]], axis=1)
        np.testing.assert_array_equal(mesh.edges[mesh.edges_of_triangles[:, corner]], ends)


def test_normals_point_outward_and_have_unit_length() -> None:
    mesh = torus(60, 40, tube=1)
    ring = mesh.vertices[:, :2] / np.linalg.norm(mesh.vertices[:, :2], axis=1, keepdims=True) * 2
    outward = mesh.vertices - np.pad(ring, ((0, 0), (0, 1)))  # exact: the tube has radius 1
    assert np.abs(mesh.vertex_normals - outward).max() < 0.02
    np.testing.assert_allclose(np.linalg.norm(mesh.vertex_normals, axis=1), 1)
    np.testing.assert_allclose(mesh.area_vectors.sum(axis=0), 0, atol=1e-12)  # closed
    assert np.array_equal(Mesh(np.vstack([CORNERS, [[5, 5, 5]]]), TETRAHEDRON).vertex_normals[4], [0, 0, 0])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([1e-6, 1.0, 1e6]), short=st.booleans())
def test_a_mesh_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, seed: int, scale: float, short: bool
) -> None:
    folder = tmp_path_factory.mktemp("mesh")
    vertices = np.random.default_rng(seed).standard_normal((4, 3)) * scale
    mesh = Mesh(vertices.astype(np.float32) if short else vertices, TETRAHEDRON)
    mesh.save(folder / "a.surf.gii")
    back = Mesh.load(folder / "a.surf.gii")
    np.testing.assert_array_equal(back.vertices, mesh.vertices)
    np.testing.assert_array_equal(back.triangles, mesh.triangles)
    back.save(folder / "b.surf.gii")
    assert (folder / "a.surf.gii").read_bytes() == (folder / "b.surf.gii").read_bytes()
    for array, values in zip(nibabel.load(folder / "a.surf.gii").darrays, (vertices, TETRAHEDRON), strict=True):
        np.testing.assert_array_equal(array.data, values.astype(array.data.dtype))


def by_nibabel(path: Path, encoding: str, coordinates: NDArray[np.float32], **system: object) -> None:
    gifti = nibabel.gifti
    space = gifti.GiftiCoordSystem(**({"dataspace": 1, "xformspace": 1, "xform": np.eye(4)} | system))
    order = "C" if encoding == "ASCII" else "F"  # nibabel takes no notice of the order of text
    points = gifti.GiftiDataArray(coordinates, "pointset", "float32", encoding=encoding, coordsys=space, ordering=order)
    faces = gifti.GiftiDataArray(TETRAHEDRON.astype("i4"), "triangle", "int32", encoding=encoding, endian="big")
    shape = gifti.GiftiDataArray(np.ones(4, "f4"), "shape", "float32")
    nibabel.save(gifti.GiftiImage(darrays=[shape, faces, points]), path)


@pytest.mark.parametrize("encoding", ["ASCII", "B64BIN", "B64GZ"])
def test_what_the_reference_writes_is_read(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.surf.gii"
    by_nibabel(path, encoding, CORNERS.astype("f4"))
    findings = Findings()
    mesh = Mesh.load(path, findings=findings)
    reference = nibabel.load(path)
    np.testing.assert_array_equal(mesh.triangles, reference.agg_data("triangle"))
    np.testing.assert_array_equal(mesh.vertices, reference.agg_data("pointset"))
    assert findings.codes() == ["arrays-ignored"]
    assert judge([path])[0].kind == "Mesh"


def test_coordinates_come_to_world_space(tmp_path: Path) -> None:
    path = tmp_path / "a.surf.gii"
    shift = np.eye(4)
    shift[:3, 3] = [1, 2, 3]
    by_nibabel(path, "ASCII", CORNERS.astype("f4"), dataspace=0, xform=shift)
    np.testing.assert_allclose(Mesh.load(path).vertices, CORNERS + shift[:3, 3])
    by_nibabel(path, "ASCII", CORNERS.astype("f4"), dataspace=3, xformspace=3, xform=shift)
    findings = Findings()
    np.testing.assert_allclose(Mesh.load(path, findings=findings).vertices, CORNERS)
    assert "space" in findings.codes()


def spoilt(tmp_path: Path, pattern: str, by: str) -> Path:
    """A sound file in which one thing is replaced."""
    path = tmp_path / "a.surf.gii"
    tetrahedron().save(path)
    text, count = re.subn(pattern, by, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)
    return path


BOMB = base64.b64encode(zlib.compress(bytes(200_000_000), 9)).decode()


@pytest.mark.parametrize(
    ("pattern", "by", "message"),
    [
        ("NIFTI_INTENT_TRIANGLE", "NIFTI_INTENT_SHAPE", "expected one NIFTI_INTENT_POINTSET and one NIFTI_INTENT_TRI"),
        ("<GIFTI V", '<!DOCTYPE x [<!ENTITY a "b">]><GIFTI V', "document type"),
        ('Dim0="4"', 'Dim0="900000000"', "over the limit of 400,000,000"),
        ('Dim0="4"', 'Dim0="-4"', "expected \\(n, 3\\)"),
        ('Dim0="4"', 'Dim0="x"', "'x'"),
        ('Dim1="3"', 'Dim1="2"', "expected \\(n, 3\\)"),
        ('Dim0="4"', 'Dim0="5"', "fewer than the 60 bytes declared"),
        ("<Data>[^<]*", f"<Data>{BOMB}", "more than the 48 bytes declared"),
        ("<Data>.", "<Data>&#233;", "no GIfTI surface"),
        ("NIFTI_TYPE_FLOAT32", "NIFTI_TYPE_COMPLEX64", "DataType is 'NIFTI_TYPE_COMPLEX64'; known are"),
        ("GZipBase64Binary", "ExternalFileBinary", "encoded as ExternalFileBinary"),
        ("LittleEndian", "Middle", "Endian is 'Middle'"),
        ("</GIFTI>", "", "no GIfTI surface"),
    ],
)
def test_what_is_no_surface(pattern: str, by: str, message: str, tmp_path: Path) -> None:
    path = spoilt(tmp_path, pattern, by)
    with pytest.raises(InputError, match=message) as caught:
        Mesh.load(path)
    assert caught.value.file == path


def test_the_limit_counts_both_arrays(tmp_path: Path) -> None:
    tetrahedron().save(tmp_path / "a.surf.gii")
    Mesh.load(tmp_path / "a.surf.gii", limits=Limits(max_voxels=24))
    with pytest.raises(InputError, match="it has 24 values, over the limit of 23"):
        Mesh.load(tmp_path / "a.surf.gii", limits=Limits(max_voxels=23))


@pytest.mark.parametrize(
    ("vertices", "triangles", "message"),
    [
        (CORNERS, [[0, 1, 4]], "name the vertices 0 to 4; there are 4"),
        (CORNERS, [[0, 1, -1]], "name the vertices -1 to 1; there are 4"),
        (CORNERS, [[0, 1, 2.5]], "fractions"),
        (CORNERS, [[0, 1, np.nan]], "fractions"),
        (CORNERS, [[0, 1, 2**40]], "at most 2"),
        (CORNERS[:, :2], TETRAHEDRON, r"its vertices have shape \(4, 2\)"),
        (CORNERS, [[0, 1]], r"its triangles have shape \(1, 2\)"),
    ],
)
def test_what_no_mesh_can_hold(vertices: object, triangles: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Mesh(vertices, triangles)  # type: ignore[arg-type]


def test_values_that_no_stage_can_use_are_refused() -> None:
    broken = CORNERS.copy()
    broken[2, 1] = np.nan
    with pytest.raises(InputError, match="NaN or Infinity"):
        Mesh(broken, TETRAHEDRON).check(Findings())
    with pytest.raises(InputError, match=r"1 triangles name a vertex twice, the first \[0, 1, 1\]"):
        Mesh(CORNERS, [[0, 2, 1], [0, 1, 1]]).check(Findings())
    with pytest.raises(InputError, match=r"1 triangles have no area, the first \[0, 1, 2\]"):
        Mesh([[0, 0, 0], [1, 1, 1], [3, 3, 3]], [[0, 1, 2]]).check(Findings())
    assert codes(Mesh(CORNERS, np.zeros((0, 3), int))) == ["empty-mesh"]
