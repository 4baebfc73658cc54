"""The shared battery of bad inputs through the command line: `voxfield check`, and a stage that reads the format.

Every case runs in a forked child with the limits of its manifest on time and memory. A verdict is None where the
tool did what the manifest demands, and otherwise says what it did instead.
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

from artifacts.in_child import in_child
from voxfield.artifacts import Cohort, Image, LabelMap, Metrics
from voxfield.cli import main

Case = dict[str, Any]
Said = tuple[int | None, str]
GROUPS = (
    "container", "size", "header", "affine", "dtype", "voxels", "pair", "path", "tensor", "archive", "config", "table",
    "output",
)  # fmt: skip
KINDS = {"image": "Image", "mask": "LabelMap", "output": "output"}
# A control for the voxel type that happens to be constant, which is told of any image.
TOLD_BESIDES = {"uint16_high": "constant-image"}
NOBODY = 65534
SPARE_MIB = 64  # for what the interpreter and its threads reserve
RAISED_MIB = 3 * 1024  # for the case over the limit: what it unpacks to as int16, and room for writing it
# No stage reads a checkpoint of torch; it is refused as what it is. `voxfield check` judges what is in it.
NO_STAGE = ("pt_ok", "pt_nan_weights")
OUTPUTS = {".nii.gz", ".safetensors", ".tsv"}  # behind one letter
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **{key: {"type": "string"} for key in ("stage", "site", "subject", "name")},
        "train": {
            "type": "object", "additionalProperties": False,
            "properties": {"lr": {"type": "number"}, "epochs": {"type": "integer"}},
        },
        "seed": {"type": "integer"},
        **{key: {"type": "number"} for key in ("dice", "n")},
    },
}  # fmt: skip


def bad_inputs(shared: Path) -> ModuleType:
    """The module that writes the cases."""
    place = shared / "bad_inputs" / "bad_inputs.py"
    spec = importlib.util.spec_from_file_location("bad_inputs", place)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(place)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bad_inputs"] = module
    spec.loader.exec_module(module)
    return module


class Battery:
    """The cases in a folder, and what the stages need besides them.

    root   the folder with all cases
    tools  files that are sound: an image, a cohort, a result, the schema of the settings
    raised whether what is over the limit is read once more with the limit raised
    """

    def __init__(self, shared: Path, root: Path, tools: Path, *, raised: bool = True) -> None:
        self.root, self.tools, self.raised = root, tools, raised
        self.cases: list[Case] = bad_inputs(shared).write(root, specials=True)["cases"]
        tools.mkdir(exist_ok=True)
        grid = np.array([[0.7, 0, 0, -20], [0, 0.8, 0, 15], [0, 0, 1.5, 5], [0, 0, 0, 1]])
        Image(np.arange(960, dtype="f4").reshape(12, 10, 8), grid).save(tools / "scan.nii.gz")
        Cohort({"subject": ["s1"]}).save(tools / "cohort.tsv")
        Metrics({"dice": {"value": 0.5}, "tolerance_mm": 1.0}).save(tools / "result.json")
        (tools / "schema.json").write_text(json.dumps(SCHEMA))

    def of(self, group: str) -> list[Case]:
        """The cases of a group."""
        return [case for case in self.cases if case["group"] == group]

    def check_words(self, case: Case) -> list[str]:
        """The command that asks what a stage would say."""
        paths = [str(self.root / path) for path in case["paths"]]
        if case["open_as"] == "pair":
            images = [str(self.root / case["roles"][role]) for role in ("image", "mask")]
            return ["check", "--pair", *images, "--labels", "0,1,2"]
        words = ["check", "--labels", "0,1,2", *(["--as", KINDS[case["open_as"]]] if case["open_as"] in KINDS else [])]
        schema = ["--schema", str(self.tools / "schema.json")] if case["open_as"] == "config" else []
        return [*words, *schema, "--", paths[0]]

    def stage_words(self, case: Case, out: Path) -> list[str]:
        """The command of a stage that reads such a file; all of it is written into the folder `out`."""
        path, scan = str(self.root / case["paths"][0]), str(self.tools / "scan.nii.gz")
        cohort, result = str(self.tools / "cohort.tsv"), str(self.tools / "result.json")
        image, mask = (str(self.root / case["roles"].get(role, "")) for role in ("image", "mask"))
        convert = ["io.convert", f"--source={path}", "--out-image", "i.nii.gz"]
        annotate = ["segmentation.annotate", "--out-annotation", "a.nii.gz", "--image"]
        train = ["segmentation.train", "--cohort", cohort, "--images", scan, "--masks", path]
        words = {
            "mask": ["io.convert", f"--source={path}", "--set", "content=labels", "--out-labels", "l.nii.gz"],
            "pair": [*annotate, image, "--dense", mask, "--set", "every=2"],
            "tensor": ["segmentation.predict", "--image", scan, "--model", path, "--out-mask", "m.nii.gz"],
            "config": [*annotate, scan, "--settings", path],
            "table": [
                "segmentation.summarise", "--cohort", path, "--evaluations", *([result] * _rows(path)),
                "--out-table", "t.tsv",
            ],
            "output": ["io.convert", "--source", str(self._run_file(case)), "--out-image", "i.nii.gz"],
        }.get(case["open_as"], convert)  # fmt: skip
        if case["id"] == "mask_255":  # what 255 means matters to whoever trains
            words = [*train, "--out-model", "m.safetensors"]
        return [str(out / word) if word[1:] in OUTPUTS else word for word in words]

    def _run_file(self, case: Case) -> Path:
        """The file of a case of the group `output` in a run folder: what its sidecar says, said by a record."""
        folder = self.tools / "run" / case["id"]
        if case["open_as"] != "output":
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        (self.tools / "run" / "voxfield-run.json").write_text("{}")
        for name in case["sha256"]:
            content = (self.root / name).read_bytes()
            if name.endswith(".json"):
                output = {"path": f"{case['id']}/seg.nii.gz", **json.loads(content)}
                content = json.dumps({"voxfield": {"schema": 1, "output": output}}).encode()
            (folder / Path(name).name).write_bytes(content)
        return folder / "seg.nii.gz"

    def check_fault(self, case: Case) -> str | None:
        """What is wrong about how `voxfield check` judged a case."""
        return self._fault(case, self.check_words(case))

    def stage_fault(self, case: Case, out: Path) -> str | None:
        """What is wrong about how a stage took a case: also what it wrote, or did not."""
        out.mkdir()
        fault = self._fault(case, self.stage_words(case, out))
        written = [path for path in sorted(out.iterdir()) if path.name.endswith(".nii.gz")]
        if fault is None and case["expect"] == "reject" and any(out.iterdir()):
            return f"left {[path.name for path in out.iterdir()]}"
        if fault is None and case["truth"] and case["expect"] != "limit":
            return values_fault(case["truth"], written[0], case["open_as"]) if written else "wrote nothing"
        return fault

    def _fault(self, case: Case, words: list[str]) -> str | None:
        limits = case["limits"]["seconds"], case["limits"]["extra_mib"]
        said = run(words, *limits, as_nobody=case["id"].startswith("path_unreadable"))
        if case["expect"] in ("accept", "report"):
            return _fault_of_loading(case, said)
        fault = self._fault_of_refusal(case, said)
        if fault is None and case["expect"] == "limit" and self.raised:
            place = words.index("--") if "--" in words else len(words)
            code, text = run([*words[:place], "--max-voxels", "1e9", *words[place:]], 400, RAISED_MIB)
            return None if code == 0 else f"with the limit raised: {code}: {text}"
        return fault

    def _fault_of_refusal(self, case: Case, said: Said) -> str | None:
        code, text = said
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        if code != 2 or len(errors) != 1 or "Traceback" in text:
            return f"exit code {code}: {text}"
        names = [Path(name).name for name in case["paths"]]
        if not any(name in errors[0] for name in names):
            return f"names no file: {errors[0]}"
        return None if mentions(case, _without_names(errors[0], case)) else f"says none of {case['mention']}: {errors}"


def run(words: list[str], seconds: float, extra_mib: float, *, as_nobody: bool = False) -> Said:
    """Exit code and words of a command, in a child with limits; None for one that crashed or was killed.

    as_nobody  give up the rights of root, who may read what is forbidden
    """
    outcome = in_child(partial(_command, words, as_nobody), seconds=seconds, extra_mib=extra_mib + SPARE_MIB)
    if outcome.ending != "returned":
        return None, f"{outcome.ending}: {outcome.value}"
    code, text = outcome.value
    return code, text


def _command(words: list[str], as_nobody: bool) -> tuple[int, str]:
    if as_nobody and os.geteuid() == 0:
        os.setuid(NOBODY)
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        code = main(words)
    return code, told.getvalue()


def mentions(case: Case, text: str) -> bool:
    """Whether a text says what the manifest asks for."""
    return any(word.lower() in text.lower() for word in case["mention"])


def values_fault(truth: dict[str, Any], path: Path, kind: str) -> str | None:
    """How the values of a file differ from the truth of the manifest."""
    volume = (LabelMap if kind == "mask" else Image).load(path)
    exact = np.ascontiguousarray(volume.data.astype("<i8" if truth["kind"] in "iu" else "<f8"))
    if list(volume.data.shape) != truth["shape"]:
        return f"shape {volume.data.shape}"
    if hashlib.sha256(exact).hexdigest() != truth["sha256_c_order"]:
        return f"values differ: sum {volume.data.sum(dtype=float)}, expected {truth['sum']}"
    if not np.allclose(volume.affine, truth["affine"], rtol=1e-6, atol=1e-5):
        return f"affine {volume.affine}"
    return None


def _fault_of_loading(case: Case, said: Said) -> str | None:
    code, text = said
    findings = [line for line in text.splitlines() if line.startswith(("info: ", "warning: "))]
    if code != 0:
        return f"exit code {code}: {text}"
    if case["expect"] == "accept" and [f for f in findings if TOLD_BESIDES.get(case["id"], "-") not in f]:
        return f"not silent: {findings}"
    if case["expect"] == "report" and not mentions(case, _without_names(" ".join(findings), case)):
        return f"no finding says {case['mention']}: {findings}"
    return None


def _without_names(text: str, case: Case) -> str:
    for name in sorted((Path(name).name for name in case["paths"]), key=len, reverse=True):
        text = text.replace(name, "")
    return text


def _rows(path: str) -> int:
    """Rows of a small table, however damaged it is."""
    return max(1, Path(path).read_bytes().count(b"\n") - 1) if path.endswith(".csv") else 1
