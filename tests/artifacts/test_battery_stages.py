"""The shared battery of bad inputs through stages: refused without output, or taken with every value as it is."""

from pathlib import Path

import pytest
import torch  # noqa: F401  (before the forks, so that their limits cover the case and not the import)

from artifacts.battery import GROUPS, NO_STAGE, Battery
from voxfield.codehash import code_hash
from voxfield.registry import get

STAGES = ("io.convert", "segmentation.annotate", "segmentation.predict", "segmentation.summarise", "segmentation.train")


@pytest.fixture(scope="module")
def battery(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Battery:
    for name in STAGES:  # before the forks as well
        assert get(name).settings.model
        assert code_hash(get(name).module)
    root = tmp_path_factory.mktemp("battery")
    return Battery(shared, root / "cases", root / "tools", raised=False)


@pytest.mark.data
@pytest.mark.parametrize("group", GROUPS)
def test_a_stage_does_what_the_manifest_demands(group: str, battery: Battery, tmp_path: Path) -> None:
    cases = [case for case in battery.of(group) if case["id"] not in NO_STAGE]
    faults = [
        f"{case['id']}: {fault}"
        for number, case in enumerate(cases)
        if (fault := battery.stage_fault(case, tmp_path / f"out{number}"))
    ]
    assert not faults, "\n".join(faults)
    assert not list(battery.root.rglob("CANARY-*"))
