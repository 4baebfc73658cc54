"""Only the surroundings of the lungs are looked at: where they lie, and that nothing outside matters."""

import numpy as np
import pytest

from voxfield.artifacts import Cohort, Image, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.segmentation import predict, train
from voxfield.segmentation._region import chest
from voxfield.segmentation._scans import Scan
from voxfield.segmentation._survey import survey

SMALL = {"steps": 3, "patch": (16, 16, 16), "channels": (4, 8), "normalisation": "cohort", "batch": 1}


def lung_of(low: tuple[int, ...], high: tuple[int, ...], shape: tuple[int, ...], affine: np.ndarray) -> LabelMap:
    data = np.zeros(shape, np.uint8)
    data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
    return LabelMap(data, affine)


def test_the_box_lies_around_the_lungs_by_world_axes() -> None:
    """Voxel axes run along S, -R and A, 1, 2 and 0.5 mm apart; the margins are 4, 1 and 3 mm along R, A, S."""
    affine = np.array([[0, -2, 0, 0], [0, 0, 0.5, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    lung = lung_of((10, 5, 6), (20, 9, 30), (40, 12, 31), affine)
    assert chest(lung, (4, 1, 3)).box == (slice(7, 23), slice(3, 11), slice(4, 31))


def test_the_region_holds_what_lies_between_the_lungs_and_not_the_corners() -> None:
    """Two lungs of one voxel each, 10 apart along x, in slices 2 and 5; the margins are 1, 2 and 1 mm."""
    data = np.zeros((20, 16, 8), np.uint8)
    data[4, 8, 2] = data[14, 8, 5] = 1
    region = chest(LabelMap(data, np.eye(4)), (1, 2, 1))
    assert region.box == (slice(3, 16), slice(6, 11), slice(1, 7))
    expected = np.ones((13, 5, 6), bool)  # the hull is a line along x; 2 mm before and behind it
    expected[[0, -1]] = False
    expected[[0, -1], 2] = True  # 1 mm beside its ends
    np.testing.assert_array_equal(np.broadcast_to(region.inside, (13, 5, 6)), expected)
    whole = np.arange(20.0 * 16 * 8).reshape(20, 16, 8) + 1
    pasted = region.paste(region.cut(whole), whole.shape)
    assert pasted.astype(bool).sum() == expected.sum()
    np.testing.assert_array_equal(pasted[pasted > 0], whole[pasted > 0])


def test_only_the_region_is_counted() -> None:
    """What nobody looks at is neither annotated nor a label to be learnt, though it lies in the box of the lungs."""
    lung = np.zeros((20, 16, 8), np.uint8)
    lung[4, 8, 2] = lung[14, 8, 5] = 1
    mask = np.zeros_like(lung)
    mask[8, 8, 3] = 1
    mask[9, 8, 2:5] = 255
    mask[3, 6, 1] = 2  # a corner of the box
    image = Image(np.arange(lung.size, dtype=np.float32).reshape(lung.shape), np.eye(4))
    own = LabelMap(mask, np.eye(4), unannotated=255)
    facts = survey(Scan("a", "a", image, own, True, 255, LabelMap(lung, np.eye(4)), 0, (1, 2, 1)))
    inside = 11 * 5 * 6 + 2 * 6  # by the region's own test
    assert (facts.voxels, facts.annotated, facts.labels) == (inside, inside - 3, {1: 1})


def test_without_lungs_the_region_is_the_whole_scan() -> None:
    region = chest(LabelMap(np.zeros((4, 4, 4), np.uint8), np.eye(4)), (1, 1, 1))
    whole = np.arange(64.0).reshape(4, 4, 4)
    np.testing.assert_array_equal(region.paste(region.cut(whole), whole.shape), whole)


def scan_of(surroundings: float, margin: int) -> tuple[Image, LabelMap, LabelMap]:
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
        image, airway, lung = scan_of(surroundings, margin)
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
    with pytest.raises(InputError, match=r"none are given; `segmentation\.lung` makes them"):
        predict(image, made.model, ctx=Context())


def test_a_margin_needs_lungs() -> None:
    image, airway, _ = scan_of(0.0, 0)
    with pytest.raises(SettingsError, match="no lungs are given"):
        train(Cohort({"subject": ["a"]}), [image], [airway], lung_margin_mm=(4, 4, 4), ctx=Context(), **SMALL)
