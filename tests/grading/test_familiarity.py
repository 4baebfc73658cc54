"""Distances to the training scans, against brute force and by hand."""

import numpy as np
import pytest

from voxfield.grading import familiarity
from voxfield.grading.familiarity import Bank


def test_distances_by_hand() -> None:
    """Four scans on a line at 0, 1, 2, 3: standard deviation sqrt(1.25), farthest from its two nearest are the ends."""
    bank = Bank.fit(np.arange(4.0)[:, None], neighbours=2, margin=2.0, floor=0.0)
    sd = np.sqrt(1.25)
    assert bank.limit == pytest.approx(2 * 1.5 / sd)
    # 5 is 2 and 3 away from its nearest: (2 + 3) / 2 over the limit of 3
    np.testing.assert_allclose(bank.distance(np.array([[5.0], [0.0]])), [2.5 / 3, 0.5 / 3])
    assert bank.farthest(np.array([9.0])) == 0


@pytest.mark.parametrize("block", [3, 7, 512])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(familiarity, "BLOCK", block)
    rng = np.random.default_rng(0)
    values, new = rng.normal(size=(20, 4)), rng.normal(size=(9, 4))
    bank = Bank.fit(values, neighbours=3)
    brute = np.linalg.norm((new[:, None] - values[None]) / bank.sd, axis=2)
    np.testing.assert_allclose(bank.distance(new) * bank.limit, np.sort(brute, axis=1)[:, :3].mean(1))
    own = np.linalg.norm((values[:, None] - values[None]) / bank.sd, axis=2)
    assert bank.limit == pytest.approx(1.5 * np.sort(own, axis=1)[:, 1:4].mean(1).max())


def test_few_scans_and_constant_coordinates() -> None:
    one = Bank.fit(np.ones((1, 2)))
    assert one.distance(np.ones((1, 2)))[0] == 0
    assert one.distance(np.array([[1.0, 2.0]]))[0] > 1
    two = Bank.fit(np.array([[0.0, 5.0], [1.0, 5.0]]))
    assert two.distance(np.array([[0.5, 5.0]]))[0] <= 1
    assert two.farthest(np.array([0.0, 9.0])) == 1


def test_scans_of_the_same_kind_are_rarely_called_unlike() -> None:
    rng = np.random.default_rng(1)
    told = [(Bank.fit(rng.normal(size=(60, 8))).distance(rng.normal(size=(50, 8))) > 1).mean() for _ in range(40)]
    assert np.mean(told) < 0.02
    far = Bank.fit(rng.normal(size=(60, 8))).distance(rng.normal(5, 1, size=(50, 8)))
    assert (far > 1).all()
