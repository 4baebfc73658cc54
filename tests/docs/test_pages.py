"""The code on the pages runs as it stands there, in the order of the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from voxfield.artifacts import Metrics, Picture
from voxfield.findings import Findings

ROOT = Path(__file__).resolve().parents[2]


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of the fenced blocks that are to be run."""
    return re.findall(r"^```(bash|python)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def run_page(name: str, folder: Path) -> str:
    """Run the blocks of a page one after the other; returns what they said."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = []
    for language, text in blocks(ROOT / "docs" / name):
        words = ["bash", "-euc", text] if language == "bash" else [sys.executable, "-c", text]
        ended = subprocess.run(
            words, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{text}\n{ended.stderr}"
        said.append(ended.stdout)
    return "".join(said)


@pytest.mark.slow
def test_subject_page(tmp_path: Path) -> None:
    assert len(blocks(ROOT / "docs" / "subject.md")) >= 4
    run_page("subject.md", tmp_path)
    assert Metrics.load(tmp_path / "overlap.json").values["dice"] > 0.85
    assert Metrics.load(tmp_path / "error.json").values["relative_l2"] < 0.2
    assert (tmp_path / "page" / "index.html").is_file()


@pytest.mark.slow
def test_grading_page(tmp_path: Path) -> None:
    said = run_page("grading.md", tmp_path)
    assert "marginal coverage under exchangeable patients" in said
    assert 0 < Metrics.load(tmp_path / "scores.json").values["balanced_accuracy"]["value"] <= 1
    assert len(Metrics.load(tmp_path / "explanation.json").values["nearest"]) == 5
    Picture.load(tmp_path / "overlay.png").check(Findings())
    assert "There is no external cohort" in (tmp_path / "page" / "index.html").read_text()


@pytest.mark.slow
def test_fields_page(tmp_path: Path) -> None:
    ((language, text),) = blocks(ROOT / "docs" / "fields.md")
    assert language == "python"
    ended = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "index +1" in ended.stdout
    assert (tmp_path / "field.safetensors").is_file()


def test_voxel_solvers_page(tmp_path: Path) -> None:
    said = run_page("pde_voxels.md", tmp_path)
    assert "heat and eikonal differ by" in said
    assert "day 80:" in said
    assert (tmp_path / "distance.nii.gz").is_file()
    assert (tmp_path / "density.nii.gz").is_file()


@pytest.mark.slow
def test_pde_page(tmp_path: Path) -> None:
    said = run_page("pde.md", tmp_path)
    assert Metrics.load(tmp_path / "agreement.json").values["agree"]
    assert "etd and finite_volume" in said
    assert "\nagree\n" in said
    assert "held out: network" in said
    assert "middle of the bar: 304.50 K" in said  # 55 % of the way from 310 to 300


@pytest.mark.slow
def test_pde_inverse_page(tmp_path: Path) -> None:
    said = run_page("pde_inverse.md", tmp_path)
    assert float(re.findall(r"error of the mean: (\S+);", said)[0]) < 0.2
    Picture.load(tmp_path / "permeability.png").check(Findings())


def test_readme_names_the_two_commands_and_real_stages() -> None:
    from voxfield.registry import names

    text = (ROOT / "README.md").read_text()
    assert "\nmake demo\nmake test\n" in text
    for stage in re.findall(r"^voxfield ([a-z]+\.[a-z]+)", text, flags=re.MULTILINE):
        assert stage in names()
