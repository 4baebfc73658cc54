"""segmentation.embed: occupancies are physical, the embedding keeps a one-parameter family of shapes in order."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import Artifact, Cohort, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.segmentation import _shapes, embed
from voxfield.testing import StageContract


def rod(length_mm: float, affine: np.ndarray, shape: tuple[int, int, int] = (40, 40, 40)) -> LabelMap:
    """A rod 8 mm thick along the world's first axis, at the centre of the grid."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    world = index @ affine[:3, :3].T
    world -= (np.array(shape) - 1) / 2 @ affine[:3, :3].T
    inside = (np.abs(world[..., 0]) < length_mm / 2) & (np.abs(world[..., 1:]) < 4).all(-1)
    return LabelMap(inside.astype(np.uint8), affine)


def family(count: int) -> tuple[Cohort, list[LabelMap], np.ndarray]:
    lengths = np.linspace(8, 32, count)
    rods = [rod(length, np.eye(4)) for length in lengths]
    return Cohort({"subject": [f"s{i}" for i in range(count)]}), rods, lengths


class TestEmbed(StageContract):
    """Four rods."""

    name = "segmentation.embed"
    needs = ()

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        cohort, rods, _ = family(4)
        return {"cohort": cohort, "masks": rods}

    def make_settings(self) -> Mapping[str, Any]:
        return {"steps": 3, "side": 16}


def test_occupancy_is_the_same_on_every_grid() -> None:
    turn = np.array([[0, -1, 0, 9], [1, 0, 0, -5], [0, 0, 1, 3], [0, 0, 0, 1.0]])
    plain = _shapes.occupancy(rod(24, np.eye(4)), 40.0, 20)
    turned = _shapes.occupancy(rod(24, turn), 40.0, 20)
    flat = _shapes.occupancy(rod(24, np.diag([1.0, 0.5, 2.0, 1.0]), (40, 80, 20)), 40.0, 20)
    np.testing.assert_array_equal(plain, turned)
    assert np.abs(plain - flat).mean() < 0.01
    assert plain.sum() * 2**3 == pytest.approx(24 * 8 * 8, rel=0.01)


def test_an_ordered_family_stays_in_order() -> None:
    cohort, rods, lengths = family(12)
    found = embed(cohort, rods, side=16, steps=300, latent=1, ctx=Context(device="cpu", seed=1))
    points = np.array(found.points.columns["z1"])
    ranks = np.corrcoef(np.argsort(np.argsort(points)), np.argsort(np.argsort(lengths)))[0, 1]
    assert abs(ranks) > 0.95
    assert found.metrics.values["dice"] > 0.8
    assert found.metrics.values["neighbours_kept"] > 0.7


def test_what_is_no_cohort_of_shapes_is_refused() -> None:
    cohort, rods, _ = family(3)
    with pytest.raises(InputError, match="one for every row, 3 or more"):
        embed(cohort, rods[:2], ctx=Context(device="cpu"))
    with pytest.raises(SettingsError, match="multiple of 8"):
        embed(cohort, rods, side=20, ctx=Context(device="cpu"))
    empty = LabelMap(np.zeros((4, 4, 4), dtype=np.uint8), np.eye(4))
    with pytest.raises(InputError, match="no foreground"):
        embed(cohort, [*rods[:2], empty], ctx=Context(device="cpu"))
