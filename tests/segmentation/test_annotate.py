"""segmentation.annotate: every n-th slice, and 255 everywhere else."""

import numpy as np
import pytest

from voxfield.artifacts import Image, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.segmentation import annotate
from voxfield.testing import StageContract


def scan() -> Image:
    return Image(np.random.default_rng(0).random((8, 9, 10)).astype("f4"), np.diag([1.0, 1.0, 2.0, 1.0]))


def mask() -> LabelMap:
    return LabelMap((np.asarray(scan().data) > 0.5).astype("u1"), scan().affine, labels={1: "lumen"})


class TestAnnotate(StageContract):
    name = "segmentation.annotate"

    def make_inputs(self) -> dict[str, object]:
        return {"image": scan(), "dense": mask()}

    def make_settings(self) -> dict[str, object]:
        return {"every": 3, "axis": 1}


def test_slices_are_the_mask_and_the_rest_is_unannotated() -> None:
    sparse = annotate(scan(), mask(), every=4).annotation
    assert sparse.unannotated == 255
    assert sparse.labels == {1: "lumen"}
    for k in range(10):
        expected = mask().data[..., k] if k in (2, 6) else np.full((8, 9), 255)
        assert np.array_equal(sparse.data[..., k], expected)


def test_threshold_is_no_reader() -> None:
    ctx = Context()
    sparse = annotate(scan(), every=2, threshold=0.5, ctx=ctx).annotation
    assert np.array_equal(sparse.data[..., 1], mask().data[..., 1])
    assert "annotated-by-threshold" in ctx.findings.codes()


def test_refusals() -> None:
    with pytest.raises(SettingsError, match="either"):
        annotate(scan())
    with pytest.raises(SettingsError, match="either"):
        annotate(scan(), mask(), threshold=0.5)
    with pytest.raises(InputError, match="no foreground"):
        annotate(scan(), threshold=2.0)
