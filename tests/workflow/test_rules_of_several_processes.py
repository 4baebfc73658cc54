"""One setting of a run, `resources: {STAGE: {processes: 2}}`, has a rule start its training in several processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.together import TESTS, prepare
from voxfield.errors import SettingsError
from voxfield.workflow import Stages

SNAKEFILE = """
from voxfield.workflow import Stages

stages = Stages(config)


rule add:
    input: table="table.tsv"
    output: metrics="sum.json"
    log: "add.log"
    params: **stages.params("toys.add")
    resources: **stages.resources("toys.add")
    threads: stages.threads("toys.add")
    shell: stages.shell("toys.add", "table", "metrics", subject="")
"""


def test_gpus_memory_and_threads_follow_the_processes() -> None:
    alone = Stages({"resources": {"grading.train": {"threads": 3}}})
    four = Stages({"resources": {"grading.train": {"threads": 3, "processes": 4}}})
    assert "--processes" not in alone.shell("grading.train", "cohort", "model")
    assert " --processes 4 " in four.shell("grading.train", "cohort", "model") + " "
    assert (alone.threads("grading.train"), four.threads("grading.train")) == (3, 12)
    one, many = (stages.resources("grading.train") for stages in (alone, four))
    assert (one["gpu"], many["gpu"], one["runtime"]) == (1, 4, many["runtime"])
    assert many["mem_mb"](None, 1) == 4 * one["mem_mb"](None, 1)  # type: ignore[operator]
    with pytest.raises(SettingsError, match=r"segmentation\.predict: it goes through scans one by one"):
        Stages({"resources": {"segmentation.predict": {"processes": 2}}}).each("segmentation.predict", "model", {})
    with pytest.raises(SettingsError, match="processes is 0; expected a whole number from 1 on"):
        Stages({"resources": {"grading.train": {"processes": 0}}})


@pytest.mark.slow
def test_a_rule_starts_several_processes(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "failures").mkdir()
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "config.yaml").write_text("device: cpu\nresources: {toys.add: {processes: 2, threads: 2}}\n")
    paths = os.pathsep.join([str(tmp_path), str(TESTS)])
    words = ["-m", "snakemake", "--cores", "4", "--configfile", "config.yaml", "--quiet"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "sum.json.json").read_text())["voxfield"]
    assert (record["processes"], record["threads"]) == (2, 2)  # of the four threads of the job
    assert (tmp_path / "add.log").read_text() == "info: 2 processes met [joined]\n"
