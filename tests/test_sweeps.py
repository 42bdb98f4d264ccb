"""sweep: every value is the measure's at its key and point, however the work is cut and spread."""

import gc
import json
import threading
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rmt
from rmt.keys import point_key, trial_keys
from rmt.sweeps import Threads, count_nonfinite, programs, progress, sweep
from rmt.sweeps.cells import Cell
from rmt.sweeps.programs import Program

KEY = jax.random.key(5)
GRID = {"N": [8], "law": ["pareto", "normal"], "mu": [0.5, 1.5, 3.0]}


def measure(key, N, law, mu):
    W = jax.random.pareto(key, mu, (N, 4)) if law == "pareto" else mu * jax.random.normal(key, (N, 4))
    s = rmt.spectrum(W)
    return {"lambda_max": s.lambda_max, "eigenvalues": s.eigenvalues, "bits": jax.random.key_data(key)}


def run(measure=measure, grid=GRID, n_trials=7, **options):
    return sweep(
        measure,
        grid,
        key=KEY,
        **({"n_trials": n_trials, "block": 4, "executor": Threads(1), "progress": False} | options),
    )


@pytest.fixture(scope="module")
def whole():
    return run()


def test_equals_an_explicit_loop(whole):
    for N, law, mu in [(8, "pareto", 0.5), (8, "normal", 3.0)]:
        here = whole.sel(N=N, law=law, mu=mu)
        for t, key in enumerate(trial_keys(point_key(KEY, {"N": N, "law": law, "mu": mu}), 0, 7)):
            one = measure(key, N, law, mu)
            np.testing.assert_array_equal(here.bits[t], one["bits"])
            np.testing.assert_allclose(here.eigenvalues[t], one["eigenvalues"], rtol=1e-10)


def test_dims_dtypes_and_attributes(whole):
    assert whole.lambda_max.dims == ("N", "law", "mu", "trial")
    assert whole.eigenvalues.dims == ("N", "law", "mu", "trial", "eigenvalues_dim")
    assert dict(whole.sizes) == {"N": 1, "law": 2, "mu": 3, "trial": 7, "eigenvalues_dim": 4, "bits_dim": 2}
    assert (whole.lambda_max.dtype, whole.bits.dtype) == ("float64", "uint32")
    assert json.loads(whole.attrs["grid"]) == GRID
    assert whole.attrs["seed"] == [0, 5]
    assert whole.attrs["n_trials"] == 7
    assert {"rmt", "jax", "jaxlib", "numpy", "scipy", "python", "device", "x64", "git", "measure"} <= set(whole.attrs)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"n_trials": 13}, {"trial": slice(7)}),
        ({"grid": {"N": [12, 8], "law": ["normal", "pareto"], "mu": [3.0, 9.0, 0.5, 1.5]}}, GRID),
        ({"grid": {"mu": [3.0, 1.5, 0.5], "N": [8], "law": ["normal", "pareto"]}}, GRID),
        ({"executor": Threads(2)}, {}),
    ],
    ids=["more trials", "larger grid", "other order of axes", "two threads"],
)
def test_values_depend_on_key_point_and_trial_alone(whole, options, part):
    other = run(**options)
    axes = {name: values for name, values in part.items() if name != "trial"}
    other = other.sel(axes).isel({"trial": slice(7)}).transpose(*whole.dims)
    for name in whole.data_vars:
        np.testing.assert_array_equal(other[name], whole[name])


def test_trials_of_a_batch_do_not_depend_on_its_filling():
    full, part = (run(ok, {"mu": [1.0, 2.0]}, n_trials=n, batch_size=4) for n in (8, 5))
    assert full.isel(trial=slice(5)).drop_attrs().identical(part.drop_attrs())


def test_float_axes_share_one_program_and_threads_one_compilation():
    compiled = []

    def count(name, _seconds, **_):
        compiled.append(name)

    def fresh(key, N, mu):
        return {"x": jax.random.normal(key, (N,)).sum() * mu + 0.123}

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        sizes = []
        for threads in (1, 4):
            compiled.clear()
            run(fresh, {"N": [3], "mu": [float(i) for i in range(1, 13)]}, executor=Threads(threads))
            sizes.append(sum("backend_compile" in name for name in compiled))
    finally:
        jax.monitoring.clear_event_listeners()
    # The second sweep meets the helpers compiled: what is left is the one program of twelve points.
    assert sizes[1] == 1


def test_threads_run_at_the_same_time():
    meeting = threading.Barrier(2)

    def meet(x):
        meeting.wait(timeout=60)  # broken unless two cells are inside their programs at once
        return np.asarray(x)

    def measure(key, mu):
        x = mu + jax.random.normal(key)
        return {"x": jax.pure_callback(meet, jax.ShapeDtypeStruct((), x.dtype), x, vmap_method="sequential")}

    assert np.isfinite(run(measure, {"mu": [0.0, 1.0]}, n_trials=2, executor=Threads(2)).x).all()


def test_blas_runs_on_one_thread():
    from threadpoolctl import threadpool_info, threadpool_limits

    seen = []

    def look(x):
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return np.asarray(x)

    def measure(key):
        x = jax.random.normal(key)
        return {"x": jax.pure_callback(look, jax.ShapeDtypeStruct((), x.dtype), x, vmap_method="sequential")}

    with threadpool_limits(2, user_api="blas"):
        run(measure, {}, n_trials=1)
    assert seen
    assert set(seen) == {1}


def test_programs_for_which_there_is_no_room_are_compiled_again(monkeypatch):
    def measure(key, n):
        return {"x": jax.random.normal(key, (n,)).sum()}

    program = Program(measure, {"n": 3}, (), "threefry2x32", 1, 1)
    first = Program(measure, {"n": 4}, (), "threefry2x32", 1, 1)
    first.compile()
    kept = weakref.ref(first._on(None))
    monkeypatch.setattr(programs, "_room", lambda: False)
    program.compile()
    assert not program._compiled
    program.run(jax.random.split(jax.random.key(0), 1), {}, 0, 1)
    gc.collect()
    assert kept() is None
    grid = {"n": [2, 3, 4]}
    few = run(measure, grid, n_trials=2, executor=Threads(2)).x
    monkeypatch.undo()
    assert np.array_equal(few, run(measure, grid, n_trials=2, executor=Threads(2)).x)


def test_memory_is_bounded_by_the_batch_not_by_the_block():
    def big(key, n):
        W = jax.random.normal(key, (n, n))
        return {"trace": jnp.trace(W @ W)}

    def temporary(block, batch_size):
        program = Program(big, {"n": 100}, (), "threefry2x32", block, batch_size)
        return program._jaxpr.lower().compile().memory_analysis().temp_size_in_bytes

    one_by_one = temporary(64, 1)
    assert one_by_one < 5 * 100 * 100 * 8  # a few matrices, not 64 of them
    assert temporary(64, 64) > 20 * one_by_one  # the bound is the batch's doing


def test_a_trial_that_fails_is_kept_and_counted():
    def measure(key, mu):
        x = jax.random.normal(key)
        return {"x": jnp.where(x > 0, x, jnp.nan), "pair": jnp.stack([x, x / mu]), "status": (x > 0).astype(int)}

    ds = run(measure, {"mu": [0.0, 1.0]}, n_trials=10)
    assert count_nonfinite(ds) == {"x": int((ds.status == 0).sum()), "pair": 10}


def ok(key, **point):
    return {"x": jax.random.normal(key)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": {"mu": []}}, "axis 'mu' is empty"),
        ({"grid": {"mu": [1.0, 2.0, 1.0]}}, "axis 'mu' holds 1.0 more than once"),
        ({"grid": {"mu": [1.0, 2]}}, "axis 'mu' mixes float and int"),
        ({"grid": {"mu": [float("nan")]}}, "axis 'mu' holds NaN"),
        ({"grid": {"mu": "abc"}}, "axis 'mu' must be a sequence"),
        ({"grid": {"mu": [None]}}, "coordinates are int, bool, str or float"),
        ({"grid": {"trial": [1]}}, "may not be called 'trial'"),
        ({"grid": {"key": [1]}}, "may not be called 'key'"),
        ({"n_trials": 0}, "n_trials must be an int of at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be an int of at least 1, got 0"),
        ({"executor": 2}, "executor must be rmt.Threads"),
        ({"shard": (3, 3)}, "shard must be"),
        ({"shard": (0, 3)}, "a shard needs a store"),
        ({"shard": (0, 3), "store": "s", "restart": True}, "restart would throw away"),
        ({"block": 10, "batch_size": 4}, "batch_size must divide block"),
        ({"store": 3}, "store must be a path"),
        ({"key": 0}, "needs one key"),
        ({"measure": lambda key, N: {"x": 0.0}}, "measure cannot be called as"),
        ({"measure": lambda key, mu: 1.0}, "measure must return a mapping"),
        ({"measure": lambda key, mu: {}}, "measure must return a mapping"),
        ({"measure": lambda key, mu: {"mu": 1.0}}, "names of axes or of the sweep's own"),
        ({"measure": lambda key, mu: {"x": key}}, "measure must return numbers"),
        ({"measure": lambda key, N: {"x": jnp.zeros(N)}, "grid": {"N": [1, 2]}}, "same names, shapes and dtypes"),
    ],
)
def test_what_does_not_fit_is_said(changes, message):
    given = {"measure": ok, "grid": {"mu": [1.0]}, "key": KEY, "n_trials": 2, "progress": False} | changes
    with pytest.raises(ValueError, match=message):
        sweep(given.pop("measure"), given.pop("grid"), **given)


def test_an_error_in_a_cell_ends_the_sweep():
    def fail(x):
        raise RuntimeError("the cell broke")

    def measure(key, mu):
        x = mu + jax.random.normal(key)
        return {"x": jax.pure_callback(fail, jax.ShapeDtypeStruct((), x.dtype), x, vmap_method="sequential")}

    with pytest.raises(Exception, match="the cell broke"):
        run(measure, {"mu": [0.0, 1.0]}, executor=Threads(2))


def test_cost_of_a_cell_is_that_of_its_svds():
    def cost(**point):
        return Cell(point, (), 0, done=2, stop=5).cost

    assert cost(N=20, M=10) == cost(N=20, Q=2) == cost(M=10, Q=2) == 3 * 20 * 10**2
    assert cost(N=20) == cost(M=20) == 3 * 20**3
    assert cost(mu=1.5) == cost(N="many") == 3


def test_progress_in_plain_lines(monkeypatch, capsys):
    now = iter([0.0, 3.0, 20.0, 25.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    with progress.Progress("claim", total=5, done=2, cost=100.0) as bar:
        bar.advance(10.0)  # at 3 s: too soon for a line
        bar.advance(30.0)  # at 20 s: 40 of 100 took 20 s
        bar.tick()  # at 25 s: too soon
        bar.advance(60.0)
    assert capsys.readouterr().err.splitlines() == [
        "claim: 4/5 cells, 0:00:20 elapsed, 0:00:30 left",
        "claim: 5/5 cells, 0:00:40 elapsed, 0:00:00 left",
    ]


def test_progress_can_be_silent(capsys):
    run(ok, {}, progress=False)
    assert capsys.readouterr().err == ""
