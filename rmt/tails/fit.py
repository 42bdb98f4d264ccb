"""fit_tail: the one door to every method of fitting; checks the data, runs the method, puts a status on the result."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from rmt.batching import row_by_row
from rmt.spectra import Spectrum
from rmt.spectra.base import svd_floor
from rmt.tails.base import MIN_POINTS, Method, Sample, Status, TailFit, failed, graver, log_ratio
from rmt.tails.clauset import Clauset

_SHORTEST = 1024
"""One set of fewer values is fitted as if it had so many, by one program for all of them: its fit takes less than the call."""


def fit_tail(
    data: Spectrum | Float[Array, "*batch n"],
    method: Method | None = None,
    mask: Bool[Array, "*batch n"] | None = None,
) -> TailFit:
    """Fit a law, rho(x) ~ x^-alpha by default, to the upper tail of a spectrum or of any array of positive values.

    Args:
        data: a `Spectrum`; or a 1-D array in any order and unit; or, with a mask, a padded batch (rows, n) of such arrays.
            A batched Spectrum is fitted row by row, and `jax.vmap(rmt.fit_tail)` works too. float32 stays float32, half
            precision becomes float32, integers float64. Eigenvalues that are zero to within their error, up to the Spectrum's
            `floor`, are below every xmin and noted in the status; a zero in an array is refused by status.
        method: how to fit; `Clauset()` by default.
        mask: True where a value counts, False for padding, of the shape of the data.

    Returns:
        TailFit, with a leading axis for a batch. Data that cannot be fitted give NaN and a `Status`, never an exception, so
        one bad row ends no batch.

    Raises:
        ValueError: `data` has the wrong shape or is not real, or `method` is not a method.

    Accuracy: padding, masks and batches change no bit of a fit; the same data in another order neither
        (`tests/test_tails.py`).
    """
    return on_samples(refit, data, Clauset() if method is None else method, mask, _SHORTEST)


def on_samples(
    function: Callable[[Method, Sample, Any], Any], data, method: Method, mask=None, shortest: int = 0
) -> Any:
    """function(method, sample, status) of the sorted and checked data, row by row for a batch, compiled.

    The status is OK or a failure; for a failure the sample is of harmless numbers, since rows of a batch run alike. It is
    RANK_COLLAPSE where eigenvalues were left out. One set alone is padded to at least `shortest` values.
    """
    if not isinstance(method, Method):
        raise ValueError(f"method must be a method of fitting such as rmt.Clauset(), got {method!r}")
    N = data.N if isinstance(data, Spectrum) else None
    x = data.eigenvalues if isinstance(data, Spectrum) else data
    x, mask, ascending = _checked(x, mask, N is not None)
    known = isinstance(data, Spectrum) and data.error is not None
    floor = data.floor if known else np.full(x.shape[:-1], np.nan)
    if not isinstance(x, Tracer) and not isinstance(mask, Tracer):
        x, mask, ascending = _padded(x, mask, shortest if x.ndim == 1 else 0)
    # Not static: one program fits spectra of any number of rows.
    return _rows(function, x, mask, floor, method, None if N is None else np.asarray(N, x.dtype), ascending)


def _checked(x, mask, is_spectrum: bool):
    """Array and mask of one shape, as what they are (a host array stays on the host), and whether they are in order."""
    x = x if isinstance(x, jax.Array) else np.asarray(x)
    if x.ndim != 1 and mask is None and not is_spectrum:
        raise ValueError(
            f"fit_tail needs a Spectrum or a 1-D array, got shape {x.shape}; use rmt.spectrum(W) for a weight matrix, and for a"
            " batch of data sets pass a mask (all True if nothing is padding)"
        )
    if mask is not None and np.shape(mask) != x.shape:
        raise ValueError(f"fit_tail(mask=...) needs the shape of the data, {x.shape}, got {np.shape(mask)}")
    if x.dtype.kind == "c":
        raise ValueError(f"fit_tail needs real values, got dtype {x.dtype}")
    if not jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.kind not in "biu":
        raise ValueError(f"fit_tail needs numbers, got dtype {x.dtype}")
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32 if x.dtype.itemsize == 2 and x.dtype.kind not in "biu" else np.float64)
    if x.shape[-1] == 0:
        return jnp.ones((*x.shape[:-1], 1), x.dtype), np.zeros((*x.shape[:-1], 1), bool), True
    return x, np.ones(x.shape, bool) if mask is None else mask, is_spectrum and mask is None


def _padded(x, mask, shortest: int):
    """Length rounded up to one of eight an octave, so that data of like sizes share a compiled program; and whether sorted.

    Sorts on the host what is on the host: XLA's sort of 100,000 values takes as long as their whole fit.
    """
    n = max(x.shape[-1], shortest)
    unit = 2 ** max(3, (n - 1).bit_length() - 4)
    n += -n % unit
    width = [(0, 0)] * (x.ndim - 1) + [(n - x.shape[-1], 0)]
    if isinstance(x, jax.Array) and any(device.platform != "cpu" for device in x.devices()):
        return jnp.pad(x, width), jnp.pad(jnp.asarray(mask), width), False
    x, mask = np.asarray(x), np.asarray(mask)
    return np.pad(np.sort(np.where(mask, x, -np.inf), axis=-1), width), np.pad(np.sort(mask, axis=-1), width), True


@eqx.filter_jit
def _rows(function, x, mask, floor, method: Method, N: Float[ArrayLike, ""] | None, ascending: bool) -> Any:
    def one(x, mask, floor, method, N, function):
        return function(method, *_sample(x, mask, floor, N, ascending))

    rows = row_by_row(one)
    for _ in range(x.ndim - 1):
        rows = eqx.filter_vmap(rows, in_axes=(0, 0, 0, None, None, None))
    return rows(x, mask, floor, method, N, function)


def _sample(
    x: Float[Array, " n"], mask: Bool[Array, " n"], floor: Float[Array, ""], N: Float[Array, ""] | None, ascending: bool
) -> tuple[Sample, Int[Array, ""]]:
    n = x.shape[0]
    x = x if ascending else jnp.sort(jnp.where(mask, x, -jnp.inf))
    at = jnp.arange(n)
    start = n - jnp.sum(mask)
    bad = jnp.any((at >= start) & ~jnp.isfinite(x))
    collapsed = bad_sign = jnp.zeros((), bool)
    if N is not None:
        floor = jnp.where(jnp.isnan(floor), svd_floor(x[-1], N), floor)
        bad_sign = jnp.any((at >= start) & (x < -floor))
        negligible = (at >= start) & (jnp.abs(x) <= floor)
        collapsed = jnp.any(negligible)
        start = start + jnp.sum(negligible)
    first = jnp.where(bad_sign, -1, x[jnp.minimum(start, n - 1)])
    status = jnp.select(
        [start == n, bad, first <= 0, n - start < MIN_POINTS, first == x[-1], collapsed],
        [Status.TOO_FEW, Status.NON_FINITE, Status.NON_POSITIVE, Status.TOO_FEW, Status.CONSTANT, Status.RANK_COLLAPSE],
        Status.OK,
    )
    ok = ~failed(status)
    x = jnp.where(ok, jnp.where(at >= start, x, 0), at + 1)
    start = jnp.where(ok, start, 0)
    return Sample(x, log_ratio(jnp.where(at >= start, x, x[start]), x[start]), start, N), status


def refit(method: Method, sample: Sample, status: Int[Array, ""] | int = Status.OK) -> TailFit:
    """The method's fit, with the graver of the data's status and its own, and with NaN for the numbers of a failure."""
    fit = method.fit(sample)
    # Data that cannot be fitted were replaced by harmless numbers, of which the method's status says nothing.
    status = jnp.where(failed(status), status, graver(status, fit.status)).astype(int)

    def erased(a):
        return jnp.where(failed(status), jnp.nan if jnp.issubdtype(a.dtype, jnp.floating) else 0, a)

    return eqx.tree_at(lambda f: f.status, jax.tree.map(erased, fit), status)
