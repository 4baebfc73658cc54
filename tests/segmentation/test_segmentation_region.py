"""Only the box of the lungs is looked at: where it lies, and that nothing outside matters."""

import numpy as np
import pytest

from voxfield.artifacts import Cohort, Image, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.segmentation import predict, train
from voxfield.segmentation._chest import within_chest
from voxfield.segmentation._region import WHOLE, lung_box, pasted

SMALL = {"steps": 3, "patch": (16, 16, 16), "channels": (4, 8), "normalisation": "cohort", "batch": 1}


def lung_of(low: tuple[int, ...], high: tuple[int, ...], shape: tuple[int, ...], affine: np.ndarray) -> LabelMap:
    data = np.zeros(shape, np.uint8)
    data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
    return LabelMap(data, affine)


def test_the_box_lies_around_the_lungs_by_world_axes() -> None:
    """Voxel axes run along S, -R and A, 1, 2 and 0.5 mm apart; the margins are 4, 1 and 3 mm along R, A, S."""
    affine = np.array([[0, -2, 0, 0], [0, 0, 0.5, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    lung = lung_of((10, 5, 6), (20, 9, 30), (40, 12, 31), affine)
    assert lung_box(lung, (4, 1, 3)) == (slice(7, 23), slice(3, 11), slice(4, 31))
    assert lung_box(lung_of((0, 0, 0), (0, 0, 0), (4, 4, 4), affine), (1, 1, 1)) == WHOLE


def test_the_chest_holds_what_lies_between_the_lungs_and_not_the_corners() -> None:
    """Two lungs of one voxel's depth, 10 apart along x, in slices 2 and 5; the margins are 1 and 2 mm."""
    data = np.zeros((20, 16, 8), np.uint8)
    data[4, 8, 2] = data[14, 8, 5] = 1
    box = (slice(2, 18), slice(4, 12), slice(1, 7))
    inside = np.broadcast_to(within_chest(LabelMap(data, np.eye(4)), (1, 2, 3), box), (16, 8, 6))
    assert (inside == inside[:, :, :1]).all()  # a cylinder
    expected = np.zeros((20, 16), bool)
    expected[4:15, 6:11] = True  # the hull is a line along x; 2 mm before and behind it
    expected[[3, 15], 8] = True  # 1 mm beside its ends
    np.testing.assert_array_equal(inside[:, :, 0], expected[2:18, 4:12])
    nothing = LabelMap(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    assert np.broadcast_to(within_chest(nothing, (1, 1, 1), WHOLE), (4, 4, 4)).all()


def test_a_part_is_pasted_where_it_was() -> None:
    whole = np.arange(24.0).reshape(2, 3, 4)
    box = (slice(0, 1), slice(1, 3), slice(2, 4))
    assert (
        pasted(whole[box], box, whole.shape) == np.where(pasted(np.ones((1, 2, 2)), box, (2, 3, 4)), whole, 0)
    ).all()


def chest(surroundings: float, margin: int) -> tuple[Image, LabelMap, LabelMap]:
    """A scan whose lungs, 16 voxels wide, lie `margin` voxels within surroundings of some intensity."""
    rng = np.random.default_rng(3)
    inner = rng.normal(size=(24, 24, 24)).astype(np.float32)
    data = np.pad(inner, margin, constant_values=surroundings)
    affine = np.eye(4)
    affine[:3, 3] = -margin
    airway = lung_of((margin + 9,) * 3, (margin + 13,) * 3, data.shape, affine)
    return Image(data, affine), airway, lung_of((margin + 4,) * 3, (margin + 20,) * 3, data.shape, affine)


def test_what_lies_around_the_lungs_changes_nothing() -> None:
    """The same chest shown tightly, and within 40 voxels of bright surroundings, trains and is segmented alike."""
    cohort = Cohort({"subject": ["a"]})
    found = []
    for surroundings, margin in ((0.0, 0), (900.0, 40)):
        image, airway, lung = chest(surroundings, margin)
        made = train(cohort, [image], [airway], [lung], lung_margin_mm=(4, 4, 4), ctx=Context(seed=1), **SMALL)
        own = made.metrics.values
        result = predict(image, made.model, lung, ctx=Context())
        inner = (slice(margin, margin + 24),) * 3
        assert result.probability.data.shape == image.data.shape
        assert not np.delete(result.probability.data, np.arange(margin, margin + 24), axis=0).any()
        found.append((own["loss"], own["voxels"], result.probability.data[inner], result.mask.data[inner]))
    assert found[0][:2] == found[1][:2]
    np.testing.assert_array_equal(found[0][2], found[1][2])
    np.testing.assert_array_equal(found[0][3], found[1][3])
    with pytest.raises(InputError, match=r"none is given; `segmentation\.lung` makes one"):
        predict(image, made.model, ctx=Context())


def test_a_margin_needs_lungs() -> None:
    image, airway, _ = chest(0.0, 0)
    with pytest.raises(SettingsError, match="no lungs are given"):
        train(Cohort({"subject": ["a"]}), [image], [airway], lung_margin_mm=(4, 4, 4), ctx=Context(), **SMALL)
