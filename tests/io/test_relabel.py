"""io.relabel: every voxel by the table, nothing that the table does not name, and a count of what became what."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import label_arrays
from voxfield.artifacts import Artifact, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.io import relabel
from voxfield.testing import StageContract

DATA = np.array([0, 1, 1, 2, 7, 7, 7, 0, 2, 1, 0, 0]).reshape(3, 2, 2)
AFFINE = np.diag([0.5, 1, 2, 1])


def foreign(**more: Any) -> LabelMap:
    return LabelMap(DATA, AFFINE, labels={1: "artery", 2: "vein"}, **more)


class TestRelabel(StageContract):
    name = "io.relabel"

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        return {"source": foreign()}

    def make_settings(self) -> Mapping[str, Any]:
        return {"mapping": {"artery": 3, "2": 0, "7": 1}, "names": {"1": "lumen"}}


@given(label_arrays(), st.integers(0, 2**16))
def test_as_voxel_by_voxel(data: np.ndarray, seed: int) -> None:
    """Against a dictionary and a loop."""
    present = sorted(set(data.ravel().tolist()))
    table = dict(zip(present, np.random.default_rng(seed).integers(0, 9, len(present)).tolist(), strict=True))
    made = relabel(LabelMap(data, AFFINE), mapping={str(old): new for old, new in table.items()})
    expected = np.array([table[value] for value in data.ravel().tolist()]).reshape(data.shape)
    np.testing.assert_array_equal(made.labels.data, expected)
    for row in made.voxels.rows():
        assert row["voxels"] == int((data == row["source"]).sum())
        assert row["label"] == table[row["source"]]


def test_names_and_counts() -> None:
    made = relabel(foreign(), mapping={"artery": 3, "2": 0, "7": 1}, names={"1": "lumen"})
    assert made.labels.labels == {3: "artery", 1: "lumen"}
    assert made.voxels.rows() == [
        {"source": 0, "source_name": None, "label": 0, "name": None, "voxels": 4},
        {"source": 1, "source_name": "artery", "label": 3, "name": "artery", "voxels": 3},
        {"source": 2, "source_name": "vein", "label": 0, "name": None, "voxels": 2},
        {"source": 7, "source_name": None, "label": 1, "name": "lumen", "voxels": 3},
    ]
    merged = relabel(foreign(), mapping={"artery": 1, "vein": 1}, others="background")
    assert merged.labels.labels == {}
    assert merged.labels.present() == [0, 1]


def test_labels_that_are_not_named() -> None:
    with pytest.raises(InputError, match="holds 2 labels that the mapping does not name: 2, 7"):
        relabel(foreign(), mapping={"1": 1})
    with pytest.raises(InputError, match="label 2 is kept, and others become 2 as well"):
        relabel(foreign(), mapping={"1": 2}, others="keep")
    kept = relabel(foreign(), mapping={"1": 5}, others="keep").labels
    assert kept.present() == [0, 2, 5, 7]
    assert kept.labels == {2: "vein", 5: "artery"}
    assert relabel(foreign(), mapping={"1": 5}, others="background").labels.present() == [0, 5]


def test_what_nobody_looked_at_stays_so() -> None:
    kept = relabel(foreign(unannotated=7), mapping={"1": 1, "2": 2}).labels
    assert (kept.unannotated, kept.present()) == (7, [0, 1, 2, 7])
    moved = relabel(foreign(unannotated=7), mapping={"1": 1, "2": 2, "7": 255}, unannotated=255).labels
    assert (moved.unannotated, moved.present()) == (255, [0, 1, 2, 255])
    background = relabel(foreign(), mapping={"0": 255, "1": 1, "2": 2, "7": 0}, unannotated=255).labels
    assert int((background.data == 255).sum()) == 4


def test_findings() -> None:
    ctx = Context()
    relabel(foreign(), mapping={"1": 0, "2": 0, "7": 0, "9": 1}, ctx=ctx)
    assert [(finding.code, finding.value) for finding in ctx.findings] == [("label-absent", [9]), ("empty-mask", None)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mapping": {}}, "'mapping' is empty"),
        ({"mapping": {"arteri": 1}}, "nearest known one is 'artery'"),
        ({"mapping": {"artery": 1, "1": 2}}, "label 1 becomes 1 and 2"),
        ({"mapping": {"1": -1}}, "greater than or equal to 0"),
        ({"mapping": {"1": 1}, "names": {"lumen": "1"}}, "'lumen' is no label"),
    ],
)
def test_settings_that_contradict(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        relabel(foreign(), **{"others": "keep", **given})
