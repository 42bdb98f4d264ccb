"""ExpTruncatedPowerLaw: a power law that an exponential cuts off."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rmt.laws.base import (
    PositiveLaw,
    SurvivalLaw,
    bisect,
    capped,
    check_parameter,
    implicit_above,
    log_mean_decay,
    parameter,
    somewhere,
)


class ExpTruncatedPowerLaw(SurvivalLaw, PositiveLaw):
    """Power law with an exponential cutoff: density x^-alpha exp(-rate x)/Z for x >= xmin.

    Z = xmin^(1 - alpha) E_alpha(rate xmin), with the exponential integral E_p(z) = int_1^inf exp(-z t) t^-p dt of real
    order; for alpha < 1 it is a gamma law above xmin, with shape 1 - alpha.

    Args:
        alpha: exponent, any number; > 1 if rate = 0.
        rate: of the cutoff, >= 0, in 1/units of x. 0 is the limit, `PowerLaw(alpha, xmin)`.
        xmin: lower bound, > 0.

    Raises:
        ValueError: rate < 0, xmin <= 0, or alpha <= 1 with rate = 0. Traced values go unchecked: the density is then 0
            where it cannot be normalised.

    Source: the continued fraction is DLMF 8.19.17; below z = 2 see `log_scaled_integral`.
    Accuracy: E_alpha(z) to 1e-13 relative for -5 <= alpha <= 30 and 1e-12 <= z <= 1e5, at integer alpha as elsewhere; the
        first derivatives of log E to 1e-11, the second in alpha to 1e-9 (z < 100). sf to 1e-12 relative until it
        underflows, cdf to 1e-13 absolute (`tests/test_laws.py`, against mpmath). var is a difference of moments and
        loses about 2 log10(mean/sd) digits.
        At rate = 0 and alpha <= 2 the derivative of logpdf in rate is infinite, and 1e304 stands for it.
    """

    alpha: Float[Array, ""] = eqx.field(converter=parameter)
    rate: Float[Array, ""] = eqx.field(converter=parameter)
    xmin: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    @property
    def tail_index(self) -> Float[Array, ""]:
        """Inf; alpha - 1 for rate = 0."""
        return jnp.where(self.rate > 0, jnp.inf, self.alpha - 1)

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """NaN; xmin^(alpha-1) for rate = 0."""
        return jnp.where(self.rate > 0, jnp.nan, self.xmin ** (self.alpha - 1))

    @property
    def mean(self) -> Float[Array, ""]:
        """xmin E_(alpha-1)(z)/E_alpha(z), z = rate xmin; inf for rate = 0 and alpha <= 2."""
        return self._moment(1)

    @property
    def var(self) -> Float[Array, ""]:
        """xmin^2 E_(alpha-2)(z)/E_alpha(z) - mean^2; inf for rate = 0 and alpha <= 3."""
        second = self._moment(2)
        return jnp.where(second < jnp.inf, second - jnp.where(second < jnp.inf, self._moment(1), 0.0) ** 2, jnp.inf)

    def __check_init__(self):
        check_parameter(self, "xmin")
        check_parameter(self, "rate", closed=True)
        pure = somewhere(self.rate, lambda rate: rate == 0)
        check_parameter(self, "alpha", 1 if pure else -np.inf, remedy=" with rate = 0" if pure else "")

    def _moment(self, order: int) -> Array:
        z = self.rate * self.xmin
        log_ratio = log_scaled_integral(self.alpha - order, z) - log_scaled_integral(self.alpha, z)
        return jnp.exp(order * jnp.log(self.xmin) + log_ratio)

    def _inside(self, x: Array) -> tuple[Array, Array]:
        """Whether x is in the support, and x moved to xmin where it is not."""
        inside = (x >= self.xmin) & (x < jnp.inf)
        return inside, jnp.where(inside, x, self.xmin)

    def _logpdf(self, x: Array) -> Array:
        inside, x = self._inside(x)
        cut = self.alpha * jnp.log(x / self.xmin) + self.rate * (x - self.xmin)
        norm = jnp.log(self.xmin) + log_scaled_integral(self.alpha, self.rate * self.xmin)
        return jnp.where(inside, -cut - norm, -jnp.inf)

    def _logsf(self, x: Array) -> Array:
        inside, moved = self._inside(x)
        cut = (self.alpha - 1) * jnp.log(moved / self.xmin) + self.rate * (moved - self.xmin)
        above = log_scaled_integral(self.alpha, self.rate * moved)
        log_sf = capped(above - log_scaled_integral(self.alpha, self.rate * self.xmin) - cut, 0.0)
        return jnp.where(inside, log_sf, jnp.where(x < self.xmin, 0.0, -jnp.inf))

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        return self._quantile_above(-jax.random.exponential(key, shape, float))

    def _quantile_above(self, log_p: Array) -> Array:
        at_end = (log_p == 0) | (log_p == -jnp.inf)
        # Found without derivatives, which `implicit_above` then adds.
        law, size = jax.lax.stop_gradient((self, jnp.where(at_end, 1.0, -log_p)))
        b, z = law.alpha - 1, law.rate * law.xmin
        # Both tails are above the law's: the power law, and exp(-(rate x - z)/2) once x is past the gamma's bulk.
        power = jnp.where(b > 0, size / jnp.where(b > 0, b, 1.0), jnp.inf)
        cutoff = jnp.where(z > 0, jnp.log1p((2 * size + 10 * jnp.abs(b) + 10) / jnp.where(z > 0, z, 1.0)), jnp.inf)
        high = jnp.minimum(jnp.minimum(power, cutoff), 700.0)

        def newton(_: Any, u: Array) -> Array:
            x = law.xmin * jnp.exp(u)
            log_sf = law._logsf(x)
            return jnp.clip(u + (log_sf + size) / (x * jnp.exp(law._logpdf(x) - log_sf)), 0.0, high)

        # logsf is concave in u = log(x/xmin): after a few halvings Newton steps converge quadratically.
        u = bisect(lambda u: -size - law._logsf(law.xmin * jnp.exp(u)), jnp.zeros_like(high), high, steps=16)
        u = jax.lax.fori_loop(0, 4, newton, u)
        x = jnp.where(log_p == 0, law.xmin, jnp.where(at_end, jnp.inf, law.xmin * jnp.exp(u)))
        return implicit_above(self, x, log_p)


@jax.custom_jvp
def log_scaled_integral(p: Array, z: Array) -> Array:
    """log(exp(z) E_p(z)) for z >= 0 and real p, elementwise and differentiable in both; inf where E_p(0) is.

    At z >= 2 by the continued fraction. At z < 2, with z = 2 exp(-L) and b = p - 1,

        E_p(z) = int_0^inf exp(-b u - z e^u) du = exp(-b L) E_p(2) + sum_k (-z)^k/k! int_0^L exp((k - b) u) du

    where no term is singular at an integer p and the terms share at most two digits.
    """
    return _log_scaled_integral(p, z)


@log_scaled_integral.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """d/dz below the split is 1 - E_(p-1)(z)/E_p(z): term by term, it would lose as many digits as z is small."""
    (p, z), (dp, dz) = primals, tangents
    small = z < _SPLIT
    value = log_scaled_integral(p, z)
    _, slope = jax.jvp(_log_scaled_integral, (p, z), (dp, jnp.where(small, 0.0, dz)))
    log_ratio = jnp.where(small, log_scaled_integral(p - 1, z) - value, 0.0)
    return value, slope + (1 - jnp.exp(jnp.minimum(log_ratio, 700.0))) * jnp.where(small, dz, 0.0)


@jax.jit
def _log_scaled_integral(p: Array, z: Array) -> Array:
    """The values, with derivatives in z that are good for z >= 2 only."""
    p, z = jnp.broadcast_arrays(p, z)
    b = p - 1
    beyond = _log_continued_fraction(p, jnp.where(z < _SPLIT, _SPLIT, z))
    small = (z > 0) & (z < _SPLIT)
    length = jnp.log(_SPLIT / jnp.where(small, z, 1.0))
    scale = jax.lax.stop_gradient(jnp.maximum(-b * length, 0.0))  # of the largest term: it cancels from the result

    def term(k: Array, coefficient: Array) -> Array:
        return coefficient * jnp.exp(log_mean_decay((b - k) * length) - k * length - scale)

    terms = jax.vmap(term)(jnp.arange(float(len(_TERMS))), jnp.array(_TERMS))
    total = length * terms.sum(0) + jnp.exp(beyond - _SPLIT - b * length - scale)
    series = z + scale + jnp.log(jnp.where(small, total, 1.0))
    exists = (z == 0) & (b > 0)
    at_zero = jnp.where(exists, -jnp.log(jnp.where(exists, b, 1.0)), jnp.inf)
    return jnp.where(small, series, jnp.where(z >= _SPLIT, beyond, at_zero))


_SPLIT = 2.0
_TERMS = np.cumprod(np.append(1.0, -_SPLIT / np.arange(1.0, 26)))  # (-2)^k/k!, the last one 2e-18


def _log_continued_fraction(p: Array, z: Array) -> Array:
    """log(exp(z) E_p(z)) for z >= 2: 1/(z + p - 1 p/(z + p + 2 - 2 (p + 1)/(z + p + 4 - ...))), from the 40th level up.

    The level below the last is replaced by its asymptotic form, so that 40 levels do at z = 2 what 60 would.
    """

    def level(i: int, below: Array) -> Array:
        k = _LEVELS - i
        return z + p + 2 * (k - 1) - k * (p + k - 1) / below

    half = (z + p) / 2
    return -jnp.log(jax.lax.fori_loop(0, _LEVELS, level, _LEVELS + half + jnp.sqrt(_LEVELS * z + half * half)))


_LEVELS = 40
