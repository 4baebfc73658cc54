"""The shared battery of broken, hostile and merely unusual inputs: every verdict, each in a child with
limits.

The group `output` speaks of files beside their records, which `voxfield verify` looks at, not a reader.
"""

import contextlib
import hashlib
import importlib.util
import io
import json
import os
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch  # noqa: F401  (before the forks, so that their limits cover the case and not the import)

from artifacts.in_child import in_child
from voxfield.artifacts import Image, LabelMap, Limits
from voxfield.checking import Verdict, judge
from voxfield.cli import main
from voxfield.errors import InputError
from voxfield.settings import SettingsModel
from voxfield.settings_yaml import load_yaml

GROUPS = (
    "container", "size", "header", "affine", "dtype", "voxels", "pair", "path", "tensor", "archive", "config", "table",
)  # fmt: skip
KINDS = {"image": "Image", "mask": "LabelMap"}
LABELS = (0, 1, 2)
# A control for the voxel type that happens to be constant, which is told of any image.
TOLD_BESIDES = {"uint16_high": "constant-image"}
SPARE_MIB = 64  # for what the interpreter and its threads reserve


def _battery_module(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bad_inputs", folder / "bad_inputs" / "bad_inputs.py")
    if spec is None or spec.loader is None:
        pytest.skip(f"no bad_inputs.py in {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bad_inputs"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def battery(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder with all cases, and their manifest."""
    root = tmp_path_factory.mktemp("battery")
    return root, _battery_module(shared).write(root, specials=True)


@pytest.mark.data
@pytest.mark.parametrize("group", GROUPS)
def test_verdicts(group: str, battery: tuple[Path, dict[str, Any]]) -> None:
    root, manifest = battery
    cases = [case for case in manifest["cases"] if case["group"] == group]
    assert cases
    faults = [f"{case['id']}: {fault}" for case in cases if (fault := _fault_of(case, root))]
    assert not faults, "\n".join(faults)
    assert not list(root.rglob("CANARY-*"))
    for case in cases:
        for name, digest in case["sha256"].items():
            if not case["special"]:
                assert hashlib.sha256((root / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.data
def test_the_command_refuses_in_one_line(battery: tuple[Path, dict[str, Any]]) -> None:
    root, manifest = battery
    cases = [
        c for c in manifest["cases"] if c["expect"] == "reject" and c["open_as"] in ("image", "mask", "tensor", "pair")
    ]
    faults = []
    for case in cases:
        paths = [str(root / path) for path in case["paths"]]
        words = ["check", "--pair", *paths] if case["open_as"] == "pair" else ["check", paths[0]]
        words += ["--as", KINDS[case["open_as"]]] if case["open_as"] in KINDS else []
        seconds, extra = case["limits"]["seconds"], case["limits"]["extra_mib"] + SPARE_MIB
        if case["special"] and os.geteuid() == 0 and not case["id"].startswith("path_fifo"):
            continue
        outcome = in_child(partial(_command, [*words, "--labels", "0,1,2"]), seconds=seconds, extra_mib=extra)
        code, text = outcome.value if outcome.ending == "returned" else (None, outcome.value)
        told = [line for line in text.splitlines() if line.startswith("error: ")]
        if code != 2 or len(told) != 1 or "Traceback" in text:
            faults.append(f"{case['id']}: {outcome.ending}, exit code {code}: {text}")
    assert not faults, "\n".join(faults)


def _command(words: list[str]) -> tuple[int, str]:
    """Exit code of the command line, and everything that it said."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        code = main(words)
    return code, told.getvalue()


@pytest.mark.data
def test_outputs_are_verified(battery: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root, manifest = battery
    for case in [case for case in manifest["cases"] if case["group"] == "output"]:
        run = _run_folder(case, root, tmp_path / case["id"])
        before = {path: path.read_bytes() for path in run.iterdir()}
        code, told = _command(["verify", str(run)])
        assert code == (2 if case["expect"] == "reject" else 0), f"{case['id']}: {told}"
        assert _mentions(case, told.replace(str(run), "")) or case["expect"] == "accept", f"{case['id']}: {told}"
        assert ("warning" in told) == (case["expect"] == "report"), f"{case['id']}: {told}"
        assert {path: path.read_bytes() for path in run.iterdir()} == before


def _run_folder(case: dict[str, Any], root: Path, run: Path) -> Path:
    """The files of a case as a run folder: what its sidecar says, said by a record."""
    run.mkdir()
    (run / "voxfield-run.json").write_text("{}")
    for name in case["sha256"]:
        content = (root / name).read_bytes()
        if name.endswith(".json"):
            output = {"path": "seg.nii.gz", **json.loads(content)}
            content = json.dumps({"voxfield": {"schema": 1, "output": output}}).encode()
        (run / Path(name).name).write_bytes(content)
    return run


@pytest.mark.data
def test_all_groups_are_looked_at(battery: tuple[Path, dict[str, Any]]) -> None:
    _, manifest = battery
    assert {case["group"] for case in manifest["cases"]} == {*GROUPS, "output"}


def _fault_of(case: dict[str, Any], root: Path) -> str | None:
    """What is wrong about how a case was judged; None where nothing is."""
    if case["id"].startswith("path_unreadable") and os.geteuid() == 0:
        return None  # root reads it anyway
    seconds, extra = case["limits"]["seconds"], case["limits"]["extra_mib"] + SPARE_MIB
    outcome = in_child(partial(_judge, case, root), seconds=seconds, extra_mib=extra)
    if outcome.ending != "returned":
        return f"{outcome.ending} {outcome.value}"
    message, file, findings, values = outcome.value
    if case["expect"] in ("accept", "report"):
        return _fault_of_loading(case, message, findings, values)
    fault = _fault_of_refusal(case, root, message, file)
    return _fault_of_raised_limit(case, root) if fault is None and case["expect"] == "limit" else fault


def _fault_of_loading(case: dict[str, Any], message: str | None, findings: list[str], values: Any) -> str | None:
    if message is not None:
        return f"refused: {message}"
    if case["expect"] == "accept" and [f for f in findings if TOLD_BESIDES.get(case["id"], "-") not in f]:
        return f"not silent: {findings}"
    if case["expect"] == "report" and not _mentions(case, " ".join(findings)):
        return f"no finding says {case['mention']}: {findings}"
    return None if case["truth"] is None else _fault_of_values(case["truth"], values)


def _fault_of_refusal(case: dict[str, Any], root: Path, message: str | None, file: str | None) -> str | None:
    if message is None:
        return "loaded without an error"
    if "\n" in message:
        return f"more than one line: {message!r}"
    names = [str(root / name) for name in case["paths"]]
    if file not in names:
        return f"the error is about {file}"
    for name in sorted([*names, *(Path(name).name for name in names)], key=len, reverse=True):
        message = message.replace(name, "")
    return None if _mentions(case, message) else f"says none of {case['mention']}: {message}"


def _fault_of_raised_limit(case: dict[str, Any], root: Path) -> str | None:
    call = partial(judge, [root / case["paths"][0]], kind="Image", max_voxels=1e9)
    size = 6 * 2**29 / 2**20  # the bytes of the file, as int16, with room for both
    outcome = in_child(lambda: [v.error for v in call()], seconds=60, extra_mib=size)
    return None if outcome.value == [None] else f"with the limit raised: {outcome.ending} {outcome.value}"


def _mentions(case: dict[str, Any], text: str) -> bool:
    return any(word.lower() in text.lower() for word in case["mention"])


def _judge(case: dict[str, Any], root: Path) -> tuple[str | None, str | None, list[str], Any]:
    """In the child: error, the file it names, findings, and the values where a truth is known."""
    path = root / case["paths"][0]
    if case["open_as"] == "config":
        return _judge_settings(path)
    if case["open_as"] == "pair":
        image, mask = (root / case["roles"][role] for role in ("image", "mask"))
        (verdict,) = judge([], pair=(image, mask), labels=LABELS)
    else:
        (verdict,) = judge([path], kind=KINDS.get(case["open_as"]), labels=LABELS)
    findings = [str(finding) for finding in verdict.findings]
    error = verdict.error
    values = _described(path, case["open_as"]) if error is None and case["truth"] else None
    return error and error.message, error and str(error.file), findings, values


def _described(path: Path, kind: str) -> dict[str, Any]:
    """What a reader found, in the terms of the manifest."""
    volume = (LabelMap if kind == "mask" else Image).load(path)
    return {"shape": list(volume.data.shape), "affine": volume.affine, "data": volume.data}


def _fault_of_values(truth: dict[str, Any], found: dict[str, Any]) -> str | None:
    data = found["data"]
    exact = np.ascontiguousarray(data.astype("<i8" if truth["kind"] in "iu" else "<f8"))
    if found["shape"] != truth["shape"]:
        return f"shape {found['shape']}"
    if hashlib.sha256(exact).hexdigest() != truth["sha256_c_order"]:
        return f"values differ: sum {data.sum(dtype=float)}, expected {truth['sum']}"
    if not np.allclose(found["affine"], truth["affine"], rtol=1e-6, atol=1e-5):
        return f"affine {found['affine']}"
    return None


SCHEMA = SettingsModel(
    "battery",
    {
        "stage": (str, ""), "site": (str, ""), "subject": (str, ""), "name": (str, ""), "train": (dict[str, float], {}),
        "seed": (int, 0), "dice": (float, 0.0), "n": (float, 0.0),
    },
)  # fmt: skip
TRAIN = SettingsModel("battery", {"lr": (float, 0.1), "epochs": (int, 1)})


def _judge_settings(path: Path) -> tuple[str | None, str | None, list[str], Any]:
    try:
        values = load_yaml(path)
        SCHEMA.validate({key: value for key, value in values.items() if key != "train"}, file=path)
        TRAIN.validate(values.get("train", {}), file=path)
        _require_stage_name(values.get("stage", "x"), path)
    except InputError as error:
        return error.message, str(error.file), [], None
    return None, None, [], values


def _require_stage_name(name: str, path: Path) -> None:
    if not name.replace(".", "").isidentifier():
        raise InputError(f"stage {name!r} is no name of a stage; expressions are never evaluated", file=path)


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
