"""The sampler of anatomies, its lumen and the tables that describe it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfield.artifacts import face_labels
from voxfield.phantoms._anatomy import BOX_MM, LEAST_THROAT_MM, MOST_THROAT_REYNOLDS, Anatomy, sample_anatomy
from voxfield.phantoms._domain import build_domain
from voxfield.phantoms._lumen import End, beyond_ends, cut_ends, grid_shape, level_at, level_on_grid, voxel_fractions
from voxfield.phantoms._tables import branch_rows, centerline_nodes, cut_branches, scan_frame, to_world

SEEDS = st.integers(0, 2**31)


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_murray_holds_at_every_bifurcation(seed: int) -> None:
    anatomy = sample_anatomy(seed)
    for mother, daughters in zip(anatomy.branches, anatomy.children, strict=True):
        if daughters:
            pair = [anatomy.branches[d] for d in daughters]
            assert sum(d.calibre**3 for d in pair) == pytest.approx(mother.healthy[-1] ** 3)
            assert sum(d.share for d in pair) == pytest.approx(mother.share)
            assert all(np.allclose(d.points[0], mother.points[-1]) for d in pair)
    assert sum(anatomy.branches[leaf].share for leaf in anatomy.leaves) == pytest.approx(1.0)


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_vessels_stay_inside_the_box_and_within_bounds(seed: int) -> None:
    anatomy = sample_anatomy(seed)
    for branch in anatomy.branches:
        sideways = branch.points[:, :2]
        assert (sideways - branch.radii[:, None] > 0).all()
        assert (sideways + branch.radii[:, None] < BOX_MM[:2]).all()
        assert branch.radii.min() > 0.95 * LEAST_THROAT_MM
        assert 0 <= branch.stenosis < 0.7
        assert np.abs(branch.healthy * (1 - branch.stenosis) - branch.radii).min() < 0.02 * branch.healthy.max()
        throat = anatomy.reynolds * branch.share * anatomy.branches[0].radii[0] / branch.radii.min()
        assert throat < 1.001 * MOST_THROAT_REYNOLDS
    assert 50 <= anatomy.reynolds <= 200


def test_sides_of_a_patient_are_alike_but_not_equal() -> None:
    def logs(side: int) -> np.ndarray:
        radii = [sample_anatomy(2 * n + side).branches[0].radii[0] for n in range(60)]
        flows = [sample_anatomy(2 * n + side).inflow_m3_per_s for n in range(60)]
        return np.log(np.array([radii, flows]))

    left, right = logs(0), logs(1)
    assert not np.allclose(left, right)
    for a, b in zip(left, right, strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.6


def test_wanted_numbers_are_kept() -> None:
    for bifurcations in (1, 2, 3):
        anatomy = sample_anatomy(7, stenoses=2, bifurcations=bifurcations)
        assert len(anatomy.leaves) == bifurcations + 1
        assert sum(b.stenosis > 0 for b in anatomy.branches) == 2


def test_level_is_zero_on_circles_of_the_stated_radius() -> None:
    anatomy = sample_anatomy(3, stenoses=3, bifurcations=1)
    for branch in anatomy.branches:
        inner = slice(len(branch.points) // 3, -20, 7)
        centers, radii = branch.points[inner], branch.radii[inner]
        tangent = np.gradient(branch.points, axis=0)[inner]
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        side = np.cross(tangent, [1.0, 0.3, 0.0])
        side /= np.linalg.norm(side, axis=1, keepdims=True)
        for normal in (side, np.cross(tangent, side)):
            level, _ = level_at(anatomy, centers + radii[:, None] * normal)
            assert np.abs(level).max() < 0.05
            level, _ = level_at(anatomy, centers)
            assert (level < -0.9 * radii).all()


def test_fractions_add_up_to_the_volume() -> None:
    """A ball that voxels cut at every angle."""
    spacing, radius = 0.7, 3.1
    axis = (np.arange(14) + 0.5) * spacing
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    level = np.linalg.norm(grid - [4.8, 5.0, 4.9], axis=-1) - radius
    fraction = voxel_fractions(level, np.ones(level.shape, dtype=bool), spacing)
    assert fraction.sum() * spacing**3 == pytest.approx(4 / 3 * np.pi * radius**3, rel=5e-3)
    assert fraction.min() == 0
    assert fraction.max() == 1


@pytest.mark.parametrize("seed", [0, 5])
def test_openings_are_where_the_vessel_was_cut(seed: int) -> None:
    from voxfield.phantoms._lumen import opening_labels

    anatomy, spacing = sample_anatomy(seed), 1.4
    depths = tuple(2.0 * (n % 2) for n in range(1 + len(anatomy.leaves)))
    domain = build_domain(anatomy, spacing, depths)
    lumen = domain.fraction >= 0.5
    labels = opening_labels(lumen, domain.ends, spacing)
    assert set(np.unique(labels[lumen])) <= {0, *range(2, 2 + len(domain.ends))}
    faces = face_labels(lumen, labels)
    for number, end in enumerate(domain.ends, start=2):
        places = [np.argwhere(f == number) for f in faces]
        assert len(places[0]) == len(places[1]) == 0
        assert set(places[2][:, 2]) == {end.plane}
        area = len(places[2]) * spacing**2
        assert area == pytest.approx(np.pi * end.radius_mm**2, rel=0.35)


def ends_of(anatomy: Anatomy, spacing: float) -> tuple[End, ...]:
    return cut_ends(anatomy, spacing, (1.5,) * (1 + len(anatomy.leaves)))


def test_lumen_is_one_tree_cut_at_its_ends() -> None:
    from scipy import ndimage

    anatomy, spacing = sample_anatomy(11), 0.7
    level, owner = level_on_grid(anatomy, grid_shape(spacing), spacing)
    ends = ends_of(anatomy, spacing)
    lumen = (level < 0) & ~np.any(beyond_ends(owner, ends, 0), axis=0)
    assert ndimage.label(lumen)[1] == 1
    assert not lumen[:, :, : ends[0].plane].any()
    assert not lumen[:, :, max(end.plane for end in ends) :].any()


def test_centerline_and_branch_table_tell_one_story() -> None:
    anatomy, spacing = sample_anatomy(4), 0.7
    kept = cut_branches(anatomy, ends_of(anatomy, spacing), spacing)
    affine, box = scan_frame(np.random.default_rng(0), spacing, 10.0)
    points, radii, parents = centerline_nodes(anatomy.branches, kept, box)
    rows = branch_rows(anatomy.branches, kept, box)
    steps = np.linalg.norm(points[1:] - points[parents[1:]], axis=1)
    assert steps.sum() == pytest.approx(sum(row["length_mm"] for row in rows), rel=1e-3)
    assert steps.max() < 0.5
    assert parents[0] == -1
    assert (parents[1:] < np.arange(1, len(parents))).all()
    assert radii.min() == pytest.approx(min(row["radius_min_mm"] for row in rows), rel=0.01)
    # The box begins at the outer corner of the first voxel.
    corner = affine @ [-0.5, -0.5, -0.5, 1]
    assert np.allclose(to_world(np.zeros((1, 3)), box)[0], corner[:3])
    assert np.allclose(affine[:3, :3].T @ affine[:3, :3], spacing**2 * np.eye(3))
