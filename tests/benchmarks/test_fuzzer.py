"""The coverage-guided fuzzer in its quick form: nothing but values and InputErrors comes up."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris")
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "fuzz.py"


@pytest.mark.slow
def test_nothing_comes_up(tmp_path: Path) -> None:
    written = tmp_path / "found.json"
    words = [sys.executable, str(BENCHMARK), "--quick", "--json", str(written)]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    found = json.loads(written.read_text())
    assert found["claims"][0]["value"] == 0, said
    assert all(row["inputs each way"] > 100 and row["branches, guided"] > 30 for row in found["rows"])
