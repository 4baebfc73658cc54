"""The command: exit codes, one-line errors, and how little it imports."""

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from voxfield.cli import main
from voxfield.registry import names
from voxfield.stage import Stage

HEAVY = {"torch", "monai", "scipy", "nibabel", "snakemake", "gpytorch", "numpy", "pydantic"}


def test_help_and_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    assert main(["list"]) == 0
    assert "segmentation.predict" in capsys.readouterr().out.split()


@pytest.mark.parametrize("words", [["--help"], ["list"], ["--version"]])
def test_light_commands_import_nothing_heavy(words: list[str]) -> None:
    program = (
        f"import sys\nfrom voxfield.cli import main\nmain({words!r})\n"
        f"sys.exit(','.join(sorted({HEAVY!r} & set(sys.modules))) or 0)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.returncode == 0, ended.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize("name", names())
def test_description_of_a_stage_imports_no_framework(name: str) -> None:
    program = (
        f"import sys\nfrom voxfield.cli import main\nassert main(['describe', {name!r}]) == 0\n"
        "heavy = {'torch', 'monai', 'scipy', 'nibabel', 'snakemake', 'gpytorch'} & set(sys.modules)\n"
        "sys.exit(','.join(sorted(heavy)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nonsense"], "command 'nonsense' is unknown"),
        (["describe", "segmentation.predct"], "the nearest known one is 'segmentation.predict'"),
        (["toys.scale", "--out-scaled", "x.nii.gz", "--image", "absent.nii.gz"], "absent.nii.gz"),
        (["run", "vessel_flw"], "the nearest known one is 'vessel_flow'"),
        (["verify", "/"], "no run folder"),
    ],
)
def test_bad_words_are_one_line_and_exit_2(
    toy: Stage[..., Any], words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("error: ")
    assert expected in said or "known are" in said


def test_stage_from_the_shell(toy: Stage[..., Any], image_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.nii.gz"
    assert main(["toys.scale", "--image", str(image_file), "--out-scaled", str(out), "--set", "factor=1.5"]) == 0
    assert out.is_file()
    assert main(["toys.scale", "--image", str(image_file), "--out-scaled", str(out), "--set", "factr=1.5"]) == 2
