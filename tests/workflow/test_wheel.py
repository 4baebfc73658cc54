"""The wheel carries everything: from an empty folder, its command lists the stages and plans the flagship."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_installed_wheel_plans_and_runs_from_an_empty_folder(tmp_path: Path) -> None:
    words = [
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def voxfield(*arguments: str) -> str:
        program = [sys.executable, "-m", "voxfield", *arguments]
        ended = subprocess.run(program, cwd=empty, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    where = [sys.executable, "-c", "import voxfield; print(voxfield.__file__)"]
    found = subprocess.run(where, cwd=empty, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(site))
    assert "segmentation.predict" in voxfield("list")
    assert "pages" in voxfield("run", "vessel_flow", "-n", "--set", "phantoms.count=5")
    voxfield("io.cohort", "--set", "subjects=[a]", "--out-cohort", "cohort.tsv")
    assert (empty / "cohort.tsv.json").is_file()
