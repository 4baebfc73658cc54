"""Hypothesis strategies that the whole suite shares: grids, affines and arrays as scanners and stages make them."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

SPACINGS = st.floats(0.05, 8.0, allow_nan=False)
ORIGINS = st.floats(-400.0, 400.0, allow_nan=False)
FLIPS = st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)
PERMUTATIONS = st.permutations(range(3))


def shapes(longest: int = 7, shortest: int = 3) -> st.SearchStrategy[tuple[int, int, int]]:
    """Extents (x, y, z), all different more often than not."""
    return st.tuples(*[st.integers(shortest, longest)] * 3)


@st.composite
def rotations(draw: st.DrawFn) -> NDArray[np.float64]:
    """(3, 3) proper rotations from unit quaternions."""
    parts = st.floats(-1.0, 1.0, allow_nan=False)
    quaternion = np.array(draw(st.tuples(parts, parts, parts, parts).filter(lambda q: np.dot(q, q) > 0.1)))
    a, b, c, d = quaternion / np.linalg.norm(quaternion)
    return np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip


@st.composite
def affines(draw: st.DrawFn, *, oblique: bool = True) -> NDArray[np.float64]:
    """(4, 4) orthogonal affines, mm, RAS+: any axis order, any flip, any spacing, and, if `oblique`, any rotation."""
    axes = np.eye(3)[:, draw(PERMUTATIONS)] * draw(FLIPS)
    if oblique and draw(st.booleans()):
        axes = draw(rotations()) @ axes
    affine = np.eye(4)
    affine[:3, :3] = axes * [draw(SPACINGS) for _ in range(3)]
    affine[:3, 3] = [draw(ORIGINS) for _ in range(3)]
    return affine


@st.composite
def volumes(draw: st.DrawFn) -> NDArray[np.float32]:
    """(x, y, z) float32, finite and not constant."""
    shape = draw(shapes())
    seed = draw(st.integers(0, 2**16))
    scale = draw(st.sampled_from([1e-6, 1.0, 1e6]))
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def label_arrays() -> st.SearchStrategy[NDArray[np.int64]]:
    """(x, y, z) int64 labels of any size that an integer type of ours holds."""
    largest = st.sampled_from([1, 3, 254, 300, 70_000, 2**40])
    return st.tuples(largest, shapes(5)).flatmap(
        lambda given: hnp.arrays(np.int64, given[1], elements=st.integers(0, given[0]))
    )
