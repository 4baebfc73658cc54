"""Nothing that identifies a person or a machine comes out of a run, but where the documentation says so."""

import gzip
import json
import os
import subprocess
import tarfile
from pathlib import Path

import people
import pytest
from people import BROKEN, FOLDER, HOST, PATIENT, SUBJECT, USER, WORDS, leaks, make_people
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from runs import command

from voxfield.paths import RUN_MARKER
from voxfield.report.jobs import public
from voxfield.runs.folder import OWN_FOLDERS, SETTINGS

PIPELINE = Path(__file__).parent / "private"
LOCAL = {*OWN_FOLDERS, SETTINGS, RUN_MARKER, "voxfield-run.lock"}
IDS = (SUBJECT, BROKEN, PATIENT)
RENAMED = ["unshare", "--uts", "sh", "-c", f'hostname {HOST} && exec "$@"', "sh"]

pytest.importorskip("SimpleITK")


def on_another_host() -> list[str]:
    """Words before a command that give the machine another name, where that is allowed."""
    may = subprocess.run([*RENAMED, "true"], check=False, capture_output=True).returncode == 0
    return RENAMED if may else []


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two people, one of whom failed, in a folder, by a user and on a host of telling names."""
    home = tmp_path_factory.mktemp("private") / FOLDER
    table, folder = make_people(home / "scans"), home / "run"
    names = {"HOME": str(home), "USER": USER, "LOGNAME": USER, "HOSTNAME": HOST}
    words = command(PIPELINE, table, folder, "--set", "min_success=0")
    ended = subprocess.run(
        [*on_another_host(), *words], env={**os.environ, **names}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 3, ended.stderr  # a part of the cohort failed
    assert (folder / "report" / "index.html").is_file(), ended.stderr
    return folder


def shared(run: Path) -> list[Path]:
    """The files of a run but for those that are declared local."""
    return [file for file in run.rglob("*") if file.is_file() and file.relative_to(run).parts[0] not in LOCAL]


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    table = make_people(tmp_path / "people")
    files = [file for file in table.parent.rglob("*") if file.is_file()]
    found = leaks(table.parent, files, WORDS)
    assert {entry.split(": ")[0] for entry in found} == {file.relative_to(table.parent).as_posix() for file in files}


def test_the_search_finds_names_and_times_beside_the_content(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.gz", "wb") as stream:
        stream.write(b"nothing")
    text = PngInfo()
    text.add_text("Author", "somebody")
    Image.new("L", (2, 2)).save(tmp_path / "a.png", pnginfo=text)
    found = leaks(tmp_path, [tmp_path / "a.gz", tmp_path / "a.png"], ())
    assert [entry.split(" ")[1] for entry in found] == ["gzip", "PNG"]


def test_no_byte_of_a_run_names_a_person_or_a_machine(run: Path) -> None:
    files = shared(run)
    kinds = {"".join(file.suffixes[-2:]) for file in files}
    assert {".nii.gz", ".swc", ".vtp", ".graphml", ".tsv", ".json", ".safetensors", ".png", ".html"} <= kinds
    words = (FOLDER, USER, HOST, str(run.parent.parent), *people.PERSON.values())
    texts = (text.decode() for text in people.TEXTS.values())
    assert leaks(run, files, (*words, *texts, "acquired", "1941-03-07")) == []


def test_a_failure_is_told_without_its_folder(run: Path) -> None:
    text = (run / "report" / "index.html").read_text()
    assert f"{BROKEN}_ct.nii.gz" in text
    assert "Not finished" in text


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("/home/jane doe/scans/a.nii.gz: is damaged", "a.nii.gz: is damaged"),
        ("can not read '/data/x/b.nii.gz': gone", "can not read 'b.nii.gz': gone"),
        ("~/scans/a.nii.gz: is damaged", "a.nii.gz: is damaged"),
        ("velocity is in mm/s; expected m/s", "velocity is in mm/s; expected m/s"),
        ("ended with exit code 1; last words: srun: error: node07: task 0", "ended with exit code 1"),
        ("killed by SIGKILL (often: out of memory)", "killed by SIGKILL (often: out of memory)"),
    ],
)
def test_reasons_lose_folders_and_the_words_of_others(reason: str, told: str) -> None:
    assert public(reason) == told


@pytest.mark.parametrize("amount", ["records", "results"])
def test_an_export_names_nobody(run: Path, tmp_path: Path, amount: str) -> None:
    from voxfield.cli import main

    out = tmp_path / "out.tar.gz"
    assert main(["export", str(run), "--out", str(out), "--with", amount]) == 0
    with tarfile.open(out) as archive:
        archive.extractall(tmp_path, filter="data")
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert leaks(tmp_path, files, (*WORDS, *IDS, FOLDER, USER, HOST, str(run.parent.parent))) == []
    assert not leaks(tmp_path, [out], ())
    about = json.loads((tmp_path / "out" / "export.json").read_text())
    assert about["pseudonyms"]
    records = [json.loads(line) for line in (tmp_path / "out" / "records.jsonl").read_text().splitlines()]
    assert all("seed" not in record for record in records)  # it follows from the id: whoever guesses could tell
