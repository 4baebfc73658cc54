"""Repair, centerline and evaluation on real masks: a carotid angiogram and an airway tree."""

from pathlib import Path

import numpy as np
import pytest

from voxfield.artifacts import Image, LabelMap
from voxfield.segmentation import centerline, evaluate, repair
from voxfield.segmentation.metrics._topology import betti_numbers, bounding_box, count_components
from voxfield.segmentation.tree._openings import fluid

pytestmark = pytest.mark.data


def carotid(shared: Path) -> np.ndarray:
    """Speed above 1 in the angiogram's velocities, (x, y, z)."""
    raw = (shared / "data/fields/carotid_mra/carotid.vtk").read_bytes()
    start = raw.index(b"\n", raw.index(b"VECTORS")) + 1
    shape = (45, 49, 76, 3)
    vectors = np.frombuffer(raw[start : start + 4 * int(np.prod(shape))], ">f4").reshape(shape)
    return np.linalg.norm(vectors.transpose(2, 1, 0, 3), axis=-1) > 1


def test_carotid_trees_can_be_reached_through_faces(shared: Path) -> None:
    mask = carotid(shared)
    assert (count_components(mask, 26), count_components(mask, 6)) == (11, 16)
    probability = Image(np.where(mask, 0.9, 0.05).astype(np.float32), np.eye(4))
    done = repair(probability, LabelMap(mask.astype(np.uint8), np.eye(4)))
    lumen = done.repaired.data > 0
    assert count_components(lumen, 26) == count_components(lumen, 6) == 3
    assert set(done.bridges.column("kind")) == {"contact"}
    result = centerline(done.repaired)
    inside = fluid(lumen, result.openings.data.astype(np.int32))
    assert count_components(inside, 6) == 3
    assert sorted(set(result.branches.column("tree"))) == [1, 2, 3]
    # The three carotid and vertebral trunks enter through the lowest slice.
    roots = [row for row in result.branches.rows() if row["parent"] == -1]
    assert all(row["opening"] is not None for row in roots)


def test_airway_tree(shared: Path) -> None:
    path = shared / "data/volumes/medrad-lungs/TumorTargetEnvironments/Patient1/bronchialTree.nii.gz"
    stored = LabelMap.load(path)
    box = bounding_box(stored.data > 0, 3)
    affine = stored.affine.copy()
    affine[:3, 3] = stored.grid.world([s.start for s in box])
    mask = LabelMap((stored.data[box] > 0).astype(np.uint8), affine)
    assert betti_numbers(mask.data > 0) == (1, 4, 0)
    result = centerline(mask)
    branches = result.branches
    # The trachea, 8 mm in radius, is the root; the tree reaches several generations.
    assert branches.column("radius_mean_mm")[0] == pytest.approx(8, abs=1)
    assert max(branches.column("generation")) >= 6
    length = sum(branches.column("length_mm"))
    found = evaluate(mask, mask).metrics.values
    assert length == pytest.approx(found["tree_length_reference_mm"], rel=0.1)
    assert found["betti_error"] == {"components": 0, "tunnels": 0, "cavities": 0}
