"""The shared battery of bad inputs, its score by group: through `voxfield check`, and through stages.

    python benchmarks/battery.py --json FILE
    python benchmarks/battery.py --quick           # without the case that unpacks to 512 MiB once its limit is raised

A case counts as right where exit code, words, findings, values, what was written, time and memory are as the manifest
demands (see tests/artifacts/battery.py). Two sound checkpoints of torch are read by no stage: they count through check
alone.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch  # noqa: F401  (before the forks, so that their limits cover the case and not the import)

from _common import ROOT, Claim, finish, options

sys.path.insert(0, str(ROOT / "tests"))

from artifacts.battery import GROUPS, NO_STAGE, Battery
from voxfield.codehash import code_hash
from voxfield.registry import get

STAGES = ("io.convert", "segmentation.annotate", "segmentation.predict", "segmentation.summarise", "segmentation.train")


def score(group: str, battery: Battery, out: Path) -> dict[str, Any]:
    """A row of the table: right and total of one group."""
    cases = battery.of(group)
    staged = [case for case in cases if case["id"] not in NO_STAGE]
    faults = {f"{case['id']} (check)": battery.check_fault(case) for case in cases}
    for number, case in enumerate(staged):
        faults[f"{case['id']} (stage)"] = battery.stage_fault(case, out / f"{group}-{number}")
    wrong = [name for name, fault in faults.items() if fault is not None]
    return {
        "group": group,
        "cases": len(cases),
        "right through check": len(cases) - sum(name.endswith("(check)") for name in wrong),
        "through a stage": len(staged),
        "right through a stage": len(staged) - sum(name.endswith("(stage)") for name in wrong),
        "wrong": ", ".join(wrong),
    }


def main() -> None:
    """Judge every case both ways and print the scores."""
    chosen = options(__doc__, seeds=1)
    for name in STAGES:  # before the forks as well
        stage = get(name)
        _ = stage.settings.model, code_hash(stage.module)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        battery = Battery(chosen.data.parent, folder / "cases", folder / "tools", raised=not chosen.quick)
        rows = [score(group, battery, folder) for group in GROUPS]
        canaries = len(list(folder.rglob("CANARY-*")))
    total = {name: sum(row[name] for row in rows) for name in list(rows[0])[1:5]}
    rows.append({"group": "all", **total})
    claims = [
        Claim("cases right through check, of all", total["right through check"] / total["cases"], 1, ">="),
        Claim("cases right through a stage, of those that one reads",
              total["right through a stage"] / total["through a stage"], 1, ">="),
        Claim("hostile files that ran", canaries, 0, "<="),
    ]  # fmt: skip
    finish(chosen, claims, rows)


if __name__ == "__main__":
    main()
