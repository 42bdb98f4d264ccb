"""The command line: what it writes, what it refuses, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import xarray as xr
from conftest import printed_quickly
from typer.testing import CliRunner

import rmt
from rmt import console
from rmt.cli import app

EXPERIMENT = """
import jax
import rmt
from matplotlib.figure import Figure

def measure(key, N, mu):
    x = jax.random.normal(key, (N,)).mean() + mu
    return {{"mean": x, "root": x**0.5}}

def check(ds):
    {check}
    mean = float(ds["mean"].mean())
    return [rmt.Verdict.judge("the mean is zero", mean, (0.5, 1.5), (-0.1, 0.1), ds.sizes["trial"], "It is one.")]

def figure(ds):
    fig = Figure()
    fig.add_subplot().plot(ds["mu"], ds["mean"].mean(["N", "trial"]))
    return fig

size = rmt.Size({{"N": [5], "mu": [0.0, 2.0]}}, 6)
claim = rmt.Claim(
    name={name!r}, title="A title", quote="A quote.", source="A paper, Eq 1", criterion="If so.", caption="A mean.",
    sizes={{"smoke": size}}, measure=measure, check=check, figure=figure,
)
"""


@pytest.fixture(autouse=True)
def no_shared_cache(monkeypatch):
    """The cache of compiled programs belongs to the process: leave it as the other tests expect it."""
    monkeypatch.setattr("rmt.cli.experiments.keep_compiled_programs", lambda: None)


@pytest.fixture
def experiment(tmp_path):
    def write(name, check="pass"):
        file = tmp_path / f"{name}.py"
        file.write_text(EXPERIMENT.format(name=name, check=check))
        return str(file)

    return write


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def one_error(result):
    """The one line on stderr of a command that refused its input."""
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.output
    return result.stderr


# --- run and report


def test_run_leaves_dataset_figure_record_and_page(tmp_path, experiment):
    out = tmp_path / "results"
    file = experiment("one")
    result = invoke("run", file, "--size", "smoke", "--out", out, "--seed", 3)
    assert result.exit_code == 0, result.output  # a contradicted claim is a finding
    assert "contradicted: the mean is zero. It is one." in result.output
    assert re.search(r"root is not finite in \d+ of 12 trials", result.output)
    assert f"report: {out / 'report.html'}" in result.output.replace("\n", "")
    record = json.loads((out / "one" / "smoke.json").read_text())
    assert record["command"] == f"rmt run {file} --size smoke --seed 3"
    assert (record["claim"], record["seed"], record["size"], record["file"]) == ("one", 3, "smoke", file)
    assert record["verdicts"][0]["outcome"] == "contradicted"
    assert record["versions"]["jax"] == jax.__version__
    assert "<svg" in (out / "one" / "smoke.svg").read_text()
    with xr.open_zarr(out / "one" / "smoke.zarr", consolidated=False) as ds:
        key = rmt.keys.point_key(jax.random.key(3), {"claim": "one"})
        assert ds.attrs["seed"] == np.asarray(jax.random.key_data(key)).tolist()
    assert sorted(p.name for p in (out / "one").iterdir()) == [
        ".smoke.time",  # seconds spent so far
        ".smoke.zarr.lock",
        "smoke.json",
        "smoke.nc",
        "smoke.svg",
        "smoke.zarr",
    ]

    page = (out / "report.html").read_bytes()
    again = invoke("report", out)
    assert again.exit_code == 0
    assert "contradicted" in again.output
    assert (out / "report.html").read_bytes() == page


def stored(folder):
    return {
        p.relative_to(folder): p.read_bytes() for p in sorted((folder / "one" / "smoke.zarr").rglob("*")) if p.is_file()
    }


def test_shards_leave_the_verdicts_to_the_last(tmp_path, experiment):
    file = experiment("one")
    command = ("run", file, "--size", "smoke", "--out")
    for shard, left in {"2/3": 2, "0/3": 1}.items():  # of two cells, the last of three shards has none
        result = invoke(*command, tmp_path / "shards", "--shard", shard)
        assert result.exit_code == 0, result.output
        assert f"{left} cells are left to other shards" in result.output
        assert not (tmp_path / "shards" / "one" / "smoke.json").exists()
    assert "contradicted: the mean is zero" in invoke(*command, tmp_path / "shards", "--shard", "1/3").output
    assert invoke(*command, tmp_path / "plain").exit_code == 0
    assert stored(tmp_path / "shards") == stored(tmp_path / "plain")


def test_worker_processes_write_the_same_store(tmp_path, experiment):
    command = ("run", experiment("one"), "--size", "smoke", "--out")
    assert invoke(*command, tmp_path / "threads").exit_code == 0
    assert invoke(*command, tmp_path / "processes", "--workers", 2).exit_code == 0
    assert stored(tmp_path / "threads") == stored(tmp_path / "processes")


def test_a_bug_in_one_experiment_spares_the_others(tmp_path, experiment):
    broken, sound = experiment("broken", "ds['nonesuch']"), experiment("sound")
    result = invoke("run", broken, sound, "--size", "smoke", "--out", tmp_path / "results")
    assert result.exit_code == 1
    assert f"failed: {broken}" in result.stderr
    assert (tmp_path / "results" / "sound" / "smoke.json").exists()
    assert not (tmp_path / "results" / "broken" / "smoke.json").exists()


def test_another_seed_in_the_same_place_is_refused_until_restart(tmp_path, experiment):
    command = ("run", experiment("one"), "--size", "smoke", "--out", tmp_path / "results")
    assert invoke(*command).exit_code == 0
    assert "--restart" in one_error(invoke(*command, "--seed", 1))
    assert invoke(*command, "--seed", 1, "--restart").exit_code == 0


def test_run_refuses(tmp_path, experiment):
    file = experiment("one")
    assert "no such file or folder" in one_error(invoke("run", tmp_path / "nonesuch.py"))
    assert "has no size 'paper'; it has smoke" in one_error(invoke("run", file, "--size", "paper"))
    assert "give one of them" in one_error(invoke("run", file, "--workers", 2, "--scheduler", "tcp://x:1"))
    assert "start all shards" in one_error(invoke("run", file, "--shard", "0/3", "--restart"))
    for shard in ("3/3", "1", "a/b", "-1/3"):
        assert "--shard must be I/N with 0 <= I < N" in one_error(invoke("run", file, f"--shard={shard}"))
    (tmp_path / "taken").write_text("")
    assert "taken: File exists" in one_error(invoke("run", file, "--size", "smoke", "--out", tmp_path / "taken"))
    assert "no such folder" in one_error(invoke("report", tmp_path / "nonesuch"))


def test_a_full_disk_is_one_line(tmp_path, experiment, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rmt.sweeps.store.Store.write", full)
    result = invoke("run", experiment("one"), "--size", "smoke", "--out", tmp_path / "results")
    assert re.fullmatch(r"error: \S*smoke.zarr: No space left on device\n", one_error(result))


def test_files_appear_whole(tmp_path):
    file = tmp_path / "record.json"
    file.write_text("old")

    def fail():
        with console.written_whole(file) as path:
            path.write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]
    assert file.read_text() == "old"


def test_ctrl_c_ends_at_once_inside_a_cell(tmp_path, experiment):
    file = experiment("slow")
    begun = tmp_path / "begun"  # touched as the cell is traced, when the main thread has nothing left to do but wait
    endless = "jax.lax.fori_loop(0, 10**12, lambda i, y: jax.numpy.sin(y), jax.random.normal(key, (N,))).mean()"
    endless = f"(__import__('pathlib').Path({str(begun)!r}).touch(), {endless})[1]"
    text = (tmp_path / "slow.py").read_text().replace("jax.random.normal(key, (N,)).mean()", endless)
    (tmp_path / "slow.py").write_text(text)
    # A shell starts what it runs in the background with Ctrl-C ignored, and the tests may be that.
    heeding = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from rmt.__main__ import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", heeding, "run", file, "--size", "smoke", "--out", str(tmp_path / "results")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    deadline = time.monotonic() + 120
    while not begun.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.strip() == "stopped; finished cells are kept, run the same command to continue"
    assert (tmp_path / "cache" / "heavytail-lab").is_dir()


def test_ctrl_c_while_garbage_is_collected_is_not_lost():
    # JAX has a callback of the collector: an interrupt inside it is printed by Python, and dropped.
    program = """
import gc, signal, time
from rmt import console
signal.signal(signal.SIGINT, signal.default_int_handler)
gc.callbacks.append(lambda phase, info: signal.raise_signal(signal.SIGINT) if phase == "start" else None)

@console.boundary("stopped")
def collect_and_work():
    gc.collect()
    gc.callbacks.clear()
    print("collected", flush=True)
    time.sleep(60)

console.run_app(collect_and_work)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert (result.returncode, result.stdout, result.stderr.strip()) == (130, "collected\n", "stopped")


def test_help_teaches_and_is_quick():
    assert "rmt run experiments" in printed_quickly("-m", "rmt", "--help")
