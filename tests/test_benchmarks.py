"""The studies in `tests/benchmarks` run from their command lines, at toy size: their numbers are tested elsewhere."""

import json
import subprocess
import sys

import pytest
import xarray as xr
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
def test_thresholds(tmp_path):
    options = ("--trials", "4", "--power-trials", "4", "--shapes", "30x25", "--power-m", "25", "--out", "found.json")
    assert "rates are off" in run(tmp_path, "thresholds", *options)
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found["power"]) == 2 * (2 * 8 + 2 * 6)
    assert {row["trials"] for row in found["false positives"]} == {4}


@pytest.mark.slow
def test_formats(tmp_path):
    for name in ("NumPy .npz", "NumPy .npz, compressed"):
        assert f"| {name} | own | numpy" in run(tmp_path, "formats", "--only", name, "--out", "found.json")
    rows = json.loads((tmp_path / "found.json").read_text())
    assert [(row["reader"], row["tensors"]) for row in rows] == [("realnets.readers.npz", 8)] * 2
    assert all(row["largest MB"] == 64 and row["peak MB"] < 3 * 64 for row in rows)


@pytest.mark.slow
def test_scaling(tmp_path):
    assert "20,000" in run(tmp_path, "scaling", "--sizes", "50", "100", "200", "--repeats", "1")


def test_flips(tmp_path):
    verdict = {"effect": 1.0, "interval": [0.0, 2.0], "n": 3, "sentence": ""}
    text = dict.fromkeys(("title", "quote", "source", "criterion", "caption", "file", "command", "git"), "")
    for seed, outcomes in enumerate(
        (("supported", "supported", "inconclusive"), ("supported", "contradicted", "supported"))
    ):
        verdicts = [{**verdict, "statement": f"s{i}", "outcome": outcome} for i, outcome in enumerate(outcomes)]
        record = {
            **text,
            "claim": "c",
            "size": "default",
            "seconds": 1.0,
            "seed": seed,
            "versions": {},
            "verdicts": verdicts,
        }
        (tmp_path / str(seed) / "c").mkdir(parents=True)
        (tmp_path / str(seed) / "c" / "default.json").write_text(json.dumps(record))
    printed = run(tmp_path, "flips", "0", "1")
    assert "flip: c: s1: supported, contradicted" in printed
    assert "inconclusive with some: c: s2: inconclusive, supported" in printed
    assert "3 verdicts with 2 seeds: 1 the same, 1 flip, 1 inconclusive with some" in printed


def test_reseeded(tmp_path):
    file = ROOT / "experiments" / "verdicts" / "contest" / "paper.nc"
    lines = run(tmp_path, "reseeded", str(file), str(file)).splitlines()
    assert [line.split(": ")[:2] for line in lines[:3]] == [
        ["trained", "alpha of a layer"],
        ["trained", "log10 spectral norm of a layer"],
        ["trained", "mean alpha of a network"],
    ]
    assert all("correlation 1.00, differ by 0.00" in line for line in lines[:9])
    assert lines[2].startswith("trained: mean alpha of a network: 204,")
    assert lines[9] == "networks: 132 VGG, 72 NIN"
    assert len(lines) == 23
    assert all(line.startswith("the same: ") for line in lines[10:21])
    assert lines[21].startswith("test accuracy by that of the twin, VGG: mean tau 1.00 [")
    assert lines[22].startswith("test accuracy by that of the twin, NIN: mean tau 1.00 [")


def test_reseeded_leaves_out_what_one_seed_lacks(tmp_path):
    """Against itself without the networks of depth 9: of the others nothing differs."""
    file = ROOT / "experiments" / "verdicts" / "contest" / "paper.nc"
    every = xr.load_dataset(file)
    every["train_accuracy"] = every.train_accuracy.where(every.depth != 9)
    every.to_netcdf(tmp_path / "fewer.nc")
    lines = run(tmp_path, "reseeded", str(file), "fewer.nc").splitlines()
    assert all("correlation 1.00, differ by 0.00" in line for line in lines[:9])
    assert lines[9] == "networks: 110 VGG, 72 NIN"
    assert len(lines) == 23
    assert all(line.startswith("the same: ") for line in lines[10:21])
    assert all(": mean tau 1.00 [" in line for line in lines[21:])
