"""fit_tail, its result and its status codes; each method of fitting has a file of its own beside this one."""

from abc import abstractmethod
from enum import IntEnum

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rmt.spectra import Spectrum

MIN_POINTS = 10
"""Fewer points than this are not fitted: with nine, the search over xmin ends on two or three of them."""


class Status(IntEnum):
    """Why a fit is or is not there; every code but OK comes with NaN results."""

    OK = 0
    TOO_FEW = 1
    NON_FINITE = 2
    NON_POSITIVE = 3
    CONSTANT = 4

    @property
    def remedy(self) -> str:
        """Cause and cure in one line."""
        return _REMEDIES[self]


_REMEDIES = {
    Status.OK: "fitted",
    Status.TOO_FEW: f"fewer than {MIN_POINTS} positive values: no tail can be fitted; use a larger matrix or sample",
    Status.NON_FINITE: "NaN or infinite values in the data: remove or repair them first",
    Status.NON_POSITIVE: "zeros or negative values in the data: a power law has positive support; select the positive ones",
    Status.CONSTANT: "all values are equal: there is no tail",
}


class TailFit(eqx.Module):
    """A fitted power-law tail rho(x) ~ x^-alpha on [xmin, inf); fields gain a batch axis under `vmap`.

    Attributes:
        alpha: exponent of the density.
        stderr: (alpha - 1) / sqrt(n_tail), the standard error given xmin.
        xmin: start of the tail, one of the data values, in their units.
        xmax: largest data value.
        ks: Kolmogorov-Smirnov distance D between the tail and the fit, at xmin.
        n_tail: number of values >= xmin.
        status: a `Status` code; unless OK the other fields are NaN and n_tail is 0.
    """

    alpha: Float[Array, "*batch"]
    stderr: Float[Array, "*batch"]
    xmin: Float[Array, "*batch"]
    xmax: Float[Array, "*batch"]
    ks: Float[Array, "*batch"]
    n_tail: Int[Array, "*batch"]
    status: Int[Array, "*batch"]

    def interval(self, level: float = 0.95) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
        """alpha -+ z stderr, the normal interval *given xmin*.

        Accuracy: it ignores that xmin was chosen from the data, so it covers less than `level`: on exact Pareto data with
            alpha = 2.5, nominal 95 % covers about 90, 89 and 84 % at n = 50, 200 and 1000 (`tests/test_tails.py` replays
            the middle one). On a spectrum, whose eigenvalues repel, it is a rough scale and no more.
        """
        if not 0 < level < 1:
            raise ValueError(f"interval(level) needs 0 < level < 1, got {level}")
        z = jax.scipy.stats.norm.ppf(0.5 + level / 2)
        return self.alpha - z * self.stderr, self.alpha + z * self.stderr


class Method(eqx.Module):
    """A way to choose xmin and estimate alpha on sorted data."""

    @abstractmethod
    def estimate(
        self, x: Float[Array, " n"], usable: Bool[Array, " n"]
    ) -> tuple[Int[Array, ""], Float[Array, ""], Float[Array, ""]]:
        """From ascending `x`: the index of xmin, alpha and the KS distance; xmin must be one of the `usable` values."""


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
    from rmt.tails.clauset import Clauset

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
