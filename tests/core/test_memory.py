"""Memory that is foreseen: a call that can not fit ends before anything is computed, any other is let through."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from artifacts.in_child import in_child
from voxfield import memory
from voxfield.artifacts import Image, LabelMap
from voxfield.cli import main
from voxfield.errors import MachineError
from voxfield.registry import get

GB = 1 << 30


@pytest.fixture
def scan(tmp_path: Path) -> Image:
    path = tmp_path / "scan.nii.gz"
    Image(np.zeros((40, 50, 60), "f4"), np.eye(4)).save(path)
    return Image.load(path)


def has(monkeypatch: pytest.MonkeyPatch, left: float) -> None:
    monkeypatch.setattr(memory, "available", lambda: iter([(left, "a stand-in"), (1e15, "another")]))


def test_what_is_stored_must_fit(scan: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = get("segmentation.annotate")
    stored = 4 * 40 * 50 * 60
    has(monkeypatch, stored)
    memory.require_memory(stage, {"image": scan})
    has(monkeypatch, stored - 1)
    with pytest.raises(
        MachineError, match=r"scan.nii.gz: segmentation.annotate needs .* can be had \(a stand-in\)"
    ) as told:
        memory.require_memory(stage, {"image": scan})
    assert told.value.exit_code == 3


def test_what_was_measured_must_fit(scan: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = get("segmentation.repair")
    need = stage.resources.bytes_per_voxel["probability"] * 40 * 50 * 60
    has(monkeypatch, need + 1)
    memory.require_memory(stage, {"probability": scan})
    has(monkeypatch, need - 1)
    with pytest.raises(MachineError, match=r"bytes for each of 40 x 50 x 60 voxels of its probability"):
        memory.require_memory(stage, {"probability": scan})


def test_a_limit_of_the_shell_is_seen_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.nii.gz"
    LabelMap(np.zeros((400, 400, 400), "u1"), np.eye(4)).save(path)
    words = ["segmentation.centerline", "--mask", str(path), "--out-branches", str(tmp_path / "b.tsv")]
    outcome = in_child(partial(main, words), seconds=60, extra_mib=50)
    assert (outcome.ending, outcome.value) == ("returned", 3)
    assert not (tmp_path / "b.tsv").exists()


def test_an_unlimited_machine_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NODE", "CPU"):
        monkeypatch.delenv(f"SLURM_MEM_PER_{name}", raising=False)
    found = dict(reversed(item) for item in memory.available())
    assert found["free memory of the machine"] > 0
    assert "limit of the Slurm job" not in found


@pytest.mark.parametrize(
    ("given", "granted"),
    [
        ({"NODE": "2048"}, 2 * GB),
        ({"CPU": "1024", "CPUS": "3"}, 3 * GB),
        ({"NODE": "0"}, None),
        ({"CPU": "1024"}, None),
        ({"NODE": "all"}, None),
        ({}, None),
    ],
)
def test_a_slurm_job_has_what_it_was_granted(
    given: dict[str, str], granted: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"NODE": "SLURM_MEM_PER_NODE", "CPU": "SLURM_MEM_PER_CPU", "CPUS": "SLURM_CPUS_ON_NODE"}
    for key, name in names.items():
        monkeypatch.delenv(name, raising=False)
        if key in given:
            monkeypatch.setenv(name, given[key])
    assert memory._slurm() == granted


class TestControlGroups:
    @pytest.fixture(autouse=True)
    def stand_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
        monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "own")

    def group(self, place: Path, **files: object) -> None:
        place.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (place / name.replace("_dot_", ".")).write_text(f"{content}\n")

    def test_version_2_with_the_limit_on_a_parent(self, tmp_path: Path) -> None:
        (tmp_path / "own").write_text("0::/slurm/job\n")
        self.group(tmp_path / "groups" / "slurm" / "job", memory_dot_max="max", memory_dot_current=5)
        stat = "anon 60\ninactive_file 30"
        self.group(tmp_path / "groups" / "slurm", memory_dot_max=100, memory_dot_current=90, memory_dot_stat=stat)
        assert list(memory._left_in_groups()) == [40]

    def test_version_1(self, tmp_path: Path) -> None:
        (tmp_path / "own").write_text("9:cpu:/x\n4:memory:/a\n0::/\n")
        self.group(tmp_path / "groups" / "memory" / "a", memory_dot_limit_in_bytes=50, memory_dot_usage_in_bytes=20)
        self.group(tmp_path / "groups" / "memory", memory_dot_limit_in_bytes=2**63 - 4096, memory_dot_usage_in_bytes=1)
        assert list(memory._left_in_groups()) == [30]

    def test_none_and_odd_ones(self, tmp_path: Path) -> None:
        assert list(memory._left_in_groups()) == []
        (tmp_path / "own").write_text("0::/gone\n")
        self.group(tmp_path / "groups", memory_dot_max="what", memory_dot_current=1)
        assert list(memory._left_in_groups()) == []
