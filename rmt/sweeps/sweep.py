"""sweep: a measure over a grid, trial by trial, into one labelled dataset. The only host loop of the package.

The loop is over cells; a cell is one grid point and one block of trials. Cells do not depend on each other, so they can
be computed in any order, by any number of workers (`rmt.sweeps.executors`), and kept one by one (`rmt.sweeps.store`).
Within a cell the trials are batched on the device (`rmt.sweeps.programs`).
"""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from rmt.provenance import numeric_facts, provenance
from rmt.sweeps.cells import Cell, all_cells, check_shard, of_shard
from rmt.sweeps.executors import Executor, Threads
from rmt.sweeps.layout import Axes, Layout, Values, coordinates, output_dims
from rmt.sweeps.programs import Measure, Program, compile_measure
from rmt.sweeps.progress import Progress
from rmt.sweeps.store import Identity, Store, open_store
from rmt.sweeps.work import Work
from rmt.threads import one_blas_thread

if TYPE_CHECKING:
    import xarray as xr


def sweep(
    measure: Measure,
    grid: Mapping[str, Sequence[Any]],
    *,
    key: Key[Array, ""],
    n_trials: int,
    store: str | Path | None = None,
    block: int = 10,
    batch_size: int | None = None,
    executor: Executor | None = None,
    shard: tuple[int, int] | None = None,
    progress: bool | str = True,
    restart: bool = False,
) -> "xr.Dataset":
    """Dataset of measure(key_t, **point) for every point of the grid and t = 0 .. n_trials - 1.

    The value of a trial depends on `key`, the coordinates of its point and its number t, and on nothing else: not on
    the rest of the grid, the order of the axes, n_trials, the number of workers, or interruptions, bit for bit. That
    holds by construction: the key comes from the coordinates (`rmt.keys`), and the program that computes trial t is the
    same compiled loop over whole batches of `batch_size` trials, of which a run takes the batches it needs.

    Args:
        measure: `measure(key, **point) -> {name: scalar or small array of fixed shape}`, unbatched, pure, jit-able.
        grid: values of each axis. int, bool and str axes are static: the measure gets Python values, may use them as
            shapes, and is compiled once per combination. float axes are traced: one compilation serves them all.
        key: the key of the whole sweep.
        n_trials: trials per point.
        store: folder to keep finished cells in, conventionally `*.zarr`; readable by xarray at any time. A sweep that
            finds its own cells there computes only the missing ones. None keeps nothing.
        block: trials per cell.
        batch_size: trials that run at once on the device, which bounds memory; must divide `block`. By default 1 on
            CPU, where more were not faster from 20 x 10 to 400 x 200; on accelerators, for each combination of static
            coordinates, as many as half of the device's memory holds by XLA's account of the program.
        executor: where cells are computed: `Threads()` by default, `Processes(n)`, `Dask(address)`. BLAS runs on one
            thread meanwhile.
        shard: (i, n) computes every n-th cell from the i-th on, 0 <= i < n. All n shards, on any machines that see
            `store`, may run at once. What nobody has computed yet is missing from the dataset.
        progress: show progress on stderr; a string is its label.
        restart: throw away what `store` holds.

    Returns:
        xarray.Dataset with a variable per name, of dims (axes of the grid, "trial", "name_dim" if it is a vector), and
        attributes that say where it comes from; `missing_cells` is 0 except for a shard that ends before the others.
        Failed trials are what the measure made of them, usually NaN; count them with `count_nonfinite`.

    Raises:
        ValueError: the grid, the sizes or the measure do not fit together.
        InputError: `store` holds something else, is damaged, or another run is writing to it; a worker would not
            compute the same values.
        RuntimeError: a cell killed every worker that it was given to.
        OSError: `store` cannot be written.

    Accuracy: `tests/test_sweeps.py`, `tests/test_resume.py` and `tests/test_executors.py` assert the bit-identities, the last two
        under `kill -9`. They hold for one kind of processor and one number of threads in XLA's pool, which a store
        checks: by default the number of cores, NPROC in the environment sets it.
    """
    axes = {name: coordinates(name, values) for name, values in dict(grid).items()}
    if batch_size is None and jax.default_backend() == "cpu":
        batch_size = 1
    executor = Threads() if executor is None else executor
    _check(measure, axes, key, store, executor, shard, n_trials=n_trials, block=block, batch_size=batch_size)
    if shard and restart:
        raise ValueError("restart would throw away what other shards computed; remove the store, then start all shards")
    with _compilers(executor, store) as compilers:
        programs = compile_measure(measure, axes, str(jax.random.key_impl(key)), block, batch_size, progress, compilers)
        layout = Layout(axes, n_trials, block, next(iter(programs.values())).outputs)
        attrs = _attributes(measure, key, layout, batch_size)
        work = _work(measure, key, block, programs)
        opened = nullcontext(None)
        if store is not None:
            opened = open_store(
                Path(store), layout, _identity(layout, work, attrs), attrs, restart, shared=shard is not None
            )
        with opened as kept, one_blas_thread():
            done, values = kept.read(layout) if kept else _nothing(layout)
            cells = of_shard(all_cells(layout, done), shard)
            missing = [cell for cell in cells if cell.done < cell.stop]
            with (
                Progress(progress, len(cells), len(cells) - len(missing), sum(cell.cost for cell in missing)) as bar,
                closing(executor.run(work, missing, bar.tick)) as finished,
            ):
                # Others compute, this thread writes, so that an interrupt leaves no writer behind.
                for cell, new in finished:
                    _keep(cell, new, layout, values, kept)
                    bar.advance(cell.cost)
            left = 0
            if shard and kept:  # the other shards may have done theirs by now
                done, values = kept.read(layout)
                left = sum(cell.done < cell.stop for cell in all_cells(layout, done))
    return _dataset(layout, values, {**attrs, "missing_cells": left})


def count_nonfinite(ds: "xr.Dataset") -> dict[str, int]:
    """Number of trials with a NaN or an infinity in each variable that has any: what failed must be seen."""
    counts = {}
    for name, variable in ds.data_vars.items():
        inner = tuple(i for i, dim in enumerate(variable.dims) if dim not in ds.coords and dim != "trial")
        if variable.dtype.kind in "fc" and (count := int((~np.isfinite(variable.values)).any(axis=inner).sum())):
            counts[str(name)] = count
    return counts


def _check(
    measure: Measure,
    axes: Axes,
    key: Key[Array, ""],
    store: str | Path | None,
    executor: Executor,
    shard: tuple[int, int] | None,
    **counts: int | None,
) -> None:
    if not jnp.issubdtype(getattr(key, "dtype", np.dtype(int)), jax.dtypes.prng_key) or key.shape != ():
        raise ValueError(f"sweep needs one key, as from jax.random.key(0), got {key!r}")
    for name, value in counts.items():
        if value is not None and (not isinstance(value, int | np.integer) or value < 1):
            raise ValueError(f"{name} must be an int of at least 1, got {value!r}")
    block, batch_size = counts["block"], counts["batch_size"]
    if block and batch_size and block % batch_size:
        raise ValueError(f"batch_size must divide block, got {batch_size} and {block}")
    if not (store is None or isinstance(store, str | Path)) or store == "":
        raise ValueError(f"store must be a path on this machine, as a str or a pathlib.Path, got {store!r}")
    if not isinstance(executor, Executor):
        raise ValueError(f"executor must be rmt.Threads(), rmt.Processes(n) or rmt.Dask(address), got {executor!r}")
    check_shard(shard)
    if shard and store is None:
        raise ValueError("a shard needs a store, which all shards of the sweep write to; pass store=PATH")
    try:
        inspect.signature(measure).bind(key, **{name: values[0] for name, values in axes.items()})
    except TypeError as error:
        raise ValueError(f"measure cannot be called as measure(key, {', '.join(axes)}): {error}") from None


@contextmanager
def _compilers(executor: Executor, store: str | Path | None) -> Iterator[ThreadPoolExecutor | None]:
    """Threads that compile what will be needed, if that is here and everything: a store may hold it all."""
    if (
        not isinstance(executor, Threads)
        or len(jax.local_devices()) > 1
        or (store is not None and Path(store).exists())
    ):
        yield None
        return
    pool = ThreadPoolExecutor(executor.count, thread_name_prefix="rmt-compile")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _keep(cell: Cell, new: Values, layout: Layout, values: Values, store: Store | None) -> None:
    """Put the new trials of a cell into the result, and the whole cell on disk."""
    start = cell.block * layout.block
    for name, value in new.items():
        values[name][cell.index][start + cell.done : start + cell.stop] = value[cell.done : cell.stop]
    if store:
        whole = {name: value[cell.index][start : start + cell.stop] for name, value in values.items()}
        store.write(cell.point, cell.block, whole)


def _nothing(layout: Layout) -> tuple[np.ndarray, Values]:
    done = np.zeros((*layout.sizes, layout.n_blocks), int)
    return done, {name: output.empty((*layout.sizes, layout.n_trials)) for name, output in layout.outputs.items()}


def _work(measure: Measure, key: Key[Array, ""], block: int, programs: dict[str, Program]) -> Work:
    return Work(
        measure=measure,
        impl=str(jax.random.key_impl(key)),
        key_data=np.asarray(jax.random.key_data(key)),
        block=block,
        batch_sizes={name: program.batch_size for name, program in programs.items()},
        digests={name: program.digest() for name, program in programs.items()},
        facts=numeric_facts(),
        programs=programs,
    )


def _attributes(measure: Measure, key: Key[Array, ""], layout: Layout, batch_size: int | None) -> dict[str, Any]:
    return {
        "measure": getattr(measure, "__qualname__", type(measure).__name__),
        "seed": np.asarray(jax.random.key_data(key)).tolist(),
        "key_impl": str(jax.random.key_impl(key)),
        "grid": json.dumps({name: list(values) for name, values in layout.axes.items()}),
        "n_trials": int(layout.n_trials),
        "block": layout.block,
        "batch_size": batch_size or "by memory",
        **provenance(),
    }


def _identity(layout: Layout, work: Work, attrs: Mapping[str, Any]) -> Identity:
    facts = {
        "the key": [attrs["key_impl"], attrs["seed"]],
        "axes": {name: type(values[0]).__name__ for name, values in sorted(layout.axes.items())},
        "outputs": {name: [str(o.dtype), list(o.shape)] for name, o in sorted(layout.outputs.items())},
        "block": layout.block,
        "batch_size": attrs["batch_size"],
        **work.facts,
    }
    return Identity(facts, work.digests)


def _dataset(layout: Layout, values: Values, attrs: dict[str, Any]) -> "xr.Dataset":
    import xarray as xr  # half a second, which `import rmt` need not pay

    variables = {
        name: ((*layout.axes, "trial", *output_dims(name, output)), values[name])
        for name, output in layout.outputs.items()
    }
    return xr.Dataset(variables, coords={name: list(axis) for name, axis in layout.axes.items()}, attrs=attrs)
