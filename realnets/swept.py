"""Layers of cached networks as the axis of a sweep: what experiments on real layers share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Float

from realnets.sources import cached_layers
from rmt.threads import one_blas_thread

if TYPE_CHECKING:
    import xarray as xr

NO_NETWORK = "no network"
NOT_CACHED = "no network of the zoo is cached here; `realnets zoo g2p` fetches a small one."


def layer_axis(max_entries: int | None = None, count: int | None = None) -> tuple[str, ...]:
    """`cached_layers` as the axis of a sweep, which cannot be empty: (NO_NETWORK,) where there are none."""
    return cached_layers(max_entries, count) or (NO_NETWORK,)


@contextmanager
def eagerly() -> Iterator[None]:
    """Compute at once, while a measure is being traced, what depends on its layer alone: a constant of its program.

    On one BLAS thread, as in workers: the program must be the same wherever it is traced, to the last bit.
    """
    with one_blas_thread(), jax.ensure_compile_time_eval():
        yield


def per_layer(ds: "xr.Dataset", name: str) -> Float[np.ndarray, " layer"]:
    """A number that is the layer's own, equal in every trial."""
    return per_draw(ds, name).reshape(ds.layer.size, -1)[:, 0]


def per_draw(ds: "xr.Dataset", name: str) -> Float[np.ndarray, "layer ... trial"]:
    """A number of the matrices drawn for each layer."""
    return ds[name].transpose("layer", ..., "trial").values
