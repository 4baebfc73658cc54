"""Flow rate, wall shear stress and kinetic energy by `fields.derive`: errors, and does the 95 % interval hold 95 %?

Every draw measures a known flow with fresh noise, reconstructs it with `fields.reconstruct`, whose settings come from
the evidence, and derives the three quantities from its samples. The interval is mean +- t sd (1 + 1/16)^(1/2) with
Student's t of 15 degrees of freedom, since 16 samples stand behind each sd. Coverage is pooled over sections or wall
points, with its standard error over draws. Two flows: Poiseuille flow in a tilted tube, where all three are known in
closed form, and a phantom vessel, where flow through the branches and energy are those of its Navier-Stokes solution
and wall shear stress is not known without error. In the tube the wall is either known, at the level 0.5 of the
probability, or left to the evidence. Beside it stand the same quantities from the measurement itself, cut by the same
lumen.
"""

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from _common import ROOT, Claim, finish, options
from voxfield.artifacts import Centerline, FieldSamples, LabelMap, VectorImage
from voxfield.context import Context
from voxfield.fields import derive, reconstruct
from voxfield.fields._derive import Derived
from voxfield.phantoms import vessel

sys.path.insert(0, str(ROOT / "tests"))
from fields.flows import Tube, tube

Row = dict[str, Any]
Floats = NDArray[np.float64]
VISCOSITY, DENSITY = 0.0035, 1060.0
RADIUS_MM, NOISE = 3.2, 0.1
WIDTH = float(t.ppf(0.975, 15)) * np.sqrt(1 + 1 / 16)
DRAWS, QUICK_DRAWS, VESSELS = 50, 2, 10
WALLS = {"known": (0.5,), "by evidence": (0.3, 0.5, 0.7)}
END_MM = 2.0
"""What is nearer the ends of the tube is left out: the grid cuts it there."""


def judged(name: str, found: Floats, sd: Floats, truth: Floats | float, raw: float | None) -> Row:
    """One quantity of one draw."""
    error = (found - truth) / np.abs(truth)
    return {
        "quantity": name,
        "error": float(np.sqrt(np.mean(np.square(error)))),
        "bias": float(np.mean(error)),
        "inside": float(np.mean(np.abs(found - truth) <= WIDTH * sd)),
        "raw error": raw,
    }


def column(table: Any, name: str) -> Floats:
    """A column of a table as an array."""
    return np.array(table.column(name), dtype=np.float64)


def as_samples(velocity: VectorImage, lumen: NDArray[np.bool_]) -> FieldSamples:
    """A measurement in the place of sixteen equal samples."""
    values = np.moveaxis(velocity.data[lumen], 0, 1)[None]
    return FieldSamples(np.repeat(values, 16, axis=0), lumen, velocity.affine, unit=velocity.unit)


def tube_rows(seed: int, quick: bool, levels: tuple[float, ...]) -> Iterator[Row]:
    """Poiseuille flow; truth in closed form, energy of the part that the grid holds."""
    flow = tube(radius_mm=RADIUS_MM, noise=NOISE, length=12 if quick else 20, seed=seed)
    way = Way(flow)
    settings: dict[str, Any] = {"smoothness": 2.5, "noise_correlation": 0.0} if quick else {}
    settings["wall_levels"] = levels
    made = reconstruct(flow.velocity, flow.probability, None, flow.openings, **settings, ctx=Context(seed=seed))
    given = {"openings": flow.openings, "centerline": way.centerline}
    got = derive(made.samples, flow.probability, **given, streamline_count=0)
    raw = derive(as_samples(flow.velocity, flow.lumen), flow.probability, **given, streamline_count=0)
    through = np.pi * RADIUS_MM**2 / 2
    stress = 4 * VISCOSITY * through * 1e-6 / (np.pi * (RADIUS_MM * 1e-3) ** 3)
    cell = flow.velocity.grid.voxel_volume_mm3 * 1e-9
    energy = 1e3 * 0.5 * DENSITY * cell * float(np.square(flow.truth[flow.lumen]).sum())
    yield judged("flow", *flows(got), through, relative(flows(raw)[0], through))
    yield judged("wall shear stress", *way.stresses(got), stress, relative(way.stresses(raw)[0], stress))
    yield judged("kinetic energy", *energies(got), energy, relative(energies(raw)[0], energy))


class Way:
    """The axis of a tube: a centerline short of its ends, and what lies along it."""

    def __init__(self, flow: Tube) -> None:
        grid = flow.velocity.grid
        along = flow.truth[flow.lumen].mean(axis=0)
        self.axis = along / np.linalg.norm(along)
        self.middle = grid.world((np.array(grid.shape) - 1) / 2)
        self.half = 0.5 * grid.shape[2] * grid.spacing[2] - END_MM
        nodes = self.middle + np.linspace(-self.half, self.half, 9)[:, None] * self.axis
        self.centerline = Centerline(nodes, np.full(9, RADIUS_MM), np.arange(9) - 1)

    def stresses(self, got: Derived) -> tuple[Floats, Floats]:
        """Wall shear stress away from the ends; along the axis, so that noise does not count as stress."""
        inner = np.abs((got.wall_shear.points - self.middle) @ self.axis) < self.half
        sd = got.wall_shear.sd
        if sd is None:
            raise RuntimeError("derive gives a standard deviation of the wall shear stress")
        return (got.wall_shear.vectors @ self.axis)[inner], np.sqrt(np.square(sd) @ np.square(self.axis))[inner]


def flows(got: Derived) -> tuple[Floats, Floats]:
    """Flow through the sections and its standard deviation."""
    return column(got.flow, "flow_ml_per_s"), column(got.flow, "flow_sd_ml_per_s")


def energies(got: Derived) -> tuple[Floats, Floats]:
    """Kinetic energy and its standard deviation."""
    return column(got.energy, "kinetic_energy_mj"), column(got.energy, "kinetic_energy_sd_mj")


def relative(found: Floats, truth: Floats | float) -> float:
    """Root mean square relative error."""
    return float(np.sqrt(np.mean(np.square((found - truth) / np.abs(truth)))))


def vessel_rows(seed: int) -> Iterator[Row]:
    """A phantom vessel; the truth is its own flow, summed over the same slabs."""
    made = vessel(spacing_mm=1.0, snr=10.0, ctx=Context(seed=seed))
    lumen = LabelMap(np.asarray(made.lumen.data > 0, dtype=np.uint8), made.lumen.affine)
    inside = lumen.data > 0
    probability = type(made.angiogram)(inside.astype(np.float32), made.lumen.affine)
    settings = {"wall_levels": (0.5,), "wall": "no-slip"}
    found = reconstruct(made.velocity, probability, lumen, made.openings, **settings, ctx=Context(seed=seed))
    given = {"openings": made.openings, "centerline": made.centerline}
    got = derive(found.samples, probability, **given, streamline_count=0)
    truth = derive(as_samples(made.velocity_true, inside), None, **given, flux=made.flux_true, streamline_count=0)
    raw = derive(as_samples(made.velocity, inside), None, **given, streamline_count=0)
    conserved = column(truth.flow, "flow_of_fluxes_ml_per_s")
    yield judged("flow", *flows(got), conserved, relative(flows(raw)[0], conserved))
    yield judged("kinetic energy", *energies(got), energies(truth)[0], relative(energies(raw)[0], energies(truth)[0]))


def summed(name: str, draws: list[list[Row]]) -> Iterator[Row]:
    """Means over draws, coverage with its standard error."""
    for rows in zip(*draws, strict=True):
        inside = np.array([row["inside"] for row in rows])
        spread = inside.std(ddof=1) / np.sqrt(len(inside)) if len(inside) > 1 else None
        yield {
            "flow": name,
            "quantity": rows[0]["quantity"],
            "draws": len(rows),
            "error": float(np.mean([row["error"] for row in rows])),
            "bias": float(np.mean([row["bias"] for row in rows])),
            "raw error": float(np.mean([row["raw error"] for row in rows])),
            "coverage": float(inside.mean()),
            "s.e.": spread,
        }


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    started = time.process_time()
    count = QUICK_DRAWS if chosen.quick else DRAWS
    rows: list[Row] = []
    for wall, levels in WALLS.items():
        rows += summed(f"tube, wall {wall}", [list(tube_rows(seed, chosen.quick, levels)) for seed in range(count)])
    if not chosen.quick:
        rows += summed("phantom vessel", [list(vessel_rows(seed)) for seed in range(VESSELS)])
    print(f"CPU seconds: {time.process_time() - started:.1f}")
    by = {(row["flow"], row["quantity"]): row for row in rows}
    claims = [
        Claim(f"error of {name} over that of the measurement, {flow}", row["error"] / row["raw error"], 1.0, "<=")
        for (flow, name), row in by.items()
    ]
    if not chosen.quick:
        claims += [Claim(f"coverage, {name}, {flow}", row["coverage"], 0.92, ">=") for (flow, name), row in by.items()]
    finish(chosen, claims, rows)


if __name__ == "__main__":
    main()
