"""The pipeline knee: radiographs of a table from end to end, killed and resumed; what is told before anything runs."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from voxfield.artifacts import Cohort, Image
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.grading import train
from voxfield.phantoms import knee, knees
from voxfield.records import hash_file, read_record
from voxfield.workflow import graded_images

FOLDER = Path(__file__).parents[2] / "pipelines" / "knee"
TINY = """
batch: 30
stages:
  grading.split: {val_fraction: 0.2, calibration_fraction: 0.3, test_fraction: 0.2}
  grading.train: {cells: 16, channels: [4, 8], steps: 120, checkpoint_every: 10, labels_per_grade: 8, bootstrap: 20}
  grading.evaluate: {bootstrap: 20}
  grading.explain: {points: 8}
explain: 2
"""


def radiographs(folder: Path, patients: int) -> Path:
    """PNG pictures of phantom knees, as they are shown, and their table; one of the pictures is in colour."""
    folder.mkdir()
    columns = knees(patients=patients, ctx=Context(seed=4)).cohort.columns
    for n, subject in enumerate(columns["subject"]):
        drawn = knee(
            knee_seed=n, severity=columns["truth_severity"][n], side=columns["side"][n], cells=16, spacing_mm=4
        )
        shown = drawn.image.data[::-1, 0, ::-1].T.astype(np.uint8)  # the patient's right on the left, the head up
        Picture.fromarray(np.stack([shown] * 3, axis=2) if n == 1 else shown).save(folder / f"{subject}.png")
    names = ("subject", "patient", "side", "grade")
    table = {name: columns[name] for name in names} | {"image": [f"{s}.png" for s in columns["subject"]]}
    Cohort(table).save(folder / "knees.tsv")
    return folder / "knees.tsv"


def command(run: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "voxfield", "run", "knee", "--cores", "1", "--directory", str(run), *more]


def kill_while_training(words: Sequence[str], run: Path) -> None:
    """Start a run and kill it when the first checkpoint of its training is there."""
    with subprocess.Popen(
        words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 240
        while not list(run.glob("models/*.work/*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_own_radiographs_from_end_to_end_with_a_kill_and_an_image_in_colour(tmp_path: Path) -> None:
    table, run, config = radiographs(tmp_path / "data", 40), tmp_path / "run", tmp_path / "tiny.yaml"
    config.write_text(TINY)
    words = command(run, "--config", str(config), "--set", f"cohort={table}")
    # The first run ends at the image in colour and starts anew without it, as voxfield run does: kill it after that.
    kill_while_training(words, run)
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "is a PNG in colour" in ended.stderr

    left_out = "k00000-right"
    split = json.loads((run / "split.json").read_text())
    assert split["excluded"] == [left_out]
    cohort = Cohort.load(run / "cohort.tsv")
    assert len(cohort) == 79
    mirrored = Image.load(run / "images" / "k00001-right.nii.gz")
    plain = Image.load(run / "images" / "k00001-left.nii.gz")
    assert (mirrored.affine[0, 0], plain.affine[0, 0]) == (1, -1)

    # The training that was killed ended with the bytes of one that was not.
    record = read_record(run / "models" / "grader-0.safetensors")
    assert record is not None
    images = [Image.load(run / "images" / f"{subject}.nii.gz") for subject in cohort.column("subject")]
    settings = {name: tuple(v) if isinstance(v, list) else v for name, v in record["settings"].items()}
    whole = train(cohort, images, **settings, ctx=Context(seed=record["seed"], device="cpu")).model
    whole.save(tmp_path / "whole.safetensors")
    assert hash_file(tmp_path / "whole.safetensors") == hash_file(run / "models" / "grader-0.safetensors")

    scores, card = (json.loads((run / name).read_text()) for name in ("scores/grader-0.json", "report_card.json"))
    assert card["scores"] == scores
    tested = Cohort.load(run / "test.tsv")
    assert scores["rows"] == len(tested) == split["parts"]["test"]["rows"]
    assert not set(tested.patients) & {
        p for p, s in zip(cohort.patients, cohort.column("split"), strict=True) if s != "test"
    }
    page = (run / "report" / "index.html").read_text()
    assert "There is no external cohort" in page
    assert left_out in page
    worst = Cohort.load(run / "scores" / "grader-0.farthest.tsv").column("subject")
    assert len(worst) == 2
    for subject in worst:
        assert f"assets/explained-{subject}.png" in page
        shown = Picture.open(run / "report" / "assets" / f"explained-{subject}.png").convert("RGB")
        made = Picture.open(run / "explanations" / "grader-0" / f"{subject}.png")
        assert np.array_equal(np.asarray(shown), np.asarray(made))


@pytest.mark.slow
def test_methods_and_seeds_make_trainings_and_a_choice(tmp_path: Path) -> None:
    config = tmp_path / "two.yaml"
    config.write_text("methods: {plain: {algorithm: supervised}, ours: {}}\nseeds: 3\n")
    words = [*command(tmp_path / "run", "--config", str(config)), "-n"]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", ended.stdout, re.MULTILINE)}
    assert jobs["train_grader"] == 6
    assert jobs["grade_test"] == jobs["evaluate_grades"] == 7  # those, and the chosen one
    assert jobs["choose_grader"] == jobs["compare_methods"] == jobs["render_knees"] == jobs["grading_page"] == 1
    assert "convert_images" not in jobs
    assert "pretrain_grader" not in jobs
    assert jobs["explain_farthest"] == 1  # of the chosen one


@pytest.mark.slow
def test_a_start_from_the_images_alone_and_no_explanations_are_a_matter_of_configuration(tmp_path: Path) -> None:
    words = command(tmp_path / "run", "--set", "pretrain=true", "--set", "explain=0")
    plan = subprocess.run([*words, "-n"], capture_output=True, text=True, check=True).stdout
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", plan, re.MULTILINE)}
    assert jobs["pretrain_grader"] == jobs["train_grader"] == 1
    assert "explain_farthest" not in jobs


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("b\tb.png\tp1\tleft\t7\ttrain", "grade 7 is out of range"),
        ("b\tb.png\tp0\tleft\t2\ttest", "'p0' is in the splits 'train' and 'test'"),
        ("b\tb.png\tp1\tmiddle\t2\ttest", "subject b has side 'middle'; expected left or right"),
        ("b\tb.png\tp1\tn/a\t2\ttest", "subject b has no side"),
        ("b\tc.png\tp1\tR\t2\ttest", "1 of 2 images are not there, the first is .*c.png"),
        ("b\tb.png\tn/a\tR\t2\ttest", "subject b has no patient"),
        ("a\tb.png\tp1\tR\t2\ttest", "'a' stands in two rows"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_before_anything_runs(tmp_path: Path, row: str, words: str) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    table = tmp_path / "knees.tsv"
    table.write_text(f"subject\timage\tpatient\tside\tgrade\tsplit\na\ta.png\tp0\tL\t1\ttrain\n{row}\n")
    with pytest.raises(InputError, match=words):
        graded_images(str(table), sides=True)


def test_sides_are_not_asked_for_where_nothing_is_mirrored(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "knees.tsv").write_text("subject\timage\tpatient\tgrade\na\ta.png\tp\t1\n")
    assert graded_images(str(tmp_path / "knees.tsv"), sides=False)["a"]["patient"] == "p"


def test_the_public_sets_become_tables(tmp_path: Path) -> None:
    prepare = runpy.run_path(str(FOLDER / "prepare.py"))
    pixels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    arrays = {
        "images": pixels,
        "labels": np.array([[3], [0]]),
        "patient": np.array([7, 7]),
        "side": np.array(["L", "R"]),
    }
    np.savez(tmp_path / "a.npz", **{f"{part}_{k}": v for part in ("train", "val") for k, v in arrays.items()})
    rows = list(prepare["from_arrays"](tmp_path / "a.npz", tmp_path / "made"))
    assert [r["split"] for r in rows] == ["train", "train", "test", "test"]
    assert rows[1] == {
        "subject": "7R", "image": "images/7R.png", "patient": "7", "side": "right", "grade": 0, "split": "train",
    }  # fmt: skip
    assert np.array_equal(np.asarray(Picture.open(tmp_path / "made" / "images" / "7R.png")), pixels[1])


@pytest.mark.data
def test_the_224_pixel_set_is_found(shared: Path, tmp_path: Path) -> None:
    prepare = runpy.run_path(str(FOLDER / "prepare.py"))
    rows = list(prepare["from_index"](shared / "data" / "grading" / "knee_kl_clahe224"))
    assert len(rows) == 1120
    assert prepare["write"](tmp_path / "knees.tsv", rows) == 1120
    assert len(graded_images(str(tmp_path / "knees.tsv"), sides=True)) == 1120
