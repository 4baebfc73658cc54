"""Tangent frames are orthonormal and right-handed, whatever the direction."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voxfield.frames import tangent_frames

COORDINATE = st.floats(-1, 1, allow_subnormal=False)


@given(st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE).filter(any), min_size=1, max_size=20))
def test_frames_are_orthonormal_and_right_handed(
    directions: list[tuple[float, float, float]],
) -> None:
    scaled = np.array([np.array(way) / np.abs(way).max() for way in directions])
    normals = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    frames = tangent_frames(normals)
    whole = np.concatenate([frames, normals[:, :, None]], axis=2)
    np.testing.assert_allclose(whole.transpose(0, 2, 1) @ whole, np.broadcast_to(np.eye(3), whole.shape), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(whole), 1.0, rtol=1e-14)
