"""Growth and diffusion in time: exact decays, rates, the speed of fronts, mass, bounds, and going on after a kill."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxfield.pde.evolution import Growth, lattice_speed, march
from voxfield.pde.evolution._measures import front_speed
from voxfield.pde.geodesic import Stencil
from voxfield.workspace import Workspace

NOTHING_KEPT = Workspace()


def rate(steps: list[float], errors: list[float]) -> float:
    return float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def cosine(count: int) -> tuple[Growth, np.ndarray, np.ndarray]:
    """A mode of an insulated box of 10 x 10 mm, stretched voxels, and what is left of it after 20 days."""
    step = 10 / count
    mask = np.ones((count, count // 2, 1), dtype=bool)
    growth = Growth(mask, (step, 2 * step, 1.0), np.full(mask.sum(), 0.2), 0.0)
    x, y = (growth.domain.cells[:, :2] + 0.5).T * [[step], [2 * step]]
    mode = 0.4 * np.cos(np.pi * x / 10) * np.cos(2 * np.pi * y / 10)
    return growth, 0.5 + mode, 0.5 + mode * np.exp(-0.2 * 5 * (np.pi / 10) ** 2 * 20)


def test_cosine_modes_decay_as_they_should_with_second_order_in_space() -> None:
    counts, errors = [12, 24, 48], []
    for count in counts:
        growth, start, exact = cosine(count)
        (moment,) = march(growth, start, [20.0], 1e-5, NOTHING_KEPT)
        errors.append(float(np.abs(moment.values - exact).max()))
    assert rate([1 / c for c in counts], errors) == pytest.approx(2, abs=0.1), errors


@pytest.mark.parametrize("proliferation", [0.0, 0.3])
def test_second_order_in_time(proliferation: float) -> None:
    count = 32
    growth = Growth(np.ones((count, 1, 1), dtype=bool), (0.3, 1, 1), np.linspace(0.1, 0.4, count), proliferation)
    start = 0.5 + 0.4 * np.cos(np.pi * (np.arange(count) + 0.5) / count)

    def after(steps: int) -> np.ndarray:
        values = start
        for _ in range(steps):
            values, _ = growth.step(values, 10 / steps)
        return values

    counts = [6, 12, 24]
    errors = [float(np.abs(after(n) - after(2 * n)).max()) for n in counts]
    assert rate([1 / n for n in counts], errors) == pytest.approx(2, abs=0.1), errors


def test_without_diffusion_to_speak_of_growth_is_logistic() -> None:
    growth = Growth(np.ones((3, 3, 3), dtype=bool), (1.0, 1.0, 1.0), np.full(27, 1e-12), 0.1)
    start = np.linspace(0, 1, 27)
    (moment,) = march(growth, start, [30.0], 1e-4, NOTHING_KEPT)
    exact = start * np.exp(3) / (1 + start * (np.exp(3) - 1))
    np.testing.assert_allclose(moment.values, exact, atol=1e-9)


def test_the_error_of_the_steps_stays_below_the_tolerance() -> None:
    growth = Growth(np.ones((40, 1, 1), dtype=bool), (0.5, 1, 1), np.full(40, 0.1), 0.2)
    start = (np.arange(40) < 6).astype(float)
    (fine,) = march(growth, start, [15.0], 1e-5, NOTHING_KEPT)
    for tolerance in (1e-2, 1e-3):
        (found,) = march(growth, start, [15.0], tolerance, NOTHING_KEPT)
        assert found.march.error <= tolerance
        assert np.abs(found.values - fine.values).max() < tolerance


@pytest.mark.parametrize("step", [0.5, 1.0])
def test_a_front_runs_at_the_speed_of_its_tail(step: float) -> None:
    """2 sqrt(D rho), less 3 / (2 k t) while the front still settles (Bramson 1983), and what the voxels add."""
    diffusivity, proliferation, days = 0.1, 0.1, [150.0, 175.0, 200.0]
    count = round(60 / step)
    growth = Growth(np.ones((count, 1, 1), dtype=bool), (step, 1, 1), np.full(count, diffusivity), proliferation)
    x = growth.domain.cells[:, 0] * step
    moments = list(march(growth, (x < 5).astype(float), days, 1e-3, NOTHING_KEPT))
    places = [float(np.interp(-0.5, -moment.values, x)) for moment in moments]
    settling = 1.5 / np.sqrt(proliferation / diffusivity)
    expected = lattice_speed(diffusivity, proliferation, step) - settling / np.array([162.5, 187.5])
    np.testing.assert_allclose(np.diff(places) / 25, expected, rtol=0.012)
    local = front_speed(growth, Stencil(growth.domain).gradient(moments[1].values), moments[1].values, 0.5)
    assert local == pytest.approx(expected.mean(), rel=0.015)
    assert lattice_speed(diffusivity, proliferation, step) == pytest.approx(0.2, rel=0.045 * step**2)


@settings(max_examples=15, deadline=None)
@given(arrays(bool, (4, 3, 3), fill=st.just(True)), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2]))
def test_mass_is_kept_and_bounds_hold(mask: np.ndarray, seed: int, proliferation: float) -> None:
    mask[0, 0, 0] = True
    rng = np.random.default_rng(seed)
    growth = Growth(mask, (1.0, 0.7, 1.5), 10 ** rng.uniform(-2, 0, mask.sum()), proliferation)
    start = rng.integers(0, 2, mask.sum()).astype(float)
    (moment,) = march(growth, start, [8.0], 1e-2, NOTHING_KEPT)
    added = moment.march.added
    assert moment.values.sum() == pytest.approx(start.sum() + added, abs=1e-7)
    assert proliferation or added == 0
    assert moment.march.lowest > -1e-2
    assert moment.march.highest < 1 + 1e-2


def test_tissues_in_a_row_let_through_what_resistors_in_a_row_do() -> None:
    """In the end of a slow decay the flux is the same across both tissues, so slopes are as 1 / D."""
    growth = Growth(np.ones((40, 1, 1), dtype=bool), (1.0, 1.0, 1.0), np.repeat([1.0, 0.25], 20), 0.0)
    start = np.where(np.arange(40) < 20, 1.0, 0.0)
    (moment,) = march(growth, start, [30.0], 1e-4, NOTHING_KEPT)
    left, right = moment.values[18] - moment.values[19], moment.values[20] - moment.values[21]
    assert right / left == pytest.approx(4, rel=0.05)


class Killed(Exception):
    """In place of a kill."""


def test_a_run_that_was_killed_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def fresh() -> Growth:
        return Growth(np.ones((20, 3, 3), dtype=bool), (1.0, 1.0, 1.5), np.full(180, 0.1), 0.1)

    class Dying(Growth):
        steps = 0

        def step(self, values: np.ndarray, days: float) -> tuple[np.ndarray, float]:
            self.steps += 1
            if self.steps > 100:
                raise Killed
            return super().step(values, days)

    start = np.where(fresh().domain.cells[:, 0] < 3, 0.9, 0.0)
    times = [5.0, 12.0, 30.0, 60.0]
    whole = list(march(fresh(), start, times, 1e-4, NOTHING_KEPT))
    workspace = Workspace(tmp_path / "work", key="k")
    dying = Dying(np.ones((20, 3, 3), dtype=bool), (1.0, 1.0, 1.5), np.full(180, 0.1), 0.1)
    with pytest.raises(Killed):
        list(march(dying, start, times, 1e-4, workspace))
    assert workspace.load("march") is not None
    resumed = list(march(fresh(), start, times, 1e-4, workspace))
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        assert one.march == other.march
