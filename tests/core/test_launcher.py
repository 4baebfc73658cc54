"""Several processes run one stage: one writes and speaks, and whatever fails is told in one line."""

import json
from pathlib import Path

import pytest

from core.together import add, prepare
from voxfield.artifacts import Metrics
from voxfield.cli import main


def test_the_first_process_alone_writes_and_speaks(tmp_path: Path) -> None:
    prepare(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    code, said = add(tmp_path)
    assert (code, said) == (0, "info: 2 processes met [joined]\n")
    assert {path.name for path in tmp_path.iterdir()} - before == {"sum.json", "sum.json.json"}
    assert Metrics.load(tmp_path / "sum.json").values == {"sum": 1.0, "agreed": 0}
    record = json.loads((tmp_path / "sum.json.json").read_text())["voxfield"]
    assert (record["processes"], record["threads"]) == (2, 1)  # two threads, shared out


def test_what_all_refuse_is_one_line(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert add(tmp_path, "refuse") == (2, "error: table.tsv: column 'x' is empty\n")
    assert not (tmp_path / "sum.json").exists()


def test_what_can_not_be_shared_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--processes", "2", "--out-metrics", str(tmp_path / "m.json")]
    assert main(["segmentation.evaluate", *words]) == 2
    assert "segmentation.evaluate runs in one process; 2 were asked for" in capsys.readouterr().err
    assert main(["segmentation.train", *words, "--set", "steps=0"]) == 2
    assert "steps" in capsys.readouterr().err
    assert main(["segmentation.train", *words, "--each", "t.tsv"]) == 2
    assert "--processes goes with one call" in capsys.readouterr().err
