"""The kinds that are no volumes: round trips, oracles, and what their readers refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxfield.artifacts import (
    Centerline,
    Cohort,
    Graph,
    Image,
    LabelMap,
    Limits,
    Metrics,
    Model,
    PointField,
    Polyline,
    RawFile,
    Report,
    Table,
)  # fmt: skip
from voxfield.errors import InputError
from voxfield.findings import Findings
from voxfield.records import hash_file

in_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
CELLS = st.one_of(
    st.none(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"]), min_size=1),
)


@in_folder
@given(
    columns=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=4),
    suffix=st.sampled_from([".tsv", ".csv"]),
)
def test_a_table_comes_back(columns: list[list[object]], suffix: str, tmp_path: Path) -> None:
    # Read back: what looks like a number in a column of numbers is one, and blank text is nothing.
    table = Table({f"c{place}": values for place, values in enumerate(columns)})
    path = tmp_path / f"a{suffix}"
    table.save(path)
    back = Table.load(path)
    assert list(back.columns) == list(table.columns)
    for name, values in table.columns.items():
        for before, after in zip(values, back.columns[name], strict=True):
            if isinstance(before, str):
                assert (
                    after == before
                    or str(after) == before.strip()
                    or before.strip() in ("", "n/a")
                    or float(after) == float(before)
                )
            elif before is None:
                assert after is None
            else:
                assert float(after) == float(before) if not isinstance(after, str) else after == str(before)
    back.save(tmp_path / "b.tsv")
    assert Table.load(tmp_path / "b.tsv").columns == back.columns


def test_columns_are_numbers_only_where_every_value_is(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("id\tn\tx\tmixed\tnone\n007\t1\t1e-3\t1\tn/a\n008\t2\t.5\tone\t\n")
    assert Table.load(path).columns == {
        "id": ["007", "008"], "n": [1, 2], "x": [0.001, 0.5], "mixed": ["1", "one"], "none": [None, None],
    }  # fmt: skip
    assert Table.load(path).rows()[1]["mixed"] == "one"
    with pytest.raises(InputError, match="has no column 'y'; its columns are id, n, x, mixed, none"):
        Table.load(path).column("y")


def test_ids_of_a_cohort_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("subject\tgrade\n1\t2\n2\tn/a\n")
    cohort = Cohort.load(path)
    assert cohort.columns == {"subject": ["1", "2"], "grade": [2, None]}
    assert cohort.patients == ["1", "2"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"name": ["a"]}, "a cohort has a column 'subject'"),
        ({"subject": ["a b"]}, "row 1: subject 'a b' can not name a folder"),
        ({"subject": ["a"], "grade": [5]}, "row 1: grade 5 is out of range; expected 0 to 4"),
        ({"subject": ["a"], "grade": ["x"]}, "row 1: grade 'x' is not an integer"),
        ({"subject": ["a"], "annotation": ["sparse"]}, "since zeros would train as background"),
        ({"subject": ["a"], "annotation": ["some"]}, "expected one of dense, sparse"),
        ({"subject": ["a"], "unannotated": [0]}, "unannotated is 0"),
        ({"subject": ["l", "r"], "patient": ["p", "p"], "split": ["train", "test"]}, "a leak"),
    ],
)
def test_what_a_cohort_can_not_hold(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cohort(columns).check(Findings())


def test_a_label_map_is_judged_by_what_is_declared() -> None:
    data = np.zeros((4, 4, 4), int)
    data[1], data[2] = 1, 255
    with pytest.raises(InputError, match=r"holds the label 255, .* and is not declared \(unexpected\)"):
        LabelMap(data, np.eye(4), labels={1: "a"}).check(Findings())
    findings = Findings()
    LabelMap(data, np.eye(4)).check(findings)
    assert findings.codes() == ["label-255"]
    for declared in (LabelMap(data, np.eye(4), unannotated=255), LabelMap(data, np.eye(4), labels={1: "a", 255: "b"})):
        findings = Findings()
        declared.check(findings)
        assert not findings.codes()
    findings = Findings()
    LabelMap(data, np.eye(4), labels={2: "a"}, unannotated=255).check(findings)
    assert findings.codes() == ["undeclared-label"]
    with pytest.raises(InputError, match="holds the labels 1; expected 0, 2"):
        LabelMap(data, np.eye(4), unannotated=255).require_labels([2])
    with pytest.raises(InputError, match="no foreground"):
        LabelMap(np.where(data == 1, 0, data), np.eye(4), unannotated=255).require_foreground()
    with pytest.raises(InputError, match="the unannotated value is 0"):
        LabelMap(data, np.eye(4), unannotated=0)


def test_labels_take_the_narrowest_type() -> None:
    for largest, dtype in ((255, np.uint8), (256, np.int16), (40_000, np.int32), (2**40, np.int64)):
        assert LabelMap(np.full((3, 3, 3), largest), np.eye(4)).data.dtype == dtype
    assert LabelMap(np.full((3, 3, 3), -1), np.eye(4)).data.dtype == np.int16


def test_weights_come_back_and_the_reference_library_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    weights = {
        "b": torch.randn(3, 2, dtype=torch.float64), "a": torch.tensor(2.5),
        "c": torch.ones(2, dtype=torch.bfloat16) / 3,
        "d": torch.zeros(0, 4), "e": torch.tensor([True, False]), "f": torch.arange(3),
    }  # fmt: skip
    Model(weights, {"spacing": [1, 2.5], "é": None}, family="segmentation", architecture="unet", licence="CC0").save(
        path
    )
    back = Model.load(path)
    assert (back.family, back.architecture, back.licence) == ("segmentation", "unet", "CC0")
    assert back.config == {"spacing": [1, 2.5], "é": None}
    reference = safetensors.torch.load_file(path)
    for name, tensor in weights.items():
        assert back.weights[name].dtype == tensor.dtype
        assert torch.equal(back.weights[name], tensor)
        assert torch.equal(reference[name], tensor)
    back.save(tmp_path / "n.safetensors")
    assert path.read_bytes() == (tmp_path / "n.safetensors").read_bytes()


def test_what_is_no_model_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    safetensors.torch.save_file({"a": torch.ones(3)}, path)
    with pytest.raises(InputError, match="is a safetensors file not written by Voxfield; expected Model"):
        Model.load(path)
    PointField(np.ones((2, 3)), np.ones((2, 3))).save(path)
    with pytest.raises(InputError, match="is PointField; expected Model"):
        Model.load(path)
    Model({"a": torch.tensor([1.0, torch.nan])}, {}, family="f", architecture="n", licence="l").save(path)
    with pytest.raises(InputError, match="weights a hold NaN or Infinity: the training diverged"):
        Model.load(path).check(Findings())
    with pytest.raises(InputError, match="2 values, over the limit of 1"):
        Model.load(path, limits=Limits(max_voxels=1))


def test_a_centerline_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    line = Centerline(rng.standard_normal((5, 3)) * 100, [1.5, np.nan, 0.1, 2, 3], [-1, 0, 1, 4, -1], [0, 7, 0, 0, 0])
    line.save(tmp_path / "a.swc")
    back = Centerline.load(tmp_path / "a.swc")
    for name in ("points", "radii", "parents", "kinds"):
        np.testing.assert_array_equal(getattr(back, name), getattr(line, name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 0 0 0 1\n", "line 1 is '1 0 0 0 0 1'; expected number, kind"),
        ("1 0 0 0 0 1 2\n2 0 0 0 0 1 1\n", "circle"),
        ("1 0 0 0 0 1 5\n", "node 1 has a parent that is not in the file"),
        ("1 0 0 0 0 1 -1\n1 0 0 0 0 1 -1\n", "two nodes have one number"),
        ("1 0 nan 0 0 1 -1\n", "line 1"),
        ("1 0 0 0 0 -2 -1\n", "radii not negative"),
    ],
)
def test_what_is_no_tree(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.swc").write_text(text)
    with pytest.raises(InputError, match=message):
        Centerline.load(tmp_path / "a.swc")


def test_a_polyline_comes_back_and_vtk_reads_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    line = Polyline(
        rng.standard_normal((5, 3)),
        [[0, 1, 2], [3, 4]],
        {"radius": rng.random(5), "v": rng.random((5, 3)), "k": np.arange(5)},
    )
    path = tmp_path / "a.vtp"
    line.save(path)
    back = Polyline.load(path)
    np.testing.assert_array_equal(back.points, line.points)
    assert [part.tolist() for part in back.lines] == [[0, 1, 2], [3, 4]]
    for name, values in line.point_data.items():
        np.testing.assert_array_equal(back.point_data[name], values)
        assert back.point_data[name].dtype == values.dtype
    vtk = pytest.importorskip("vtkmodules.vtkIOXML")
    reader = vtk.vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    assert reader.GetOutput().GetNumberOfLines() == 2
    assert reader.GetOutput().GetPoint(4) == pytest.approx(tuple(line.points[4]))


def test_entities_of_a_polyline_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.vtp").write_text('<!DOCTYPE x [<!ENTITY a "b">]><VTKFile type="PolyData">&a;</VTKFile>')
    with pytest.raises(InputError, match="document type"):
        Polyline.load(tmp_path / "a.vtp")


def test_a_graph_comes_back_and_networkx_reads_it(tmp_path: Path) -> None:
    nodes = {"x_mm": [0.1, 1 / 3, None], "kind": ["root", '<&"end">', "é"]}
    edges = {"length_mm": [1.5, 2.0], "branch": [0, None], "note": [None, None]}
    graph = Graph(3, [[0, 1], [1, 2]], nodes, edges)
    path = tmp_path / "a.graphml"
    graph.check(Findings())
    graph.save(path)
    back = Graph.load(path)
    assert (back.count, back.ends.tolist(), back.nodes, back.edges) == (3, [[0, 1], [1, 2]], nodes, edges)
    networkx = pytest.importorskip("networkx")
    read = networkx.read_graphml(path)
    assert read.is_directed()
    assert read.nodes["n1"] == {"x_mm": 1 / 3, "kind": '<&"end">'}
    assert read.edges["n0", "n1"] == {"length_mm": 1.5, "branch": 0}
    networkx.write_graphml(read, path)
    assert Graph.load(path).nodes == nodes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]><graphml>&a;</graphml>', "document type"),
        ("<graphml/>", "no GraphML: no graph"),
        ("<graphml", "no GraphML"),
    ],
)
def test_what_is_no_graph(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.graphml").write_text(text)
    with pytest.raises(InputError, match=message):
        Graph.load(tmp_path / "a.graphml")


def test_a_graph_is_consistent() -> None:
    with pytest.raises(InputError, match="edges name the nodes 0 to 2; there are 2"):
        Graph(2, [[0, 2]])
    with pytest.raises(InputError, match="found nodes x 1"):
        Graph(2, [], {"x": [1.0]})
    with pytest.raises(InputError, match="control characters"):
        Graph(1, [], {"x": ["\0"]}).check(Findings())


def test_metrics_are_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    Metrics({"a": np.float64(0.5), "b": np.arange(2), "c": {"d": (1, None)}}).save(path)
    assert Metrics.load(path).values == {"a": 0.5, "b": [0, 1], "c": {"d": [1, None]}}
    assert json.loads(path.read_text())["b"] == [0, 1]
    with pytest.raises(InputError, match="metrics are JSON values, all of them finite"):
        Metrics({"a": float("nan")}).check(Findings())
    path.write_text("[1]")
    with pytest.raises(InputError, match="holds a list; expected a mapping"):
        Metrics.load(path)
    path.write_text('{"a": 1e999}')
    with pytest.raises(InputError, match="1e999"):
        Metrics.load(path)


def test_a_report_comes_back(tmp_path: Path) -> None:
    pages = {"index.html": b"<html>", "assets/a.png": bytes(range(9))}
    Report(pages).save(tmp_path / "page")
    back = Report.load(tmp_path / "page")
    assert back.pages == pages
    assert back.origin is not None
    assert (back.origin.sha256, back.origin.size) == hash_file(tmp_path / "page")
    for name in ("../x.html", "/etc/x", "a\\b", "a/../b", ""):
        with pytest.raises(InputError, match="lies outside the report"):
            Report({**pages, name: b""})
    with pytest.raises(InputError, match="no such folder"):
        Report.load(tmp_path / "none")
    with pytest.raises(InputError, match=r"begins with index\.html"):
        Report({"a.html": b""})


def test_a_raw_file_is_hashed_and_copied(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"abc")
    raw = RawFile.load(tmp_path / "a.bin")
    raw.check(Findings())
    assert raw.origin is not None
    assert raw.origin.sha256.startswith("ba7816bf")
    raw.save(tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == b"abc"
    with pytest.raises(InputError, match="no such file"):
        RawFile(tmp_path / "c.bin")


def test_the_record_beside_a_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    Image(np.arange(60.0).reshape(3, 4, 5), np.eye(4)).save(path)
    image = Image.load(path)
    assert image.origin is not None
    assert image.origin.record is None
    (tmp_path / "a.json").write_text('{"RepetitionTime": 2}')
    assert image.origin.record is None  # somebody else's sidecar
    record = {"schema": 1, "output": {"sha256": "0" * 64}}
    (tmp_path / "a.json").write_text(json.dumps({"voxfield": record}))
    assert image.origin.record == record
