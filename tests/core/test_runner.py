"""A stage from files: records, atomic outputs, refusals, resume after a kill."""

import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxfield.artifacts import Image, Limits, Metrics
from voxfield.errors import InputError, SettingsError
from voxfield.records import hash_file, read_record, record_path
from voxfield.runner import Call, is_current, run
from voxfield.stage import Stage

Toy = Stage[..., Any]


def call(toy: Toy, image: Path, folder: Path, **settings: Any) -> Call:
    outputs = {"scaled": folder / "scaled.nii.gz", "metrics": folder / "metrics.json"}
    return Call(toy, {"image": image, "others": []}, outputs, settings)


def test_record_says_how_an_output_was_made(toy: Toy, image_file: Path, tmp_path: Path) -> None:
    made = call(toy, image_file, tmp_path, factor=3.0)
    run(made)
    record = read_record(made.outputs["scaled"])
    assert record is not None
    assert record["settings"] == {"factor": 3.0, "mode": "plain", "shape": [1, 2]}
    assert record["inputs"]["image"] == {
        "path": "image.nii.gz",
        "sha256": hash_file(image_file)[0],
        "bytes": image_file.stat().st_size,
    }
    assert record["findings"] == [{"code": "scaled", "level": "info", "message": "multiplied by 3.0"}]
    assert record["seconds"]["wall"] > 0
    assert record["peak_memory_mb"]["host"] > 0
    assert str(tmp_path) not in record_path(made.outputs["scaled"]).read_text()
    assert Image.load(made.outputs["scaled"]).data.max() == 357


def test_only_named_outputs_are_written(toy: Toy, image_file: Path, tmp_path: Path) -> None:
    run(Call(toy, {"image": image_file}, {"metrics": tmp_path / "only.json"}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["image.nii.gz", "only.json", "only.json.json"]
    with pytest.raises(InputError, match="--out-scaled, --out-metrics"):
        run(Call(toy, {"image": image_file}, {}))


def test_refusals_come_before_any_output(toy: Toy, image_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for inputs, outputs, settings, words in (
        ({}, {"scaled": out / "a.nii.gz"}, {}, "needs --image"),
        ({"image": out / "no.nii.gz"}, {"scaled": out / "a.nii.gz"}, {}, "no.nii.gz"),
        ({"image": image_file}, {"scaled": image_file}, {}, "overwrite an input"),
        ({"image": image_file}, {"metrics": image_file.with_name("image.json")}, {}, "overwrite an input"),
        ({"image": image_file}, {"scaled": out / "a.png"}, {}, "ends in .nii.gz"),
        ({"image": image_file}, {"scaled": out / "m.nii.gz", "metrics": out / "m.json"}, {}, "each other"),
    ):
        with pytest.raises(InputError, match=words):
            run(Call(toy, inputs, outputs, settings))
    with pytest.raises(SettingsError, match="factor"):
        run(call(toy, image_file, out, factor=99.0))
    assert not out.exists() or not list(out.iterdir())


def test_voxel_limit_is_a_setting(toy: Toy, image_file: Path, tmp_path: Path) -> None:
    small = Call(toy, {"image": image_file}, {"metrics": tmp_path / "m.json"}, limits=Limits(max_voxels=119))
    with pytest.raises(InputError, match="120"):
        run(small)
    run(Call(toy, {"image": image_file}, {"metrics": tmp_path / "m.json"}, limits=Limits(max_voxels=120)))


def test_failing_stage_leaves_nothing_and_keeps_the_old(toy: Toy, image_file: Path, tmp_path: Path) -> None:
    good = call(toy, image_file, tmp_path)
    run(good)
    before = hash_file(good.outputs["scaled"])
    with pytest.raises(RuntimeError, match="a bug"):
        run(call(toy, image_file, tmp_path, mode="fail"))
    assert hash_file(good.outputs["scaled"]) == before
    assert is_current(good)
    assert not list(tmp_path.glob(".vf*"))


def test_input_changed_after_its_record_is_refused(toy: Toy, image_file: Path, tmp_path: Path) -> None:
    first = call(toy, image_file, tmp_path / "a")
    run(first)
    changed = first.outputs["scaled"]
    Image(np.zeros((4, 5, 6), "f4"), np.eye(4)).save(changed)
    with pytest.raises(InputError, match="changed after it was written"):
        run(call(toy, changed, tmp_path / "b"))
    assert not (tmp_path / "b").exists()


def test_file_without_record_is_refused_inside_a_run(toy: Toy, image_file: Path, tmp_path: Path) -> None:
    (tmp_path / "voxfield-run.json").write_text("{}")
    with pytest.raises(InputError, match="no record"):
        run(call(toy, image_file, tmp_path / "out"))


def test_foreign_sidecar_is_no_record(toy: Toy, image_file: Path, tmp_path: Path) -> None:
    image_file.with_name("image.json").write_text(json.dumps({"EchoTime": 0.03}))
    run(call(toy, image_file, tmp_path / "out"))


def test_is_current_follows_inputs_settings_and_outputs(toy: Toy, image_file: Path, tmp_path: Path) -> None:
    made = call(toy, image_file, tmp_path)
    assert not is_current(made)
    run(made)
    assert is_current(made)
    assert not is_current(call(toy, image_file, tmp_path, factor=4.0))
    data = made.outputs["scaled"].read_bytes()
    made.outputs["scaled"].write_bytes(b"")
    assert not is_current(made)
    made.outputs["scaled"].write_bytes(data)
    assert is_current(made)


def test_interrupted_stage_resumes_from_its_workspace(toy: Toy, image_file: Path, tmp_path: Path) -> None:
    stopped = call(toy, image_file, tmp_path, mode="interrupt")
    with pytest.raises(KeyboardInterrupt):
        run(stopped)
    assert (tmp_path / "scaled.nii.gz.work").is_dir()
    run(stopped)
    assert Metrics.load(stopped.outputs["metrics"]).values == {"others": 0, "rows": 0, "start": 2, "total": 3}
    assert not (tmp_path / "scaled.nii.gz.work").exists()


def test_checkpoint_of_other_settings_is_not_used(toy: Toy, image_file: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(call(toy, image_file, tmp_path, mode="interrupt"))
    plain = call(toy, image_file, tmp_path)
    run(plain)
    assert Metrics.load(plain.outputs["metrics"]).values["start"] == 0


def in_child(body: Any) -> int:
    """Run `body` in a fork; returns the exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
        except OSError:
            os._exit(3)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_full_disk_leaves_nothing_at_the_final_name(toy: Toy, tmp_path: Path) -> None:
    source = tmp_path / "noise.nii.gz"
    Image(np.random.default_rng(0).normal(size=(32, 32, 32)).astype("f4"), np.eye(4)).save(source)
    out = tmp_path / "out"

    def body() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        run(Call(toy, {"image": source}, {"scaled": out / "scaled.nii.gz"}))

    assert os.waitstatus_to_exitcode(in_child(body)) == 3
    assert not list(out.glob("*.nii.gz"))
    assert not list(out.glob(".vf*"))


@pytest.mark.parametrize("call_number", range(6))
def test_kill_at_any_write_leaves_old_or_new(
    toy: Toy, image_file: Path, tmp_path: Path, call_number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL at the n-th rename, flush or removal; afterwards every file is whole, and a rerun finishes."""
    old = call(toy, image_file, tmp_path / "out")
    run(old)
    new = call(toy, image_file, tmp_path / "out", factor=5.0)

    def body() -> None:
        count = 0
        for name in ("replace", "unlink"):
            original = getattr(Path, name)

            def counted(self: Path, *args: Any, original: Any = original, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                if count > call_number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(self, *args, **kwargs)

            setattr(Path, name, counted)
        run(new)

    in_child(body)
    values = {238.0, 595.0}
    if new.outputs["scaled"].exists():
        assert float(Image.load(new.outputs["scaled"]).data.max()) in values
    run(new)
    assert is_current(new)
    assert float(Image.load(new.outputs["scaled"]).data.max()) == 595.0
