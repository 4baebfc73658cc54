"""Gaussian-process solution of a partial differential equation on a box, with its error bar.

GP-HM (Fang et al., "Solving High Frequency and Multi-Scale PDEs with Gaussian Processes", ICLR 2024) puts a spectral
mixture kernel on every axis, collocates on a grid and descends on a joint objective in u and in the kernel, from
frequencies that are set by hand for every equation. Here u is integrated out: the equation is a linear observation of
a Gaussian process, the objective is the evidence of forcing and boundary values, and the frequencies come from
the forcing. Reactions and fluxes are met by Newton's method around that solve, and the kernel is found again from what
they leave of the forcing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from voxfield.errors import InputError
from voxfield.pde.gp_hm._condition import condition, spectra
from voxfield.pde.gp_hm._envelope import ENVELOPES
from voxfield.pde.gp_hm._newton import converged, frozen, remainder
from voxfield.pde.gp_hm._posterior import Posterior
from voxfield.pde.gp_hm._product import Face, GridData, Observations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxfield.pde.gp_hm._condition import Spectrum
    from voxfield.pde.gp_hm._envelope import Floats
    from voxfield.pde.gp_hm._product import Terms
    from voxfield.pde.problem.operator import Derivative, Operator


def solve(
    operator: Operator,
    axes: Sequence[Floats],
    forcing: Floats,
    faces: Sequence[Face] = (),
    *,
    observations: Observations | None = None,
    forcing_sd: float | None = None,
    envelope: str = "student",
) -> Posterior:
    """The posterior of u where operator(u) = forcing + noise on a grid, with what is known on its faces.

    operator      of constant coefficients, along one or two axes
    axes          nodes of every axis, ascending; the first and the last lie on the faces
    forcing       values on the grid of the axes
    faces         boundary and initial values, as many or as few as are known
    observations  measured values of u anywhere in the box
    forcing_sd    standard deviation of independent noise in the forcing; None finds it by evidence
    envelope      "student" (Matern 5/2: heavy-tailed spectrum) or "gaussian"
    """
    nodes, values = _checked(operator, axes, forcing, faces, envelope)
    data = GridData((), nodes, values, tuple(faces), observations, 0.0)
    search = _Search(operator, data, forcing_sd, envelope)
    state, found = search.first()
    if operator.linear:
        return state
    steps = state.facts["newton_steps"]
    for number in range(_ROUNDS):
        before = state.mean()
        # Once more with the same kernel: only now does the noise no longer hold the reaction.
        following, found = search.again(state, found if number == 0 else None)
        steps += following.facts["newton_steps"]
        if following.facts["noise_share"] > state.facts["noise_share"]:
            break  # the new kernel explains less of the forcing
        state = following
        change = np.linalg.norm(state.mean() - before) / np.linalg.norm(before)
        if number and change <= max(_SETTLED * state.facts["noise_share"], _ROUND_OFF):
            break
    if not state.facts["newton_gap"] <= _CONVERGED:
        raise InputError(
            f"Newton's method did not converge: after {steps} steps it still moves the solution by a share of "
            f"{state.facts['newton_gap']:.1g}; is there a solution? A smaller box or reaction, or time steps, may help"
        )
    return replace(state, facts={**state.facts, "newton_steps": steps})


@dataclass(frozen=True)
class _Search:
    """Kernels, weights and solution for the equation linearised at the last solution."""

    operator: Operator
    data: GridData
    forcing_sd: float | None
    envelope: str

    def first(self) -> tuple[Posterior, list[Spectrum]]:
        """From nothing; where the equation is not linear the kernel is found coarsely, as the reaction is not known."""
        zeros = np.zeros(self.data.forcing.shape)
        return self._solved(lambda order: zeros, None, 0.0 if self.operator.linear else _COARSE)

    def again(self, state: Posterior, found: list[Spectrum] | None) -> tuple[Posterior, list[Spectrum]]:
        """From the last solution; without kernels, these are found anew, down to a share of the last noise."""
        return self._solved(lambda order: state.mean(order=order), found, _DOWN_TO * state.facts["noise_share"])

    def _solved(
        self, derivative: Derivative, found: list[Spectrum] | None, coarse: float
    ) -> tuple[Posterior, list[Spectrum]]:
        operator, finest = self.operator, _FINEST[len(self.data.axes) > 1]
        terms = frozen(operator, derivative)
        rest = 0.0 if operator.linear else remainder(operator, terms, derivative)
        size, data = _scaled(replace(self.data, terms=terms, forcing=self.data.forcing - rest))
        found = found or spectra(data, self.envelope, self._noise(data, size, max(coarse, finest)))
        noise = self._noise(data, size, finest)
        product, regression = condition(data, found, noise)
        coefficients, steps, gap = regression.mean[:, 0], 0, 0.0
        if not operator.linear:
            coefficients, steps, gap = converged(operator, self.data.forcing, data, product, regression)
        solved = Posterior(product, regression, coefficients, data.axes)
        facts = _facts(operator, solved, self.data.forcing, found)
        facts |= {"newton_steps": steps, "newton_gap": gap, "noise_share": regression.noise / size}
        return replace(solved, facts=facts), found

    def _noise(self, data: GridData, size: float, share: float) -> tuple[float, float]:
        """Bounds of the noise: down to a share of the forcing, up to all of it; equal where it is known."""
        if self.forcing_sd is not None:
            return (max(self.forcing_sd, share * size),) * 2
        return share * size, max(float(np.sqrt((data.forcing**2).mean())), 2 * share * size)


def _scaled(data: GridData) -> tuple[float, GridData]:
    """Size of the forcing, or of the operator on the boundary values where there is none; and what counts as exact."""
    steps = [np.pi * (len(x) - 1) / (x[-1] - x[0]) for x in data.axes]
    periods = [2 * np.pi / (x[-1] - x[0]) for x in data.axes]
    forcing = float(np.abs(data.forcing).max())
    given = [np.abs(face.values[np.isfinite(face.values)]).max(initial=0.0) for face in data.faces]
    if data.observations is not None:
        given.append(np.abs(data.observations.values).max(initial=0.0))
    solution = max(float(max(given, default=0.0)), forcing / _symbol(data.terms, steps)) or 1.0
    return forcing or solution * _symbol(data.terms, periods), replace(
        data, exact=_EXACT[len(data.axes) > 1] * solution
    )


def _symbol(terms: Terms, waves: list[float]) -> float:
    return float(sum(abs(c) * np.prod([m**k for m, k in zip(waves, order, strict=True)]) for c, order in terms))


def _facts(operator: Operator, solved: Posterior, forcing: Floats, found: Sequence[Spectrum]) -> dict[str, Any]:
    kernels = solved.product.kernels
    left = operator.apply(lambda order: solved.mean(order=order)) - forcing
    return {
        "frequencies": [list(kernel.frequencies) for kernel in kernels],
        "lengths": [(kernel.trend_length, kernel.band_length) for kernel in kernels],
        "growth": [kernel.growth for kernel in kernels],
        "functions": int(solved.product.active.sum()),
        "noise": solved.regression.noise,
        "log_evidence": solved.regression.log_evidence,
        "residual": float(np.linalg.norm(left) / (np.linalg.norm(forcing) or 1.0)),
        "stopped": [one.stopped for one in found],
    }


def _checked(
    operator: Operator, axes: Sequence[Floats], forcing: Floats, faces: Sequence[Face], envelope: str
) -> tuple[tuple[Floats, ...], Floats]:
    """Axes and forcing as float64, after what a Gaussian process of this kind can not take is refused."""
    nodes, values = tuple(np.asarray(x, dtype=float) for x in axes), np.asarray(forcing, dtype=float)
    shape = tuple(len(x) for x in nodes)
    if operator.conductivity is not None or operator.complex_valued:
        raise InputError("the operator has a variable or a complex coefficient; gp_hm takes constant real ones")
    if len(nodes) != len(operator.terms[0].order) or len(nodes) > _MOST_AXES:
        raise InputError(
            f"{len(nodes)} axes for an operator of {len(operator.terms[0].order)}; gp_hm takes one or two, alike"
        )
    if envelope not in ENVELOPES:
        raise InputError(f"envelope is {envelope!r}; expected one of {', '.join(ENVELOPES)}")
    for number, x in enumerate(nodes):
        if len(x) < _FEWEST or not (np.diff(x) > 0).all():
            raise InputError(f"axis {number} has {len(x)} nodes; expected at least {_FEWEST}, ascending")
    if values.shape != shape or not np.isfinite(values).all():
        raise InputError(
            f"the forcing has shape {values.shape} and {int((~np.isfinite(values)).sum())} values that are not finite; "
            f"expected finite values on the grid {shape}"
        )
    for face in faces:
        expected = tuple(n for axis, n in enumerate(shape) if axis != face.axis)
        if np.shape(face.values) != expected:
            raise InputError(
                f"the face normal to axis {face.axis} has values of shape {np.shape(face.values)}; expected {expected}"
            )
    if not any(np.isfinite(face.values).any() for face in faces):
        raise InputError("no boundary value is known; give at least one face, else the solution is not determined")
    return nodes, values


_FINEST = (1e-12, 1e-10)  # noise over forcing that stands for none, in 1D and on grids
_EXACT = (1e-10, 1e-8)  # of the solution: standard deviation of values given as exact, in 1D and on grids
# For equations that are not linear, in noise over forcing: where the first search of frequencies ends; where those that
# follow end, of the last noise; and the change of u at which all is settled.
_COARSE = 1e-2
_DOWN_TO = 0.5
_SETTLED = 0.1
_ROUND_OFF = 1e-12
_ROUNDS = 4
_CONVERGED = 1e-4  # change of u in the last Newton step
_FEWEST = 16
_MOST_AXES = 2
