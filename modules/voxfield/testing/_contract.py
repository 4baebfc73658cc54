"""Promises of a stage, tested from files and in memory. See `voxfield.testing`."""

import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from voxfield import cards, registry
from voxfield.artifacts import Artifact
from voxfield.context import Context
from voxfield.errors import InputError, SettingsError
from voxfield.findings import Findings
from voxfield.records import hash_file, read_record, record_path
from voxfield.runner import Call, is_current, run
from voxfield.stage import Stage

HEAVY = ("snakemake", "monai", "gpytorch")


class StageContract(ABC):
    """Subclass as `Test...`, set `name`, and make inputs; everything else is inherited.

    name   the stage, such as "segmentation.predict"
    needs  which of snakemake, monai and gpytorch the stage may import (snakemake never)
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def make_inputs(self) -> Mapping[str, Artifact | Sequence[Artifact] | None]:
        """Small artifacts in memory, by input name."""

    def make_settings(self) -> Mapping[str, Any]:
        """Settings that make the stage quick."""
        return {}

    @pytest.fixture(scope="class")
    @classmethod
    def stage(cls) -> Stage[..., Any]:
        """The stage under test."""
        return registry.get(cls.name)

    @pytest.fixture(scope="class")
    @classmethod
    def files(cls, stage: Stage[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
        """The inputs as files."""
        made = cls().make_inputs()
        folder = tmp_path_factory.mktemp("in")
        written: dict[str, Any] = {}
        for port in stage.inputs:
            value = made.get(port.name)
            if value is None:
                continue
            if isinstance(value, Artifact):
                written[port.name] = _write(value, folder / f"{port.name}{value.suffix}")
            else:
                written[port.name] = [_write(a, folder / f"{port.name}-{i:03}{a.suffix}") for i, a in enumerate(value)]
        return written

    @pytest.fixture(scope="class")
    @classmethod
    def done(cls, stage: Stage[..., Any], files: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Call:
        """One finished run from files, all outputs that the stage has for these inputs."""
        call = cls().call(stage, files, tmp_path_factory.mktemp("out"))
        run(call)
        return call

    def call(self, stage: Stage[..., Any], files: Mapping[str, Any], folder: Path) -> Call:
        """A call that writes the mandatory outputs of the stage into `folder`."""
        outputs = {p.name: folder / f"{p.name}{p.kind.suffix}" for p in stage.outputs if not p.optional}
        outputs = outputs or {p.name: folder / f"{p.name}{p.kind.suffix}" for p in stage.outputs[:1]}
        return Call(stage, files, outputs, self.make_settings(), seed=1, device="cpu")

    def test_writes_every_output_with_its_record(self, done: Call) -> None:
        for name, path in done.outputs.items():
            record = read_record(path)
            assert record is not None, f"{name} has no record"
            assert record["stage"] == self.name
            assert record["output"]["sha256"] == hash_file(path)[0]
            assert set(record["inputs"]) == {port.name for port in done.stage.inputs}
            assert record["settings"].keys() == done.stage.settings.fields.keys()
        folder = next(iter(done.outputs.values())).parent
        assert not list(folder.glob(".vf*")), "temporary files were left behind"
        assert not list(folder.glob("*.work")), "the workspace was left behind"

    def test_record_tells_nothing_private(self, done: Call) -> None:
        for path in done.outputs.values():
            text = record_path(path).read_text()
            assert str(path.parent) not in text
            assert str(Path.home()) not in text

    def test_outputs_can_be_read_and_checked(self, done: Call) -> None:
        for port in done.stage.outputs:
            if port.name in done.outputs:
                port.kind.load(done.outputs[port.name]).check(Findings())

    def test_same_call_gives_same_bytes(self, done: Call, tmp_path: Path) -> None:
        again = self.call(done.stage, done.inputs, tmp_path)
        run(again)
        for port in done.stage.outputs:
            if port.name in done.outputs and port.kind.kind != "Report":
                assert hash_file(again.outputs[port.name]) == hash_file(done.outputs[port.name]), port.name

    def test_in_memory_as_from_files(self, done: Call, tmp_path: Path) -> None:
        loaded = {
            port.name: _load(port.kind, done.inputs[port.name])
            for port in done.stage.inputs
            if port.name in done.inputs
        }
        result = done.stage(**loaded, **self.make_settings(), ctx=Context(seed=1, device="cpu"))
        for port in done.stage.outputs:
            if port.name in done.outputs and port.kind.kind != "Report":
                path = tmp_path / done.outputs[port.name].name
                getattr(result, port.name).save(path)
                assert hash_file(path) == hash_file(done.outputs[port.name]), port.name

    def test_finished_call_is_current_until_an_output_changes(self, done: Call, tmp_path: Path) -> None:
        assert is_current(done)
        assert not is_current(self.call(done.stage, done.inputs, tmp_path))

    def test_damaged_input_is_refused_and_leaves_nothing(
        self, stage: Stage[..., Any], files: dict[str, Any], tmp_path: Path
    ) -> None:
        single = {n: p for n, p in files.items() if isinstance(p, Path) and p.is_file()}
        for name, path in single.items():
            broken = tmp_path / f"broken-{path.name}"
            broken.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
            call = self.call(stage, {**files, name: broken}, tmp_path / "out")
            if stage.inputs and _kind(stage, name).kind == "RawFile":
                continue
            with pytest.raises(InputError) as caught:
                run(call)
            assert broken.name in str(caught.value)
            assert not any(p.exists() for p in call.outputs.values())

    def test_missing_input_is_refused(self, stage: Stage[..., Any], files: dict[str, Any], tmp_path: Path) -> None:
        for port in stage.inputs:
            if port.name not in files or port.many:
                continue
            call = self.call(stage, {**files, port.name: tmp_path / f"absent{port.kind.suffix}"}, tmp_path)
            with pytest.raises(InputError, match="absent"):
                run(call)

    def test_input_is_never_overwritten(self, stage: Stage[..., Any], files: dict[str, Any]) -> None:
        for source in stage.inputs:
            for target in stage.outputs:
                given = files.get(source.name)
                if source.kind is not target.kind or not isinstance(given, Path):
                    continue
                before = hash_file(given)
                call = Call(stage, files, {target.name: given}, self.make_settings(), device="cpu")
                with pytest.raises(InputError, match="overwrite"):
                    run(call)
                assert hash_file(given) == before

    def test_unknown_setting_is_refused(self, done: Call, tmp_path: Path) -> None:
        call = self.call(done.stage, done.inputs, tmp_path)
        call = Call(call.stage, call.inputs, call.outputs, {**call.settings, "no_such_setting": 1})
        with pytest.raises(SettingsError, match="no_such_setting"):
            run(call)
        assert not any(p.exists() for p in call.outputs.values())

    def test_has_card_and_schema(self, stage: Stage[..., Any]) -> None:
        text = cards.card(stage)
        assert stage.summary
        for setting in stage.settings.fields:
            assert text.count(setting) > 1, f"setting {setting!r} is not told of in the docstring"
        described = json.loads(cards.schema(stage))
        assert described["stage"] == self.name
        assert described["settings"]["additionalProperties"] is False

    def test_imports_nothing_that_it_does_not_use(self, done: Call, tmp_path: Path) -> None:
        """The stage runs in a process where Snakemake, and monai and gpytorch if unused, can not be imported."""
        forbidden = [name for name in HEAVY if name not in self.needs]
        words = [done.stage.name, "--seed", "1", "--device", "cpu"]
        for name, given in done.inputs.items():
            paths = [str(given)] if isinstance(given, Path) else [str(p) for p in given or ()]
            words += [f"--{name.replace('_', '-')}", *paths]
        for name, path in done.outputs.items():
            words += [f"--out-{name.replace('_', '-')}", str(tmp_path / path.name)]
        for name, value in done.settings.items():
            words += ["--set", f"{name}={json.dumps(value)}"]
        program = (
            f"import sys\nfor name in {forbidden!r}: sys.modules[name] = None\n"
            f"from voxfield.cli import main\nsys.exit(main({words!r}))"
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr


def _write(artifact: Artifact, path: Path) -> Path:
    artifact.save(path)
    return path


def _load(kind: type[Artifact], given: Any) -> Any:
    if isinstance(given, Path):
        return kind.load(given)
    return [kind.load(path) for path in given]


def _kind(stage: Stage[..., Any], name: str) -> type[Artifact]:
    return next(port.kind for port in stage.inputs if port.name == name)
