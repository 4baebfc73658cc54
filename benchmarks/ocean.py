"""A current from a few buoys: synthetic planar cases with truth, and predictions for two whose truth is not here.

Data: Berlinghieri et al., "Gaussian processes at the Helm(holtz)" (ICML 2023). Ours is the Helmholtz Gaussian process
of `voxfield.fields.scattered`, settings averaged by the evidence of 8 to 27 buoys; the peer is a thin-plate spline of
each component. Errors are root mean squares over the test points: of the vector, of its divergence and of its
vorticity (central differences of the prediction itself, STEP of the extent). Predictions of all cases go to
`predictions/helmholtz_ocean/`, one `u,v` row a test point, in the order of the data's XY_test files.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from _common import Claim, finish, options
from voxfield.fields.scattered import fit

Array = NDArray[np.float64]
Field = Callable[[Array], Array]
CASES = ("vortex", "contvortex", "divweak", "divmild", "duffing_divsmall", "duffing_divmid")
UNSEEN = ("divstrong", "duffing_divbig")
STEP = 1e-3
PREDICTIONS = Path(__file__).resolve().parent / "predictions" / "helmholtz_ocean"


def derivatives(field: Field, points: Array) -> tuple[Array, Array]:
    """Divergence and vorticity of a field at points (n, 2)."""
    step = STEP * float(np.ptp(points, axis=0).max())
    x, y = ((field(points + step * e) - field(points - step * e)) / (2 * step) for e in np.eye(2))
    return x[:, 0] + y[:, 1], x[:, 1] - y[:, 0]


def rms(error: Array) -> float:
    """Root mean square; of the length for vectors."""
    return float(np.sqrt(np.square(error).sum(axis=-1).mean() if error.ndim == 2 else np.square(error).mean()))


def rows_of(read: Callable[[str], Array], case: str, seed: int) -> list[dict[str, Any]]:
    """Ours and the spline on one case."""
    points, values, targets = read(f"XY_train_{case}"), read(f"UV_train_{case}"), read(f"XY_test_{case}")
    truth, divergence, vorticity = read(f"UV_test_{case}"), read(f"divgrid_{case}"), read(f"vortgrid_{case}")
    rows = []
    for name in ("thin plate", "ours"):
        started = time.process_time()
        coverage = None
        if name == "ours":
            found = fit(points, values, seed=seed)
            told = found.predict(targets)
            mean, coverage = told.mean, float((np.abs(told.mean - truth) <= 1.96 * told.sd).mean())
            field: Field = lambda places, found=found: found.predict(places).mean  # noqa: E731
        else:
            field = RBFInterpolator(points, values)
            mean = field(targets)
        seconds = time.process_time() - started
        div, vort = derivatives(field, targets)
        rows.append({
            "case": case, "buoys": len(points), "method": name, "seed": seed, "RMSE": rms(mean - truth),
            "divergence RMSE": rms(div - divergence.ravel()), "vorticity RMSE": rms(vort - vorticity.ravel()),
            "coverage": coverage, "CPU s": seconds,
        })  # fmt: skip
    return rows


def write_predictions(read: Callable[[str], Array]) -> None:
    """Mean at the test points of every case, those without truth included."""
    PREDICTIONS.mkdir(parents=True, exist_ok=True)
    for case in (*CASES, *UNSEEN):
        found = fit(read(f"XY_train_{case}"), read(f"UV_train_{case}")).predict(read(f"XY_test_{case}"))
        np.savetxt(PREDICTIONS / f"UV_{case}.csv", found.mean, delimiter=",", fmt="%.6g")


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "")
    folder = chosen.data / "fields" / "helmholtz_ocean"
    if not folder.is_dir():
        print(f"the data set is not at {folder}; give --data FOLDER")
        return

    def read(name: str) -> Array:
        return np.loadtxt(folder / f"{name}.csv", delimiter=",")

    cases = CASES[3:4] if chosen.quick else CASES
    seeds = range(1 if chosen.quick else chosen.seeds)
    rows = [row for case in cases for seed in seeds for row in rows_of(read, case, seed)]
    claims = []
    for case in cases:
        worst = max(r["RMSE"] for r in rows if r["case"] == case and r["method"] == "ours")
        spline = next(r["RMSE"] for r in rows if r["case"] == case and r["method"] == "thin plate")
        claims.append(Claim(f"{case}, error over thin plate", worst / spline, 1.0, "<="))
    if not chosen.quick:
        write_predictions(read)
    finish(chosen, claims, rows)


if __name__ == "__main__":
    main()
