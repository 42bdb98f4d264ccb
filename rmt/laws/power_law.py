"""PowerLaw: x^-alpha between two bounds, the law that a tail fit assumes first."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from rmt.laws.base import (
    PositiveLaw,
    capped,
    check_parameter,
    implicit,
    implicit_above,
    log_mean_decay,
    parameter,
    somewhere,
)


class PowerLaw(PositiveLaw):
    """Power law: density proportional to x^-alpha for xmin <= x <= xmax.

    In u = ln(x/xmin), with b = alpha - 1 and L = ln(xmax/xmin), it is an exponential cut off at L:

        P(x > t) = exp(-b u) I(L - u)/I(L),  I(l) = int_0^l exp(-b v) dv = (1 - exp(-b l))/b

    which has no singularity at alpha = 1, the log-uniform law. `Pareto(mu, signed=False)` is alpha = mu + 1, xmin = 1.

    Args:
        alpha: exponent of the density: any number with a finite xmax, > 1 without.
        xmin: lower bound, > 0.
        xmax: upper bound, > xmin; inf (the default) for none. A traced inf is as good as a static one.

    Raises:
        ValueError: xmin <= 0, xmax <= xmin, or alpha <= 1 without an xmax. Traced values go unchecked: the density is
            then 0 where it cannot be normalised.

    Accuracy: draws go through exponentials and are exact into the far tail. cdf and sf to 1e-12 relative, at either bound
        too (`tests/test_laws.py`, against SciPy and mpmath). With a finite xmax, var is a difference of moments and
        loses what they share, about 2 log10(mean/sd) digits.
    """

    alpha: Float[Array, ""] = eqx.field(converter=parameter)
    xmin: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)
    xmax: Float[Array, ""] = eqx.field(default=jnp.inf, converter=parameter)

    @property
    def tail_index(self) -> Float[Array, ""]:
        """alpha - 1; inf where there is an xmax."""
        return jnp.where(self.xmax < jnp.inf, jnp.inf, self.alpha - 1)

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """xmin^(alpha-1); NaN where there is an xmax."""
        return jnp.where(self.xmax < jnp.inf, jnp.nan, self.xmin ** (self.alpha - 1))

    @property
    def mean(self) -> Float[Array, ""]:
        """xmin (alpha-1)/(alpha-2) without an xmax, inf for alpha <= 2; with it, xmin times the ratio of two I(L)."""
        return self._moment(1)

    @property
    def var(self) -> Float[Array, ""]:
        """E[x^2] - mean^2; inf for alpha <= 3 without an xmax."""
        b, infinite = self.alpha - 1, ~(self.xmax < jnp.inf)
        heavy = infinite & (b <= 2)
        free = jnp.where(infinite & ~heavy, b, 3.0)
        without = jnp.where(heavy, jnp.inf, self.xmin**2 * free / ((free - 1) ** 2 * (free - 2)))
        bounded = eqx.tree_at(lambda law: law.xmax, self, jnp.where(infinite, 2 * self.xmin, self.xmax))
        return jnp.where(infinite, without, bounded._moment(2) - bounded._moment(1) ** 2)

    def __check_init__(self):
        check_parameter(self, "xmin")
        unbounded = somewhere(self.xmax, np.isinf)
        check_parameter(self, "alpha", 1 if unbounded else -np.inf, remedy=" without an xmax" if unbounded else "")
        if not any(isinstance(bound, Tracer) for bound in (self.xmin, self.xmax)) and not np.all(self.xmax > self.xmin):
            raise ValueError(f"PowerLaw(xmax) needs xmax > xmin, got {self.xmax} and {self.xmin}")

    def _moment(self, order: int) -> Array:
        log_ratio = self._log_norm(self.alpha - 1 - order) - self._log_norm(self.alpha - 1)
        return jnp.exp(order * jnp.log(self.xmin) + log_ratio)

    @property
    def _length(self) -> tuple[Array, Array]:
        """Whether L is finite, and L, replaced by ln 2 where it is not."""
        finite = self.xmax < jnp.inf
        return finite, _log_ratio(jnp.where(finite, self.xmax, 2 * self.xmin), self.xmin)

    def _log_norm(self, b: Array) -> Array:
        """log I(L) for the exponent b: inf where I is."""
        finite, length = self._length
        free = ~finite & (b > 0)
        unbounded = jnp.where(free, -jnp.log(jnp.where(free, b, 1.0)), jnp.inf)
        return jnp.where(finite, jnp.log(length) + log_mean_decay(b * jnp.where(finite, length, 1.0)), unbounded)

    def _inside(self, x: Array) -> tuple[Array, Array]:
        """Whether x is in the support, and x moved to xmin where it is not."""
        inside = (x >= self.xmin) & (x <= self.xmax) & (x < jnp.inf)
        return inside, jnp.where(inside, x, self.xmin)

    def _logpdf(self, x: Array) -> Array:
        inside, x = self._inside(x)
        u = _log_ratio(x, self.xmin)
        return jnp.where(inside, -jnp.log(x) - (self.alpha - 1) * u - self._log_norm(self.alpha - 1), -jnp.inf)

    def _cdf(self, x: Array) -> Array:
        inside, moved = self._inside(x)
        b, u = self.alpha - 1, _log_ratio(moved, self.xmin)
        # u stands outside the exponential: at xmin itself its logarithm would have no derivative.
        mass = capped(u * jnp.exp(log_mean_decay(b * u) - self._log_norm(b)), 1.0)
        return jnp.where(inside, mass, jnp.where(x < self.xmin, 0.0, 1.0))

    def _above(self, x: Array) -> tuple[Array, Array]:
        """For x in the support: L - u (1 without an xmax), and the log of sf without that factor."""
        finite, _ = self._length
        b, u = self.alpha - 1, _log_ratio(x, self.xmin)
        left = jnp.where(finite, _log_ratio(jnp.where(finite, self.xmax, 2 * x), x), 1.0)
        rest = jnp.where(finite, log_mean_decay(b * left) - jnp.where(finite, self._log_norm(b), 0.0), 0.0)
        return left, rest - b * u

    def _sf(self, x: Array) -> Array:
        inside, moved = self._inside(x)
        left, rest = self._above(moved)
        return jnp.where(inside, capped(left * jnp.exp(rest), 1.0), jnp.where(x < self.xmin, 1.0, 0.0))

    def _logsf(self, x: Array) -> Array:
        inside, moved = self._inside(x)
        inside = inside & (x < self.xmax)
        left, rest = self._above(jnp.where(inside, moved, self.xmin))
        return jnp.where(inside, capped(jnp.log(left) + rest, 0.0), jnp.where(x < self.xmin, 0.0, -jnp.inf))

    def _ppf(self, q: Array) -> Array:
        finite, length = self._length
        b = self.alpha - 1
        u = jnp.where(finite, length * _share(b * length, jnp.log(q)), -jnp.log1p(-q) / b)
        x = jnp.where(q == 1, self.xmax, jnp.minimum(self.xmin * jnp.exp(u), self.xmax))
        return implicit(self, x, q)

    def _quantile_above(self, log_p: Array) -> Array:
        finite, length = self._length
        b = self.alpha - 1
        # Seen from xmax downwards, it is the same law with -b.
        down = jnp.maximum(self.xmax * jnp.exp(-length * _share(-b * length, log_p)), self.xmin)
        return implicit_above(self, jnp.where(finite, down, self.xmin * jnp.exp(-log_p / b)), log_p)

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        return self._quantile_above(-jax.random.exponential(key, shape, float))


def _log_ratio(high: Array, low: Any) -> Array:
    """log(high/low) without losing the digits in which they differ."""
    return jnp.log1p((high - low) / low)


def _share(theta: Array, log_q: Array) -> Array:
    """The t in (0, 1) below which exp(-theta t) has the share q of its mass; a value, not differentiated."""
    theta, log_q = jax.lax.stop_gradient((theta, log_q))
    theta = jnp.where(theta == 0, 1e-20, theta)
    steep = theta < -500  # expm1 would overflow
    t = jnp.log1p(jnp.exp(log_q) * jnp.expm1(-jnp.where(steep, 0.0, theta)))
    return jnp.clip(-jnp.where(steep, jnp.logaddexp(0.0, log_q - theta), t) / theta, 0.0, 1.0)
