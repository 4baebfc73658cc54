"""The stages phantoms.vessel, phantoms.cohort and phantoms.geometry."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import face_labels
from voxfield.context import Context
from voxfield.errors import SettingsError
from voxfield.phantoms import cohort, geometry, vessel
from voxfield.phantoms._vessel import Vessel
from voxfield.testing import StageContract

SMALL: dict[str, Any] = {"spacing_mm": 1.4, "bifurcations": 1, "stenoses": 0}


class TestVesselContract(StageContract):
    name = "phantoms.vessel"

    def make_inputs(self) -> Mapping[str, Any]:
        return {}

    def make_settings(self) -> Mapping[str, Any]:
        return SMALL


class TestCohortContract(StageContract):
    name = "phantoms.cohort"

    def make_inputs(self) -> Mapping[str, Any]:
        return {}

    def make_settings(self) -> Mapping[str, Any]:
        return {"count": 24, "labelled_per_grade": 1}


class TestGeometryContract(StageContract):
    name = "phantoms.geometry"

    def make_inputs(self) -> Mapping[str, Any]:
        return {}


@pytest.fixture(scope="module")
def subject() -> Vessel:
    return vessel(spacing_mm=1.4, bifurcations=2, stenoses=1, reynolds=100.0, ctx=Context(seed=3))


def test_true_flux_balances_in_every_voxel(subject: Vessel) -> None:
    flux = subject.flux_true
    speed = max(np.abs(part).max() for part in (flux.u, flux.v, flux.w))
    assert np.abs(flux.divergence()).max() < 1e-12 * speed / 1.4
    assert subject.truth.values["mass_imbalance"] < 1e-12
    assert subject.truth.values["momentum_residual"] < 1e-4
    # No flow outside the voxels of the mask: no penetration of any wall.
    nowhere = ~flux.mask
    assert not flux.u[1:-1][nowhere[1:] & nowhere[:-1]].any()
    assert not flux.w[:, :, 1:-1][nowhere[:, :, 1:] & nowhere[:, :, :-1]].any()
    assert not flux.u[[0, -1]].any()
    assert not flux.v[:, [0, -1]].any()


def test_openings_carry_the_stated_flows(subject: Vessel) -> None:
    flux = subject.flux_true
    _, _, w = face_labels(flux.mask, subject.openings.data)
    openings = subject.truth.values["openings"]
    assert sum(o["flow_m3_per_s"] for o in openings) == pytest.approx(0, abs=1e-20)
    inflow = openings[0]["flow_m3_per_s"]
    for opening in openings:
        places = w == opening["opening"]
        up = 1 if opening["name"] == "inlet" else -1
        # Where the vessel leaves the field of view, voxels that are lumen for less than a half carry no label.
        assert up * flux.w[places].sum() * 1.4e-3**2 == pytest.approx(opening["flow_m3_per_s"], rel=0.05)
        assert np.sign(opening["pressure_drop_pa"]) == (0 if opening["name"] == "inlet" else 1)
    # Reynolds number from the numbers that are told: Re = 4 rho Q / (pi mu D).
    diameter = 2e-3 * openings[0]["radius_mm"]
    assert 4 * 1060 * inflow / (np.pi * 0.0035 * diameter) == pytest.approx(100, rel=0.1)


def test_true_velocity_is_the_mean_of_the_flux(subject: Vessel) -> None:
    flux, affine = subject.flux_true, subject.angiogram.affine
    faces = [0.5 * (f[1:] + f[:-1]) for f in (flux.u, flux.v.swapaxes(0, 1), flux.w.swapaxes(0, 2))]
    means = np.stack([faces[0], faces[1].swapaxes(0, 1), faces[2].swapaxes(0, 2)], axis=-1)
    along = subject.velocity_true.data[..., 0, :] @ (affine[:3, :3] / 1.4)
    # Both are means of the same fine faces, over a voxel and over its two sides.
    assert np.linalg.norm(along - means) < 0.15 * np.linalg.norm(along)
    assert not along[~flux.mask].any()


def test_measured_velocity_errs_as_the_truth_says(subject: Vessel) -> None:
    from scipy import ndimage

    core = ndimage.binary_erosion(subject.lumen.data > 0)
    error = (subject.velocity.data - subject.velocity_true.data)[core]
    assert error.std() == pytest.approx(subject.truth.values["noise_m_per_s"], rel=0.2)
    assert np.abs(subject.velocity.data).max() <= np.sqrt(3) * subject.truth.values["venc_m_per_s"]


def test_pressure_falls_from_the_inlet(subject: Vessel) -> None:
    pressure, lumen = subject.pressure_true, subject.lumen.data > 0
    assert pressure.unit == "Pa"
    assert not pressure.data[~lumen].any()
    lowest = -max(o["pressure_drop_pa"] for o in subject.truth.values["openings"])
    at_inlet = lumen & (subject.openings.data == 2)
    if at_inlet.any():
        assert np.abs(pressure.data[at_inlet]).max() < 0.2 * abs(lowest)
    assert pressure.data.min() < 0.8 * lowest


def test_maps_share_one_grid_and_one_lumen(subject: Vessel) -> None:
    grid = subject.angiogram.grid
    for other in (subject.lumen, subject.sparse, subject.openings, subject.velocity, subject.flux_true):
        assert grid.same_as(other.grid)
    lumen, sparse = subject.lumen.data, subject.sparse.data
    assert subject.sparse.unannotated == 255
    assert np.array_equal(sparse[sparse != 255], lumen[sparse != 255])
    index = np.rint(grid.index(subject.centerline.points)).astype(int)
    inside = np.all((index >= 0) & (index < grid.shape), axis=1)
    assert np.mean(lumen[tuple(index[inside].T)]) > 0.97
    flows = subject.flux_true.mask
    assert (flows | (lumen == 0)).mean() > 0.999  # the lumen is where fluid flows
    bright = subject.angiogram.data
    assert np.median(bright[lumen > 0]) > 1.8 * np.median(bright[lumen == 0])


def test_network_drop_resembles_the_flow(subject: Vessel) -> None:
    values = subject.truth.values
    assert values["network_drop_pa"] == pytest.approx(values["pressure_drop_max_pa"], rel=0.4)


def test_one_anatomy_for_scan_and_cohort() -> None:
    large = vessel(anatomy_seed=10, spacing_mm=1.4, reynolds=60.0, cut_inside=0.0, ctx=Context(seed=1))
    small = geometry(anatomy_seed=10)
    for name in ("parent", "generation", "stenosis"):
        assert large.branches.column(name) == small.branches.column(name)
    assert np.allclose(large.branches.column("radius_min_mm"), small.branches.column("radius_min_mm"), rtol=0.02)


def test_cohort_hides_most_grades_and_splits_by_patient() -> None:
    rows = cohort(count=200, labelled_per_grade=5, ctx=Context(seed=2)).cohort.rows()
    train = [row for row in rows if row["split"] == "train"]
    assert sum(row["grade"] is not None for row in train) <= 25
    assert all(row["grade"] is not None for row in rows if row["split"] != "train")
    by_patient: dict[str, set[str]] = {}
    for row in rows:
        by_patient.setdefault(row["patient"], set()).add(row["split"])
    assert len(by_patient) == 100
    assert all(len(splits) == 1 for splits in by_patient.values())
    grades = [row["truth_grade"] for row in rows]
    assert all(grades.count(grade) >= 10 for grade in range(5))
    read = np.array([row["truth_reader_grade"] for row in rows])
    assert 0.6 < np.mean(read == grades) < 0.95
    drops = np.log([row["truth_drop_pa"] for row in rows])
    assert np.corrcoef(drops[::2], drops[1::2])[0, 1] > 0.3


def test_growing_the_cohort_keeps_its_anatomies() -> None:
    few, many = (cohort(count=count, ctx=Context(seed=2)).cohort.column("anatomy_seed") for count in (20, 40))
    assert many[:20] == few


def test_cohort_without_training_patients_is_refused() -> None:
    with pytest.raises(SettingsError, match="leave no patient to train"):
        cohort(calibration=0.6, test=0.4)


def test_flow_that_can_not_be_found_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from voxfield.phantoms import _flow

    newton = _flow._newton

    def reluctant(*args: Any) -> Any:
        return newton(*args) if args[3] <= 40 else None

    monkeypatch.setattr(_flow, "_newton", reluctant)
    context = Context(seed=3)
    found = vessel(**SMALL, reynolds=100.0, ctx=context)
    assert [finding.code for finding in context.findings] == ["reynolds-lowered"]
    assert 30 < found.truth.values["reynolds"] <= 40
