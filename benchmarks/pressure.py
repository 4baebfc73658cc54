"""Pressure from velocity on flows whose pressure is known: drop error of every estimator by noise and resolution.

The flows are Jeffery-Hamel flows between inclined walls (exact Navier-Stokes with no slip, convergent and divergent,
5 to 14 voxels across the throat), Poiseuille flow in a tilted tube, and phantom vessels at two resolutions, whose
velocities are means over voxels that the wall cuts. The weak form, virtual work and the Stokes estimator, ours with its
resistance beside the wall and the published one, share their force. Classical estimators stand beside them: the
simplified Bernoulli equation, 4 (v2^2 - v1^2), and the pressure Poisson equation with the central differences that a
textbook would write down, no slip on the faces of the voxels. The forms of the convective term between which
`voxfield.pde` chose are compared on the same flows. Coverage: 95 % intervals of the drop over independent draws of the
noise, and of the wall, samples as from a calibrated posterior.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from _common import ROOT, Claim, finish, options
from voxfield.context import Context
from voxfield.pde import EllipticSolver, LocalFit, Lumen, VoxelDomain, momentum_force, relative_pressure
from voxfield.pde._posterior import Method, PressurePosterior, Velocities, pressure_posterior
from voxfield.pde._stokes import OpeningFlows, opening_flows
from voxfield.pde._summary import MMHG
from voxfield.pde._work_energy import opening_pressures, virtual_fields
from voxfield.phantoms import vessel

sys.path.insert(0, str(ROOT / "tests"))
from pde.exact import BLOOD, Flow, Tube, Wedge

Floats = NDArray[np.float64]
INLET, OUTLET = 2, 3
SAMPLES = 16
RADIUS, LENGTH = 4e-3, 24e-3  # metres
OURS = ("weak Poisson", "virtual work", "Stokes")
ESTIMATORS = (*OURS, "Stokes as published", "all voxels alike", "Bernoulli 4v^2", "textbook Poisson")


@dataclass(frozen=True)
class Case:
    """A lumen with its openings, the flow in it and its exact drop.

    velocity  (n, 3) m/s at the voxels of the lumen
    pressure  (n,) Pa
    drops     Pa by outlet: mean over its plane less that over the inlet plane
    slip      axis along which nothing changes, so that the sides normal to it are no walls; None in a tube
    """

    name: str
    across: str
    lumen: Lumen
    velocity: Floats
    pressure: Floats
    drops: dict[int, float]
    slip: int | None

    @cached_property
    def flows(self) -> tuple[OpeningFlows, OpeningFlows]:
        """The Stokes flows between its openings, the same for every velocity: ours, and without resistance."""
        return opening_flows(weighed(self, self.velocity)), opening_flows(self.lumen)


def wedge(half_angle: float, reynolds: float, across: int) -> Case:
    """Flow between walls inclined by twice half_angle; reynolds < 0 flows towards the apex."""
    flow = Wedge(half_angle, reynolds, 4e-3, BLOOD)
    mask, points, spacing = flow.lumen(across, layers=8)
    radius, angle = flow._polar(points)
    fan = (np.abs(angle) < 1.2 * half_angle) & ~mask
    near, far = (INLET, OUTLET) if reynolds > 0 else (OUTLET, INLET)
    marks = np.zeros(mask.shape, dtype=np.int16)
    marks[fan & (radius <= flow.inner) & (radius > 0.7 * flow.inner)] = near
    marks[fan & (radius >= 2 * flow.inner)] = far
    direction = "converging" if reynolds < 0 else "diverging"
    return _case(f"{direction} walls, Re {abs(reynolds):g}", across, mask, marks, spacing, points, flow, slip=2)


def tilted(across: int) -> Tube:
    """A tilted tube of so many voxels."""
    step = 2 * RADIUS / across
    steps = tuple(int(np.ceil(size / step)) for size in (40e-3, 30e-3, 24e-3))
    return Tube((steps[0], steps[1], steps[2]), (step,) * 3, RADIUS, (1, 0.5, 0.3), LENGTH, 0.05)


def tube(across: int) -> Case:
    """Poiseuille flow in it."""
    made = tilted(across)
    return _case("tilted tube, Re 121", across, made.mask, made.marks, made.spacing, made.points, made.flow)


def _case(
    name: str,
    across: int,
    mask: NDArray[np.bool_],
    marks: NDArray[np.int16],
    spacing: tuple[float, float, float],
    points: Floats,
    flow: Flow,
    slip: int | None = None,
) -> Case:
    lumen = Lumen(mask, marks, spacing, INLET)
    inside = points[lumen.domain.mask]
    velocity, pressure = flow(inside)
    planes = {}
    for label, plane in lumen.openings.items():
        faces = plane.faces
        outward = (np.arange(3) == faces.axes[:, None]) * (faces.signs * plane.half_steps)[:, None]
        planes[label] = float(plane.weights @ flow(inside[faces.cells] + outward)[1])
    return Case(name, str(across), lumen, velocity, pressure, {OUTLET: planes[OUTLET] - planes[INLET]}, slip)


def phantom(seed: int, spacing_mm: float) -> Case:
    """A branching vessel; its velocities are the means over voxels, its drops those of the fine solution."""
    made = vessel(spacing_mm=spacing_mm, ctx=Context(seed=seed))
    grid = made.lumen.grid
    x, y, z = (grid.spacing * 1e-3).tolist()
    lumen = Lumen(made.lumen.data > 0, made.openings.data, (x, y, z), INLET)
    inside = lumen.domain.mask
    velocity = made.velocity_true.data[inside][:, 0].astype(float) @ grid.axes
    drops = {o["opening"]: -o["pressure_drop_pa"] for o in made.truth.values["openings"] if o["opening"] != INLET}
    pressure = made.pressure_true.data[inside].astype(float)
    return Case(f"phantom {seed}", f"{spacing_mm} mm", lumen, velocity, pressure, drops, None)


def cases(resolutions: tuple[int, ...], flows: list[tuple[float, float]]) -> Iterator[Case]:
    """Every exact flow at every resolution."""
    for across in resolutions:
        yield tube(across)
        for half_angle, reynolds in flows:
            yield wedge(half_angle, reynolds, across)


def noise(case: Case, rng: np.random.Generator, share: float, width: float) -> Floats:
    """Noise (n, 3) of standard deviation `share` of the peak speed, smooth over `width` voxels like a posterior."""
    peak = np.linalg.norm(case.velocity, axis=1).max()
    return disturbance(case.lumen.domain.mask, rng, share * peak, width)


def disturbance(mask: NDArray[np.bool_], rng: np.random.Generator, sd: float, width: float) -> Floats:
    """The same at the voxels of any mask, of standard deviation `sd`."""
    field = np.stack([gaussian_filter(rng.standard_normal(mask.shape), width) for _ in range(3)], axis=-1)
    return np.asarray((field * (sd / field.std()))[mask])


def weighed(case: Case, mean: Floats) -> Lumen:
    """The lumen of a case, weighted by the speed of the mean flow (n, 3)."""
    plain = case.lumen
    speed = plain.domain.dense(np.linalg.norm(mean, axis=1))
    return Lumen(plain.drawn, plain.marks, plain.spacing, plain.reference, speed)


def estimates(case: Case, velocity: Floats) -> dict[str, Floats]:
    """Drops in Pa, by outlet, that each estimator finds for one field (n, 3)."""
    lumen, outlets = weighed(case, velocity), list(case.drops)
    found = relative_pressure(lumen, velocity[None, None], BLOOD)
    alike = relative_pressure(case.lumen, velocity[None, None], BLOOD)
    fields = virtual_fields(lumen.domain, lumen.boundary, lumen.weights)
    work = opening_pressures(lumen.domain, fields, INLET, found.face_force, found.cell_force)
    stokes, bare = (flows.pressures(found.face_force, found.cell_force) for flows in case.flows)
    plain = textbook(case, velocity)
    return {
        "weak Poisson": np.array([found.planes[k][0] for k in outlets]),
        "virtual work": np.array([work[fields.labels.index(k), 0] for k in outlets]),
        "Stokes": np.array([stokes[k][0] for k in outlets]),
        "Stokes as published": np.array([bare[k][0] for k in outlets]),
        "all voxels alike": np.array([alike.planes[k][0] for k in outlets]),
        "Bernoulli 4v^2": np.array([4 * (found.speeds[INLET] ** 2 - found.speeds[k] ** 2)[0] * MMHG for k in outlets]),
        "textbook Poisson": np.array([plain[k] - plain[INLET] for k in outlets]),
    }


def textbook(case: Case, velocity: Floats) -> dict[int, float]:
    """Central differences; beyond the wall the value with its sign turned, beyond an opening the value itself."""
    domain = case.lumen.domain
    ghosts = {(k, side): velocity.copy() if k == case.slip else -velocity for k in range(3) for side in (-1, 1)}
    for opening in case.lumen.openings.values():
        faces = opening.faces
        for (axis, side), ghost in ghosts.items():
            cells = faces.cells[(faces.axes == axis) & (faces.signs == side)]
            ghost[cells] = velocity[cells]
    gradient, laplacian = np.zeros((domain.size, 3, 3)), np.zeros((domain.size, 3))
    for axis, step in enumerate(domain.spacing):
        up, down = (_beside(domain, velocity, ghosts[axis, side], axis, side) for side in (1, -1))
        gradient[:, axis] = (up - down) / (2 * step)
        laplacian += (up - 2 * velocity + down) / step**2
    force = BLOOD.viscosity * laplacian - BLOOD.density * np.einsum("nd,ndc->nc", velocity, gradient)
    values = _solve(domain, _face_means(domain, force))
    return {label: float(values[opening.faces.cells].mean()) for label, opening in case.lumen.openings.items()}


def _beside(domain: VoxelDomain, velocity: Floats, ghost: Floats, axis: int, side: int) -> Floats:
    near = domain.neighbour((side * (axis == 0), side * (axis == 1), side * (axis == 2)))
    inside = near < domain.size
    return np.where(inside[:, None], velocity[np.where(inside, near, 0)], ghost)


def _face_means(domain: VoxelDomain, cells: Floats) -> Floats:
    return np.concatenate([(cells[low, k] + cells[high, k]) / 2 for k, (low, high) in enumerate(domain.faces)])


def _solve(domain: VoxelDomain, faces: Floats) -> Floats:
    solver = EllipticSolver(domain.stiffness, domain.cells)
    return np.asarray(solver.solve(domain.divergence @ faces[:, None]).values[:, 0])


def averaged(domain: VoxelDomain, velocity: Floats) -> Floats:
    """Faces of b with u . grad u averaged from the voxels."""
    return _face_means(domain, momentum_force(domain, velocity, BLOOD).cells)


def rotational(domain: VoxelDomain, velocity: Floats) -> Floats:
    """Faces of b with u . grad u = grad(u^2 / 2) - u x curl u."""
    gradient, laplacian = LocalFit(domain).derivatives(velocity)
    curl = np.stack(
        [gradient[:, (k + 1) % 3, (k + 2) % 3] - gradient[:, (k + 2) % 3, (k + 1) % 3] for k in range(3)], axis=1
    )
    cells = BLOOD.density * np.cross(velocity, curl) + BLOOD.viscosity * laplacian
    return np.asarray(_face_means(domain, cells) - BLOOD.density / 2 * (domain.gradient @ (velocity**2).sum(axis=1)))


def divergence(domain: VoxelDomain, velocity: Floats) -> Floats:
    """Faces of b with u . grad u = div(u u)."""
    fit = LocalFit(domain)
    products = (velocity[:, :, None] * velocity[:, None, :]).reshape(-1, 9)
    slopes = fit.derivatives(products).gradient.reshape(-1, 3, 3, 3)
    cells = BLOOD.viscosity * fit.derivatives(velocity).laplacian - BLOOD.density * np.einsum("nddc->nc", slopes)
    return _face_means(domain, cells)


FORMS: dict[str, Callable[[VoxelDomain, Floats], Floats]] = {
    "ours (conservative along the face normal)": lambda domain, u: momentum_force(domain, u, BLOOD).faces,
    "averaged u . grad u": averaged,
    "rotational": rotational,
    "divergence": divergence,
}


def form_rows(chosen: list[Case], draws: int) -> list[dict[str, Any]]:
    """Error of the pressure field without noise, and its growth with noise, by form of the convective term."""
    rows = []
    for name, form in FORMS.items():
        clean, noisy = [], []
        for case in chosen:
            domain, scale = case.lumen.domain, case.pressure.std()
            exact = _solve(domain, form(domain, case.velocity))
            clean.append(((exact - case.pressure).std()) / scale)
            for seed in range(draws):
                disturbed = case.velocity + noise(case, np.random.default_rng(seed), 0.05, 1.5)
                noisy.append((_solve(domain, form(domain, disturbed)) - exact).std() / scale)
        rows.append({
            "form of u . grad u": name,
            "field error, no noise": float(np.mean(clean)),
            "field spread, noise 5 %": float(np.mean(noisy)),
        })  # fmt: skip
    return rows


def drawn(made: Tube, rng: np.random.Generator, wall: float) -> PressurePosterior:
    """Samples around a measurement, both with 5 % noise and with a wall that is out by `wall` voxels, one sd."""
    step = made.spacing[0]
    radii = RADIUS + step * wall * (rng.standard_normal() + rng.standard_normal(SAMPLES))
    lumens = (made.away < radii[:, None, None, None]) & (np.abs(made.along) < LENGTH / 2)
    mask = lumens.any(axis=0)
    true = np.where(made.away[mask][:, None] < RADIUS, made.sample(mask), 0.0)
    sd = 0.05 * np.linalg.norm(true, axis=1).max()
    mean = true + disturbance(mask, rng, sd, 1.5)
    values = np.stack([mean + disturbance(mask, rng, sd, 1.5) for _ in range(SAMPLES)])[:, None]
    velocities = Velocities(values, mask, lumens[:, mask], made.marks, made.spacing)
    return pressure_posterior(velocities, Method(BLOOD, INLET, None, 1e-8))


def coverage_rows(wall: float, draws: int) -> Iterator[dict[str, Any]]:
    """Share of draws whose 95 % interval of the drop holds the truth, for each estimator."""
    made, rng = tilted(8), np.random.default_rng(0)
    kept: dict[str, list[tuple[float, float]]] = {}
    for _ in range(draws):
        found = drawn(made, rng, wall)
        place = found.labels.index(OUTLET)
        for name, values in zip(OURS, (found.planes, found.work_energy, found.stokes), strict=True):
            drops = values[:, 0, place]
            kept.setdefault(name, []).append((float(drops.mean()), float(drops.std(ddof=1))))
        mean, sd = kept["weak Poisson"][-1]
        shared = float(found.grid_plane_sd[OUTLET][0])
        kept.setdefault("weak Poisson, with the error of the voxels", []).append((mean, float(np.hypot(sd, shared))))
    for name, pairs in kept.items():
        errors, sds = np.array(pairs).T + np.array([[made.drop], [0.0]])
        share = float(np.mean(np.abs(errors) <= 1.96 * sds))
        yield {
            "drawn": "velocity and wall" if wall else "velocity",
            "estimator": name,
            "draws": draws,
            "coverage": share,
            "standard error": float(np.sqrt(share * (1 - share) / draws)),
            "bias": float(errors.mean() / -made.drop),
            "rms error": float(np.sqrt((errors**2).mean()) / made.drop),
            "rms sd": float(np.sqrt((sds**2).mean()) / made.drop),
        }


def cost_rows(chosen: list[Case]) -> Iterator[dict[str, Any]]:
    """CPU seconds for the drops of one field, nothing set up before."""
    for case in chosen:
        fresh = weighed(case, case.velocity)
        start = time.process_time()
        found = relative_pressure(fresh, case.velocity[None, None], BLOOD)
        weak = time.process_time()
        opening_flows(fresh).pressures(found.face_force, found.cell_force)
        stokes = time.process_time()
        fields = virtual_fields(fresh.domain, fresh.boundary, fresh.weights)
        opening_pressures(fresh.domain, fields, INLET, found.face_force, found.cell_force)
        work = time.process_time()
        yield {
            "flow": f"{case.name}, {case.across}",
            "unknowns": fresh.domain.size,
            "openings": len(fresh.openings),
            "force and weak Poisson, CPU s": weak - start,
            "Stokes beside it, CPU s": stokes - weak,
            "virtual work beside it, CPU s": work - stokes,
        }


def drop_rows(case: Case, repeats: int) -> Iterator[dict[str, Any]]:
    """Relative error of the drops, root mean square over outlets and draws, without noise and with two kinds of it."""
    true = np.array(list(case.drops.values()))
    for share, width in ((0.0, 0.0), (0.03, 0.0), (0.05, 1.5)):
        draws = range(repeats if share else 1)
        errors: dict[str, list[float]] = {}
        for seed in draws:
            disturbance = noise(case, np.random.default_rng(seed), share, width) if share else 0.0
            for name, drops in estimates(case, case.velocity + disturbance).items():
                errors.setdefault(name, []).append(float(((drops - true) ** 2).sum() / (true**2).sum()))
        kind = "none" if not share else f"{share:.0%} {'smooth' if width else 'white'}"
        row: dict[str, Any] = {"flow": case.name, "voxels": case.across, "largest drop Pa": true.min(), "noise": kind}
        yield row | {name: float(np.sqrt(np.mean(values))) for name, values in errors.items()}


def gathered(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Root mean square of each estimator over the flows of a kind, by resolution and noise."""
    keys = {(row["flow"].startswith("phantom"), row["voxels"], row["noise"]): None for row in rows}
    for phantoms, voxels, disturbed in keys:
        here = [
            row
            for row in rows
            if (row["flow"].startswith("phantom"), row["voxels"], row["noise"]) == (phantoms, voxels, disturbed)
        ]
        yield {
            "flows": f"{len(here)} phantoms" if phantoms else f"{len(here)} exact",
            "voxels": voxels,
            "noise": disturbed,
        } | {name: float(np.sqrt(np.mean([row[name] ** 2 for row in here]))) for name in ESTIMATORS}


def main() -> None:
    """Run, print, judge."""
    chosen = options(__doc__ or "", seeds=8)
    flows = [(0.2, -60.0)] if chosen.quick else [(0.2, -10.0), (0.2, -60.0), (0.2, -200.0), (0.1, 10.0)]
    made = list(cases((5, 8) if chosen.quick else (5, 8, 14), flows))
    spacings, count = ((1.0,), 1) if chosen.quick else ((0.7, 1.0), chosen.seeds)
    vessels = [phantom(seed, mm) for mm in spacings for seed in range(20, 20 + count)]
    repeats = 2 if chosen.quick else min(chosen.seeds, 8)
    rows = [row for case in (*made, *vessels) for row in drop_rows(case, repeats)]
    forms = form_rows([c for c in made if c.across == "8" and "walls" in c.name], 1 if chosen.quick else 6)
    covered = [*coverage_rows(0.0, 50 if chosen.quick else 200)]
    if not chosen.quick:
        covered += coverage_rows(0.3, 50)
    costs = list(cost_rows([made[-1], vessels[0]]))
    finish(chosen, claims(rows, covered), rows, list(gathered(rows)), forms, covered, costs)


def claims(rows: list[dict[str, Any]], covered: list[dict[str, Any]]) -> list[Claim]:
    """What we hold ourselves to."""

    def errors(name: str, voxels: str, noise: str = "none") -> list[float]:
        return [row[name] for row in rows if row["voxels"] == voxels and row["noise"] == noise]

    def over_textbook(name: str) -> float:
        return float(np.median([row[name] / row["textbook Poisson"] for row in rows if row["noise"] == "5% smooth"]))

    vessels = [row for row in rows if row["flow"].startswith("phantom") and row["noise"] == "none"]
    fine = [row["weak Poisson"] for row in vessels if row["voxels"] == vessels[0]["voxels"]]
    told = [row for row in covered if "error of the voxels" in row["estimator"]]
    return [
        Claim("drop error, exact flows, 5 voxels across, worst", max(errors("weak Poisson", "5")), 0.10, "<="),
        Claim("drop error, exact flows, 8 voxels across, worst", max(errors("weak Poisson", "8")), 0.05, "<="),
        Claim(f"drop error, phantom vessels, {vessels[0]['voxels']}, mean", float(np.mean(fine)), 0.08, "<="),
        *(
            Claim(f"{name}: drop error over textbook Poisson, 5 % noise, median", over_textbook(name), 1.0, "<=")
            for name in OURS
        ),
        # 1.96 standard deviations of 16 samples around their own mean cover .923 of the time.
        *(Claim(f"coverage of the 95 % interval, {row['drawn']} drawn", row["coverage"], 0.90, ">=") for row in told),
    ]


if __name__ == "__main__":
    main()
