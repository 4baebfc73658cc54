"""Persistence pairs against a plain union-find over all voxels, and the term by hand."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxfield.segmentation.losses import Truth, _merge
from voxfield.segmentation.losses._merge import merge_pairs
from voxfield.segmentation.losses._persistence import Persistence


def plain_pairs(values: NDArray[np.float32], known: NDArray[np.bool_]) -> set[tuple[int, int]]:
    """Birth and death voxels by adding one voxel after the other; of equal ones the later in memory first."""
    order = sorted(np.flatnonzero(known), key=lambda i: (values.flat[i], i), reverse=True)
    age = {int(i): n for n, i in enumerate(order)}
    parent: dict[int, int] = {}
    pairs = set()

    def eldest(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for i in map(int, order):
        parent[i] = i
        at = np.unravel_index(i, values.shape)
        for step in product((-1, 0, 1), repeat=3):
            near = tuple(int(a) + s for a, s in zip(at, step, strict=True))
            if all(0 <= n < size for n, size in zip(near, values.shape, strict=True)):
                j = int(np.ravel_multi_index(near, values.shape))
                if j in parent and eldest(j) != eldest(i):
                    younger, elder = sorted((eldest(i), eldest(j)), key=lambda root: -age[root])
                    parent[younger] = elder
                    if younger != i:  # a voxel that joins as it appears was never a component
                        pairs.add((younger, i))
    return pairs


@settings(deadline=None)
@given(st.tuples(*[st.integers(1, 6)] * 3), st.integers(0, 10_000), st.sampled_from([4, 50, 10**6]), st.booleans())
def test_pairs_are_those_of_a_plain_union_find(
    shape: tuple[int, int, int], seed: int, levels: int, hidden: bool
) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.integers(levels, size=shape) / levels).astype(np.float32)
    known = rng.random(shape) < 0.6 if hidden else np.ones(shape, dtype=bool)
    found = merge_pairs(values, known)
    pairs = list(zip(found.birth.tolist(), found.death.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == plain_pairs(values, known)


@pytest.mark.parametrize("places", [_merge.TABLE, 7])
def test_a_crowded_table_of_edges_changes_nothing(places: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_merge, "TABLE", places)
    values = np.random.default_rng(0).random((12, 13, 14), dtype=np.float32)
    known = np.ones(values.shape, dtype=bool)
    found = merge_pairs(values, known)
    assert set(zip(found.birth.tolist(), found.death.tolist(), strict=True)) == plain_pairs(values, known)


def value_of(told: list[float], target: list[int], weight: list[int] | None = None) -> float:
    """The term on a line of voxels."""
    probability = torch.tensor(told, dtype=torch.float64).view(1, -1, 1, 1)
    logits = torch.stack([torch.zeros_like(probability), probability.logit()], dim=1)
    annotated = torch.tensor(weight or [1] * len(told), dtype=torch.float32).view(1, -1, 1, 1)
    truth = Truth(torch.tensor(target).view(1, -1, 1, 1), annotated, (1.0, 1.0, 3.0))
    return Persistence()(logits, truth).item()


LINE = [0.9, 0.2, 0.7, 0.1, 0.4]
"""Pieces of .9 (never dies), .7 (dies at .2) and .4 (dies at .1)."""


def test_surplus_pieces_of_a_line_by_hand() -> None:
    assert value_of(LINE, [1, 1, 1, 1, 1]) == pytest.approx(0.5**2 + 0.3**2)
    assert value_of(LINE, [1, 0, 1, 1, 1]) == pytest.approx(0.3**2)  # two pieces are wanted: the longest-lived stays
    assert value_of(LINE, [1, 0, 1, 0, 1]) == 0
    assert value_of(LINE, [0, 0, 0, 0, 0]) == pytest.approx(
        0.5**2 + 0.3**2
    )  # no piece is wanted: the first still stays


def test_annotated_parts_are_counted_each_for_itself() -> None:
    # Without the third voxel two parts are left: .9 .2 | .1 .4, and neither holds more than one piece.
    assert value_of(LINE, [1, 0, 0, 0, 1], [1, 1, 0, 1, 1]) == 0
    told = [0.9, 0.2, 0.7, 0.5, 0.8, 0.3, 0.6]
    # Left: .9 and .7 (dies at .2), one wanted. Right: .8 and .6 (dies at .3), two wanted.
    assert value_of(told, [1, 1, 1, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1, 1]) == pytest.approx(0.5**2)


def test_voxels_that_share_a_corner_are_one_piece() -> None:
    probability = torch.full((1, 4, 4, 4), 0.1, dtype=torch.float64)
    probability[0, 1, 1, 1] = probability[0, 2, 2, 2] = 0.9
    logits = torch.stack([torch.zeros_like(probability), probability.logit()], dim=1)
    truth = Truth(torch.zeros(1, 4, 4, 4, dtype=torch.int64), torch.ones(1, 4, 4, 4), (1.0, 1.0, 1.0))
    assert Persistence()(logits, truth).item() == pytest.approx(0, abs=1e-12)


def test_the_gradient_fills_the_gap_and_lowers_the_peak() -> None:
    probability = torch.tensor(LINE, dtype=torch.float64).view(1, -1, 1, 1)
    logits = torch.stack([torch.zeros_like(probability), probability.logit()], dim=1).requires_grad_()
    truth = Truth(torch.ones(1, 5, 1, 1, dtype=torch.int64), torch.ones(1, 5, 1, 1), (1.0, 1.0, 1.0))
    Persistence()(logits, truth).backward()
    assert logits.grad is not None
    assert logits.grad[0, 1].flatten().sign().tolist() == [0, -1, 1, -1, 1]
