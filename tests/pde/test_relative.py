"""Poiseuille flow through tilted tubes: the drop between the planes, the flux, the parts of a lumen."""

import numpy as np
import pytest

from pde.exact import BLOOD, Tube
from voxfield.pde import Lumen, relative_pressure
from voxfield.pde._work_energy import opening_pressures, virtual_fields

TUBES = {
    "aligned": Tube((40, 16, 16), (1e-3,) * 3, 5.4e-3, (1, 0, 0), 30e-3),
    "tilted": Tube((44, 36, 30), (1e-3,) * 3, 5.4e-3, (1, 0.5, 0.3), 28e-3),
    "plates": Tube((50, 30, 16), (0.8e-3, 1e-3, 1.6e-3), 5.4e-3, (1, -0.4, 0.2), 26e-3),
    "reversed": Tube((44, 36, 30), (1e-3,) * 3, 5.4e-3, (-1, 0.5, -0.3), 28e-3),
}


def solved(tube: Tube, mask: np.ndarray | None = None) -> tuple:
    lumen = Lumen(tube.mask if mask is None else mask, tube.marks, tube.spacing, 2, tube.speed)
    velocity = tube.sample(lumen.domain.mask)[None, None]
    return lumen, relative_pressure(lumen, velocity, BLOOD)


@pytest.mark.parametrize("tube", TUBES.values(), ids=TUBES)
def test_drop_and_flux_of_poiseuille_flow(tube: Tube) -> None:
    lumen, found = solved(tube)
    assert found.planes[2] == pytest.approx(0, abs=1e-9)
    assert -found.planes[3][0] == pytest.approx(tube.drop, rel=0.01)
    assert -found.fluxes[2][0] == pytest.approx(tube.flux, rel=0.05)  # the voxels' own cross-section
    assert found.fluxes[3][0] == pytest.approx(tube.flux, rel=0.05)
    exact = tube.flow(tube.points[lumen.domain.mask])[1]
    error = found.values[:, 0] - exact
    assert error.std() < 0.025 * tube.drop
    assert found.residual < 1e-8


@pytest.mark.parametrize("tube", TUBES.values(), ids=TUBES)
def test_virtual_work_finds_the_same_drop(tube: Tube) -> None:
    lumen, found = solved(tube)
    fields = virtual_fields(lumen.domain, lumen.boundary, lumen.weights)
    assert fields.labels == (2, 3)
    np.testing.assert_allclose(fields.fluxes.sum(axis=0), 0, atol=1e-8 * np.abs(fields.fluxes).max())
    np.testing.assert_allclose(fields.fluxes, fields.fluxes.T, rtol=1e-6)
    pressures = opening_pressures(lumen.domain, fields, 2, found.face_force, found.cell_force)
    assert pressures[0, 0] == 0
    assert -pressures[1, 0] == pytest.approx(tube.drop, rel=0.01)


def test_virtual_work_is_exact_for_any_gradient() -> None:
    """Where b is a gradient on the voxels, the identity has no discretisation error, whatever the lumen."""
    tube = TUBES["tilted"]
    lumen = Lumen(tube.mask, tube.marks, tube.spacing, 2)
    domain = lumen.domain
    slope = np.array([3.0, -2.0, 5.0])
    faces = np.concatenate([np.full(n, slope[axis]) for axis, n in enumerate(domain.face_counts)])[:, None]
    cells = np.broadcast_to(slope[None, :, None], (domain.size, 3, 1))
    fields = virtual_fields(domain, lumen.boundary, np.random.default_rng(0).uniform(0.1, 1, domain.size))
    found = opening_pressures(domain, fields, 2, faces, cells)
    planes = []
    for label in (2, 3):
        part = fields.faces[label]
        away = (np.arange(3) == part.axes[:, None]) * (part.signs / 2)[:, None]
        places = (domain.cells[part.cells] + away) * np.array(tube.spacing)
        share = fields.outward[label][:, 1] * part.areas(domain)
        planes.append(share @ (places @ slope) / share.sum())
    assert found[1, 0] == pytest.approx(planes[1] - planes[0], rel=1e-6)


def test_voxels_that_the_reference_does_not_reach_are_left_out() -> None:
    tube = TUBES["aligned"]
    mask = tube.mask.copy()
    mask[20] = False
    lumen, found = solved(tube, mask)
    assert set(found.planes) == {2}
    assert lumen.domain.mask[:20].sum() == lumen.domain.size
    assert not Lumen(mask, tube.marks, tube.spacing, 4).reached


def test_samples_and_frames_are_solved_as_if_alone() -> None:
    tube = TUBES["plates"]
    lumen = Lumen(tube.mask, tube.marks, tube.spacing, 2)
    rng = np.random.default_rng(0)
    velocity = tube.sample(lumen.domain.mask) * (1 + 0.1 * rng.standard_normal((3, 2, lumen.domain.size, 1)))
    together = relative_pressure(lumen, velocity, BLOOD, rtol=1e-10)
    alone = relative_pressure(lumen, velocity[1:2, 1:], BLOOD, rtol=1e-10)
    np.testing.assert_allclose(together.values[:, 3], alone.values[:, 0], atol=1e-6)
    assert together.planes[3].shape == (6,)
