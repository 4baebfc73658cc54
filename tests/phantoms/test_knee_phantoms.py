"""The stages phantoms.knees and phantoms.knee: whose knees they are, and whether they show what their severity says."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from voxfield.context import Context
from voxfield.phantoms import knee, knees
from voxfield.phantoms._knee_joint import Knee, attenuation
from voxfield.phantoms._knees import PRIOR, severities
from voxfield.testing import StageContract

PLAIN = Knee(1.0, (5.0, 5.0), (0.0, 0.0, 0.0, 0.0), (0.0, 0.0), 0.0, (0.0, 0.0, 0.0))
CONDYLES_MM = (-13.5, 13.5)


class TestKneesContract(StageContract):
    name = "phantoms.knees"

    def make_inputs(self) -> Mapping[str, Any]:
        return {}

    def make_settings(self) -> Mapping[str, Any]:
        return {"patients": 5}


class TestKneeContract(StageContract):
    name = "phantoms.knee"

    def make_inputs(self) -> Mapping[str, Any]:
        return {}

    def make_settings(self) -> Mapping[str, Any]:
        return {"severity": 3.5, "side": "right"}


def gap_mm(shown: Knee, u: float) -> float:
    """Height of what is no bone between the bones, on a line at u: pixels below half the contrast."""
    z = np.arange(-12, 12, 0.02)
    values = attenuation(shown, np.array([[u]]), z[None, :])[0]
    bone, tissue = values.max(), values.min()
    return float((values < (bone + tissue) / 2).sum() * 0.02)


@pytest.mark.parametrize("space", [1.5, 3.0, 6.0])
def test_the_joint_space_has_its_width_in_each_compartment(space: float) -> None:
    shown = replace(PLAIN, space_mm=(space, 5.0))
    assert gap_mm(shown, CONDYLES_MM[0]) == pytest.approx(space, abs=0.35)
    assert gap_mm(shown, CONDYLES_MM[1]) == pytest.approx(5.0, abs=0.35)


def test_osteophytes_and_sclerosis_add_bone_where_they_are_and_nowhere_else() -> None:
    u, z = np.arange(-38.0, 38.0, 0.5)[:, None], np.arange(-30.0, 30.0, 0.5)[None, :]
    plain = attenuation(PLAIN, u, z)
    grown = attenuation(replace(PLAIN, growths_mm=(0.0, 0.0, 5.0, 0.0)), u, z) - plain
    assert grown[(u[:, 0] < -30)].max() > 0.3
    assert np.abs(grown[u[:, 0] > -20]).max() < 1e-6
    dense = attenuation(replace(PLAIN, sclerosis=(0.4, 0.0)), u, z) - plain
    assert dense[u[:, 0] < -10].max() > 0.3
    assert np.abs(dense[u[:, 0] > 12]).max() < 0.01


def test_every_sign_grows_with_the_severity() -> None:
    def mean(severity: float) -> list[float]:
        drawn = [Knee.draw(severity, np.random.default_rng([n, 0]), np.random.default_rng([n, 1])) for n in range(60)]
        return [
            -float(np.mean([min(k.space_mm) for k in drawn])),
            float(np.mean([k.growths_mm for k in drawn])),
            float(np.mean([max(k.sclerosis) for k in drawn])),
        ]

    signs = np.array([mean(s) for s in (0.0, 1.0, 2.0, 3.0, 4.0, 4.99)])
    assert (np.diff(signs, axis=0) > 0).all()


def test_a_right_knee_is_the_mirror_image_of_a_left_one() -> None:
    left, right = (knee(knee_seed=7, severity=2.5, side=side).image for side in ("left", "right"))
    assert left.shape == (64, 1, 64)
    assert left.grid.spacing.tolist() == [1, 1, 1]
    assert np.array_equal(left.data, right.data[::-1])


def test_severities_give_the_prior() -> None:
    found = severities(np.random.default_rng(0).standard_normal(200_000))
    assert found.min() >= 0
    assert found.max() < len(PRIOR)
    assert np.bincount(found.astype(int)) / len(found) == pytest.approx(PRIOR, abs=0.004)


def test_patients_have_two_knees_that_are_alike() -> None:
    made = knees(patients=4000, reader_sd=0.3, ctx=Context(seed=2)).cohort.columns
    assert made["side"][:2] == ["left", "right"]
    assert len(set(made["patient"])) == 4000
    true, read = (np.array(made[name]).reshape(-1, 2) for name in ("truth_grade", "grade"))
    assert 0.45 < np.corrcoef(read.T)[0, 1] < 0.57
    assert (np.floor(made["truth_severity"]) == true.ravel()).all()
    # A reader who is off by N(0, sd) grades moves a uniform severity out of its grade in 2 sd / sqrt(2 pi) of the
    # knees; those of the two end grades can err to one side only.
    middle = (true > 0) & (true < 4)
    assert (read == true)[middle].mean() == pytest.approx(1 - 0.6 / np.sqrt(2 * np.pi), abs=0.02)


def test_an_exact_reader_sees_the_truth() -> None:
    made = knees(patients=50, reader_sd=0.0).cohort.columns
    assert made["grade"] == made["truth_grade"]
