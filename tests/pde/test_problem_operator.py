"""The operator against derivatives taken by hand, and its linearisation against differences."""

import numpy as np
import pytest

from voxfield.pde.problem.operator import Flux, Operator, Term

X = np.linspace(0.2, 1.1, 7)
# u = sin 2x, and its derivatives by order
SINE = {(0,): np.sin(2 * X), (1,): 2 * np.cos(2 * X), (2,): -4 * np.sin(2 * X), (3,): -8 * np.cos(2 * X)}
# 3 u_xxx - 0.5 u_xx + u_x^2-like flux d(u^2/2)/dx + u^3 - 2u
EVERYTHING = Operator((Term(3.0, (3,)), Term(-0.5, (2,)), Term(-2.0, (0,))), reaction={3: 1.0}, flux=(Flux(0.5, 2, 0),))


def test_left_side_of_an_equation_with_every_part() -> None:
    s, c = np.sin(2 * X), np.cos(2 * X)
    expected = -24 * c + 2 * s - 2 * s + s**3 + 2 * s * c
    np.testing.assert_allclose(EVERYTHING.apply(SINE.__getitem__), expected, atol=1e-14)


def test_conservative_form_equals_the_chain_rule() -> None:
    """d(sin^2 2x / 2)/dx = 2 sin 2x cos 2x, differentiated here by hand."""
    whole = EVERYTHING.nonlinear(SINE[(0,)], lambda values, axis: 4 * np.sin(2 * X) * np.cos(2 * X))
    np.testing.assert_allclose(whole, np.sin(2 * X) ** 3 + 2 * np.sin(2 * X) * np.cos(2 * X))


def test_linearisation_is_the_limit_of_differences() -> None:
    v = {(0,): X**3, (1,): 3 * X**2, (2,): 6 * X, (3,): np.full_like(X, 6.0)}
    change = sum(coefficient * v[order] for coefficient, order in EVERYTHING.linearise(SINE.__getitem__))
    step = 1e-6

    def left(sign: float) -> np.ndarray:
        return EVERYTHING.apply(lambda order: SINE[order] + sign * step * v[order])

    np.testing.assert_allclose(change, (left(1) - left(-1)) / (2 * step), rtol=1e-7)


def test_symbol_of_a_plane_wave() -> None:
    operator = Operator((Term(2.0, (2, 0)), Term(-1.0, (1, 1)), Term(5.0, (0, 0))))
    k, m = np.array([[1.0], [3.0]]), np.array([[0.5, -2.0]])
    np.testing.assert_allclose(operator.symbol((k, m)), -2 * k**2 + k * m + 5)


def test_time_is_split_off() -> None:
    """Burgers: u_t + d(u^2 / 2)/dx - 0.1 u_xx over (x, t)."""
    burgers = Operator((Term(1.0, (0, 1)), Term(-0.1, (2, 0))), flux=(Flux(0.5, 2, 0),))
    coefficient, space = burgers.split_time()
    assert coefficient == 1.0
    assert space == Operator((Term(-0.1, (2,)),), flux=(Flux(0.5, 2, 0),))


def test_an_equation_without_space_terms_keeps_its_axes() -> None:
    _, space = Operator((Term(1.0, (0, 1)),), flux=(Flux(0.5, 2, 0),)).split_time()
    np.testing.assert_allclose(space.apply(SINE.__getitem__), 2 * np.sin(2 * X) * np.cos(2 * X))


def test_waves_in_time_can_not_be_split() -> None:
    with pytest.raises(ValueError, match="expected u_t alone"):
        Operator((Term(1.0, (0, 2)), Term(-1.0, (2, 0)))).split_time()


def test_power_of_a_complex_unknown_is_gauge_invariant() -> None:
    nls = Operator((Term(0.5, (2,)), Term(1j, (0,))), reaction={3: 1.0})
    u = np.exp(0.7j) * np.sin(2 * X)
    here = nls.nonlinear(u, lambda values, axis: values)
    np.testing.assert_allclose(here, np.exp(0.7j) * np.sin(2 * X) ** 3, atol=1e-14)
    with pytest.raises(ValueError, match="not complex differentiable"):
        nls.linearise(lambda order: u)


def test_mixed_numbers_of_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="one number of axes"):
        Operator((Term(1.0, (2,)), Term(1.0, (0, 2))))
    with pytest.raises(ValueError, match="linear, hence terms"):
        Operator((Term(1.0, (2,)),), reaction={1: 2.0})
