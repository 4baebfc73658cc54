"""A run that begins with the results of another: what comes along, what stays behind, and that nothing is shared that
could be written into."""

import json
import os
from pathlib import Path

import pytest

from voxfield.errors import MachineError
from voxfield.records import hash_file, record_path
from voxfield.runs.link import begin_from


def make(run: Path, name: str, text: str = "content") -> Path:
    """A file, or a folder with a page, and its record."""
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix:
        path.write_text(text)
    else:
        path.mkdir()
        (path / "index.html").write_text(text)
    sha256, size = hash_file(path)
    output = {"path": name, "sha256": sha256, "bytes": size}
    record_path(path).write_text(json.dumps({"voxfield": {"output": output}}))
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run with two results, and all that a run writes for itself."""
    run = tmp_path / "run"
    make(run, "sub-a/mask.nii.gz")
    make(run, "sub-a/page")
    (run / "sub-a" / "let_go.nii.gz.removed").write_text("{}")
    (run / "models" / "m.safetensors.work").mkdir(parents=True)
    (run / "models" / "m.safetensors.work" / "state.safetensors").write_text("checkpoint")
    for name in (".snakemake/metadata/bWFzaw==", ".snakemake/locks/0.input.lock", "batches/segment/001.tsv",
                 "logs/a.log", "failures/b.segment.json", "damaged/list.json"):  # fmt: skip
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("{}")
    for file in run.rglob("*"):
        os.utime(file, ns=(10**18, 10**18))
    return run


def files(run: Path) -> set[str]:
    """Names of all files of a run."""
    return {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}


def test_results_are_linked_and_what_is_written_in_place_is_copied(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "run-2"
    begin_from(old, new, lambda run: (run / "config.yaml").touch())
    linked = {"sub-a/mask.nii.gz", "sub-a/mask.json", "sub-a/page/index.html", "sub-a/page.json",
              "sub-a/let_go.nii.gz.removed", "models/m.safetensors.work/state.safetensors"}  # fmt: skip
    copied = {".snakemake/metadata/bWFzaw==", "batches/segment/001.tsv", "logs/a.log"}
    assert files(new) == linked | copied | {"config.yaml"}
    for name in linked:
        assert (new / name).samefile(old / name)
    for name in copied:
        assert not (new / name).samefile(old / name)
    assert {(new / name).stat().st_mtime_ns for name in linked | copied} == {10**18}, "times tell what is current"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_without_hard_links_results_are_copied(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    new = tmp_path / "run-2"
    begin_from(old, new, lambda _: None)
    mask = new / "sub-a" / "mask.nii.gz"
    assert (mask.read_text(), mask.stat().st_mtime_ns, mask.stat().st_nlink) == ("content", 10**18, 1)


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_a_harmed_result_stays_behind_and_is_told(
    harm: str, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = old / "sub-a" / "mask.nii.gz"
    if harm == "changed":
        victim.write_text("kontent")  # as long as it was
    else:
        victim.unlink()
    begin_from(old, tmp_path / "run-2", lambda _: None)
    assert not (tmp_path / "run-2" / "sub-a" / "mask.nii.gz").exists()
    assert not (tmp_path / "run-2" / "sub-a" / "mask.json").exists()
    assert (tmp_path / "run-2" / "sub-a" / "page" / "index.html").exists()
    told = capsys.readouterr().err
    assert "sub-a/mask.nii.gz of run is not what its record says; it is left behind" in told
    assert "results of run that agree with their records: 1" in told


def test_the_new_run_is_there_whole_or_not_at_all(old: Path, tmp_path: Path) -> None:
    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin_from(old, tmp_path / "run-2", stop)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]

    gone = 2**22 + 1  # no process has such a number
    (tmp_path / f".run-2.{gone}.partial").mkdir()
    begin_from(old, tmp_path / "run-2", lambda _: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run-2"], "what a kill left is removed"
    with pytest.raises(MachineError, match="was begun by another process just now"):
        begin_from(old, tmp_path / "run-2", lambda _: None)
