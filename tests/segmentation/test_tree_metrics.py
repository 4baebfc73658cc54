"""ATM'22 branches, tree length, clDice: small trees worked by hand."""

import numpy as np
import pytest

from segmentation.lumens import draw, fork
from voxfield.segmentation.metrics._branches import Branches, parse, pieces
from voxfield.segmentation.metrics._foreground import foreground
from voxfield.segmentation.metrics._tree import atm22, cl_dice, tree_detection, voxel_lengths
from voxfield.segmentation.tree._thinning import thin

SPACING = np.array([0.5, 0.7, 1.2])
CUBES = np.ones(3)


def cross() -> np.ndarray:
    """Four arms of seven voxels along x and y that meet in one voxel."""
    thin_mask = np.zeros((15, 15, 3), bool)
    thin_mask[:, 7, 1] = thin_mask[7, :, 1] = True
    return thin_mask


def lines(*ends: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    """A thin mask of straight lines in the plane, along the axes or diagonals, both ends included."""
    drawn = np.zeros((60, 40, 1), bool)
    for (x0, y0), (x1, y1) in ends:
        steps = max(abs(x1 - x0), abs(y1 - y0))
        drawn[np.linspace(x0, x1, steps + 1).astype(int), np.linspace(y0, y1, steps + 1).astype(int)] = True
    return drawn


def tree_of(thin_mask: np.ndarray) -> Branches:
    """The branches of a mask that is its own skeleton."""
    places = foreground(thin_mask)
    return parse(places, places.voxels(places.places), 26)


def covered(tree: Branches, prediction: np.ndarray) -> np.ndarray:
    return np.asarray(prediction[tuple(tree.skeleton.T)])


def test_length_of_a_straight_and_an_oblique_line_in_mm() -> None:
    straight = np.stack([np.zeros(9), np.zeros(9), np.arange(9)], axis=1).astype(np.int64)
    oblique = np.repeat(np.arange(5)[:, None], 3, axis=1)
    assert voxel_lengths(straight, SPACING).sum() == pytest.approx(8 * 1.2)
    assert voxel_lengths(oblique, SPACING).sum() == pytest.approx(4 * np.linalg.norm(SPACING))


def test_pieces_of_a_cross() -> None:
    numbers, count = pieces(np.argwhere(cross()))
    # The centre and its four neighbours have more than three voxels in their box.
    assert count == 4
    assert np.bincount(numbers + 1).tolist() == [5, 6, 6, 6, 6]


def test_branches_of_a_cross() -> None:
    tree = tree_of(cross())
    # Every voxel belongs to the nearest piece, the centre to one of the four, which is the largest: the root.
    assert sorted(np.bincount(tree.branch).tolist()) == [7, 7, 7, 8]
    assert sorted(tree.generation.tolist()) == [0, 1, 1, 1]
    assert tree.generation[np.bincount(tree.branch).argmax()] == 0


def test_a_spur_of_four_voxels_is_no_branch() -> None:
    """It cuts the line in two; the part beyond is the only child of the other, and so the same branch."""
    tree = tree_of(lines(((2, 5), (35, 5)), ((20, 6), (20, 9))))
    assert pieces(tree.skeleton)[1] == 2
    assert tree.generation.tolist() == [0]
    assert tree.branch.max() == 0


def test_generations_of_a_tree() -> None:
    """A trunk, two children, and two grandchildren on one of them."""
    tree = tree_of(lines(((2, 20), (22, 20)), ((22, 20), (34, 8)), ((22, 20), (30, 28)), ((30, 28), (37, 28)),
                         ((30, 28), (30, 38))))  # fmt: skip
    assert sorted(tree.generation.tolist()) == [0, 1, 1, 2, 2]
    at = {tuple(voxel): branch for voxel, branch in zip(tree.skeleton.tolist(), tree.branch.tolist(), strict=True)}
    ends = {name: tree.generation[at[end]] for name, end in
            {"trunk": (2, 20, 0), "left": (34, 8, 0), "right": (26, 24, 0), "far": (37, 28, 0)}.items()}  # fmt: skip
    assert ends == {"trunk": 0, "left": 1, "right": 1, "far": 2}


def test_the_two_sides_of_a_loop_are_one_branch() -> None:
    """Both are parents of what follows the loop; fused, they are the trunk's only child, and it theirs."""
    sides = (((30, 20), (36, 14)), ((30, 20), (36, 26)), ((36, 14), (42, 20)), ((36, 26), (42, 20)))
    tree = tree_of(lines(((2, 20), (30, 20)), *sides, ((42, 20), (55, 20))))
    assert pieces(tree.skeleton)[1] == 4
    assert tree.generation.tolist() == [0]


def test_each_tree_has_a_root() -> None:
    tree = tree_of(lines(((2, 5), (35, 5)), ((2, 15), (30, 15)), ((2, 25), (25, 25))))
    assert tree.generation.tolist() == [0, 0, 0]
    assert sorted(np.bincount(tree.branch).tolist()) == [24, 29, 34]


def test_a_mask_without_a_branch() -> None:
    speck = np.zeros((5, 5, 5), bool)
    speck[2, 2, 1:4] = True
    tree = tree_of(speck)
    found = tree_detection(tree, covered(tree, speck), CUBES, False)
    assert (found["branches_reference"], found["branches_detected"], found["generations"]) == (0, None, {})
    assert (found["tree_length_detected"], found["tree_length_reference_mm"]) == (1.0, 2.0)


def test_tree_length_and_branches_detected_count_mm() -> None:
    spacing, prediction = np.array([1.0, 3.0, 1.0]), cross()
    prediction[7, 8:] = False  # one arm of 7 steps of 3 mm; the half of the first step stays with the centre
    tree = tree_of(cross())
    found = tree_detection(tree, covered(tree, prediction), spacing, False)
    assert found["tree_length_reference_mm"] == pytest.approx(14 + 42)
    assert found["tree_length_detected"] == pytest.approx(1 - 19.5 / 56)
    assert found["branches_detected"] == pytest.approx(3 / 4)
    # The challenge counts voxels: 7 of 29 are lost.
    by_voxels = atm22(tree, covered(tree, prediction), False)
    expected = {"tree_length_detected": 22 / 29, "branches_detected": 3 / 4, "branches_reference": 4}
    assert by_voxels == pytest.approx(expected)


def test_generations_sum_up_to_the_tree() -> None:
    mask = draw(fork(), np.full(3, 0.8)).mask
    places = foreground(mask)
    tree = parse(places, thin(places), 6)
    prediction = mask.copy()
    prediction[:, :, 54:] = False
    found = tree_detection(tree, covered(tree, prediction), np.full(3, 0.8), False)
    rows = found["generations"]
    assert {generation: row["branches"] for generation, row in rows.items()} == {"0": 1, "1": 2}
    assert sum(row["length_mm"] for row in rows.values()) == pytest.approx(found["tree_length_reference_mm"])
    length = sum(row["length_mm"] * row["length_detected"] for row in rows.values())
    assert length / found["tree_length_reference_mm"] == pytest.approx(found["tree_length_detected"])
    assert rows["0"]["length_detected"] == pytest.approx(1)
    assert rows["1"]["branches_detected"] == 0


def test_branch_is_detected_from_80_percent_on() -> None:
    straight = np.zeros((3, 3, 11), bool)
    straight[1, 1] = True  # every voxel 1 mm but the two ends with a half
    tree = tree_of(straight)
    for missing, detected in ((2, 1.0), (3, 0.0)):
        prediction = straight.copy()
        prediction[1, 1, :missing] = False
        assert tree_detection(tree, covered(tree, prediction), CUBES, False)["branches_detected"] == detected


def test_cl_dice_by_hand() -> None:
    whole = cross()
    half = whole.copy()
    half[8:] = False
    found = cl_dice(half, whole, np.argwhere(half), np.argwhere(whole))
    assert found["topology_precision"] == 1.0
    assert found["topology_sensitivity"] == pytest.approx(22 / 29)
    assert found["cl_dice"] == pytest.approx(2 * (22 / 29) / (1 + 22 / 29))
