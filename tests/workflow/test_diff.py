"""What `voxfield diff` says of two runs, against what is known of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from written import Scans, write_run

from voxfield.cli import main
from voxfield.paired import sign_flip_p, sign_flip_ps
from voxfield.runs.contents import contents_of_run
from voxfield.runs.differences import Differences, differences
from voxfield.runs.numbers import numbers_in
from voxfield.runs.pairing import Comparison, _intervals


def compared(folder: Path, a: Scans, b: Scans, **more: Any) -> dict[str, Comparison]:
    """The numbers of two runs by their names."""
    found = difference(folder, a, b, **more)
    return {number.name: number for number in found.numbers}


def difference(folder: Path, a: Scans, b: Scans, *, of_a: Any = None, of_b: Any = None, **both: Any) -> Differences:
    runs = (
        write_run(folder / name, scans, **both, **(own or {})) for name, scans, own in (("a", a, of_a), ("b", b, of_b))
    )
    return differences(*(contents_of_run(run) for run in runs))


def test_two_patients_by_hand(tmp_path: Path) -> None:
    """One patient of two scans, one of one: of the four ways to draw two patients, two are the same patient twice."""
    a = {"1l": {"dice": 0.8}, "1r": {"dice": 0.6}, "2": {"dice": 0.5}}
    b = {"1l": {"dice": 0.9}, "1r": {"dice": 0.9}, "2": {"dice": 0.5}}
    found = compared(tmp_path, a, b, patients={"1l": "p1", "1r": "p1", "2": "p2"})["dice"]
    assert (found.a, found.b) == pytest.approx(((0.7 + 0.5) / 2, (0.9 + 0.5) / 2))
    assert found.difference == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((0.0, 0.2))
    assert found.patients == 2
    assert not found.excludes_zero
    assert found.p == 1.0  # a zero has no sign: every pattern is as far from zero


def test_scans_without_a_known_patient_are_patients(tmp_path: Path) -> None:
    scans = {str(n): {"dice": n / 10} for n in range(8)}
    found = compared(tmp_path, scans, {s: {"dice": v["dice"] + 0.01} for s, v in scans.items()})["dice"]
    assert found.patients == 8
    assert (found.low, found.high) == pytest.approx((0.01, 0.01))
    assert found.excludes_zero
    assert found.p == 2 / 2**8


def test_numbers_that_are_missing_are_left_out_in_pairs(tmp_path: Path) -> None:
    a = {"1": {"x": 1.0}, "2": {"x": 100.0}, "3": {"x": None}}
    b = {"1": {"x": 2.0}, "2": {"x": None}, "3": {"x": 50.0}, "4": {"x": 7.0}}
    found = compared(tmp_path, a, b)["x"]
    assert (found.a, found.b, found.patients, found.only_a, found.only_b) == (1.0, 2.0, 1, 1, 1)
    assert found.low is None  # one patient has no interval


def test_numbers_of_the_cohort_stand_as_they_are(tmp_path: Path) -> None:
    found = difference(
        tmp_path, {"1": {}}, {"1": {}}, of_a={"model": {"loss": 0.5, "steps": 3}}, of_b={"model": {"loss": 0.25}}
    )
    (loss,) = found.numbers
    assert (loss.file, loss.name, loss.a, loss.b, loss.patients, loss.low) == (
        "models/training", "loss", 0.5, 0.25, 0, None,
    )  # fmt: skip


def test_the_other_way_round_signs_change_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a = {str(n): {"x": rng.normal(), "y": {"z": [rng.normal(), 1]}} for n in range(9)}
    b = {str(n): {"x": rng.normal(), "y": {"z": [rng.normal(), 1]}} for n in range(9)}
    there, back = compared(tmp_path / "1", a, b), compared(tmp_path / "2", b, a)
    assert list(there) == ["x", "y.z.0", "y.z.1"]
    for name, one in there.items():
        other = back[name]
        assert one.difference == pytest.approx(-other.difference)
        assert (one.low, one.high) == pytest.approx((-(other.high or 0), -(other.low or 0)))
        assert one.p == other.p


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """400 studies of 40 patients: the share that holds the true mean is 0.95 but for what the bootstrap lacks."""
    values = np.random.default_rng(1).normal(0.3, 1.0, (40, 400))
    low, high, _ = _intervals(values)
    share = float(((low <= 0.3) & (high >= 0.3)).mean())
    assert 0.90 <= share <= 0.975  # two standard errors are 0.022; the percentile interval is known to be a bit narrow


def test_p_values_of_no_difference_are_held_together() -> None:
    """Holm's rule: among 100 numbers without a difference hardly ever one is found."""
    finds = []
    for seed in range(20):
        _, _, p = _intervals(np.random.default_rng(seed).normal(size=(12, 100)))
        finds.append(bool((p < 0.05).any()))
    assert sum(finds) <= 4  # 1 of 20 is expected; 5 or more have a chance of 0.3 %


@given(st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_signs_are_flipped_together_as_they_are_alone(patients: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(patients, 3))
    values[0, 2] = 0.0  # has no value: the same as the others alone
    rng = np.random.default_rng(0)
    alone = [sign_flip_p(values[:, 0], rng), sign_flip_p(values[:, 1], rng), sign_flip_p(values[1:, 2], rng)]
    assert sign_flip_ps(values, rng) == pytest.approx(alone)


def test_random_sign_patterns_agree_with_all_of_them() -> None:
    values = np.random.default_rng(3).normal(0.4, 1, 14)
    exact = sign_flip_p(values, np.random.default_rng(0))
    padded = np.concatenate([values, [0.0]])  # 15 patients: drawn, no longer counted
    assert sign_flip_p(padded, np.random.default_rng(0)) == pytest.approx(exact, abs=0.01)


def test_only_what_is_a_number_is_one() -> None:
    values = {"a": 1, "b": True, "c": None, "d": "4", "e": {"f": [0.5, {"g": 2}]}, "long": list(range(40))}
    assert dict(numbers_in(values)) == {"a": 1.0, "b": 1.0, "e.f.0": 0.5, "e.f.1.g": 2.0}


def test_settings_versions_subjects_and_inputs(tmp_path: Path) -> None:
    found = difference(
        tmp_path, {"1": {"x": 1}, "2": {"x": 1}}, {"2": {"x": 1}, "3": {"x": 1}},
        of_a={"config": {"seed": 0, "cohort": "/data/one/cohort.tsv"}, "scans": {"1": "a" * 64, "2": "b" * 64}},
        of_b={
            "config": {"seed": 1, "cohort": "/data/two/cohort.tsv"}, "scans": {"2": "c" * 64, "3": "d" * 64},
            "settings": {"tolerance_mm": 2.0}, "packages": {"numpy": "2.5.0", "python": "3.11.2"}, "code": "beef",
        },
    )  # fmt: skip
    assert {c.name: (c.old, c.new) for c in found.settings} == {
        "seed": ("0", "1"), "segmentation.evaluate.tolerance_mm": ("1.0", "2.0"),
    }  # fmt: skip
    assert {c.name: (c.old, c.new) for c in found.versions} == {
        "numpy": ("2.4.6", "2.5.0"), "segmentation.evaluate code": ("c0de", "beef"),
    }  # fmt: skip
    assert (found.only_a, found.only_b, found.both, found.patients) == (("1",), ("3",), 1, 1)
    assert found.inputs == (("segmentation.evaluate image", 1),)
    (outputs,) = found.outputs
    assert (outputs.same, outputs.differ) == (1, 0)


def test_the_command_writes_text_json_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = {str(n): {"dice": 0.8 + n / 100, "steps": 5} for n in range(8)}
    b = {str(n): {"dice": 0.9 + n / 100, "steps": 5} for n in range(8)}
    runs = [str(write_run(tmp_path / name, scans)) for name, scans in (("a", a), ("b", b))]
    words = ["diff", *runs, "--json", str(tmp_path / "d.json"), "--page", str(tmp_path / "page")]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "metrics: dice" in told
    assert "1 numbers are the same in both runs" in told
    assert "*" in next(line for line in told.splitlines() if "metrics: dice" in line)
    content = json.loads((tmp_path / "d.json").read_text())
    assert {n["name"]: n["excludes_zero"] for n in content["numbers"]} == {"dice": True, "steps": False}
    html = (tmp_path / "page" / "index.html").read_text()
    assert 'class="interval beyond"' in html
    assert str(tmp_path) not in told.replace(str(tmp_path / "page"), "") + html + (tmp_path / "d.json").read_text()
    assert main(words) == 0  # a page takes the place of a page
    assert main([*words[:-1], runs[0]]) == 2  # and of nothing else


def test_runs_of_two_pipelines_are_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(write_run(tmp_path / name, {}, pipeline=name)) for name in ("airway", "knee")]
    assert main(["diff", *runs]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "airway" in line
    assert "knee" in line


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(tmp_path), str(tmp_path)]) == 2
    assert "is no run folder" in capsys.readouterr().err
