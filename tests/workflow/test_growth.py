"""A cohort grows: the plans of real pipelines hold the jobs of the new scan and the gathers, and no others."""

import re
import subprocess
from pathlib import Path

import pytest
from runs import voxfield

from voxfield.paths import resource_folder
from voxfield.runs.configuration import merged_config
from voxfield.runs.engine import Engine
from voxfield.runs.folder import write_whole
from voxfield.settings_yaml import dump_yaml

GATHERS = {"report_index", "all"}


def cohort(folder: Path, subjects: str, columns: list[str]) -> Path:
    """A table of scans, and files by the names that stand in it; a plan does not look into them."""
    folder.mkdir(exist_ok=True)
    rows = ["\t".join(["subject", *columns])]
    for subject in subjects:
        names = [f"{subject}_{column}.nii.gz" for column in columns]
        for name in names:
            (folder / name).touch()
        rows.append("\t".join([subject, *names]))
    (folder / "cohort.tsv").write_text("\n".join(rows) + "\n")
    return folder / "cohort.tsv"


def pretend(home: Path, run: Path, assignments: list[str]) -> None:
    """A run in which every job has been done, as far as Snakemake knows."""
    run.mkdir()
    write_whole(run / "config.yaml", dump_yaml(merged_config(home, None, assignments)))
    engine = Engine(home, run)
    for output in engine.planned():
        (run / output).parent.mkdir(parents=True, exist_ok=True)
        (run / output).touch()
    subprocess.run(engine.command("--touch", "--forceall"), check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pipeline", "columns", "given"),
    [
        ("airway", ["image"], ["phantoms.count=0"]),
        ("vessel_flow", ["image", "velocity"], ["source=cohort"]),
    ],
)
def test_one_more_scan_is_the_work_of_one_scan(
    pipeline: str, columns: list[str], given: list[str], tmp_path: Path
) -> None:
    home, run = resource_folder("pipelines") / pipeline, tmp_path / "run"
    (tmp_path / "model.safetensors").touch()
    table = cohort(tmp_path / "scans", "abc", columns)
    assignments = [*given, f"model={tmp_path / 'model.safetensors'}", f"cohort={table}"]
    pretend(home, run, assignments)
    words = [word for assignment in assignments for word in ("--set", assignment)]

    unchanged = voxfield(Path(pipeline), table, run, "-n", *words[:-2])
    assert "Nothing to be done" in unchanged.stdout + unchanged.stderr
    cohort(tmp_path / "scans", "abcd", columns)
    grown = voxfield(Path(pipeline), table, run, "-n", *words[:-2])
    assert grown.returncode == 0, grown.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", grown.stdout.partition("Reasons")[0], re.MULTILINE))
    assert counts.keys() > GATHERS
    assert set(counts.values()) - {counts["total"]} == {"1"}, counts
    assert int(counts["total"]) == len(counts) - 1
