"""Gaussian processes for equations: kernels, algebra and evidence against dense oracles; solutions against truths."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from voxfield.errors import InputError
from voxfield.pde.gp_hm import Face, Observations, solve
from voxfield.pde.gp_hm._axis import AxisKernel
from voxfield.pde.gp_hm._evidence import Regression, Rows
from voxfield.pde.gp_hm._product import GridData, Product
from voxfield.pde.problem.operator import Flux, Operator, Term

LAPLACE = Operator((Term(1.0, (2,)),))
LAPLACE_2D = Operator((Term(1.0, (2, 0)), Term(1.0, (0, 2))))
ALLEN_CAHN = Operator((Term(1.0, (2,)), Term(-1.0, (0,))), {3: 1.0})
KERNEL = AxisKernel(-1.0, 2.0, "gaussian", (7.0,), 0.3, 0.5, trend_degree=30, band_degree=24)


def mixture(d, length_trend, length_band, frequency):
    """k, k'' and k'''' of exp(-d^2 / 2 l^2) (1 + cos m d), written out."""
    parts = []
    for length, m in ((length_trend, 0.0), (length_band, frequency)):
        # The kernel is the real part of exp(-d^2 / 2 l^2 + i m d): each derivative multiplies by a polynomial.
        slope, bend = -d / length**2 + 1j * m, -1 / length**2
        wave = np.exp(-(d**2) / (2 * length**2) + 1j * m * d)
        second = (slope**2 + bend) * wave
        fourth = (slope**4 + 6 * bend * slope**2 + 3 * bend**2) * wave
        parts.append(np.stack([wave.real, second.real, fourth.real]))
    return parts[0] + parts[1]


def line(x):
    """Kernel of the straight line that belongs to the trend."""
    t = 2 * (x - x[0]) / (x[-1] - x[0]) - 1
    return 1 + np.outer(t, t)


def test_functions_of_an_axis_have_the_spectral_mixture_and_its_derivatives_as_covariance():
    x = np.linspace(-1, 2, 40)
    value, second, fourth = mixture(x[:, None] - x, 0.9, 1.5, 7.0)
    u, bent = KERNEL.design(x), KERNEL.design(x, 2)
    np.testing.assert_allclose(u @ u.T, value + line(x), atol=1e-10)
    np.testing.assert_allclose(bent @ u.T, second, atol=1e-6 * abs(second).max())  # the diagonal is d = 0
    np.testing.assert_allclose(bent @ bent.T, fourth, atol=1e-4 * abs(fourth).max())


def test_student_envelope_is_the_matern_kernel_times_a_cosine_with_its_curvature_at_zero():
    kernel = AxisKernel(0.0, 1.0, "student", (30.0,), 1.0, 1.0, trend_degree=30, band_degree=30)
    x = np.linspace(0, 1, 21)
    d = np.sqrt(5) * abs(x[:, None] - x)
    matern = (1 + d + d**2 / 3) * np.exp(-d)
    u = kernel.design(x)
    np.testing.assert_allclose(u @ u.T, matern * (1 + np.cos(30 * (x[:, None] - x))) + line(x), atol=1e-3)
    bent = np.sum(kernel.design(x, 2) * u, axis=1)[2:-2]
    np.testing.assert_allclose(bent, -(2 * 5 / 3 + 30.0**2), rtol=1e-3)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_derivatives_of_the_functions_agree_with_differences(order):
    kernel = replace(KERNEL, growth=2.0)
    x, step = np.linspace(-0.9, 1.9, 30), 1e-5
    differences = (kernel.design(x + step, order - 1) - kernel.design(x - step, order - 1)) / (2 * step)
    np.testing.assert_allclose(kernel.design(x, order), differences, atol=1e-5 * abs(differences).max())


def test_growth_is_a_linear_function_times_the_kernel():
    grown = replace(KERNEL, growth=3.0)
    x = np.linspace(-1, 2, 9)
    t = (x - 0.5) / 1.5
    band = mixture(x[:, None] - x, 0.9, 1.5, 7.0)[0] - np.exp(-((x[:, None] - x) ** 2) / (2 * 0.9**2))
    expected = line(x) + mixture(x[:, None] - x, 0.9, 1.5, 7.0)[0] + 3 * np.outer(t, t) * band
    np.testing.assert_allclose(grown.design(x) @ grown.design(x).T, expected, atol=1e-9)


@pytest.fixture
def dense():
    """A small regression, its covariance and its values."""
    rng = np.random.default_rng(3)
    known, forcing = rng.standard_normal((3, 8)), rng.standard_normal((12, 8))
    rows = Rows(known, rng.standard_normal((3, 1)), np.full(3, 0.2), forcing, rng.standard_normal((12, 1)), 12, 0.0)
    weights = rng.uniform(0.1, 3, 8)
    stack = np.vstack([known, forcing])
    noise = np.diag(np.concatenate([np.full(3, 0.2**2), np.full(12, 0.5**2)]))
    values = np.vstack([rows.known_values, rows.forcing_values])[:, 0]
    return Regression(rows, weights, 0.5), stack, noise, values


def test_evidence_is_the_dense_gaussian_log_density(dense):
    regression, stack, noise, values = dense
    covariance = stack @ np.diag(regression.weights) @ stack.T + noise
    assert regression.log_evidence == pytest.approx(multivariate_normal(cov=covariance).logpdf(values), abs=1e-10)


def test_posterior_is_the_dense_conditional(dense):
    regression, stack, noise, values = dense
    prior = np.diag(regression.weights)
    gain = prior @ stack.T @ np.linalg.inv(stack @ prior @ stack.T + noise)
    root = np.sqrt(regression.weights)[:, None] * regression.root
    np.testing.assert_allclose(regression.mean[:, 0], gain @ values, atol=1e-12)
    np.testing.assert_allclose(regression.gain, gain, atol=1e-12)
    np.testing.assert_allclose(root @ root.T, prior - gain @ stack @ prior, atol=1e-12)


def test_weights_and_noise_end_where_the_evidence_is_stationary():
    rng = np.random.default_rng(0)
    blocks = np.repeat([0, 1], [10, 30])
    forcing = rng.standard_normal((200, 40))
    values = forcing @ (rng.standard_normal(40) * np.sqrt([2.0, 0.1])[blocks]) + 0.3 * rng.standard_normal(200)
    rows = Rows(np.zeros((0, 40)), np.zeros((0, 1)), np.zeros(0), forcing, values[:, None], 200, 0.0)
    best = Regression(rows, np.ones(40), 1.0).optimal(blocks, (1e-9, 10.0), 100)
    assert best.noise == pytest.approx(0.3, rel=0.2)
    for weight, noise in [
        ((1.05, 1), 1),
        ((0.95, 1), 1),
        ((1, 1.05), 1),
        ((1, 0.95), 1),
        ((1, 1), 1.02),
        ((1, 1), 0.98),
    ]:
        other = Regression(rows, best.weights * np.array(weight)[blocks], best.noise * noise)
        assert other.log_evidence < best.log_evidence + 1e-2


def test_kronecker_rows_have_the_posterior_and_evidence_of_the_dense_ones():
    kernels = tuple(AxisKernel(0.0, 1.0, "student", (m,), trend_degree=3, band_degree=1) for m in (12.0, 9.0))
    product = Product(kernels, np.ones(64, dtype=bool))
    x, y = np.linspace(0, 1, 13), np.linspace(0, 1, 11)
    rng = np.random.default_rng(1)
    side = rng.standard_normal(11)
    side[7:] = np.nan
    faces = (Face(0, False, side, sd=0.1), Face(1, True, rng.standard_normal(13), order=1, sd=0.2))
    seen = Observations(rng.uniform(0, 1, (4, 2)), rng.standard_normal(4), 0.3)
    data = GridData(((1.0, (2, 0)), (0.5, (0, 1))), (x, y), rng.standard_normal((13, 11)), faces, seen, 0.0)
    quick = Regression(data.rows(product), np.full(64, 0.7), 0.4)

    first, second = kernels
    forcing = np.kron(first.design(x, 2), second.design(y)) + 0.5 * np.kron(first.design(x), second.design(y, 1))
    points = [np.kron(first.design(p[:1]), second.design(p[1:])) for p in seen.points]
    known = np.vstack(
        [
            np.kron(first.design(x[:1]), second.design(y[:7])),
            np.kron(first.design(x), second.design(y[-1:], 1)),
            *points,
        ]
    )
    values = np.concatenate([side[:7], faces[1].values, seen.values])[:, None]
    sd = np.repeat([0.1, 0.2, 0.3], [7, 13, 4])
    rows = Rows(known, values, sd, forcing, data.forcing.reshape(-1, 1), 143, 0.0)
    slow = Regression(rows, np.full(64, 0.7), 0.4)
    np.testing.assert_allclose(quick.mean, slow.mean, atol=1e-9)
    assert quick.log_evidence == pytest.approx(slow.log_evidence, rel=1e-10)


def ends(u, low, high):
    """Exact values at both ends."""
    return [Face(0, False, u(np.array(low))), Face(0, True, u(np.array(high)))]


def error(posterior, u, *axes):
    """Relative L2 off the grid."""
    truth = u(*np.ix_(*axes))
    return np.linalg.norm(posterior.mean(axes) - truth) / np.linalg.norm(truth)


def test_high_frequency_under_a_trend_is_found_and_solved():
    def u(x):
        return np.sin(500 * x) - 2 * (x - 0.5) ** 2

    x = np.linspace(0, 1, 400)
    found = solve(LAPLACE, [x], -250000 * np.sin(500 * x) - 4, ends(u, 0.0, 1.0))
    assert found.facts["frequencies"][0] == [pytest.approx(500, abs=1)]
    assert error(found, u, np.linspace(0, 1, 777)) < 1e-5


def test_reaction_is_met_by_newton():
    def u(x):
        return np.sin(6 * x) * np.cos(30 * x)

    x = np.linspace(0, 2 * np.pi, 160)
    forcing = (24**2 * np.sin(24 * x) - 36**2 * np.sin(36 * x)) / 2 + u(x) ** 3 - u(x)
    found = solve(ALLEN_CAHN, [x], forcing, ends(u, 0.0, 2 * np.pi))
    assert error(found, u, np.linspace(0, 2 * np.pi, 777)) < 1e-5


def test_burgers_flux_in_space_and_time():
    def u(x, t):
        return np.sin(np.pi * x) * np.cos(t)

    def forcing(x, t):
        steep = np.pi * np.cos(np.pi * x) * np.cos(t)
        return -np.sin(np.pi * x) * np.sin(t) + u(x, t) * steep + 0.1 * np.pi**2 * u(x, t)

    operator = Operator((Term(1.0, (0, 1)), Term(-0.1, (2, 0))), flux=(Flux(0.5, 2, 0),))
    x = np.linspace(0, 1, 32)
    faces = [Face(0, False, u(0.0, x)), Face(0, True, u(1.0, x)), Face(1, False, u(x, 0.0))]
    found = solve(operator, [x, x], forcing(*np.ix_(x, x)), faces)
    assert error(found, u, np.linspace(0, 1, 41), np.linspace(0, 1, 43)) < 1e-5


def test_an_equation_without_solution_is_refused():
    operator = Operator((Term(1.0, (2,)),), {2: 100.0})  # u'' + 100 u^2 = -100: beyond the fold
    with pytest.raises(InputError, match="did not converge"):
        solve(operator, [np.linspace(0, 1, 60)], np.full(60, -100.0), ends(np.zeros_like, 0.0, 1.0), forcing_sd=1e-3)


def test_advection_needs_inflow_and_initial_values_only():
    def u(x, t):
        return np.sin(x - 80 * t)

    operator = Operator((Term(80.0, (1, 0)), Term(1.0, (0, 1))))
    x = np.linspace(0, 1, 80)
    faces = [Face(0, False, u(0.0, x)), Face(1, False, u(x, 0.0))]
    found = solve(operator, [x, x], np.zeros((80, 80)), faces)
    assert error(found, u, np.linspace(0, 1, 99), np.linspace(0, 1, 101)) < 1e-5


def test_few_nodes_are_enough_for_what_is_smooth():
    """On 24 nodes the polynomials of the trend resolve no length but the longest."""

    def u(x, t):
        return np.exp(-((x - t) ** 2))

    x = np.linspace(0, 1, 24)
    faces = [Face(0, False, u(0.0, x)), Face(1, False, u(x, 0.0))]
    found = solve(Operator((Term(1.0, (1, 0)), Term(1.0, (0, 1)))), [x, x], np.zeros((24, 24)), faces)
    assert error(found, u, np.linspace(0, 1, 19), np.linspace(0, 1, 21)) < 1e-6


def test_an_observation_stands_in_for_a_missing_end():
    def u(x):
        return np.sin(40 * x) + x

    x = np.linspace(0, 1, 120)
    half = [Face(0, False, u(np.array(0.0)))]
    forcing = -1600 * np.sin(40 * x)
    free = solve(LAPLACE, [x], forcing, half)
    held = solve(LAPLACE, [x], forcing, half, observations=Observations(np.array([[0.7]]), u(np.array([0.7])), 1e-4))
    assert error(held, u, np.linspace(0, 1, 77)) < 1e-3
    end = [np.array([1.0])]
    assert abs(free.mean(end) - u(1.0)) < 3 * free.standard_deviation(end)
    assert held.standard_deviation(end) < free.standard_deviation(end) / 100


def test_error_bars_cover_under_noise_in_the_forcing():
    def u(x):
        return np.sin(20 * x)

    x, at = np.linspace(0, 2 * np.pi, 64), np.linspace(0.05, 6.2, 101)
    inside = []
    for seed in range(50):
        noisy = -400 * u(x) + 2.8 * np.random.default_rng(seed).standard_normal(64)
        found = solve(LAPLACE, [x], noisy, ends(u, 0.0, 2 * np.pi))
        inside.append(abs(found.mean([at]) - u(at)) < 1.96 * found.standard_deviation([at]))
    assert 0.92 < np.mean(inside) < 0.98


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"forcing": np.full(40, np.nan)}, "40 values that are not finite"),
        ({"axes": [np.linspace(1, 0, 40)]}, "ascending"),
        ({"faces": [Face(0, False, np.zeros(3))]}, r"shape \(3,\); expected \(\)"),
        ({"faces": [Face(0, False, np.array(np.nan))]}, "no boundary value is known"),
        ({"envelope": "laplace"}, "student, gaussian"),
        ({"operator": LAPLACE_2D}, "1 axes for an operator of 2"),
        ({"operator": Operator((Term(1j, (2,)),))}, "constant real"),
    ],
)
def test_bad_input_is_refused(change, told):
    given = {"operator": LAPLACE, "axes": [np.linspace(0, 1, 40)], "forcing": np.ones(40)}
    given["faces"] = [Face(0, False, np.array(0.0))]
    with pytest.raises(InputError, match=told):
        solve(**(given | change))


def test_nothing_is_told_outside_the_box():
    found = solve(LAPLACE, [np.linspace(0, 1, 40)], np.ones(40), [Face(0, False, np.array(0.0))])
    with pytest.raises(InputError, match="leave the box"):
        found.mean([np.array([1.5])])
