"""The benchmark of voxel solvers in its quick form: what does not hang on the load of the machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "voxel_poisson.py"


@pytest.mark.slow
def test_solvers_agree_and_iterations_stay_few(tmp_path: Path) -> None:
    written = tmp_path / "found.json"
    words = [sys.executable, str(BENCHMARK), "--quick", "--json", str(written)]
    subprocess.run(words, check=True, capture_output=True)
    found = json.loads(written.read_text())
    claims = {claim["name"]: claim["value"] for claim in found["claims"]}
    assert len(claims) == 5
    assert claims["Laplace coordinates: largest difference from a direct solve"] <= 1e-6
    solved = [row for row in found["rows"] if "solver" in row]
    assert all(row["residual"] < 2e-8 for row in solved)
    assert max(row["iterations"] for row in solved if row["solver"].startswith("ours")) <= 15
