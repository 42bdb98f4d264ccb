"""A measure as compiled programs: one per combination of static coordinates, each a loop over batches of trials."""

import ctypes
import hashlib
import itertools
import json
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from rmt.sweeps.layout import RESERVED, Axes, Device, Output, Values
from rmt.sweeps.progress import Progress

Measure = Callable[..., Mapping[str, Any]]


class Program:
    """The measure at one combination of static coordinates: traced and lowered at once, compiled when first run.

    Attributes:
        outputs: what the measure returns there.
        batch_size: trials that run at once.
    """

    def __init__(
        self, measure: Measure, static: Mapping[str, Any], traced: Sequence[str], impl: str, block: int, batch_size: int
    ):
        names: list[str] = []

        def trial(key_data: Array, point: dict[str, Any]) -> tuple[Array, ...]:
            # Made into a key here: JAX's check for keys used twice would take the loop over typed keys for one.
            key = jax.random.wrap_key_data(key_data, impl=impl)
            out = measure(key, **static, **point)
            if not isinstance(out, Mapping) or not out or not all(isinstance(name, str) for name in out):
                raise ValueError(f"measure must return a mapping of names to arrays; got {out!r} at {dict(static)}")
            names[:] = out
            return tuple(jnp.asarray(value) for value in out.values())

        key = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0, impl=impl)))
        keys = jax.ShapeDtypeStruct((block, *key.shape), key.dtype)
        point = dict.fromkeys(traced, 1.0)
        shapes = jax.eval_shape(trial, key, point)
        self.outputs = {name: _output(name, shape) for name, shape in zip(names, shapes, strict=True)}
        self._start = tuple(output.empty((block,)) for output in self.outputs.values())
        self._jaxpr = jax.jit(_batches(trial, batch_size)).trace(keys, 0, 0, point, self._start)
        self._lowered: Any = self._jaxpr.lower()
        self._digest = hashlib.sha256(self._lowered.as_text().encode()).hexdigest()
        self._compiled: dict[Device | None, Any] = {}
        self._lock = Lock()
        self._traced, self.batch_size = tuple(traced), batch_size

    def digest(self) -> str:
        """SHA-256 of the lowered program: the same program, the same values."""
        return self._digest

    def run(
        self,
        keys: Key[Array, " block"],
        point: Mapping[str, Any],
        done: int,
        stop: int,
        device: Device | None = None,
    ) -> Values:
        """Values of a block, in which trials done .. stop - 1 are computed and others may be left at the fill value.

        Args:
            device: where to run; None is JAX's default device.
        """
        first, last = done // self.batch_size, -(-stop // self.batch_size)
        traced = {name: point[name] for name in self._traced}
        out = self._on(device)(np.asarray(jax.random.key_data(keys)), first, last, traced, self._start)
        return {name: np.asarray(value) for name, value in zip(self.outputs, out, strict=True)}

    def memory(self) -> int:
        """Bytes that the compiled program needs on the device; 0 where XLA does not say."""
        need = self._on(None).memory_analysis()
        return need.temp_size_in_bytes + need.argument_size_in_bytes + need.output_size_in_bytes if need else 0

    def compile(self) -> None:
        """Compile for the default device now, if there is room, and not when first run."""
        if _room():
            self._on(None)

    def drop(self) -> None:
        """Forget what was compiled; it is compiled again when next run."""
        self._compiled = {}

    def _on(self, device: Device | None) -> Any:
        """The program compiled for a device: one text for all, so that its values do not depend on which."""
        with self._lock:  # workers that need the same program wait for one compilation
            compiled = self._compiled
            if device not in compiled:
                _make_room()
                _COMPILED.add(self)
                with jax.default_device(device) if device else nullcontext():
                    lowered = self._lowered if device is None and self._lowered else self._jaxpr.lower()
                    compiled[device] = lowered.compile()
                self._lowered = None  # which holds what was compiled from it
                _release_memory()
            return compiled[device]


_COMPILED: weakref.WeakSet[Program] = weakref.WeakSet()
"""Programs of this process that may hold something compiled."""

_MAPS, _MOST_MAPS = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


def _room() -> bool:
    """Whether one more program may be kept: on Linux a process has some 65 thousand mappings, and a large program 3 thousand."""
    try:
        return 2 * len(_MAPS.read_bytes().splitlines()) < int(_MOST_MAPS.read_text())
    except (OSError, ValueError):  # another system, without such a limit
        return True


def _make_room() -> None:
    if not _room():
        for program in list(_COMPILED):
            program.drop()
        _COMPILED.clear()
        jax.clear_caches()  # which hold it, too


def _release_memory() -> None:
    """Give freed memory back to the system: glibc keeps what the compiler of a large program used, up to a gigabyte of each."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another libc
            ctypes.CDLL(None).malloc_trim(0)


def compile_measure(
    measure: Measure,
    axes: Axes,
    impl: str,
    block: int,
    batch_size: int | None,
    progress: bool | str = False,
    compilers: Executor | None = None,
) -> dict[str, Program]:
    """A program for every combination of static coordinates, by `static_name`; all have the same outputs.

    Args:
        impl: the kind of key, as `jax.random.key_impl` names it.
        batch_size: None takes, for each program, the largest that `device_memory` has room for.
        compilers: threads that compile each program, for the default device, while the next ones are traced. A program that
            none has compiled is compiled when first run.

    Raises:
        ValueError: the measure does not return a mapping, or not the same names, shapes and dtypes everywhere.
    """
    static = list(static_part({name: values[0] for name, values in axes.items()}))
    traced = [name for name in axes if name not in static]
    points = [dict(zip(static, values, strict=True)) for values in itertools.product(*(axes[name] for name in static))]
    programs: dict[str, Program] = {}
    limit = device_memory() if batch_size is None else None
    with Progress(progress, len(points), 0, len(points), "programs traced") as bar:
        for point in points:
            make = partial(Program, measure, point, traced, impl, block)
            program = programs[static_name(point)] = (
                make(batch_size) if batch_size else largest_batch(make, block, limit)
            )
            _check(program.outputs, next(iter(programs.values())).outputs, point, axes)
            if compilers:
                compilers.submit(program.compile)
            bar.advance(1)
    return programs


def device_memory() -> int | None:
    """Half of what JAX may allocate on the default device: solvers take workspace that no analysis shows. None if unknown."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats["bytes_limit"] // 2 if "bytes_limit" in stats else None


def largest_batch(make: Callable[[int], Program], block: int, limit: int | None) -> Program:
    """The program with the largest batch, of the divisors of `block`, that needs no more than `limit` bytes; at least 1.

    It depends on the program and the device alone, so a larger grid leaves the batches of earlier points as they were.
    """
    batch, program = block, make(block)
    while limit and batch > 1 and (need := program.memory()) > limit:
        fits = batch * limit / need  # memory grows with the batch
        batch = max(b for b in range(1, batch) if block % b == 0 and (b <= fits or b == 1))
        program = make(batch)
    return program


def static_part(point: Mapping[str, Any]) -> dict[str, Any]:
    """The static coordinates of a point: all but the floats, which are traced."""
    return {name: value for name, value in point.items() if not isinstance(value, float)}


def static_name(point: Mapping[str, Any]) -> str:
    """The static coordinates of a point, spelled one way."""
    return json.dumps(static_part(point), sort_keys=True)


def _batches(trial: Callable[..., tuple[Array, ...]], batch_size: int) -> Callable[..., tuple[Array, ...]]:
    """A loop over batches first .. last - 1 of a block's keys: `lax.map(batch_size=)` that stops where it is told.

    The bounds are data, so one program serves full and part-filled blocks, and a trial meets the same code in each.
    """

    def run(keys: Array, first: Any, last: Any, point: dict[str, Any], start: tuple[Array, ...]) -> tuple[Array, ...]:
        def batch(i: Array, out: tuple[Array, ...]) -> tuple[Array, ...]:
            some = jax.lax.dynamic_slice_in_dim(keys, i * batch_size, batch_size)
            new = jax.vmap(lambda key_data: trial(key_data, point))(some)
            put = jax.lax.dynamic_update_slice_in_dim
            return tuple(put(o, n, i * batch_size, 0) for o, n in zip(out, new, strict=True))

        return jax.lax.fori_loop(first, last, batch, start)

    return run


def _output(name: str, shape: jax.ShapeDtypeStruct) -> Output:
    if not isinstance(shape.dtype, np.dtype) or shape.dtype.kind not in "biufc":
        raise ValueError(f"measure must return numbers; {name!r} has dtype {shape.dtype}")
    return Output(shape.dtype, shape.shape)


def _check(outputs: Mapping[str, Output], expected: Mapping[str, Output], point: Mapping[str, Any], axes: Axes) -> None:
    if clash := {*outputs} & {*axes, *RESERVED}:
        raise ValueError(f"measure returns {sorted(clash)}, which are names of axes or of the sweep's own; rename them")
    if outputs != expected:
        differ = sorted(name for name in {*outputs, *expected} if outputs.get(name) != expected.get(name))
        here, there = ({name: str(some.get(name)) for name in differ} for some in (outputs, expected))
        raise ValueError(
            f"measure must return the same names, shapes and dtypes at every point; "
            f"at {dict(point)} it returns {here}, elsewhere {there}"
        )
