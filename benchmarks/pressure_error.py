"""The standard deviation that `pde.pressure` gives for the error of its voxels, against the errors themselves.

True velocities without noise, so that nothing but the voxels is wrong: phantom vessels at two resolutions, random tubes
and wedges (`tests/pde/draws.py`). The two factors of `voxfield.pde._discretisation` are fitted by likelihood on one set
of seeds (phantoms, tubes and wedges weigh 2 : 1 : 1, since vessels are what the stage is for) and those that the
package has are judged on others.
"""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from _common import ROOT, Claim, finish, options
from voxfield.context import Context
from voxfield.pde import Lumen, relative_pressure
from voxfield.pde._discretisation import AVERAGING, RESOLUTION, indicators
from voxfield.pde._way import find_ways
from voxfield.phantoms import vessel

sys.path.insert(0, str(ROOT / "tests"))
from pde.draws import Draw, random_tube, random_wedge
from pde.exact import BLOOD

Floats = NDArray[np.float64]
Row = dict[str, Any]
INLET, OUTLET = 2, 3
SHARES = {"phantom": 2.0, "tube": 1.0, "wedge": 1.0}
CALIBRATION, JUDGEMENT = 300, 500  # first seeds


def vessel_rows(seed: int, spacing_mm: float) -> Iterator[Row]:
    """Errors at the outlets of one phantom."""
    made = vessel(spacing_mm=spacing_mm, ctx=Context(seed=seed))
    grid = made.lumen.grid
    velocity = made.velocity_true.data[:, :, :, 0].astype(float) @ grid.axes
    x, y, z = (grid.spacing * 1e-3).tolist()
    lumen = Lumen(made.lumen.data > 0, made.openings.data, (x, y, z), INLET, np.linalg.norm(velocity, axis=-1))
    drops = {o["opening"]: -o["pressure_drop_pa"] for o in made.truth.values["openings"] if o["opening"] != INLET}
    yield from rows(f"phantom {spacing_mm} mm", lumen, velocity[lumen.domain.mask], drops)


def draw_rows(seed: int, count: int) -> Iterator[Row]:
    """Errors of random tubes and wedges."""
    rng = np.random.default_rng(seed)
    for name, make in (("tube", random_tube), ("wedge", random_wedge)):
        for across in (5, 6, 7, 8, 10):
            for _ in range(count):
                draw: Draw = make(rng, across)
                yield from rows(f"{name} {across:2d} across", draw.lumen, draw.velocity, {OUTLET: draw.drop})


def rows(group: str, lumen: Lumen, velocity: Floats, drops: dict[int, float]) -> Iterator[Row]:
    """Error and indicators of every drop, over the whole rise and fall of the pressure on the way."""
    pressure = relative_pressure(lumen, velocity[None, None], BLOOD)
    ways = find_ways(lumen)
    found = indicators(lumen, velocity[None], pressure, ways, BLOOD)
    box = lumen.domain.dense(pressure.values[:, 0])
    for label, drop in drops.items():
        if label in ways:
            scale = np.abs(np.diff(box[tuple(ways[label].voxels.T)])).sum()
            error = pressure.planes[label][0] - drop
            yield {
                "group": group,
                "error": error / scale,
                "resolution": found.planes[label].resolution[0] / scale,
                "averaging": found.planes[label].averaging[0] / scale,
                "relative error": error / abs(drop),
                "across": ways[label].throat,
            }


def columns(found: list[Row]) -> tuple[Floats, Floats]:
    """Errors (n,) and squared indicators (n, 2)."""
    squares = np.array([[row["resolution"], row["averaging"]] for row in found]) ** 2
    return np.array([row["error"] for row in found]), squares


def fitted(found: list[Row]) -> Floats:
    """Factors (2,) of largest likelihood."""
    errors, squares = columns(found)
    family = np.array([row["group"].split()[0] for row in found])
    weights = np.array([SHARES[name] / np.mean(family == name) for name in family])

    def loss(logs: Floats) -> float:
        variance = 1e-8 + squares @ np.exp(2 * logs)
        return float(weights @ (np.log(variance) + errors**2 / variance))

    return np.exp(minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-4, 4)] * 2).x)


def judged(found: list[Row], factors: Floats) -> Iterator[Row]:
    """A row a group and one over all."""
    errors, squares = columns(found)
    sd = np.sqrt(squares @ factors**2)
    group = np.array([row["group"] for row in found])
    relative = np.array([row["relative error"] for row in found])
    across = np.array([row["across"] for row in found])
    for name in (*np.unique(group).tolist(), "all"):
        here = (group == name) | (name == "all")
        inside = np.abs(errors[here]) <= 1.96 * sd[here]
        yield {
            "flow": name,
            "drops": int(here.sum()),
            "voxels across": float(across[here].mean()),
            "error, % of drop, mean": float(100 * relative[here].mean()),
            "median size": float(100 * np.median(np.abs(relative[here]))),
            "rms error over way": float(np.sqrt((errors[here] ** 2).mean())),
            "rms sd over way": float(np.sqrt((sd[here] ** 2).mean())),
            "coverage": float(inside.mean()),
        }


def main() -> None:
    """Fit on some seeds, judge on others."""
    chosen = options(__doc__ or "", seeds=8)
    phantoms, count = (1, 1) if chosen.quick else (chosen.seeds, 10)
    sets = {
        first: [
            *(row for n in range(phantoms) for mm in (0.7, 1.0) for row in vessel_rows(first + n, mm)),
            *draw_rows(first, count),
        ]
        for first in (CALIBRATION, JUDGEMENT)
    }
    best = fitted(sets[CALIBRATION])
    print(f"fitted: resolution {best[0]:.2f}, averaging {best[1]:.2f}; in use: {RESOLUTION}, {AVERAGING}")
    table = list(judged(sets[JUDGEMENT], np.array([RESOLUTION, AVERAGING])))
    least = [Claim("coverage of the 95 % interval, all", table[-1]["coverage"], 0.92, ">=")]
    finish(chosen, least, table)


if __name__ == "__main__":
    main()
