"""Folders as they are: links in circles, folders nobody may read, names of any kind, and ids made of them."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohorts.trees import touch
from voxfield.cohorts.ids import subject_ids
from voxfield.cohorts.scans import Scan
from voxfield.cohorts.tree import walk
from voxfield.workflow import subject_ids as judged


def reasons(root: Path) -> dict[str, str]:
    return {item.path: item.reason for item in walk(root).left}


def test_links_are_followed_once(tmp_path: Path) -> None:
    root = tmp_path / "r"
    touch(root, ["a/1.nii"])
    touch(tmp_path, ["elsewhere/2.nii"])
    (root / "a" / "loop").symlink_to(root)
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    (root / "gone.nii").symlink_to(tmp_path / "nothing")
    (root / "itself").symlink_to(root / "itself")
    assert walk(root).files == ["a/1.nii", "b/2.nii"]
    found = reasons(root)
    assert set(found) == {"a/loop", "c", "gone.nii", "itself"}
    assert found["a/loop"] == found["c"] == "link to a folder that is read elsewhere in the tree"
    assert found["gone.nii"] == "broken link"


def test_files_that_are_none(tmp_path: Path) -> None:
    touch(tmp_path, [".hidden", "._a.nii", ".git/config", "a\tb.nii", "ü.nii"])
    os.mkfifo(tmp_path / "pipe")
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff.nii")).write_bytes(b"x")
    tree = walk(tmp_path)
    assert tree.files == ["ü.nii"]
    assert tree.hidden == 3
    assert sorted(reasons(tmp_path).values()) == [
        "its name holds a control character; rename it", "its name is not UTF-8; rename it", "not a regular file"
    ]  # fmt: skip


def test_a_folder_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, ["a/1.nii", "b/2.nii"])
    scandir = os.scandir

    def refusing(place: Path) -> "os._ScandirIterator[str]":  # root may read anything, so the refusal is played
        if Path(place).name == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refusing)
    assert walk(tmp_path).files == ["a/1.nii"]
    assert reasons(tmp_path) == {"b": "folder can not be read: Permission denied"}


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=6)


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=12, unique=True))
def test_ids_are_unique_on_any_disk_and_allowed(names: list[tuple[str, str]]) -> None:
    ids = subject_ids([Scan(patient, session) for patient, session in names])
    assert judged(ids) == ids
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", i) for i in ids)
    assert len({i.lower() for i in ids}) == len(ids)


def test_ids_stay_when_the_cohort_grows() -> None:
    few = [Scan("case_1"), Scan("b", "2")]
    more = [Scan("a0"), *few, Scan("b", "3")]
    assert subject_ids(more)[1:3] == subject_ids(few) == ["case-1", "b-2"]
    assert subject_ids([Scan("sub-7"), Scan("sub-")]) == ["7", "sub"]
    clash = subject_ids([Scan("a_b"), Scan("a-b"), Scan("A-b"), Scan("c")])
    assert clash[3] == "c"
    assert len({i.lower() for i in clash}) == 4
