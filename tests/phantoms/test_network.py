"""The one-dimensional pressure drop and the grade that is read from it."""

from dataclasses import replace

import numpy as np
import pytest

from voxfield.phantoms._anatomy import Anatomy, Branch, sample_anatomy
from voxfield.phantoms._network import (
    THRESHOLDS_PA,
    grade_of,
    outlet_drops_pa,
    read_grade,
    severity,
)  # fmt: skip


def straight(radius_mm: float, length_mm: float, reynolds: float) -> Anatomy:
    points = np.stack([np.zeros(101), np.zeros(101), np.linspace(0, length_mm, 101)], axis=1)
    radii = np.full(101, radius_mm)
    return Anatomy((Branch(points, radii, radii, radius_mm, -1, 0, 1.0, ()),), reynolds, 0.0035)


def test_straight_tube_follows_poiseuille() -> None:
    anatomy = straight(2.0, 40.0, 100.0)
    speed = 100 * 0.0035 / (1060 * 4e-3)
    assert anatomy.inflow_m3_per_s == pytest.approx(speed * np.pi * 2e-3**2)
    assert outlet_drops_pa(anatomy)[0] == pytest.approx(8 * 0.0035 * speed * 0.04 / 2e-3**2)


def test_stenosis_loss_grows_faster_than_the_flow() -> None:
    narrow = sample_anatomy(6, stenoses=3)
    low, high = (max(outlet_drops_pa(replace(narrow, reynolds=re)).values()) for re in (50.0, 100.0))
    assert high > 2.2 * low
    assert low > max(outlet_drops_pa(replace(sample_anatomy(6, stenoses=0), reynolds=50.0)).values())


def test_grades_begin_at_their_thresholds() -> None:
    for grade, threshold in enumerate(THRESHOLDS_PA, start=1):
        assert grade_of(threshold * 1.001) == grade
        assert grade_of(threshold * 0.999) == grade - 1
    drops = np.geomspace(1, 1000, 50)
    assert (np.diff([severity(d) for d in drops]) >= 0).all()
    assert severity(1e9) < 5


def test_equal_vessels_with_other_flow_have_other_grades() -> None:
    """What makes learning the grade from images not circular."""
    anatomy = sample_anatomy(6, stenoses=2)
    grades = {grade_of(max(outlet_drops_pa(replace(anatomy, reynolds=re)).values())) for re in (50.0, 110.0, 200.0)}
    assert len(grades) > 1


def test_reader_is_off_by_the_stated_error() -> None:
    rng = np.random.default_rng(0)
    middle = float(np.sqrt(THRESHOLDS_PA[1] * THRESHOLDS_PA[2]))  # severity 2.5
    read = np.array([read_grade(middle, 0.3, rng) for _ in range(4000)])
    # Off by one beyond half a grade: 2 (1 - Phi(0.5 / 0.3)) = 0.096.
    assert np.mean(read != 2) == pytest.approx(0.096, abs=0.015)
    assert read_grade(middle, 0.0, rng) == 2
