"""What the calibration rests on: summaries of simulated matrices of known entries, over a grid of shapes and tail indices."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from rmt.calibration.summary import summary
from rmt.ensembles import IID
from rmt.keys import point_key
from rmt.laws import ENTRY_LAWS, Law, StudentT
from rmt.spectra import spectrum
from rmt.sweeps import sweep

if TYPE_CHECKING:
    import xarray as xr

FAMILIES: Mapping[str, Callable[[Any], Law]] = {
    "signed Pareto": ENTRY_LAWS["signed Pareto"],
    "Student t": StudentT,
    "centred Lomax": ENTRY_LAWS["centred Lomax"],
}
"""Name -> law of the entries at a tail index mu. All have mean zero, where there is a mean."""

MU = (0.4, 0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.375, 1.5, 1.625, 1.75, 1.875, 2.0, 2.125, 2.25, 2.375, 2.5)
MU = (*MU, 2.75, 3.0, 3.25, 3.5, 4.0, 4.5, 5.0, 6.0, 8.0)


def measure(key: jax.Array, *, entries: str, N: int, M: int, mu: float) -> dict[str, jax.Array]:
    """The summary of one matrix."""
    return {"summary": summary(spectrum(IID(FAMILIES[entries](mu)).sample(key, (N, M))))}


def simulate(
    shapes: Sequence[tuple[int, int]],
    *,
    seed: int,
    n_trials: int,
    store: Path | None = None,
    mu: Sequence[float] = MU,
    entries: Sequence[str] = tuple(FAMILIES),
    progress: bool = True,
) -> "dict[tuple[int, int], xr.Dataset]":
    """For every shape (N, M) a dataset of `summary`, of dims (entries, N, M, mu, trial, ...); resumes what `store` holds.

    Args:
        seed: matrices of another seed, or of another purpose, share no draws with these.
        n_trials: matrices of each entries, shape and mu.
    """
    key = point_key(jax.random.key(seed), {"calibration": "mu"})
    grid = {"entries": tuple(entries), "mu": tuple(mu)}
    return {
        (N, M): sweep(
            measure,
            {**grid, "N": (N,), "M": (M,)},
            key=key,
            n_trials=n_trials,
            block=50,
            store=store,
            progress=f"{N} x {M}" if progress else False,
        )
        for N, M in shapes
    }
