"""Executors, shards and devices: wherever a cell is computed, its bits are the same, and a death costs one cell."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest
from conftest import ROOT
from jax.experimental.compilation_cache import compilation_cache

from rmt import provenance
from rmt.errors import InputError
from rmt.sweeps import Dask, Processes, Threads, executors, programs, store, sweep, work
from rmt.sweeps.cells import Cell, all_cells, of_shard
from rmt.sweeps.layout import Layout
from rmt.sweeps.programs import Program, largest_batch

pytestmark = pytest.mark.timeout(240)

KEY = jax.random.key(11)
GRID = {"N": [12, 20], "mu": [0.5, 1.5]}


def measure(key, N, mu):
    W = mu * jax.random.normal(key, (N, 10))
    return {"s": jnp.linalg.svd(W, compute_uv=False)[:3], "dot": jnp.sum((W.T @ W) ** 2)}


def run(path=None, measure=measure, **options):
    options = {"grid": GRID, "n_trials": 7, "block": 3, "executor": Threads(1), "progress": False} | options
    return sweep(measure, options.pop("grid"), key=KEY, store=path, **options)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of compiled programs, which worker processes share by JAX's own options."""
    options = {"jax_compilation_cache_dir": None, "jax_persistent_cache_min_compile_time_secs": 1.0}
    before = {name: getattr(jax.config, name, default) for name, default in options.items()}
    folder = str(tmp_path_factory.mktemp("programs"))
    for name, value in zip(options, (folder, 0.0), strict=True):
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def files(path: Path) -> dict[Path, bytes]:
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep by one thread: its dataset and the files of its store."""
    path = tmp_path_factory.mktemp("whole") / "s.zarr"
    return run(path), files(path)


# --- processes


def test_two_processes_write_the_same_store(tmp_path, whole):
    assert run(tmp_path / "s.zarr", executor=Processes(2)).identical(whole[0])
    assert files(tmp_path / "s.zarr") == whole[1]


def kill(pool) -> None:
    for pid in list(pool._processes):
        os.kill(pid, signal.SIGKILL)


def test_a_process_that_dies_costs_its_cell_and_nothing_else(tmp_path, whole, monkeypatch):
    submitted, submit = [], executors._Process._submit

    def dies(self, cell):
        future = submit(self, cell)
        submitted.append((cell.index, cell.block))
        if len(submitted) == 2:
            kill(self._pool)
        return future

    monkeypatch.setattr(executors._Process, "_submit", dies)
    assert run(tmp_path / "s.zarr", executor=Processes(1)).identical(whole[0])
    assert files(tmp_path / "s.zarr") == whole[1]
    assert submitted[1] == submitted[2]  # begun anew at once
    assert len(submitted) == len(set(submitted)) + 1  # and nothing else was


def test_a_cell_that_kills_every_process_is_named(monkeypatch):
    submit = executors._Process._submit

    def dies(self, cell):
        future = submit(self, cell)
        kill(self._pool)
        return future

    monkeypatch.setattr(executors._Process, "_submit", dies)
    with pytest.raises(RuntimeError, match=r"cell \(N = 20, mu = 0.5; block 0\): 3 worker processes died"):
        run(executor=Processes(1), grid={"N": [20], "mu": [0.5]}, n_trials=2)


ORPHANS = """
import sys, jax, rmt
def measure(key, mu):
    endless = jax.lax.fori_loop(0, 10**12, lambda i, y: jax.numpy.sin(y), jax.random.normal(key, (5,)))
    return {"x": mu * endless.sum()}
rmt.sweep(measure, {"mu": [1.0]}, key=jax.random.key(0), n_trials=1, executor=rmt.Processes(1), progress=False)
"""


def workers_of(pid: int) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):  # which a zombie is too
            if any("popen_loky" in word for word in child.cmdline()):
                found.append(child)
    return found


def running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_killed_parent_leaves_no_worker_behind(tmp_path):
    (tmp_path / "orphans.py").write_text(ORPHANS)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "orphans.py")], cwd=ROOT, env=environment())
    while not (workers := workers_of(parent.pid)):
        assert parent.poll() is None
        time.sleep(0.1)
    time.sleep(1.0)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60  # a worker in the middle of its imports first ends those
    while any(running(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", **more}


def test_closures_and_lone_files_travel(tmp_path):
    scale, options = np.float64(2.0), {"grid": {"mu": [1.0]}, "n_trials": 3}

    def closure(key, mu):
        return {"x": scale * mu * jax.random.normal(key)}

    for one in (closure, partial(lone, scale=3.0)):
        assert run(measure=one, executor=Processes(1), **options).identical(run(measure=one, **options))


def lone(key, mu, scale):
    return {"x": scale * mu * jax.random.normal(key)}


def test_an_error_in_a_process_is_the_sweeps():
    def fails(key, mu):
        if os.environ.get("JAX_PLATFORMS") == "cpu" and "pytest" not in sys.modules:
            raise KeyError("not here")
        return {"x": mu * jax.random.normal(key)}

    with pytest.raises(KeyError, match="not here"):
        run(measure=fails, grid={"mu": [1.0]}, executor=Processes(1))


def test_a_worker_that_would_compute_other_bits_refuses(monkeypatch):
    facts = provenance.numeric_facts()
    work._check_facts(facts)
    monkeypatch.setitem(provenance.PACKAGES, "jaxlib", "numpy")
    with pytest.raises(InputError, match=r"would not compute the same bits: jaxlib is .* there and .* here"):
        work._check_facts(facts)


def test_a_worker_with_another_program_refuses():
    def changes(key, mu):
        return {"x": mu * jax.random.normal(key) + len(calls)}

    calls = []
    program = Program(changes, {}, ["mu"], "threefry2x32", 3, 1)
    data = np.asarray(jax.random.key_data(KEY))
    names = {"{}": program.digest()}
    calls.append(1)
    here = work.Work(changes, "threefry2x32", data, 3, {"{}": 1}, names, provenance.numeric_facts())
    with pytest.raises(InputError, match="the measure is another program on"):
        work.compute_packed(here.pack(), Cell({"mu": 1.0}, (0,), 0, 0, 3))


# --- shards


def test_shards_of_one_store_at_once(tmp_path, whole):
    path = tmp_path / "s.zarr"
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda i: run(path, shard=(i, 3)), range(3)))
    assert files(path) == whole[1]
    last = run(path, shard=(0, 3))
    assert last.identical(whole[0])
    assert last.attrs["missing_cells"] == 0


def test_a_shard_computes_its_own_and_a_plain_run_the_rest(tmp_path, whole, monkeypatch):
    path, computed, compute = tmp_path / "s.zarr", [], Program.run
    monkeypatch.setattr(Program, "run", lambda self, *args: computed.append(args[1:3]) or compute(self, *args))
    first = run(path, shard=(1, 3))
    assert len(computed) == 4
    assert first.attrs["missing_cells"] == 8
    assert int(np.isfinite(first.dot).sum()) == int(np.isfinite(first.s[..., 0]).sum()) < first.dot.size
    assert run(path).identical(whole[0])
    assert len(computed) == 12


def test_programs_are_compiled_while_others_are_traced_unless_a_store_may_hold_all(tmp_path, monkeypatch):
    path, ahead, compile_ = tmp_path / "s.zarr", [], Program.compile
    monkeypatch.setattr(
        Program, "compile", lambda self: ahead.append(threading.current_thread().name) or compile_(self)
    )
    first = run(path, executor=Threads(2))
    assert len(ahead) == len(GRID["N"])
    assert all(name.startswith("rmt-compile") for name in ahead)
    ahead.clear()
    assert run(path).identical(first)
    assert not ahead


def test_shards_are_a_partition_that_does_not_depend_on_progress():
    layout = Layout({"N": (10, 20, 40), "mu": (1.0, 2.0)}, 25, 10, {})
    none, some = np.zeros((3, 2, 3), int), np.zeros((3, 2, 3), int)
    some[2, 1, :2] = 10

    def split(done):
        shards = [of_shard(all_cells(layout, done), (i, 4)) for i in range(4)]
        return [{(cell.index, cell.block) for cell in cells} for cells in shards], shards

    places, shards = split(none)
    assert places == split(some)[0]
    assert sum(len(place) for place in places) == len(set().union(*places)) == 18
    costs = [sum(cell.whole_cost for cell in cells) for cells in shards]
    assert max(costs) < 2 * min(costs)


def test_a_shard_and_a_plain_run_do_not_meet(tmp_path, monkeypatch):
    path = tmp_path / "s.zarr"
    run(path, shard=(0, 3))
    monkeypatch.setattr(store, "PATIENCE", 0.2)
    with store._locked(path), pytest.raises(InputError, match="another run is writing there"):
        run(path, shard=(1, 3))
    with open(tmp_path / ".s.zarr.lock", "a+") as file:  # a shard that is at work
        assert store._flock(file, alone=False)
        with pytest.raises(InputError, match="another run is writing there"):
            run(path)
        with pytest.raises(InputError, match="another run is writing there"):
            run(path, n_trials=20, shard=(1, 3))  # room cannot be made under others
        assert run(path, shard=(1, 3)).attrs["missing_cells"] == 4


def test_a_shard_of_another_sweep_is_refused(tmp_path):
    run(tmp_path / "s.zarr", shard=(0, 3))
    with pytest.raises(InputError, match=r"holds another sweep: .*the measure computes something else"):
        run(
            tmp_path / "s.zarr",
            shard=(1, 3),
            measure=lambda key, N, mu: {n: 2 * v for n, v in measure(key, N, mu).items()},
        )


def test_a_store_of_other_xla_threads_is_refused(tmp_path, monkeypatch):
    run(tmp_path / "s.zarr")
    monkeypatch.setattr(provenance, "_xla_threads", lambda: {"XLA threads": 1000})
    with pytest.raises(InputError, match=r"holds another sweep: XLA threads was \d+, is now 1000"):
        run(tmp_path / "s.zarr")


# --- devices

DEVICES = """
import hashlib, json, sys, jax, jax.numpy as jnp, numpy as np, rmt
from rmt.sweeps.programs import Program
used, on = set(), Program._on
Program._on = lambda self, device: used.add(str(device)) or on(self, device)
def measure(key, N, mu):
    W = mu * jax.random.normal(key, (N, N))
    return {"s": jnp.linalg.svd(W, compute_uv=False), "gram": W.T @ W, "sum": jnp.sum(W**2)}
ds = rmt.sweep(measure, {"N": [100], "mu": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]}, key=jax.random.key(0), n_trials=4,
               block=2, store=sys.argv[1], progress=False, restart=True)
digest = hashlib.sha256(b"".join(v.values.tobytes() for v in ds.data_vars.values())).hexdigest()
print(json.dumps([jax.device_count(), len(used), digest]))
"""


@pytest.mark.slow
def test_one_two_and_eight_devices_give_the_same_bits(tmp_path, cache):
    (tmp_path / "devices.py").write_text(DEVICES)
    seen = []
    for n in (1, 2, 8):
        env = environment(NPROC="8", XLA_FLAGS=f"--xla_force_host_platform_device_count={n}", **cache)
        command = [sys.executable, str(tmp_path / "devices.py"), str(tmp_path / f"{n}.zarr")]
        out = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=200, check=True)
        seen.append(json.loads(out.stdout))
    assert [(count, used) for count, used, _ in seen] == [(1, 1), (2, 2), (8, 8)]
    assert len({digest for *_, digest in seen}) == 1
    assert files(tmp_path / "1.zarr") == files(tmp_path / "8.zarr")


def test_the_default_batch_is_the_largest_that_memory_holds(monkeypatch):
    def big(key, n):
        return {"trace": jnp.trace(jnp.linalg.qr(jax.random.normal(key, (n, n)))[0])}

    make = partial(Program, big, {"n": 60}, (), "threefry2x32", 12)
    need = {batch: make(batch).memory() for batch in (1, 3, 4, 12)}
    assert largest_batch(make, 12, None).batch_size == 12
    assert largest_batch(make, 12, need[12]).batch_size == 12
    assert largest_batch(make, 12, need[4]).batch_size == 4
    assert largest_batch(make, 12, 1).batch_size == 1  # one trial always runs
    # In a sweep, as on an accelerator.
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(programs, "device_memory", lambda: need[3])
    run_big = partial(run, measure=big, grid={"n": [60]}, n_trials=12, block=12)
    chosen = run_big()
    assert chosen.attrs["batch_size"] == "by memory"
    assert chosen.trace.identical(run_big(batch_size=3).trace)


# --- dask


@pytest.mark.slow
def test_dask_workers_one_of_them_killed(tmp_path, whole):
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1")
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        pids = client.run(os.getpid)
        written, write = [], store.Store.write

        def kills(self, *cell):
            write(self, *cell)
            written.append(cell)
            if len(written) == 2:
                os.kill(next(iter(pids.values())), signal.SIGKILL)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store.Store, "write", kills)
            assert run(tmp_path / "s.zarr", executor=Dask(cluster.scheduler_address)).identical(whole[0])
        assert files(tmp_path / "s.zarr") == whole[1]
        assert len(written) == 12
        assert run(executor=Dask(client), grid={"N": [12], "mu": [0.5]}).identical(run(grid={"N": [12], "mu": [0.5]}))
        assert client.status == "running"


def test_a_missing_scheduler_or_dask_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'heavytail-lab\[dask\]'"):
        run(executor=Dask("tcp://127.0.0.1:1"))
    monkeypatch.undo()
    pytest.importorskip("distributed", reason="needs the extra dask")
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(InputError, match="no dask scheduler answers at"):
            run(executor=Dask(address, timeout=1.0))


@pytest.mark.parametrize("executor", [Threads, Processes])
def test_counts_are_checked(executor):
    with pytest.raises(ValueError, match=r"needs n >= 1, got 0"):
        executor(0)
