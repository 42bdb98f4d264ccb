"""What a sweep computes, apart from its grid: a value that can be sent to another process, and is checked there."""

import hashlib
import inspect
import pickle
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rmt.errors import InputError
from rmt.keys import point_key, trial_keys
from rmt.provenance import numeric_facts
from rmt.sweeps.cells import Cell
from rmt.sweeps.layout import Device, Values
from rmt.sweeps.programs import Measure, Program, static_name, static_part
from rmt.threads import one_blas_thread


@dataclass(frozen=True)
class Work:
    """Everything that the values of a cell depend on.

    Attributes:
        measure: the measure.
        impl: the kind of key.
        key_data: the data of the sweep's key.
        block: trials per cell.
        batch_sizes: trials that run at once, by static coordinates.
        digests: SHA-256 of the lowered program, by static coordinates.
        facts: versions, device and threads of this process, which values also depend on.
        programs: the programs made so far in this process.
    """

    measure: Measure
    impl: str
    key_data: np.ndarray
    block: int
    batch_sizes: Mapping[str, int]
    digests: Mapping[str, str]
    facts: Mapping[str, Any]
    programs: dict[str, Program] = field(default_factory=dict, repr=False)

    def compute(self, cell: Cell, device: Device | None = None) -> Values:
        """Values of a cell's block; trials outside cell.done .. cell.stop - 1 may be left at the fill value."""
        key = jax.random.wrap_key_data(jnp.asarray(self.key_data), impl=self.impl)
        keys = trial_keys(point_key(key, cell.point), cell.block * self.block, self.block)
        return self._program(cell.point).run(keys, cell.point, cell.done, cell.stop, device)

    def _program(self, point: Mapping[str, Any]) -> Program:
        name = static_name(point)
        with _TRACING:
            if name not in self.programs:
                program = self._traced(point, self.batch_sizes[name])
                if program.digest() != self.digests[name]:
                    raise InputError(
                        f"the measure is another program on {platform.node()} than where the sweep was started; "
                        "install the same code there and set the same JAX options"
                    )
                self.programs[name] = program
            return self.programs[name]

    def _traced(self, point: Mapping[str, Any], batch_size: int) -> Program:
        static = static_part(point)
        traced = [name for name in point if name not in static]
        return Program(self.measure, static, traced, self.impl, self.block, batch_size)

    def pack(self) -> bytes:
        """This as bytes for another process. A measure from a lone file or a notebook travels whole, one from a package
        by name, so the package must be installed there."""
        import cloudpickle

        bare = {name: value for name, value in vars(self).items() if name != "programs"}
        with _by_value(self.measure):
            return cloudpickle.dumps(bare)


_TRACING = Lock()  # workers that need the same program wait for one trace
_UNPACKED: dict[str, Work] = {}


def compute_packed(packed: bytes, cell: Cell) -> Values:
    """Values of a cell in a process that was sent a work; its programs are kept for the next cell.

    Raises:
        InputError: this process would compute other values than the one that sent the work.
    """
    return _unpack(packed).compute(cell)


def _unpack(packed: bytes) -> Work:
    digest = hashlib.sha256(packed).hexdigest()
    if digest not in _UNPACKED:
        one_blas_thread()  # for good: this process is a worker
        work = Work(**pickle.loads(packed))
        _check_facts(work.facts)
        _UNPACKED[digest] = work
    return _UNPACKED[digest]


def _check_facts(expected: Mapping[str, Any]) -> None:
    here = numeric_facts()
    differ = [
        f"{name} is {here[name]} there and {value} here" for name, value in expected.items() if here[name] != value
    ]
    if differ:
        raise InputError(
            f"the worker on {platform.node()} would not compute the same bits: {'; '.join(differ)}; "
            "run both in the same environment (NPROC=n sets the XLA threads)"
        )


@contextmanager
def _by_value(measure: Measure) -> Iterator[None]:
    """While it lasts, cloudpickle takes a lone file's functions along, since a worker cannot import that file."""
    import cloudpickle

    while isinstance(measure, partial):
        measure = measure.func
    module = sys.modules.get(inspect.unwrap(measure).__module__)
    name = module.__name__ if module else ""
    if module is None or "." in name or hasattr(module, "__path__") or name in ("__main__", *sys.stdlib_module_names):
        yield  # of a package, or of __main__, which cloudpickle takes along by itself
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)
