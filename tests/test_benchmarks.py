"""The studies in `tests/benchmarks` run from their command lines, at toy size: their numbers are tested elsewhere."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT


def run(tmp_path, script: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "tests" / "benchmarks" / f"{script}.py"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_largest_eigenvalue(tmp_path):
    printed = run(tmp_path, "largest_eigenvalue", "--trials", "3", "--sizes", "30x20", "--out", "found.json")
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert len(rows) == 15
    assert {(row["N"], row["M"], row["trials"]) for row in rows} == {(30, 20, 3)}
    assert "corrected" in printed


@pytest.mark.slow
def test_scaling(tmp_path):
    assert "20,000" in run(tmp_path, "scaling", "--sizes", "50", "100", "200", "--repeats", "1")
