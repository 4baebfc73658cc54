"""Boundary and Hausdorff terms by hand, in mm on anisotropic voxels."""

import numpy as np
import pytest
import torch
from torch import Tensor

from voxfield.errors import SettingsError
from voxfield.segmentation.losses import Truth, objective
from voxfield.segmentation.losses._boundary import Boundary
from voxfield.segmentation.losses._distance import distance_mm
from voxfield.segmentation.losses._hausdorff import Hausdorff

SPACING = (2.0, 1.0, 0.5)


def line(told: list[float], target: list[int], weight: list[int] | None = None) -> tuple[Tensor, Truth]:
    """Voxels along x, 2 mm apart."""
    probability = torch.tensor(told, dtype=torch.float64).view(1, -1, 1, 1)
    logits = torch.stack([torch.zeros_like(probability), probability.logit()], dim=1)
    annotated = torch.tensor(weight or [1] * len(told), dtype=torch.float32).view(1, -1, 1, 1)
    return logits, Truth(torch.tensor(target).view(1, -1, 1, 1), annotated, SPACING)


def test_distances_are_in_mm_along_each_axis() -> None:
    mask = np.zeros((5, 5, 5), dtype=bool)
    mask[2, 2, 2] = True
    found = distance_mm(mask, np.ones_like(mask), SPACING, 100.0)
    assert found[0, 2, 2] == pytest.approx(4)
    assert found[2, 0, 2] == pytest.approx(2)
    assert found[2, 2, 0] == pytest.approx(1)
    assert found[1, 1, 1] == pytest.approx(np.sqrt(4 + 1 + 0.25))
    assert found[2, 2, 2] == pytest.approx(0.5)  # to the nearest voxel outside


def test_unknown_voxels_bound_nothing_and_a_missing_side_is_far() -> None:
    mask = np.array([True, True, False, False]).reshape(4, 1, 1)
    known = np.array([True, True, False, True]).reshape(4, 1, 1)
    assert distance_mm(mask, known, SPACING, 100.0).ravel().tolist() == [6, 4, 0, 4]
    assert distance_mm(mask, known & mask, SPACING, 7.0).ravel().tolist() == [7, 7, 0, 0]


def test_boundary_by_hand() -> None:
    # Signed distances 2, -2, -2, 2, 4 mm; wrong by .1, .4, 0, .5, .25 of a voxel; 5 voxels.
    logits, truth = line([0.1, 0.6, 1 - 1e-12, 0.5, 0.25], [0, 1, 1, 0, 0])
    expected = (2 * 0.1 + 2 * 0.4 + 2 * 0.5 + 4 * 0.25) / 5
    assert Boundary()(logits, truth).item() == pytest.approx(expected)
    assert Boundary(most_mm=3.0)(logits, truth).item() == pytest.approx(expected - 0.25 / 5)


def test_boundary_passes_over_what_nobody_annotated() -> None:
    logits, truth = line([0.1, 0.6, 0.9, 0.5, 0.25], [0, 1, 1, 0, 0], [1, 1, 0, 0, 1])
    # Known: background at 0 and 8 mm, foreground at 2 mm.
    assert Boundary()(logits, truth).item() == pytest.approx((2 * 0.1 + 2 * 0.4 + 6 * 0.25) / 3)


def test_hausdorff_by_hand() -> None:
    # Annotated distances 2 2 2 4 6 mm, of the prediction (the fourth voxel) 6 4 2 2 2 mm.
    logits, truth = line([0.1, 0.2, 0.3, 0.9, 0.4], [0, 1, 0, 0, 0])
    errors = np.array([0.1, 0.8, 0.3, 0.9, 0.4]) ** 2
    squares = np.array([2, 2, 2, 4, 6]) ** 2 + np.array([6, 4, 2, 2, 2]) ** 2
    assert Hausdorff()(logits, truth).item() == pytest.approx((errors * squares).sum() / 5)


@pytest.mark.parametrize("name", ["boundary", "hausdorff"])
def test_a_length_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="most_mm is 0; expected a length above 0 mm"):
        objective({name: {"weight": 1.0, "most_mm": 0.0}})
