"""Voxels as a finite-volume domain, against loops that anybody can read."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxfield.pde import VoxelDomain

MASKS = arrays(bool, st.tuples(*[st.integers(1, 5)] * 3))
SPACING = (1.0, 0.5, 2.0)


@given(MASKS)
def test_gradient_is_the_difference_quotient_across_every_interior_face(mask: np.ndarray) -> None:
    domain = VoxelDomain(mask, SPACING)
    values = np.random.default_rng(0).standard_normal(domain.size)
    box = domain.dense(values, fill=np.nan)
    expected = [np.diff(box, axis=axis)[np.isfinite(np.diff(box, axis=axis))] / SPACING[axis] for axis in range(3)]
    np.testing.assert_allclose(domain.gradient @ values, np.concatenate(expected))
    assert [len(part) for part in domain.split(domain.gradient @ values)] == [len(part) for part in expected]


@given(MASKS)
def test_neighbours_are_those_of_the_box(mask: np.ndarray) -> None:
    domain = VoxelDomain(mask, SPACING)
    for offset in ((1, 0, 0), (-2, 1, 0), (0, 0, -1), (2, 2, 2)):
        for cell, found in zip(domain.cells, domain.neighbour(offset), strict=True):
            place = tuple(cell + offset)
            inside = all(0 <= i < n for i, n in zip(place, mask.shape, strict=True)) and mask[place]
            assert found == (domain.index[place] if inside else domain.size)


def test_components_are_joined_by_faces_and_counted_by_size() -> None:
    mask = np.zeros((5, 4, 1), dtype=bool)
    mask[0, 0] = mask[1, 1] = True  # an edge does not join
    mask[2:5, 3] = True
    np.testing.assert_array_equal(np.bincount(VoxelDomain(mask, SPACING).components), [3, 1, 1])


def test_an_empty_domain_is_no_mistake() -> None:
    domain = VoxelDomain(np.zeros((3, 2, 4), dtype=bool), SPACING)
    assert domain.size == 0
    assert domain.stiffness.shape == (0, 0)
