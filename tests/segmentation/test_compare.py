"""segmentation.compare: p-values by hand, folds by patient, verdicts, resumption."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tubes import AFFINE, tube

from voxfield import registry
from voxfield.artifacts import Artifact, Cohort, Image, LabelMap
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.paired import holm, sign_flip_p
from voxfield.runner import Call, run
from voxfield.segmentation import _comparison, compare
from voxfield.testing import StageContract

SMALL: dict[str, Any] = {"patch": [16, 16, 16], "channels": [4, 8]}
METHODS = {"long": {**SMALL, "steps": 4}, "short": {**SMALL, "steps": 1}}


def cohort(patients: int = 4) -> tuple[Cohort, list[Image], list[LabelMap]]:
    pairs = [tube(seed) for seed in range(patients)]
    table = Cohort({"subject": [f"s{k}" for k in range(patients)]})
    return table, [Image(i, AFFINE) for i, _ in pairs], [LabelMap(m, AFFINE) for _, m in pairs]


class TestCompare(StageContract):
    """Two short trainings on three tubes."""

    name = "segmentation.compare"
    needs = ("monai",)

    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        table, images, masks = cohort(2)
        return {"cohort": table, "images": images, "masks": masks}

    def make_settings(self) -> Mapping[str, Any]:
        return {"methods": METHODS, "folds": 2}


def test_sign_flips_by_hand() -> None:
    rng = np.random.default_rng(0)
    # 1 and 2 both positive: of 4 sign patterns, ++ and -- are as far from 0.
    assert sign_flip_p(np.array([1.0, 2.0]), rng) == 0.5
    assert sign_flip_p(np.array([1.0, -1.0]), rng) == 1.0
    assert sign_flip_p(np.full(6, 0.1), rng) == 2 / 64
    assert sign_flip_p(np.zeros(3), rng) == 1.0


def test_sign_flips_hold_their_level() -> None:
    rng = np.random.default_rng(0)
    found = [sign_flip_p(rng.normal(size=n), rng, 500) < 0.05 for n in (10, 30) for _ in range(300)]
    assert np.mean(found) < 0.08


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def rows(differences: Sequence[float]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    found = []
    for k, difference in enumerate(differences):
        base = rng.uniform(0.5, 0.8)
        for method, value in (("a", base), ("b", base + difference)):
            found.append({"patient": f"p{k}", "method": method, "dice": value})
    return found


def test_a_steady_difference_is_told_and_chance_is_not() -> None:
    rng = np.random.default_rng(1)
    steady = _comparison.conclude(rows([0.05, 0.06, 0.04, 0.05, 0.07, 0.05, 0.06]), ["a", "b"], "dice", 0.05, 500, rng)
    assert steady["differ"] == ["a - b"]
    assert steady["differences"]["a - b"]["p"] == pytest.approx(2 / 2**7)
    assert "dice differs" in steady["verdict"]
    chance = _comparison.conclude(rows([0.05, -0.06, 0.04, -0.05, 0.03, -0.02]), ["a", "b"], "dice", 0.05, 500, rng)
    assert chance["differ"] == []
    assert "no two methods differ" in chance["verdict"]


def test_patients_that_one_method_lacks_are_left_out_for_both() -> None:
    found = rows([0.1, 0.1, 0.1])
    found[0]["dice"] = None
    concluded = _comparison.conclude(found, ["a", "b"], "dice", 0.05, 500, np.random.default_rng(0))
    assert concluded["patients"] == 2
    with pytest.raises(InputError, match="no patient has the score"):
        _comparison.conclude([{**r, "dice": None} for r in found], ["a", "b"], "dice", 0.05, 500,
                             np.random.default_rng(0))  # fmt: skip


def test_folds_keep_patients_together() -> None:
    patients = [f"p{k // 2}" for k in range(14)]
    folds = _comparison.deal(patients, 3, np.random.default_rng(0))
    assert set().union(*folds) == set(patients)
    assert sum(map(len, folds)) == 7
    assert {len(f) for f in folds} == {2, 3}
    with pytest.raises(InputError, match="2 patients can not be dealt into 3 folds"):
        _comparison.deal(["a", "b"], 3, np.random.default_rng(0))


def test_what_can_not_be_compared_is_refused_before_any_training() -> None:
    table, images, masks = cohort(2)
    with pytest.raises(SettingsError, match="expected two or more"):
        compare(table, images, masks, methods={"one": SMALL}, ctx=Context(device="cpu"))
    with pytest.raises(SettingsError, match=r"method 'b': .*the nearest known one is 'steps'"):
        compare(table, images, masks, methods={"a": SMALL, "b": {"stpes": 3}}, ctx=Context(device="cpu"))


def test_a_killed_comparison_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, images, masks = cohort(2)
    table.save(tmp_path / "cohort.tsv")
    inputs: Any = {"cohort": tmp_path / "cohort.tsv", "images": [], "masks": []}
    for k, (image, mask) in enumerate(zip(images, masks, strict=True)):
        image.save(tmp_path / f"i{k}.nii.gz")
        mask.save(tmp_path / f"m{k}.nii.gz")
        inputs["images"].append(tmp_path / f"i{k}.nii.gz")
        inputs["masks"].append(tmp_path / f"m{k}.nii.gz")

    def call(name: str) -> Call:
        outputs = {"scores": tmp_path / name / "s.tsv", "metrics": tmp_path / name / "m.json"}
        settings = {"methods": METHODS, "folds": 2}
        return Call(registry.get("segmentation.compare"), inputs, outputs, settings, seed=1, device="cpu")

    run(call("whole"))
    trained: list[str] = []
    whole = _comparison.train

    def cut(*arguments: Any, **settings: Any) -> Any:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append("one")
        return whole(*arguments, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(_comparison, "train", cut)
        with pytest.raises(KeyboardInterrupt):
            run(call("cut"))
    run(call("cut"))
    assert len(trained) == 2
    for name in ("s.tsv", "m.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
