"""fit_tail: the one door to every method of fitting; checks the data, runs the method, puts a status on the result."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rmt.spectra import Spectrum
from rmt.tails.base import MIN_POINTS, Method, Status, TailFit
from rmt.tails.clauset import Clauset


def fit_tail(data: Spectrum | Float[Array, " n"], method: Method | None = None) -> TailFit:
    """Fit rho(x) ~ x^-alpha to the upper tail of a spectrum or of any 1-D array of positive values.

    Args:
        data: a `Spectrum`, or a 1-D array in any order and unit. float32 stays float32; integers become float64. Batches go
            through `jax.vmap(rmt.fit_tail)`. Eigenvalues that are exactly zero are below every xmin; a zero in an array is
            refused by status.
        method: how to fit; `Clauset()` by default.

    Returns:
        TailFit. Data that cannot be fitted give NaN and a `Status`, never an exception, so one bad trial ends no sweep.

    Raises:
        ValueError: `data` is not one-dimensional or not real.
    """
    method = Clauset() if method is None else method
    if not isinstance(method, Method):
        raise ValueError(f"fit_tail(method=...) needs a method such as rmt.Clauset(), got {method!r}")
    is_spectrum = isinstance(data, Spectrum)
    x = jnp.asarray(data.eigenvalues if is_spectrum else data)
    if x.ndim != 1:
        raise ValueError(
            f"fit_tail needs a Spectrum or a 1-D array, got shape {x.shape}; use rmt.spectrum(W) for a weight matrix and"
            " jax.vmap(rmt.fit_tail) for a batch"
        )
    if jnp.iscomplexobj(x):
        raise ValueError(f"fit_tail needs real values, got dtype {x.dtype}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(float)
    return _fit(x, method, is_spectrum)


@eqx.filter_jit
def _fit(x: Float[Array, " n"], method: Method, zeros_allowed: bool) -> TailFit:
    n = x.shape[0]
    if n < MIN_POINTS:
        return _failed(x, jnp.asarray(Status.TOO_FEW))
    x = jnp.sort(x)
    positive = x > 0
    status = jnp.select(
        [
            ~jnp.all(jnp.isfinite(x)),
            jnp.any(x < 0) | (jnp.any(x == 0) & (not zeros_allowed)),
            jnp.sum(positive) < MIN_POINTS,
            jnp.max(x, where=positive, initial=-jnp.inf) == jnp.min(x, where=positive, initial=jnp.inf),
        ],
        [Status.NON_FINITE, Status.NON_POSITIVE, Status.TOO_FEW, Status.CONSTANT],
        Status.OK,
    )
    ok = status == Status.OK
    # Failed rows still run through the batched search: give them harmless numbers, and NaN afterwards.
    safe = jnp.where(ok, x, jnp.arange(1, n + 1, dtype=x.dtype))
    usable = safe > 0
    first = jnp.concatenate([jnp.ones(1, bool), safe[1:] > safe[:-1]])
    i, alpha, ks = method.estimate(safe, usable & first & (safe < safe[-1]))
    n_tail = n - i
    stderr = (alpha - 1) / jnp.sqrt(n_tail)
    fit = TailFit(alpha, stderr, safe[i], safe[-1], ks, n_tail, status)
    return jax.tree.map(lambda good, bad: jnp.where(ok, good, bad), fit, _failed(x, status))


def _failed(x: Float[Array, " n"], status: Int[Array, ""]) -> TailFit:
    nan = jnp.full((), jnp.nan, x.dtype)
    return TailFit(nan, nan, nan, nan, nan, jnp.zeros((), int), status.astype(int))
