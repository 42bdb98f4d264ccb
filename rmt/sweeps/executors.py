"""Where the cells of a sweep are computed: threads of this process, processes of this machine, or a dask cluster.

An executor has one method, which yields cells with their values as they are finished. It neither reads nor writes a
store, and cannot change a value: a worker refuses to compute if its program or its versions are not the sweep's own.
"""

import itertools
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import jax

from rmt.errors import InputError
from rmt.sweeps.cells import Cell
from rmt.sweeps.layout import Values
from rmt.sweeps.work import Work, compute_packed
from rmt.threads import cores

if TYPE_CHECKING:
    from distributed import Client

Finished = Generator[tuple[Cell, Values], None, None]
Tick = Callable[[], None]

ATTEMPTS = 3  # workers that may die of one cell before the sweep gives up on it
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
SHARED_SETTINGS = (  # what of JAX's configuration a worker process takes over
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_threefry_partitionable",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
)


@runtime_checkable
class Executor(Protocol):
    """Computes cells somewhere."""

    def run(self, work: Work, cells: Sequence[Cell], tick: Tick) -> Finished:
        """Cells and their values, as they are finished; `tick` is called about once a second."""
        ...


@dataclass(frozen=True)
class Threads:
    """Threads of this process, which share its compiled programs: XLA and LAPACK work without the interpreter's lock.

    Where there are several devices, each thread has its own and computes whole cells there. So values do not depend on
    the number of devices: a cell is one program on one device.

    Attributes:
        n: cells at once; by default one per core on CPU, one per device elsewhere, and never fewer than devices.
    """

    n: int | None = None

    def __post_init__(self):
        if self.n is not None:
            _check_count("Threads", self.n)

    @property
    def count(self) -> int:
        """How many there are."""
        return self.n or max(cores() if jax.default_backend() == "cpu" else 1, len(jax.local_devices()))

    def run(self, work: Work, cells: Sequence[Cell], tick: Tick) -> Finished:
        """See `Executor`."""
        devices = jax.local_devices()
        turns, mine = itertools.cycle(devices if len(devices) > 1 else [None]), threading.local()

        def begin() -> None:
            mine.device = next(turns)

        return _in_threads(self.count, begin, lambda cell: work.compute(cell, mine.device), cells, tick)


@dataclass(frozen=True)
class Processes:
    """Processes of this machine (loky), each with its own JAX on one core: for what holds the interpreter's lock, or many cores.

    A process that dies takes the cell it was at with it, which is begun anew in another process, and nothing else.

    Attributes:
        n: number of processes.
    """

    n: int

    def __post_init__(self):
        _check_count("Processes", self.n)

    def run(self, work: Work, cells: Sequence[Cell], tick: Tick) -> Finished:
        """See `Executor`."""
        if jax.default_backend() != "cpu":
            raise InputError(
                f"worker processes share the cores of a CPU, and this process computes on {jax.default_backend()}, all "
                "of whose devices are used without them; leave workers out, or set JAX_PLATFORMS=cpu"
            )
        packed, mine = work.pack(), threading.local()
        started: list[_Process] = []

        def begin() -> None:
            mine.process = _Process(packed)
            started.append(mine.process)

        try:
            yield from _in_threads(min(self.n, len(cells)), begin, lambda cell: mine.process.compute(cell), cells, tick)
        finally:
            for process in started:
                process.end()


@dataclass(frozen=True)
class Dask:
    """The workers of a dask.distributed cluster: any number of machines. Needs the extra `dask`.

    A worker that dies costs the cells it was at, which the scheduler gives to others.

    Attributes:
        scheduler: address of a scheduler, as "tcp://node7:8786", or a `distributed.Client`, which is left open.
        timeout: seconds to wait for the scheduler to answer.
    """

    scheduler: "str | Client"
    timeout: float = 20.0

    def run(self, work: Work, cells: Sequence[Cell], tick: Tick) -> Finished:
        """See `Executor`."""
        client = self._client()
        finished: _Queue = queue.SimpleQueue()
        futures = {}
        try:
            # A task of its own, so that it goes to each worker once, and is done again where it was lost.
            packed = client.submit(bytes, work.pack(), pure=False)
            for cell in cells:
                future = client.submit(compute_packed, packed, cell, pure=False)
                future.add_done_callback(lambda future, cell=cell: finished.put((cell, future)))
                futures[cell.index, cell.block] = future
            for cell, future in _as_finished(finished, len(cells), tick):
                yield cell, _result(cell, future)
                del futures[cell.index, cell.block]  # or the cluster would keep its values
        finally:
            client.cancel(list(futures.values()))
            if client is not self.scheduler:
                client.close()

    def _client(self) -> "Client":
        try:
            import distributed
        except ImportError:
            raise InputError("a dask scheduler needs dask.distributed; pip install 'heavytail-lab[dask]'") from None
        if isinstance(self.scheduler, distributed.Client):
            return self.scheduler
        try:
            return distributed.Client(self.scheduler, timeout=self.timeout, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"no dask scheduler answers at {self.scheduler!r} ({error}); start one with `dask scheduler`, "
                "whose first lines say its address, as tcp://node7:8786"
            ) from None


_Queue = queue.SimpleQueue  # of (cell, its future)


def _in_threads(
    n: int, begin: Callable[[], None], compute: Callable[[Cell], Values], cells: Sequence[Cell], tick: Tick
) -> Finished:
    finished: _Queue = queue.SimpleQueue()
    pool = ThreadPoolExecutor(n, thread_name_prefix="rmt-sweep", initializer=begin)
    try:
        for cell in cells:
            pool.submit(compute, cell).add_done_callback(lambda future, cell=cell: finished.put((cell, future)))
        for cell, future in _as_finished(finished, len(cells), tick):
            yield cell, future.result()
    finally:
        # Cells that have not begun are dropped; those in flight end in their own time and go nowhere.
        pool.shutdown(wait=False, cancel_futures=True)


def _as_finished(finished: _Queue, left: int, tick: Tick) -> Generator[tuple[Cell, Any], None, None]:
    while left:
        try:
            yield finished.get(timeout=1.0)
            left -= 1
        except queue.Empty:
            tick()


class _Process:
    """A worker process and its successors. Each is a pool of one, since loky ends all workers of a pool with the first."""

    def __init__(self, packed: bytes):
        self._packed, self._pool, self._ended = packed, None, False

    def compute(self, cell: Cell) -> Values:
        from loky.process_executor import BrokenProcessPool

        for _ in range(ATTEMPTS):
            try:
                return self._submit(cell).result()
            except BrokenProcessPool:
                self._pool = None
        raise RuntimeError(
            f"{cell}: {ATTEMPTS} worker processes died computing it, of memory perhaps; try fewer workers or a smaller "
            "batch_size. Finished cells are kept"
        )

    def _submit(self, cell: Cell) -> "Future[Values]":
        from loky import ProcessPoolExecutor

        if self._pool is None and not self._ended:
            settings = {name: getattr(jax.config, name) for name in SHARED_SETTINGS}
            begin = (self._packed, settings, os.getpid())
            environment = {**ONE_THREAD, "JAX_PLATFORMS": "cpu"}
            self._pool = ProcessPoolExecutor(1, initializer=_begin_process, initargs=begin, env=environment)
        if self._pool is None:
            raise CancelledError
        return self._pool.submit(_compute_in_process, cell)

    def end(self) -> None:
        self._ended = True
        if self._pool is not None:
            self._pool.shutdown(wait=False, kill_workers=True)


_packed_here = b""  # in a worker process, the work that it was started for


def _begin_process(packed: bytes, settings: dict[str, Any], parent: int) -> None:
    global _packed_here
    _packed_here = packed
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says what becomes of it
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    for name, value in settings.items():
        jax.config.update(name, value)


def _end_with(parent: int) -> None:
    """A parent that was killed cannot end its workers: they see it."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _compute_in_process(cell: Cell) -> Values:
    return compute_packed(_packed_here, cell)


def _result(cell: Cell, future: Any) -> Values:
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise RuntimeError(f"{cell}: its workers died computing it, of memory perhaps ({error})") from None
    except CancelledError:
        raise RuntimeError(f"{cell}: the dask scheduler went away; finished cells are kept, run it again") from None


def _check_count(name: str, n: object) -> None:
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"{name}(n) needs n >= 1, got {n!r}")
