"""Steady laminar flow of an incompressible fluid through a lumen, in units of the lattice.

Newton's method in velocity and pressure (`_momentum`, `_saddle`), led from creeping flow to the wanted Reynolds
number. The way there is walked on voxels of twice the edge; the fine lattice starts from that flow. A step that
does not reduce the imbalance is taken back and the increase of the Reynolds number halved. In the end the
velocity is projected so that mass balances to round-off in every voxel.

The inflow has the profile of fully developed flow through the inlet plane; the outflows are prescribed, which
leaves each outlet one uniform pressure to be found. Velocities in mean inlet velocities, pressures in density
times its square, lengths in voxels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.ndimage import map_coordinates
from scipy.sparse.linalg import spsolve

from voxfield.phantoms._lattice import Bool, Int, Lattice, Real
from voxfield.phantoms._momentum import Momentum
from voxfield.phantoms._saddle import PressureSolver, solve_step

FIRST_REYNOLDS = 20.0
"""Where the way from rest begins; Newton's method reaches it in a few steps."""
PAD = 2
"""Voxels around the field of view on every side of a lattice, fine or coarse."""


@dataclass(frozen=True)
class Problem:
    """A lattice with its inflow.

    radius   of the inlet in voxels: Reynolds number = 2 radius / viscosity
    area     of the inlet in voxel faces: the inflow, since its mean velocity is 1
    shares   fraction of the inflow that leaves through each outlet
    """

    lattice: Lattice
    radius: float
    area: float
    shares: tuple[float, ...]

    @property
    def sources(self) -> Real:
        """Right-hand side of mass conservation, (n_cells + n_outlets,)."""
        rest = np.zeros(self.lattice.n_cells)
        return np.concatenate([rest, -self.area * np.asarray(self.shares)])

    def viscosity(self, reynolds: float) -> float:
        return 2 * self.radius / reynolds


@dataclass(frozen=True)
class Flow:
    """Velocity (n_faces,), pressure (n_cells + n_outlets,), the Reynolds number, and how well they fit.

    residual    root mean square of the force imbalance over mean inlet velocity^2 / inlet diameter
    imbalance   largest net outflow of a voxel over the inflow
    iterations  of the linear solver, in all
    """

    velocity: Real
    pressure: Real
    reynolds: float
    residual: float
    imbalance: float
    iterations: int


def solve_flow(fine: Problem, coarse: Problem | None, reynolds: float, *, tolerance: float = 1e-5) -> Flow:
    """Steady flow on the fine lattice; `coarse` is the same vessel on voxels of twice the edge."""
    start, first = _rest(fine), FIRST_REYNOLDS
    if coarse is not None:
        leader = Momentum(coarse.lattice, 1.0, damping=1 / 8)
        led = _lead(leader, coarse, _rest(coarse), first, reynolds, tolerance=1e-3)
        start, first = _project(fine, _refine(coarse, fine, led)), max(led.reynolds, first)
    momentum = Momentum(fine.lattice, 1.0)
    flow = _project(fine, _lead(momentum, fine, start, first, reynolds, tolerance=tolerance))
    if flow.residual > tolerance:
        # Balancing mass moved the velocity a little; one more step sees to the forces.
        better = _newton(momentum, fine, flow, flow.reynolds, tolerance)
        flow = flow if better is None else _project(fine, better)
    return flow


def _rest(problem: Problem) -> Flow:
    velocity = np.zeros(problem.lattice.n_faces)
    velocity[problem.lattice.n_free :] = inlet_profile(problem)
    return Flow(velocity, np.zeros(problem.sources.size), 0.0, np.inf, np.inf, 0)


def inlet_profile(problem: Problem) -> Real:
    """Velocities of the inlet faces in fully developed flow, (n_known,), towards larger indices positive."""
    lattice = problem.lattice
    f, first = lattice.interfaces, lattice.n_free
    left, right = f.left - first, f.right - first
    # Only interfaces within the plane: the other side is the wall or another inlet face.
    plane = (_known(lattice, left) | _known(lattice, right)) & (left >= 0) & (right >= 0)
    left, right, g = left[plane], right[plane], f.conductance[plane]
    on_left, on_right = _known(lattice, left), _known(lattice, right)
    both = on_left & on_right
    rows = np.concatenate([left[on_left], right[on_right], left[both], right[both]])
    cols = np.concatenate([left[on_left], right[on_right], right[both], left[both]])
    values = np.concatenate([g[on_left], g[on_right], -g[both], -g[both]])
    matrix = sparse.csc_matrix((values, (rows, cols)), shape=(lattice.n_known, lattice.n_known))
    profile = np.asarray(spsolve(matrix, np.ones(lattice.n_known)))
    return np.asarray(profile * (lattice.inlet_sign * problem.area / profile.sum()))


def _known(lattice: Lattice, place: Int) -> Bool:
    return np.asarray((place >= 0) & (place < lattice.n_known))


def _lead(momentum: Momentum, problem: Problem, flow: Flow, first: float, goal: float, *, tolerance: float) -> Flow:
    """Raise the Reynolds number to `goal`, beginning with `first`; gives up at the highest one that converged."""
    reached, step = 0.0, first
    for _ in range(40):
        wanted = min(goal, reached + step)
        tried = _newton(momentum, problem, flow, wanted, tolerance if wanted >= goal else 3e-2)
        if tried is None:
            step /= 2
            if step < 2.0:
                break
            continue
        flow, reached = tried, wanted
        if reached >= goal:
            break
        step *= 1.3
    return flow


def _newton(momentum: Momentum, problem: Problem, flow: Flow, reynolds: float, tolerance: float) -> Flow | None:
    """Newton steps at one Reynolds number, or None if they run away."""
    momentum.viscosity = problem.viscosity(reynolds)
    divergence = problem.lattice.divergence[:, : problem.lattice.n_free].tocsr()
    free = problem.lattice.n_free
    best = np.inf
    for _ in range(14):
        force = -momentum.residual(flow.velocity, flow.pressure)
        mass = problem.sources - problem.lattice.divergence @ flow.velocity
        dv, dp, iterations = solve_step(
            momentum.jacobian(flow.velocity),
            momentum.upwind(flow.velocity),
            divergence,
            force,
            mass,
            rtol=0.04,
            max_iterations=70,
        )
        velocity = flow.velocity.copy()
        velocity[:free] += dv
        flow = _judged(momentum, problem, velocity, flow.pressure + dp, reynolds, flow.iterations + iterations)
        if flow.residual < tolerance:
            return flow
        if not flow.residual < 4 * max(best, 1.0) or (best < 1e-2 and flow.residual > 0.9 * best):
            return None
        best = min(best, flow.residual)
    return None


def _judged(
    momentum: Momentum, problem: Problem, velocity: Real, pressure: Real, reynolds: float, iterations: int
) -> Flow:
    force = momentum.residual(velocity, pressure)
    mass = problem.lattice.divergence @ velocity - problem.sources
    residual = float(np.sqrt(np.mean(force**2)) * 2 * problem.radius)
    return Flow(velocity, pressure, reynolds, residual, float(np.abs(mass).max() / problem.area), iterations)


def _project(problem: Problem, flow: Flow) -> Flow:
    """The nearest velocity that balances mass in every voxel; pressure stays."""
    lattice = problem.lattice
    divergence = lattice.divergence[:, : lattice.n_free].tocsr()
    solver = PressureSolver(divergence, np.ones(lattice.n_free))
    velocity = flow.velocity.copy()
    for _ in range(2):  # the second pass removes what round-off left of the first
        mass = lattice.divergence @ velocity - problem.sources
        velocity[: lattice.n_free] -= divergence.T @ solver.solve(mass)
    momentum = Momentum(lattice, problem.viscosity(max(flow.reynolds, 1e-3)))
    return replace(
        _judged(momentum, problem, velocity, flow.pressure, flow.reynolds, flow.iterations), reynolds=flow.reynolds
    )


def _refine(coarse: Problem, fine: Problem, flow: Flow) -> Flow:
    """The coarse flow interpolated to the fine lattice."""
    dense = coarse.lattice.scatter(flow.velocity)
    moved = []
    for axis in range(3):
        ids = fine.lattice.faces[axis]
        values = np.zeros(ids.shape)
        index = np.argwhere(ids < fine.lattice.n_free)
        place = _coarse_place(index, axis)
        values[tuple(index.T)] = map_coordinates(dense[axis], place.T, order=1)
        moved.append(values)
    velocity = fine.lattice.gather((moved[0], moved[1], moved[2]))
    velocity[fine.lattice.n_free :] = inlet_profile(fine)
    cells, inside = coarse.lattice.cells, coarse.lattice.cells >= 0
    values = np.where(inside, flow.pressure[np.maximum(cells, 0)], 0.0)
    index = np.argwhere(fine.lattice.cells >= 0)
    place = _coarse_place(index, None).T
    weight = map_coordinates(inside.astype(float), place, order=1)
    mean = map_coordinates(values, place, order=1) / np.maximum(weight, 1e-3)
    pressure = np.zeros(fine.sources.size)
    pressure[fine.lattice.cells[tuple(index.T)]] = np.where(weight > 1e-3, mean, 0.0)
    pressure[fine.lattice.n_cells :] = flow.pressure[coarse.lattice.n_cells :]
    return Flow(velocity, pressure, flow.reynolds, np.inf, np.inf, flow.iterations)


def _coarse_place(index: Int, axis: int | None) -> Real:
    """Fractional coarse index of fine voxels, or of fine faces of one axis; both grids are padded by `PAD`."""
    place = (index - PAD + 0.5) / 2 - 0.5 + PAD
    if axis is not None:
        place[:, axis] = (index[:, axis] - PAD) / 2 + PAD
    return np.asarray(place)
