"""The store: killed, continued, grown or refused, a sweep ends in the same bits or in a clear error."""

import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr
from conftest import ROOT

from rmt import provenance
from rmt.errors import InputError
from rmt.sweeps import Threads, sweep
from rmt.sweeps import store as stores
from rmt.sweeps.programs import Program

EXPERIMENT = """
import sys
import jax
import jax.numpy as jnp
import rmt

def measure(key, N, mu):
    def heavier(i, W):
        return W @ jnp.linalg.qr(W)[0] / jnp.linalg.norm(W)
    W = jax.lax.fori_loop(0, 30, heavier, rmt.IID(rmt.Pareto(mu)).sample(key, (N, N)))
    s = rmt.spectrum(W)
    return {"lambda_max": s.lambda_max, "some": s.eigenvalues[-3:], "n": jnp.sum(s.eigenvalues > 1e-3)}

def run(store=None):
    grid = {"N": [80], "mu": [0.75, 1.0, 1.5, 2.0, 2.5, 3.0]}
    return rmt.sweep(measure, grid, key=jax.random.key(1), n_trials=7, block=4, executor=rmt.Threads(2), store=store, progress=False)

if __name__ == "__main__":
    run(sys.argv[1])
"""
N_CELLS = 6 * 2
KEY = jax.random.key(7)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished store and its dataset, to be copied."""
    path = tmp_path_factory.mktemp("made") / "s.zarr"
    return path, run(path)


@pytest.fixture
def stored(tmp_path, made):
    """Path of a finished store, and the dataset that was computed with it."""
    shutil.copytree(made[0], tmp_path / "s.zarr")
    return tmp_path / "s.zarr", made[1]


@pytest.fixture
def counted(monkeypatch):
    """The cells that are computed, as (point, first, last)."""
    cells = []
    compute = Program.run

    def count(self, keys, point, done, stop, device):
        cells.append((tuple(point.values()), done, stop))
        return compute(self, keys, point, done, stop, device)

    monkeypatch.setattr(Program, "run", count)
    return cells


def forget(counted: list) -> None:
    """Count from nothing, once the cells that a failed run left in flight have ended: they count themselves."""
    for thread in threading.enumerate():
        if thread.name.startswith("rmt-sweep"):
            thread.join()
    counted.clear()


def finished(store: Path) -> dict[Path, int]:
    """The acknowledged cells and when each was written."""
    cells = (path for path in (store / "done" / "c").rglob("*") if path.is_file() and path.suffix != ".partial")
    return {path.relative_to(store): path.stat().st_mtime_ns for path in cells}


def files(store: Path) -> dict[Path, bytes]:
    found = (path for path in store.rglob("*") if path.is_file() and path.suffix != ".partial")
    return {path.relative_to(store): path.read_bytes() for path in found}


def kill_when(command, condition):
    """Start a process and kill it with SIGKILL as soon as the condition holds."""
    process = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_kill_9_at_three_moments_then_continue(tmp_path, counted):
    file, store = tmp_path / "experiment.py", tmp_path / "killed.zarr"
    file.write_text(EXPERIMENT)
    command = [sys.executable, str(file), str(store)]
    rng = random.Random(0)
    kill_when(command, lambda: (tmp_path / ".killed.zarr.new").exists())  # while the store is being created
    first = rng.randint(1, 2)
    kill_when(command, lambda: store.exists() and len(finished(store)) >= first)
    before = finished(store)
    second = len(before) + rng.randint(1, 2)
    kill_when(command, lambda: len(finished(store)) >= second)
    kept = finished(store)
    assert before.items() <= kept.items()  # acknowledged cells were neither lost nor computed again
    assert second <= len(kept) < N_CELLS

    spec = importlib.util.spec_from_file_location("experiment", file)
    experiment = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(experiment)
    continued = experiment.run(store)
    assert len(counted) == N_CELLS - len(kept)
    whole = experiment.run(tmp_path / "whole.zarr")
    assert continued.identical(whole)  # values, dims, coordinates and attributes
    for name in whole.variables:
        assert continued[name].dtype == whole[name].dtype
        assert continued[name].values.tobytes() == whole[name].values.tobytes()
    assert files(store) == files(tmp_path / "whole.zarr")
    # Anyone can read it.
    with xr.open_zarr(store, consolidated=False) as opened:
        np.testing.assert_array_equal(opened.lambda_max, whole.lambda_max)


def measure(key, N, mu):
    return {"x": mu * jax.random.normal(key, (N,)).sum(), "pair": jax.random.normal(jax.random.fold_in(key, 1), (2,))}


def run(store, grid=None, n_trials=6, measure=measure, key=KEY, **options):
    grid = {"N": [2], "mu": [0.5, 1.0]} if grid is None else grid
    options = {"block": 4, "executor": Threads(1), "progress": False, "store": store} | options
    return sweep(measure, grid, key=key, n_trials=n_trials, **options)


def test_finished_cells_are_not_computed_again(stored, counted):
    path, first = stored
    assert run(path).identical(first)
    assert run(str(path), executor=Threads(2)).identical(first)
    assert counted == []
    assert run(None).identical(first)
    assert len(counted) == 4


def test_a_larger_grid_computes_what_is_new(stored, counted):
    path, first = stored
    grid = {"mu": [2.0, 1.0, 0.5], "N": [3, 2]}  # longer, in another order, axes the other way round
    larger = run(path, grid)
    assert {point for point, *_ in counted} == {(2.0, 3), (1.0, 3), (0.5, 3), (2.0, 2)}
    assert larger.identical(run(None, grid))
    same = larger.sel(mu=[0.5, 1.0], N=[2]).transpose(*first.dims).drop_attrs()
    assert same.identical(first.drop_attrs())
    assert run(path).identical(first)  # and nothing was lost


def test_what_is_not_asked_for_is_not_read(tmp_path):
    axes = "abcdef"

    def draw(key, **point):
        return {"x": jax.random.normal(key, (50_000,)) + sum(point.values())}

    def at(value):
        grid = {name: [value] for name in axes}
        return sweep(draw, grid, key=KEY, n_trials=1, store=tmp_path / "s.zarr", executor=Threads(1), progress=False)

    first = at(0.0)
    at(1.0)  # the store has room for 2^6 points now, and then for 3^6 of 0.4 MB each
    tracemalloc.start()
    at(2.0)
    assert at(0.0).identical(first)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_more_trials_compute_what_is_new(stored, counted):
    path, first = stored
    more = run(path, n_trials=11)
    # Of block 1 (trials 4 .. 7) two trials were there; block 2 holds trials 8 .. 10.
    assert {(done, stop) for _, done, stop in counted} == {(2, 4), (0, 3)}
    assert more.identical(run(None, n_trials=11))
    assert more.isel(trial=slice(6)).drop_attrs().identical(first.drop_attrs())


def test_fewer_trials_are_a_part_and_lose_nothing(stored, counted):
    path, first = stored
    fewer = run(path, {"N": [2], "mu": [1.0]}, n_trials=2)
    assert run(path).identical(first)
    assert counted == []
    assert fewer.identical(run(None, {"N": [2], "mu": [1.0]}, n_trials=2))


def test_text_and_truth_axes_are_stored(tmp_path, counted):
    def measure(key, law, centred):
        x = jax.random.normal(key) + (law == "a") + centred
        return {"x": x, "ok": x > 0}

    grid = {"law": ["a", "long name"], "centred": [True, False]}
    first = run(tmp_path / "s.zarr", grid, measure=measure)
    n = len(counted)
    assert run(tmp_path / "s.zarr", grid, measure=measure).identical(first)
    assert len(counted) == n
    assert first.ok.dtype == bool


def test_a_cell_of_nan_is_a_finished_cell(tmp_path, counted):
    def measure(key):
        return {"x": -np.nan * jax.random.normal(key)}

    first = run(tmp_path / "s.zarr", {}, measure=measure)
    assert run(tmp_path / "s.zarr", {}, measure=measure).x.values.tobytes() == first.x.values.tobytes()
    assert len(counted) == 2


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@pytest.mark.parametrize("call", [0, 1])
@pytest.mark.parametrize("restart", [False, True])
def test_killed_between_the_steps_of_growing(tmp_path, stored, monkeypatch, counted, call, restart):
    path, first = stored
    rename, calls = os.rename, []

    def dies(*paths):
        calls.append(paths)
        if len(calls) == call + 1:
            raise Killed
        rename(*paths)

    with monkeypatch.context() as patched:
        patched.setattr(stores.os, "rename", dies)
        with pytest.raises(Killed):
            run(path, n_trials=10, restart=restart)
    forget(counted)
    assert run(path).identical(first)
    assert counted == []
    assert sorted(p.name for p in tmp_path.iterdir()) == [".s.zarr.lock", "s.zarr"]


def test_killed_between_values_and_acknowledgement(tmp_path, monkeypatch, counted):
    path, write = tmp_path / "s.zarr", stores.Store.write

    def dies(self, point, block, values):
        if len(finished(path)) == 2:
            self._arrays["done"] = {}.setdefault  # not an array: the values are written, the count is not
        write(self, point, block, values)

    with monkeypatch.context() as patched:
        patched.setattr(stores.Store, "write", dies)
        with pytest.raises(TypeError):
            run(path)
    forget(counted)
    assert run(path).identical(run(None))
    assert len(counted) == 2 + 4


def other_measure(key, N, mu):
    out = measure(key, N, mu)
    return {**out, "x": 2 * out["x"]}


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"key": jax.random.key(8)}, "the key was"),
        ({"measure": other_measure}, "the measure computes something else now"),
        ({"measure": lambda key, N, mu: {"x": 0.0}}, "outputs was"),
        ({"block": 8}, "block was 4, is now 8"),
        ({"batch_size": 2}, "batch_size was 1, is now 2"),
        ({"grid": {"N": [2], "mu": [1]}}, "axes was"),
        ({"grid": {"N": [2]}, "measure": lambda key, N: measure(key, N, 1.0)}, "axes was"),
    ],
)
def test_a_store_of_another_sweep_is_refused(stored, changes, difference):
    path, _ = stored
    before = files(path)
    with pytest.raises(InputError, match=f"holds another sweep: .*{difference}.*--restart"):
        run(path, **changes)
    assert files(path) == before


def test_restart_computes_anew(stored):
    path, first = stored
    other = run(path, key=jax.random.key(8), restart=True)
    assert other.identical(run(None, key=jax.random.key(8)))
    assert not np.isin(other.x, first.x).any()


def test_other_versions_are_another_sweep(stored, monkeypatch):
    monkeypatch.setitem(provenance.PACKAGES, "jaxlib", "numpy")
    with pytest.raises(InputError, match="jaxlib was"):
        run(stored[0])


def test_what_is_not_a_store_is_left_alone(tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("ten years of work")
    for restart in (False, True):
        with pytest.raises(InputError, match="is not a store that a sweep wrote"):
            run(folder, restart=restart)
    with pytest.raises(InputError, match="is not a store that a sweep wrote"):
        run(folder / "chapter.txt", restart=True)
    assert (folder / "chapter.txt").read_text() == "ten years of work"


@pytest.mark.parametrize("what", ["x/c/0/0/0", "x/zarr.json", "done/zarr.json"])
def test_a_damaged_store_is_named_and_can_be_restarted(stored, what):
    path, first = stored
    (path / what).write_bytes(b"\x00\x01")
    with pytest.raises(InputError, match="is damaged"):
        run(path)
    assert run(path, restart=True).identical(first)


def test_one_run_at_a_time(tmp_path):
    path = tmp_path / "s.zarr"
    with stores._locked(path), pytest.raises(InputError, match="another run is writing there"):
        run(path)
    assert not path.exists()


def test_a_full_disk_surfaces_and_costs_nothing_finished(tmp_path, monkeypatch, counted):
    path, write = tmp_path / "s.zarr", stores.Store.write

    def full(self, point, block, values):
        if len(finished(path)) == 2:
            raise OSError(28, "No space left on device", str(path))
        write(self, point, block, values)

    with monkeypatch.context() as patched:
        patched.setattr(stores.Store, "write", full)
        with pytest.raises(OSError, match="No space left"):
            run(path)
    forget(counted)
    run(path)
    assert len(counted) == 2
