"""The matrices behind the tables: a measure over shapes and more, with keys that belong to one purpose."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
from jaxtyping import Array, Key

from rmt.keys import point_key
from rmt.sweeps import Threads, sweep
from rmt.sweeps.programs import Measure

if TYPE_CHECKING:
    import xarray as xr

TOLERANCE = 1e-4
"""Of a table whose matrices are drawn again, in what `deviations` of its module gives.

Draws are the same bits everywhere, but another LAPACK or another processor rounds eigenvalues differently, and a table is kept
in single precision, 6e-8. One matrix too few of 400 moves a mean by some 2e-3 standard deviations.
"""


def purpose_key(purpose: str, seed: int) -> Key[Array, ""]:
    """The key of all draws of a purpose: those of another seed, or of another purpose, share none with them."""
    return point_key(jax.random.key(seed), {"calibration": purpose})


def sweep_shapes(
    measure: Measure,
    shapes: Mapping[tuple[int, int], int],
    grid: Mapping[str, Sequence[Any]],
    *,
    purpose: str,
    seed: int,
    block: int,
    store: Path | None = None,
    workers: int | None = None,
    restart: bool = False,
    progress: bool = True,
) -> "dict[tuple[int, int], xr.Dataset]":
    """For every shape (N, M) what `measure` finds in so many matrices at each point of `grid`, one sweep for each shape.

    Resumes what the folder `store` holds, where every shape has its own; values depend on none of what else is asked for.

    Args:
        measure: `measure(key, *, N, M, **point)`, as `rmt.sweep` needs it.
        shapes: (N, M) -> number of matrices.
        grid: axes beside N and M.
        purpose: what the table is called, in keys and in the progress.
        seed: of the table.
        block: matrices between two writes to the store.
        store: folder, made if it is not there.
        workers: threads; by default one per core.
        restart: throw away what the store holds of these shapes.
        progress: show it on stderr.
    """
    return {
        (N, M): sweep(
            measure,
            {**grid, "N": (N,), "M": (M,)},
            key=purpose_key(purpose, seed),
            n_trials=n,
            block=block,
            store=None if store is None else store / f"{N}x{M}.zarr",
            executor=Threads(workers),
            progress=f"{purpose} {N} x {M}" if progress else False,
            restart=restart,
        )
        for (N, M), n in shapes.items()
    }
