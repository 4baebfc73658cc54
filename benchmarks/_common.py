"""What every benchmark shares: flags, claims, the table it prints and the JSON it writes.

`--quick` is a run of under a minute with claims of its own; `--seeds N`, `--threads N` and `--json FILE` are
everywhere.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("voxfield", "numpy", "scipy", "torch", "monai", "gpytorch", "nibabel", "snakemake")
THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Claim:
    """One figure that we hold ourselves to: `value` should be `sense` than `aim`."""

    name: str
    value: float
    aim: float
    sense: Literal["<=", ">="]

    @property
    def holds(self) -> bool:
        """Whether the figure reaches its aim."""
        return self.value <= self.aim if self.sense == "<=" else self.value >= self.aim


def options(description: str, *, seeds: int = 3) -> argparse.Namespace:
    """The flags that every benchmark takes. The script starts anew where its threads are not as many as asked."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a smaller run of under a minute")
    parser.add_argument("--seeds", type=int, default=seeds, help=f"independent repetitions ({seeds})")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (1)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--json", type=Path, help="write claims, rows and environment here")
    parser.add_argument("--data", type=Path, default=shared_data(), help="folder of the public data sets")
    chosen = parser.parse_args()
    _with_threads(chosen.threads)
    return chosen


def _with_threads(count: int) -> None:
    """Replace this process by one with `count` threads: numpy and torch look at the environment only on loading."""
    wanted = dict.fromkeys(THREAD_COUNTS, str(count))
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **wanted})  # noqa: S606  # ourselves


def shared_data() -> Path:
    """The folder named by VOXFIELD_SHARED, or `../shared` beside the checkout, with `data` below it."""
    return Path(os.environ.get("VOXFIELD_SHARED", ROOT.parent / "shared")) / "data"


def finish(chosen: argparse.Namespace, claims: Sequence[Claim], *tables: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as tables and the claims with their aims; write JSON where asked."""
    print(*(table(rows) for rows in tables), sep="\n\n")
    for claim in claims:
        verdict = "holds" if claim.holds else "FALLS SHORT"
        print(f"{claim.name}: {claim.value:.4g} (aim {claim.sense} {claim.aim:g}) {verdict}")
    if chosen.json:
        rows = [row for rows in tables for row in rows]
        content = {"claims": [asdict(c) for c in claims], "rows": rows, "environment": environment(chosen)}
        chosen.json.write_text(json.dumps(content, indent=1) + "\n")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table; floats with four digits."""
    if not rows:
        return ""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, *([_cell(row.get(c)) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def environment(chosen: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on: versions, cores, threads; no host."""
    found: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count(), "threads": chosen.threads}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cpu_ratio(ours: Callable[[], object], other: Callable[[], object], repeats: int = 9) -> float:
    """Median of ours/other in CPU seconds, the two run in turn so that a drifting machine harms neither."""
    ratios = []
    for _ in range(repeats):
        seconds = []
        for run in (ours, other):
            started = time.process_time()
            run()
            seconds.append(time.process_time() - started)
        ratios.append(seconds[0] / max(seconds[1], 1e-9))
    return statistics.median(ratios)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
