"""segmentation.lung: exact lungs of simulated chests, refusals, findings, real crops."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import Image, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.phantoms import airway, chest_ct
from voxfield.segmentation import lung
from voxfield.testing import StageContract


@cache
def scan(seed: int, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> tuple[Image, LabelMap, LabelMap]:
    """A simulated CT with its lungs and its airway."""
    made = airway(size_mm=(96.0, 72.0, 96.0), trachea_mm=8.0, spacing_mm=spacing, ctx=Context(seed=seed))
    return chest_ct(made.airway, lung=[made.lung], ctx=Context(seed=seed)).image, made.lung, made.airway


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


class TestLungContract(StageContract):
    name = "segmentation.lung"

    def make_inputs(self) -> Mapping[str, Any]:
        return {"image": scan(0)[0]}


@pytest.mark.parametrize(
    ("seed", "spacing"), [(0, (1.0, 1.0, 1.0)), (1, (1.0, 1.0, 1.0)), (2, (0.7, 0.7, 2.0)), (3, (1.5, 1.5, 1.5))]
)
def test_lungs_of_a_simulated_chest(seed: int, spacing: tuple[float, float, float]) -> None:
    image, truth, lumen = scan(seed, spacing)
    ctx = Context()
    found = lung(image, ctx=ctx).lung.data > 0
    exact = truth.data > 0
    assert dice(found, exact) > 0.95
    assert not {"no-lung", "lung-cut", "lungs-not-parted"} & set(ctx.findings.codes())
    # Bronchi inside the lung belong to it, the trachea does not.
    assert found[(lumen.data > 0) & exact].mean() > 0.8
    assert found[(lumen.data > 0) & ~exact].mean() < 0.2


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0)])
def test_storage_order_does_not_matter(order: tuple[int, int, int]) -> None:
    image, *_ = scan(0)
    plain = lung(image).lung
    turned = lung(Image(image.data.transpose(order), image.affine[:, [*order, 3]])).lung
    assert dice(plain.data.transpose(order) > 0, turned.data > 0) > 0.999


def test_lung_cut_by_the_field_of_view_is_told() -> None:
    image, truth, _ = scan(1)
    ctx = Context()
    half = image.data[: image.shape[0] // 4]
    found = lung(Image(half, image.affine), ctx=ctx).lung.data > 0
    assert dice(found, truth.data[: len(half)] > 0) > 0.9
    told = next(f for f in ctx.findings if f.code == "lung-cut")
    assert "last x slice" in told.message
    assert told.value == pytest.approx((truth.data[len(half) - 1] > 0).sum() / 100, rel=0.1)


def test_no_lung_gives_an_empty_mask_and_says_so() -> None:
    rng = np.random.default_rng(0)
    data = np.full((40, 40, 20), -1000.0)
    data[8:32, 8:32] = 40
    ctx = Context()
    found = lung(Image((data + 20 * rng.standard_normal(data.shape)).astype("f4"), np.diag([2, 2, 2, 1.0])), ctx=ctx)
    assert not found.lung.data.any()
    assert [f.level for f in ctx.findings if f.code == "no-lung"] == ["error"]


@pytest.mark.parametrize(("values", "hint"), [((0, 4095), "subtract 1024"), ((-1, 1), "rescale it")])
def test_values_that_are_not_hu_are_refused(values: tuple[float, float], hint: str) -> None:
    data = np.random.default_rng(0).uniform(*values, (10, 10, 10)).astype("f4")
    with pytest.raises(InputError, match=hint):
        lung(Image(data, np.eye(4)))


@pytest.mark.data
@pytest.mark.parametrize("name", ["aorta/ct_cropped", "pulmonary/ct_cropped"])
def test_real_crops_of_a_chest(shared: Path, name: str) -> None:
    folder = shared / "data/volumes/totalsegmentator-ct"
    image, ctx = Image.load(folder / f"{name}.nii.gz"), Context()
    found = lung(image, ctx=ctx).lung.data > 0
    assert "lung-cut" in ctx.findings.codes()
    volume_ml = found.sum() * image.grid.voxel_volume_mm3 / 1000
    assert 1000 < volume_ml < 4000
    # What is lung is dark, and nearly all that is dark is lung.
    assert -870 < np.median(image.data[found]) < -700
    dark = (image.data > -900) & (image.data < -650)
    assert found[dark].mean() > 0.93


@pytest.mark.data
def test_real_abdomen_has_no_lung(shared: Path) -> None:
    image, ctx = Image.load(shared / "data/volumes/totalsegmentator-ct/abdomen/example_ct.nii.gz"), Context()
    assert not lung(image, ctx=ctx).lung.data.any()
    assert {"no-lung", "beyond-hu"} <= set(ctx.findings.codes())


@pytest.mark.data
def test_real_mr_is_refused(shared: Path) -> None:
    with pytest.raises(InputError, match="HU"):
        lung(Image.load(shared / "data/volumes/totalsegmentator-ct/abdomen/example_mr_sm.nii.gz"))
