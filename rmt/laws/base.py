"""Law: a one-dimensional distribution, and the small numerical tools that laws share."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, Key


class Law(eqx.Module):
    """A one-dimensional distribution: sample it, or evaluate it elementwise.

    The parameters are array leaves, so a traced parameter recompiles nothing and `jax.vmap` batches a law as it
    batches an array. Every method is elementwise, jit-able and differentiable; a NaN argument gives NaN.

    To add a law, write `_draw`, `_logpdf`, `_cdf`, `_sf`, `_ppf`, `mean` and `var` in a file of its own; `_logsf` and
    `_quantile_above` too where a closed form keeps them exact below the smallest float64.
    """

    def sample(self, key: Key[Array, ""], shape: tuple[int, ...] = (), dtype: Any = float) -> Float[Array, "*shape"]:
        """Independent draws.

        Args:
            key: a `jax.random.key`, used up by this call.
            shape: the shape of the result.
            dtype: a floating dtype, float64 by default. Draws are made in float64 and then rounded, because 32-bit
                uniforms sit on a lattice of 2^-23 that cuts heavy tails off; what is beyond the range of `dtype`
                becomes its largest number.

        Raises:
            ValueError: `dtype` is not floating.
        """
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(f"sample(dtype=...) needs a floating dtype, got {np.dtype(dtype)}")
        return _sample(self, key, tuple(shape), np.dtype(dtype))

    def logpdf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Natural logarithm of the density at x; -inf outside the support."""
        return _evaluate(self, "_logpdf", jnp.asarray(x, float))

    def pdf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Density at x."""
        return jnp.exp(self.logpdf(x))

    def cdf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """P(w <= x)."""
        return _evaluate(self, "_cdf", jnp.asarray(x, float))

    def sf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """P(w > x), without the cancellation of 1 - cdf."""
        return _evaluate(self, "_sf", jnp.asarray(x, float))

    def logsf(self, x: ArrayLike) -> Float[Array, "*batch"]:
        """Natural logarithm of sf(x)."""
        return _evaluate(self, "_logsf", jnp.asarray(x, float))

    def ppf(self, q: ArrayLike) -> Float[Array, "*batch"]:
        """The smallest x with cdf(x) >= q; NaN for q outside [0, 1]."""
        q = jnp.asarray(q, float)
        return _evaluate(self, "_ppf", jnp.where((q >= 0) & (q <= 1), q, jnp.nan))

    def isf(self, p: ArrayLike) -> Float[Array, "*batch"]:
        """The x with sf(x) = p, as far into the upper tail as p can be written; NaN for p outside [0, 1]."""
        p = jnp.asarray(p, float)
        return _evaluate(self, "_isf", jnp.where((p >= 0) & (p <= 1), p, jnp.nan))

    def abs_sf(self, t: ArrayLike) -> Float[Array, "*batch"]:
        """P(|w| > t) = sf(t) + P(w < -t), exact in relative terms however small; 1 for t < 0."""
        return _evaluate(self, "_abs_sf", jnp.asarray(t, float))

    def abs_isf(self, p: ArrayLike) -> Float[Array, "*batch"]:
        """inf{t >= 0: P(|w| > t) <= p}, at p = 1 the smallest |w|; NaN for p outside [0, 1].

        The largest of N M entries is of the size b = abs_isf(1/(N M)), (N M)^(1/mu) for the unit Pareto law.
        """
        p = jnp.asarray(p, float)
        return _evaluate(self, "_abs_isf", jnp.where((p >= 0) & (p <= 1), p, jnp.nan))

    @property
    def tail_index(self) -> Float[Array, ""]:
        """mu of P(|w| > t) ~ t^-mu; inf when every moment exists."""
        return jnp.asarray(jnp.inf)

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """k = lim t^mu P(|w| > t) for mu the tail index; NaN where that is inf, or no constant is known."""
        return jnp.asarray(jnp.nan)

    @property
    @abstractmethod
    def mean(self) -> Float[Array, ""]:
        """E[w]; inf where it diverges, NaN where it does not exist."""

    @property
    @abstractmethod
    def var(self) -> Float[Array, ""]:
        """E[(w - mean)^2]; inf where it diverges, NaN where the mean does not exist."""

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Draws in float64. By inversion unless a law knows better: good for bounded and light-tailed laws only."""
        return self._ppf(jax.random.uniform(key, shape, float, minval=jnp.finfo(float).tiny))

    @abstractmethod
    def _logpdf(self, x: Array) -> Array: ...

    @abstractmethod
    def _cdf(self, x: Array) -> Array: ...

    @abstractmethod
    def _sf(self, x: Array) -> Array: ...

    @abstractmethod
    def _ppf(self, q: Array) -> Array: ...

    def _logsf(self, x: Array) -> Array:
        """As deep as `_sf`, which is to say to about -700, unless a law knows better."""
        return log_or_never(self._sf(x))

    def _isf(self, p: Array) -> Array:
        return self._quantile_above(jnp.log(p))

    def _abs_sf(self, t: Array) -> Array:
        size = jnp.maximum(t, 0.0)
        return jnp.where(t < 0, 1.0, self._sf(size) + self._cdf(-size))

    def _log_abs_sf(self, t: Array) -> Array:
        return log_or_never(self._abs_sf(t))

    def _log_abs_pdf(self, t: Array) -> Array:
        """log of the density of |w| at t >= 0."""
        return jnp.logaddexp(self._logpdf(t), self._logpdf(-t))

    def _abs_isf(self, p: Array) -> Array:
        return self._abs_quantile(jnp.log(p))

    def _abs_quantile(self, log_p: Array) -> Array:
        """The t with log P(|w| > t) = log_p <= 0. By bisection in asinh(t) unless a law knows better."""
        largest = jnp.maximum(self._ppf(jnp.ones_like(log_p)), -self._ppf(jnp.zeros_like(log_p)))

        def low_enough(u: Array) -> Array:
            log_sf = self._log_abs_sf(jnp.sinh(u))
            return jnp.where((log_sf <= log_p) & (log_sf < 0), 1.0, -1.0)

        t = jnp.sinh(bisect(low_enough, jnp.zeros_like(log_p), jnp.full_like(log_p, jnp.arcsinh(1e300))))
        return implicit_size(self, jnp.where(log_p == -jnp.inf, largest, t), log_p)

    def _quantile_above(self, log_p: Array) -> Array:
        """The x with logsf(x) = log_p <= 0: `ppf` for the upper tail. By bisection in asinh(x) unless a law knows better."""
        first, last = (self._ppf(jnp.full_like(log_p, q)) for q in (0.0, 1.0))
        low, high = (jnp.arcsinh(jnp.clip(end, -1e300, 1e300)) for end in (first, last))
        x = jnp.sinh(bisect(lambda u: log_p - self._logsf(jnp.sinh(u)), low, high))
        x = jnp.where(log_p == 0, first, jnp.where(log_p == -jnp.inf, last, x))
        return implicit_above(self, x, log_p)


class SurvivalLaw(Law):
    """A law given by `_logsf` and its inverse `_quantile_above`: what its sf, cdf and ppf are then."""

    @abstractmethod
    def _logsf(self, x: Array) -> Array: ...

    @abstractmethod
    def _quantile_above(self, log_p: Array) -> Array: ...

    def _sf(self, x: Array) -> Array:
        return jnp.exp(self._logsf(x))

    def _cdf(self, x: Array) -> Array:
        return -jnp.expm1(self._logsf(x))

    def _ppf(self, q: Array) -> Array:
        return self._quantile_above(jnp.log1p(-q))


class PositiveLaw(Law):
    """A law on w >= 0, where |w| is w."""

    def _abs_sf(self, t: Array) -> Array:
        return jnp.where(t < 0, 1.0, self._sf(jnp.maximum(t, 0.0)))

    def _log_abs_sf(self, t: Array) -> Array:
        return self._logsf(t)

    def _log_abs_pdf(self, t: Array) -> Array:
        return self._logpdf(t)

    def _abs_quantile(self, log_p: Array) -> Array:
        return self._quantile_above(log_p)


class SymmetricLaw(Law):
    """A law with w and -w alike, given by `_log_abs_sf` on t >= 0 and its inverse `_abs_quantile`: what the rest is then."""

    @abstractmethod
    def _log_abs_sf(self, t: Array) -> Array: ...

    @abstractmethod
    def _abs_quantile(self, log_p: Array) -> Array: ...

    def _abs_sf(self, t: Array) -> Array:
        return jnp.where(t < 0, 1.0, jnp.exp(self._log_abs_sf(jnp.maximum(t, 0.0))))

    def _log_abs_pdf(self, t: Array) -> Array:
        return self._logpdf(t) + jnp.log(2.0)

    def _cdf(self, x: Array) -> Array:
        return self._sf(-x)

    def _sf(self, x: Array) -> Array:
        half = jnp.exp(self._log_abs_sf(_size(x))) / 2
        return jnp.where(x < 0, 1 - half, half)

    def _logsf(self, x: Array) -> Array:
        log_size = self._log_abs_sf(_size(x))
        return jnp.where(x < 0, jnp.log1p(-jnp.exp(log_size) / 2), log_size - jnp.log(2.0))

    def _ppf(self, q: Array) -> Array:
        size = self._abs_quantile(jnp.log(2 * jnp.minimum(q, 1 - q)))
        return jnp.where(q > 0.5, size, -size)

    def _quantile_above(self, log_p: Array) -> Array:
        upper = log_p < -jnp.log(2.0)
        lower = jnp.log(-jnp.expm1(jnp.where(upper, -1.0, log_p)))
        size = self._abs_quantile(jnp.minimum(jnp.where(upper, log_p, lower) + jnp.log(2.0), 0.0))
        return jnp.where(upper, size, -size)


def _size(x: Array) -> Array:
    """|x|, with the derivative 1 at 0, where `_sf` above takes the upper half."""
    return jnp.where(x < 0, -x, x)


# Both are compiled, so that a call outside jit costs one compilation a family of laws and a shape, and not one a step.


@partial(jax.jit, static_argnames=("shape", "dtype"))
def _sample(law: Law, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    largest = float(jnp.finfo(dtype).max)
    return jnp.clip(law._draw(key, shape), -largest, largest).astype(dtype)


@partial(jax.jit, static_argnames="method")
def _evaluate(law: Law, method: str, x: Array) -> Array:
    valid = ~jnp.isnan(x)
    return jnp.where(valid, getattr(law, method)(jnp.where(valid, x, 0.5)), jnp.nan)


_ROOT_HALF = int(np.sqrt(0.5).view(np.int64))


def signed_exponential(key: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Unit exponential draws and independent fair signs, from one 64-bit word each: half the time of two draws.

    -log of a uniform on a lattice of 2^-63 that float64 resolves near 0, so that the largest draw is 43.7, which is reached
    once in 10^19, and the far tail has no steps.
    """
    words = jax.random.bits(key, shape, jnp.uint64)
    uniform = ((words >> 1) | 1).astype(jnp.int64).astype(float) * 2.0**-63  # as int64, which is faster to convert
    return -uniform_log(uniform), jnp.where(words & 1 == 0, -1.0, 1.0)


def uniform_log(x: Array) -> Array:
    """log x of normal float64 x > 0, to 5e-16 relative: on a CPU jnp.log takes one at a time, and this four times less."""
    bits = lax.bitcast_convert_type(x, jnp.int64)
    exponent = (bits - _ROOT_HALF) >> 52  # x = 2^exponent m, sqrt(1/2) <= m < sqrt 2
    m = lax.bitcast_convert_type(bits - (exponent << 52), float)
    z = (m - 1) / (m + 1)  # log m = 2 artanh z
    series = jnp.polyval(1.0 / jnp.arange(21, 1, -2), z**2, unroll=10)
    return exponent.astype(float) * np.log(2) + 2 * z * (1 + z**2 * series)


def parameter(value: ArrayLike) -> Array:
    """Converter of a law's parameters: a float64 array, so that 1, 1.0 and a traced value compile to the same program."""
    return jnp.asarray(value, float)


def check_parameter(owner: object, name: str, low: float = 0.0, closed: bool = False, remedy: str = "") -> None:
    """Raise ValueError unless a parameter is finite and > low, or >= low if `closed`; a traced value goes unchecked."""
    value = getattr(owner, name)
    if somewhere(value, lambda v: ~(np.isfinite(v) & ((v >= low) if closed else (v > low)))):
        condition = f"a finite {name}" + (f" {'>=' if closed else '>'} {low:g}" if low > -np.inf else "")
        raise ValueError(f"{type(owner).__name__}({name}) needs {condition}, got {value}{remedy}")


def somewhere(value: ArrayLike, condition: Callable[[np.ndarray], Any]) -> bool:
    """Whether a condition on a parameter holds anywhere, as far as is known: of a traced value nothing is."""
    return not isinstance(value, Tracer) and bool(np.any(condition(np.asarray(value))))


def check_law(name: str, law: object, example: str) -> None:
    """Raise ValueError unless the law that `name` is made of is one."""
    if not isinstance(law, Law):
        raise ValueError(f"{name}(law) needs a law such as {example}, got {law!r}")


def bisect(rising: Callable[[Array], Array], low: Array, high: Array, steps: int = 64) -> Array:
    """Where a monotone function becomes positive, elementwise on [low, high], to (high - low)/2^steps.

    A fixed number of halvings, so that it compiles once and batches. Not differentiated: see `implicit`.
    """

    def halve(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) / 2
        up = rising(middle) > 0
        return jnp.where(up, low, middle), jnp.where(up, middle, high)

    low, high = jax.lax.fori_loop(0, steps, halve, (low, high))
    return jax.lax.stop_gradient((low + high) / 2)


def implicit(law: Law, x: Array, q: Array) -> Array:
    """The quantile x of q as a differentiable function of q and of the law's parameters.

    A Newton step from x, held fixed: d/dq gives 1/pdf and d/dparameter gives -(d cdf/d parameter)/pdf.
    """
    x = jax.lax.stop_gradient(x)
    slope = jax.lax.stop_gradient(law.pdf(x))
    return attached(x, law.cdf(x) - q, slope, (slope > 0) & (slope < jnp.inf))


def implicit_above(law: Law, x: Array, log_p: Array) -> Array:
    """As `implicit`, for the x with logsf(x) = log_p: it still works where the density underflows."""
    x = jax.lax.stop_gradient(x)
    hazard = jax.lax.stop_gradient(jnp.exp(law.logpdf(x) - law.logsf(x)))
    interior = (hazard > 0) & (hazard < jnp.inf)
    return attached(x, jnp.where(interior, log_p, 0.0) - law.logsf(x), hazard, interior)


def implicit_size(law: Law, t: Array, log_p: Array) -> Array:
    """As `implicit_above`, for the t >= 0 with log P(|w| > t) = log_p."""
    t = jax.lax.stop_gradient(t)
    log_sf = law._log_abs_sf(t)
    hazard = jax.lax.stop_gradient(jnp.exp(law._log_abs_pdf(t) - log_sf))
    interior = (hazard > 0) & (hazard < jnp.inf)
    gap = jnp.where(interior, jnp.where(interior, log_p, 0.0) - log_sf, 0.0)
    return attached(t, gap, hazard, interior)


def attached(root: Array, gap: Array, slope: Array, where: Array | bool = True) -> Array:
    """A root of a rising function of x, held fixed, as a differentiable function of all else that the gap depends on.

    It gets the derivatives of a Newton step, root - gap/slope, and keeps its value.

    Args:
        root: where the gap is zero.
        gap: the function there.
        slope: its slope there.
        where: where there is a slope to divide by; elsewhere the root stays without derivatives.
    """
    slope = jnp.where(where, jax.lax.stop_gradient(slope), 1.0)
    return root - jnp.where(where, (gap - jax.lax.stop_gradient(gap)) / slope, 0.0)


def derivative(function: Callable[[Array], Array], x: Array) -> Array:
    """That of an elementwise function at each x."""
    return jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def log_or_never(mass: Array) -> Array:
    """log of a probability, -inf at 0 with derivative 0."""
    return jnp.where(mass > 0, jnp.log(jnp.where(mass > 0, mass, 1.0)), -jnp.inf)


def capped(value: Array, bound: float) -> Array:
    """A value that only rounding can bring above the bound: min(value, bound) with the derivative of the value."""
    return value - jax.lax.stop_gradient(jnp.maximum(value - bound, 0.0))


def log_mean_decay(theta: Array) -> Array:
    """log of the mean of exp(-theta t) over 0 < t < 1, which is log((1 - exp(-theta))/theta), for finite theta of any sign.

    Near 0 by its Bernoulli series, so that it is smooth there, with derivatives free of cancellation.
    """
    near = jnp.abs(theta) < 0.5
    even = jnp.polyval(jnp.array(_BERNOULLI), jnp.where(near, theta, 0.0) ** 2, unroll=len(_BERNOULLI))
    size = jnp.where(near, 1.0, jnp.abs(theta))
    far = jnp.log(-jnp.expm1(-size) / size) + jnp.maximum(-theta, 0.0)
    return jnp.where(near, even - theta / 2, far)


# B_2k / (2k (2k)!) for k = 6 ... 0, the coefficients of log(sinh(theta/2) / (theta/2)) in theta^2.
_BERNOULLI = (-691 / 15692092416000, 1 / 479001600, -1 / 9676800, 1 / 181440, -1 / 2880, 1 / 24, 0.0)
