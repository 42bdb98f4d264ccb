"""sweep: a measure over a grid, trial by trial, into one labelled dataset. The only host loop of the package.

The loop is over cells; a cell is one grid point and one block of trials. Cells do not depend on each other, so they can
be computed in any order, by any number of workers, and kept one by one (`rmt.sweeps.store`). Within a cell the trials are
batched on the device (`rmt.sweeps.programs`).
"""

import inspect
import json
import os
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from rmt.keys import point_key, trial_keys
from rmt.sweeps.layout import Axes, Layout, Values, coordinates, output_dims
from rmt.sweeps.programs import Measure, Program, compile_measure, static_name
from rmt.sweeps.progress import Progress
from rmt.sweeps.provenance import provenance
from rmt.sweeps.store import Identity, Store, open_store

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Cell:
    """One grid point and one block of its trials: the unit of work, of storage, and of loss.

    Attributes:
        point: every coordinate of the point.
        index: its place on the axes.
        block: the trials `block * size, ...`, where size is the sweep's block size.
        done: how many of them are finished.
        stop: how many of them are asked for.
    """

    point: Mapping[str, Any]
    index: tuple[int, ...]
    block: int
    done: int
    stop: int

    @property
    def cost(self) -> float:
        """Trials still to run, times N M^2 (an SVD) as far as the axes tell N and M: the unit of the ETA."""
        N, M, Q = (_positive(self.point.get(name)) for name in ("N", "M", "Q"))
        N = N or (M * Q if M and Q else M) or 1.0
        M = M or (N / Q if Q else N)
        return (self.stop - self.done) * N * M**2


def sweep(
    measure: Measure,
    grid: Mapping[str, Sequence[Any]],
    *,
    key: Key[Array, ""],
    n_trials: int,
    store: str | Path | None = None,
    block: int = 10,
    batch_size: int | None = None,
    workers: int | None = None,
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
            CPU, where more were not faster from 20 x 10 to 400 x 200, and `block` on accelerators.
        workers: cells that are computed at once, by default one per core on CPU and one on accelerators. BLAS runs on
            one thread meanwhile.
        progress: show progress on stderr; a string is its label.
        restart: throw away what `store` holds.

    Returns:
        xarray.Dataset with a variable per name, of dims (axes of the grid, "trial", "name_dim" if it is a vector), and
        attributes that say where it comes from. Failed trials are what the measure made of them, usually NaN; count
        them with `count_nonfinite`.

    Raises:
        ValueError: the grid, the sizes or the measure do not fit together.
        InputError: `store` holds something else, is damaged, or another run is writing to it.
        OSError: `store` cannot be written.

    Accuracy: `tests/test_sweeps.py` and `tests/test_resume.py` assert the bit-identities, the latter under `kill -9`.
    """
    axes = {name: coordinates(name, values) for name, values in dict(grid).items()}
    on_cpu = jax.default_backend() == "cpu"
    if batch_size is None:
        batch_size = 1 if on_cpu else block
    if workers is None:
        workers = (os.cpu_count() or 1) if on_cpu else 1
    _check(measure, axes, key, store, n_trials=n_trials, block=block, batch_size=batch_size, workers=workers)
    programs = compile_measure(measure, axes, str(jax.random.key_impl(key)), block, batch_size, progress)
    layout = Layout(axes, n_trials, block, next(iter(programs.values())).outputs)
    attrs = _attributes(measure, key, layout, batch_size)

    def compute(cell: Cell) -> Values:
        keys = trial_keys(point_key(key, cell.point), cell.block * block, block)
        return programs[static_name(cell.point)].run(keys, cell.point, cell.done, cell.stop)

    opened = nullcontext(None)
    if store is not None:
        opened = open_store(Path(store), layout, _identity(layout, programs, attrs), attrs, restart)
    with opened as kept, one_blas_thread():
        done, values = kept.read(layout) if kept else _nothing(layout)
        cells = _cells(layout, done)
        missing = [cell for cell in cells if cell.done < cell.stop]
        with Progress(progress, len(cells), len(cells) - len(missing), sum(cell.cost for cell in missing)) as bar:
            # Threads compute, this one writes, so that an interrupt leaves no writer behind.
            for cell, new in _as_computed(missing, compute, workers, bar.tick):
                _keep(cell, new, layout, values, kept)
                bar.advance(cell.cost)
    return _dataset(layout, values, attrs)


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


def count_nonfinite(ds: "xr.Dataset") -> dict[str, int]:
    """Number of trials with a NaN or an infinity in each variable that has any: what failed must be seen."""
    counts = {}
    for name, variable in ds.data_vars.items():
        inner = tuple(i for i, dim in enumerate(variable.dims) if dim not in ds.coords and dim != "trial")
        if variable.dtype.kind in "fc" and (count := int((~np.isfinite(variable.values)).any(axis=inner).sum())):
            counts[str(name)] = count
    return counts


def _check(measure: Measure, axes: Axes, key: Key[Array, ""], store: str | Path | None, **counts: int) -> None:
    if not jnp.issubdtype(getattr(key, "dtype", np.dtype(int)), jax.dtypes.prng_key) or key.shape != ():
        raise ValueError(f"sweep needs one key, as from jax.random.key(0), got {key!r}")
    for name, value in counts.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be an int of at least 1, got {value!r}")
    if counts["block"] % counts["batch_size"]:
        raise ValueError(f"batch_size must divide block, got {counts['batch_size']} and {counts['block']}")
    if not (store is None or isinstance(store, str | Path)) or store == "":
        raise ValueError(f"store must be a path on this machine, as a str or a pathlib.Path, got {store!r}")
    try:
        inspect.signature(measure).bind(key, **{name: values[0] for name, values in axes.items()})
    except TypeError as error:
        raise ValueError(f"measure cannot be called as measure(key, {', '.join(axes)}): {error}") from None


def _cells(layout: Layout, done: np.ndarray) -> list[Cell]:
    """Every cell of the grid, the most expensive first, so that no worker is left with one at the end."""
    cells = []
    for index in np.ndindex(layout.sizes):
        point = {name: values[i] for (name, values), i in zip(layout.axes.items(), index, strict=True)}
        for block in range(layout.n_blocks):
            stop = min(layout.block, layout.n_trials - block * layout.block)
            cells.append(Cell(point, index, block, int(done[(*index, block)]), stop))
    return sorted(cells, key=lambda cell: -cell.cost)


def _keep(cell: Cell, new: Values, layout: Layout, values: Values, store: Store | None) -> None:
    """Put the new trials of a cell into the result, and the whole cell on disk."""
    start = cell.block * layout.block
    for name, value in new.items():
        values[name][cell.index][start + cell.done : start + cell.stop] = value[cell.done : cell.stop]
    if store:
        whole = {name: value[cell.index][start : start + cell.stop] for name, value in values.items()}
        store.write(cell.point, cell.block, whole)


def _as_computed(
    cells: Sequence[Cell], compute: Callable[[Cell], Values], workers: int, tick: Callable[[], None]
) -> Iterator[tuple[Cell, Values]]:
    """Cells and their values as threads finish them: XLA and LAPACK work without the interpreter's lock."""
    finished: queue.SimpleQueue[tuple[Cell, Future[Values]]] = queue.SimpleQueue()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="rmt-sweep")
    try:
        for cell in cells:
            pool.submit(compute, cell).add_done_callback(lambda future, cell=cell: finished.put((cell, future)))
        left = len(cells)
        while left:
            try:
                cell, future = finished.get(timeout=1.0)
            except queue.Empty:
                tick()
                continue
            left -= 1
            yield cell, future.result()
    finally:
        # Cells that have not begun are dropped; those in flight end in their own time and go nowhere.
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS on one thread, so that workers do not fight over cores and sums do not depend on the number of threads."""
    import scipy.linalg  # noqa: F401 (XLA's LAPACK on CPU is scipy's: only a loaded library can be limited)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def _nothing(layout: Layout) -> tuple[np.ndarray, Values]:
    done = np.zeros((*layout.sizes, layout.n_blocks), int)
    return done, {name: output.empty((*layout.sizes, layout.n_trials)) for name, output in layout.outputs.items()}


def _attributes(measure: Measure, key: Key[Array, ""], layout: Layout, batch_size: int) -> dict[str, Any]:
    return {
        "measure": getattr(measure, "__qualname__", type(measure).__name__),
        "seed": np.asarray(jax.random.key_data(key)).tolist(),
        "key_impl": str(jax.random.key_impl(key)),
        "grid": json.dumps({name: list(values) for name, values in layout.axes.items()}),
        "n_trials": int(layout.n_trials),
        "block": layout.block,
        "batch_size": batch_size,
        **provenance(),
    }


def _identity(layout: Layout, programs: Mapping[str, Program], attrs: Mapping[str, Any]) -> Identity:
    facts = {
        "the key": [attrs["key_impl"], attrs["seed"]],
        "axes": {name: type(values[0]).__name__ for name, values in sorted(layout.axes.items())},
        "outputs": {name: [str(o.dtype), list(o.shape)] for name, o in sorted(layout.outputs.items())},
        "block": layout.block,
        "batch_size": attrs["batch_size"],
        **{name: attrs[name] for name in ("jax", "jaxlib", "scipy", "device", "x64")},
    }
    return Identity(facts, {name: program.digest() for name, program in programs.items()})


def _dataset(layout: Layout, values: Values, attrs: dict[str, Any]) -> "xr.Dataset":
    import xarray as xr  # half a second, which `import rmt` need not pay

    variables = {
        name: ((*layout.axes, "trial", *output_dims(name, output)), values[name])
        for name, output in layout.outputs.items()
    }
    return xr.Dataset(variables, coords={name: list(axis) for name, axis in layout.axes.items()}, attrs=attrs)
