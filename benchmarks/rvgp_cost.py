"""Cost of `fields.graph`, `fields.fit` and `fields.predict` against the number of points: CPU seconds and peak memory.

The bumpy surface of `rvgp.py`, 30 % observed, 20 % noise, k = 100 modes, one thread; every size in its own process. The
standard deviation comes with the mean. With `--json FILE` a figure is drawn beside the file.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from _common import Claim, finish, options
from rvgp import draw
from voxfield.fields.manifold import fit, from_points, modes
from voxfield.records import peak_memory_mb

SIZES = (1000, 3000, 10_000, 30_000, 100_000)
PARTS = ("graph", "modes", "settings", "mean and sd")


def main() -> None:
    """Measure, print, write, draw."""
    if len(sys.argv) > 2 and sys.argv[1] == "--child":
        return child(int(sys.argv[2]))
    chosen = options(__doc__ or "")
    rows = [measured(size) for size in (SIZES[:3] if chosen.quick else SIZES)]
    last = rows[-1]
    most = (10.0, 10.0, 1.0) if chosen.quick else (60.0, 300.0, 4.0)
    where = f"at {last['points']:,} points"
    claims = [
        Claim(f"graph, settings and mean {where}, CPU s", last["all"], most[0], "<="),
        Claim(f"standard deviation (and mean) {where}, CPU s", last["mean and sd"], most[1], "<="),
        Claim(f"peak memory {where}, GiB", last["peak MiB"] / 1024, most[2], "<="),
    ]
    if chosen.json:
        plot(rows, chosen.json.with_suffix(".png"))
    return finish(chosen, claims, rows)


def measured(size: int) -> dict[str, Any]:
    """One row."""
    command = [sys.executable, __file__, "--child", str(size)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = next(part for part in text.splitlines() if part.startswith("RESULT "))
    row = dict(zip((*PARTS, "relative L2", "peak MiB"), map(float, line.split()[1:]), strict=True))
    return {"points": size, **row, "all": sum(row[part] for part in PARTS)}


def child(size: int) -> None:
    """Print CPU seconds of the parts, the error and the peak memory."""
    run = draw("bumpy", size, 0.3, 0.2, 0)
    times = [time.process_time()]
    domain = from_points(run.case.points)
    times.append(time.process_time())
    found = modes(domain, 100, scalar=False)
    times.append(time.process_time())
    field = fit(domain, run.case.points[run.seen], run.values, found=found)
    times.append(time.process_time())
    mean = field.predict().mean
    times.append(time.process_time())
    print("RESULT", *np.diff(times), run.error(mean), peak_memory_mb()["host"])


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """CPU seconds and memory against points, log-log, the seconds with a line of slope 1."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    size = np.array([row["points"] for row in rows], dtype=float)
    whole = np.array([row["all"] for row in rows])
    left.loglog(size, whole, color="black", linewidth=2, marker=".", label="all")
    for part, marker in zip(PARTS, "osD^", strict=True):
        left.loglog(size, [row[part] for row in rows], marker=marker, markersize=4, linewidth=1, label=part)
    left.loglog(size, whole[-1] * size / size[-1], color="grey", linestyle=":", label="slope 1")
    left.set(xlabel="points", ylabel="CPU seconds, one thread")
    left.legend(frameon=False, fontsize=8)
    right.loglog(size, [row["peak MiB"] for row in rows], color="black", marker=".")
    right.set(xlabel="points", ylabel="peak memory, MiB", ylim=(100, 5000))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
