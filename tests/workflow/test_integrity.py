"""Results that were changed behind a run's back: found before they are used, and made anew with what hangs on them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import make_cohort, mtimes, voxfield

from voxfield.artifacts import Image, LabelMap, Table
from voxfield.batches import Batches
from voxfield.command import expand
from voxfield.errors import DamagedError, InputError, damage_in
from voxfield.intact import load_intact
from voxfield.paths import RUN_MARKER
from voxfield.records import hash_file, record_path
from voxfield.runs.damage import changed, known_damage, note_damage
from voxfield.runs.mend import mend
from voxfield.runs.verify import verify_run

INTACT = Path(__file__).parent / "intact"
SUBJECTS = "abcdef"


def rewrite(path: Path, data: bytes, *, later: bool = False) -> None:
    """Other bytes, with the old time unless `later`."""
    times = path.stat()
    path.write_bytes(data)
    if not later:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flip(path: Path, *, later: bool = False) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    rewrite(path, bytes(data), later=later)


def edit_record(path: Path, **entries: object) -> None:
    place = record_path(path)
    content = json.loads(place.read_text())
    content["voxfield"] |= entries
    rewrite(place, json.dumps(content).encode())


def jobs(told: str) -> dict[str, int]:
    """Jobs of every rule, over all plans of one `voxfield run`."""
    counts: dict[str, int] = {}
    for rule, count in re.findall(r"^(first|second|third|gather) +(\d+)$", told, re.MULTILINE):
        counts[rule] = counts.get(rule, 0) + int(count)
    return counts


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished run and the table of its scans."""
    folder = tmp_path_factory.mktemp("intact")
    table = make_cohort(folder / "scans", SUBJECTS)
    ended = voxfield(INTACT, table, folder / "run")
    assert ended.returncode == 0, ended.stderr
    return folder / "run", table


@pytest.fixture
def run(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished[0], tmp_path / "run", copy_function=shutil.copy2))


def same_bytes(one: Path, other: Path) -> bool:
    names = [path.relative_to(one) for path in one.glob("sub-*/*.nii.gz")] + [Path("cohort.tsv")]
    return all(hash_file(one / name) == hash_file(other / name) for name in names)


@pytest.mark.slow
def test_damage_is_mended_before_the_run_is_planned(finished: tuple[Path, Path], run: Path) -> None:
    """A size, a later time, an unreadable record: seen without hashing the run, and nothing else is touched."""
    whole, table = finished
    before = mtimes(run)
    rewrite(run / "sub-a/first.nii.gz", (run / "sub-a/first.nii.gz").read_bytes()[:-5])
    (run / "sub-c/second.nii.gz").write_bytes(b"")
    flip(run / "sub-e/third.nii.gz", later=True)
    (run / "sub-f/third.json").write_text('{"voxfield": {')
    ended = voxfield(INTACT, table, run)
    assert ended.returncode == 0, ended.stderr
    assert "sub-a/first.nii.gz: holds" in ended.stderr
    assert jobs(ended.stdout + ended.stderr) == {"first": 1, "second": 2, "third": 3, "gather": 1}
    after = mtimes(run)
    made = {name for name in before if before[name] != after[name]}
    assert made == {
        *("sub-a/first.nii.gz", "sub-a/second.nii.gz", "sub-c/second.nii.gz"),
        *("sub-e/third.nii.gz", "sub-f/third.nii.gz"),
    }, "what has the same inputs as before is left alone"
    assert same_bytes(whole, run)
    assert (run / "damaged/sub-c/second.nii.gz").stat().st_size == 0, "what was found is kept"
    again = voxfield(INTACT, table, run)
    assert "Nothing to be done" in again.stdout + again.stderr
    assert verify_run(run) == 0


@pytest.mark.slow
def test_damage_is_met_by_the_stage_that_reads_it(finished: tuple[Path, Path], run: Path) -> None:
    """Flipped bits under an old time, a record that is gone or edited: found on use, mended in the same run."""
    whole, table = finished
    flip(run / "sub-a/first.nii.gz")
    (run / "sub-c/second.json").unlink()
    edit_record(run / "sub-e/second.nii.gz", output={"path": "sub-e/second.nii.gz", "sha256": "0" * 64, "bytes": 7})
    edited = json.loads((run / "sub-e/second.json").read_text())["voxfield"]["output"]
    edited["bytes"] = (run / "sub-e/second.nii.gz").stat().st_size
    edit_record(run / "sub-e/second.nii.gz", output=edited)
    for name in ("sub-a/second.nii.gz", "sub-a/second.json", "cohort.tsv"):
        (run / name).unlink()
    for gone in [*run.glob("sub-*/third.*"), *run.glob("batches/third/*.done.tsv")]:
        gone.unlink()
    ended = voxfield(INTACT, table, run)
    assert ended.returncode == 0, ended.stderr
    assert "sub-a/first.nii.gz: was changed after it was written" in ended.stderr
    assert "sub-c/second.nii.gz: has no record although it lies in a run folder" in ended.stderr
    assert "sub-e/second.nii.gz: was changed after it was written" in ended.stderr
    assert same_bytes(whole, run)
    assert not list((run / "failures").iterdir())
    assert verify_run(run) == 0


@pytest.mark.slow
def test_damage_that_nobody_meets_is_found_by_verify_and_mended(finished: tuple[Path, Path], run: Path) -> None:
    whole, table = finished
    before = mtimes(run)
    flip(run / "sub-b/first.nii.gz")
    edit_record(run / "sub-d/third.nii.gz", settings={"every": 3})
    (run / "sub-f/second.json").unlink()
    untouched = voxfield(INTACT, table, run)
    assert "Nothing to be done" in untouched.stdout + untouched.stderr
    with pytest.raises(InputError) as caught:
        verify_run(run)
    for words in ("sub-b/first.nii.gz: found sha256", "sub-d/third.nii.gz: its record contradicts itself"):
        assert words in str(caught.value)
    ended = voxfield(INTACT, table, run)
    assert ended.returncode == 0, ended.stderr
    after = mtimes(run)
    made = {name for name in before if before[name] != after[name]}
    assert made == {"sub-b/first.nii.gz", "sub-b/second.nii.gz", "sub-d/third.nii.gz", "sub-f/second.nii.gz"}
    assert same_bytes(whole, run)
    assert verify_run(run) == 0
    assert not (run / "damaged/list.json").exists()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A recorded volume in a run folder."""
    import numpy as np

    from voxfield.records import save_record

    (tmp_path / RUN_MARKER).write_text("{}")
    (tmp_path / "sub-a").mkdir()
    path = tmp_path / "sub-a" / "image.nii.gz"
    Image(np.arange(27, dtype="f4").reshape(3, 3, 3) / 2, np.eye(4)).save(path)
    sha256, size = hash_file(path)
    output = {"path": "sub-a/image.nii.gz", "sha256": sha256, "bytes": size}
    save_record(record_path(path), {"schema": 1, "output": output})
    return path


def test_a_sound_input_is_read(image: Path) -> None:
    assert load_intact(Image, image).data.sum() == 175.5


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (flip, "was changed after it was written"),
        (lambda path: path.write_bytes(b""), "was changed after it was written"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "was changed after it was written"),
        (lambda path: path.unlink(), "is gone from the run folder"),
        (lambda path: record_path(path).unlink(), "has no record although it lies in a run folder"),
        (lambda path: record_path(path).write_text("{"), "its record can not be read"),
    ],
)
def test_a_damaged_input_is_told_apart_from_a_bad_one(image: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(image)
    with pytest.raises(DamagedError) as caught:
        load_intact(Image, image)
    assert words in str(caught.value)
    assert damage_in(str(caught.value)) is not None
    assert damage_in(str(caught.value))[0] == str(image)  # type: ignore[index]


def test_what_a_stage_wrote_and_another_refuses_is_no_damage(image: Path) -> None:
    with pytest.raises(InputError, match=r"whole|integer") as caught:
        load_intact(LabelMap, image)
    assert not isinstance(caught.value, DamagedError)


def test_somebody_elses_file_is_never_damaged(image: Path, tmp_path: Path) -> None:
    """Outside of a run folder nobody can make a file anew."""
    (tmp_path / RUN_MARKER).unlink()
    flip(image)
    with pytest.raises(InputError) as caught:
        load_intact(Image, image)
    assert not isinstance(caught.value, DamagedError)


def test_tables_that_a_command_is_filled_from_are_looked_at_too(tmp_path: Path, image: Path) -> None:
    table = tmp_path / "rows.tsv"
    Table({"subject": ["a"], "image": ["sub-a/image.nii.gz"]}).save(table)
    with pytest.raises(DamagedError, match=r"rows\.tsv: is damaged: has no record"):
        expand([f"@{table}:image"])


def test_times_are_asked_before_hashes(image: Path, tmp_path: Path) -> None:
    assert changed(tmp_path) == {}
    os.utime(image)  # as a copy has it
    record = record_path(image)
    os.utime(record, ns=(0, 0))
    assert changed(tmp_path) == {}
    assert record.stat().st_mtime_ns > 0, "it is not hashed again"
    flip(image)
    assert changed(tmp_path) == {}, "a time that was put back hides a flip from the quick look"
    flip(image, later=True)  # back to what it was
    assert changed(tmp_path) == {}
    rewrite(image, b"x" * image.stat().st_size, later=True)
    assert changed(tmp_path) == {"sub-a/image.nii.gz": "was changed after it was written"}


def test_damage_is_remembered_until_it_is_mended(image: Path, tmp_path: Path) -> None:
    sound = image.read_bytes()
    note_damage(tmp_path, {"sub-a/image.nii.gz": "changed", "sub-b/x.tsv": "gone"})
    assert known_damage(tmp_path) == {"sub-b/x.tsv": "gone"}
    image.write_bytes(sound[:-1])
    assert set(known_damage(tmp_path)) == {"sub-a/image.nii.gz", "sub-b/x.tsv"}
    note_damage(tmp_path, {})
    assert known_damage(tmp_path) == {}


def test_only_what_a_job_makes_is_set_aside(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mend(tmp_path, {"other.tsv": "voxfield x"}, {"sub-a/image.nii.gz": "changed"}) == []
    assert image.exists()
    assert "no job of this run makes it" in capsys.readouterr().err
    assert mend(tmp_path, {"sub-a/image.nii.gz": "voxfield x"}, {"sub-a/image.nii.gz": "changed"}) == [
        "sub-a/image.nii.gz"
    ]
    assert not image.exists()
    assert (tmp_path / "damaged/sub-a/image.nii.gz").exists()
    assert (tmp_path / "damaged/sub-a/image.json").exists()


def test_a_folder_is_forced_by_the_file_that_its_rule_declares(tmp_path: Path) -> None:
    (tmp_path / "sub-a/page").mkdir(parents=True)
    jobs = {"sub-a/page/index.html": "voxfield report.subject --out-page sub-a/page"}
    assert mend(tmp_path, jobs, {"sub-a/page": "changed"}) == ["sub-a/page/index.html"]


def test_what_a_batch_made_goes_into_a_second_batch(tmp_path: Path) -> None:
    rows = {subject: {"image": f"{subject}.nii.gz"} for subject in "abc"}

    def settle() -> Batches:
        return Batches("annotate", rows, "{subject}.made", size=3, run=tmp_path)

    settle()
    for subject in "abc":
        (tmp_path / f"{subject}.made").touch()
    manifest = tmp_path / "batches/annotate/001.done.tsv"
    Table({"subject": list("abc"), "outcome": ["done"] * 3}).save(manifest)
    shell = "voxfield x --each batches/annotate/001.tsv --out-annotation '{subject}.made'"
    jobs = {"batches/annotate/001.done.tsv": shell}
    assert mend(tmp_path, jobs, {"b.made": "changed"}) == []
    batches = settle()
    assert manifest.exists()
    assert batches.members("001") == ["a", "b", "c"], "other inputs would run it again"
    assert batches.members("002") == ["b"]
    assert [Path(batches.manifest(s)).name for s in "abc"] == ["001.done.tsv", "002.done.tsv", "001.done.tsv"]
    jobs["batches/annotate/002.done.tsv"] = shell.replace("001", "002")
    assert mend(tmp_path, jobs, {"b.made": "gone"}) == []
    assert not (tmp_path / "batches/annotate/003.tsv").exists(), "its second batch has not run yet"


def test_a_batch_without_a_table_of_its_own_is_forced(tmp_path: Path) -> None:
    Table({"subject": ["a"]}).save(tmp_path / "cohort.tsv")
    jobs = {"batches/render.tsv": "voxfield x --each cohort.tsv --out-image 'images/{subject}.nii.gz'"}
    assert mend(tmp_path, jobs, {"images/a.nii.gz": "changed"}) == ["batches/render.tsv"]


@pytest.mark.slow
def test_a_broken_disk_is_not_fought_forever(finished: tuple[Path, Path], tmp_path: Path) -> None:
    """A result that is damaged whenever it is read: the run ends, and tells."""
    _, table = finished
    run = tmp_path / "run"
    vandal = tmp_path / "sitecustomize.py"
    vandal.write_text(
        "import voxfield.intact as intact\n"
        "from voxfield.errors import DamagedError\n"
        "old = intact.load_intact\n"
        "def load(kind, path, *more):\n"
        "    if path.name == 'second.nii.gz' and 'sub-a' in str(path):\n"
        "        raise DamagedError('read twice, two hashes', file=path)\n"
        "    return old(kind, path, *more)\n"
        "intact.load_intact = load\n"
    )
    words = [sys.executable, "-m", "voxfield", "run", str(INTACT), "--directory", str(run), "--cores", "2"]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    words += ["--set", f"cohort={table}", "--set", "min_success=0.5"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 3, ended.stderr
    assert ended.stderr.count("it is made anew") == 3
    assert "read twice, two hashes" in ended.stderr
