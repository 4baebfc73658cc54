"""The benchmark of conformal sets in its quick form, on simulated knees."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "conformal.py"


def test_claims_hold_on_simulated_knees(tmp_path: Path) -> None:
    written = tmp_path / "found.json"
    words = [sys.executable, str(BENCHMARK), "--quick", "--data", str(tmp_path), "--json", str(written)]
    subprocess.run(words, check=True, capture_output=True)
    claims = json.loads(written.read_text())["claims"]
    assert len(claims) == 7
    for claim in claims:
        gap = claim["value"] - claim["aim"]
        assert gap <= 0 if claim["sense"] == "<=" else gap >= 0, claim["name"]
