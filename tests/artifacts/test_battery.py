"""The shared battery of broken, hostile and merely unusual inputs through `voxfield check`: every verdict."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: F401  (before the forks, so that their limits cover the case and not the import)
from jsonschema import Draft202012Validator  # noqa: F401

from artifacts.battery import GROUPS, Battery
from voxfield.artifacts import Image, Limits
from voxfield.checking import Verdict, judge
from voxfield.errors import InputError


@pytest.fixture(scope="module")
def battery(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Battery:
    root = tmp_path_factory.mktemp("battery")
    return Battery(shared, root / "cases", root / "tools")


@pytest.mark.data
@pytest.mark.parametrize("group", GROUPS)
def test_check_does_what_the_manifest_demands(group: str, battery: Battery) -> None:
    cases = battery.of(group)
    assert cases
    faults = [f"{case['id']}: {fault}" for case in cases if (fault := battery.check_fault(case))]
    assert not faults, "\n".join(faults)
    assert not list(battery.root.rglob("CANARY-*"))
    for case in cases:
        for name, digest in case["sha256"].items():
            if not case["special"]:
                assert hashlib.sha256((battery.root / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.data
def test_all_groups_are_looked_at(battery: Battery) -> None:
    assert {case["group"] for case in battery.cases} == set(GROUPS)
    assert len(battery.cases) == 147


def test_a_verdict_has_one_line_for_a_sound_file(tmp_path: Path) -> None:
    Image(np.arange(60.0).reshape(3, 4, 5), np.eye(4)).save(tmp_path / "a.nii.gz")
    (verdict,) = judge([tmp_path / "a.nii.gz"])
    assert isinstance(verdict, Verdict)
    assert verdict.lines() == [f"{tmp_path / 'a.nii.gz'}: a sound Image"]


def test_the_limit_is_a_setting(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    Image(np.arange(60.0).reshape(3, 4, 5), np.eye(4)).save(path)
    with pytest.raises(InputError, match=r"60 voxels .* over the limit of 59; raise --max-voxels"):
        Image.load(path, limits=Limits(max_voxels=59))
    Image.load(path, limits=Limits(max_voxels=60))
