"""Student's t: symmetric entries with a smooth density and a power-law tail."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import betainc, gammaln
from jaxtyping import Array, Float

from rmt.laws.base import Law, bisect, check_parameter, implicit, parameter


class StudentT(Law):
    """Student's t with df degrees of freedom: density proportional to (1 + w^2/df)^(-(df+1)/2), tail index df.

    Args:
        df: degrees of freedom, > 0.

    Raises:
        ValueError: df <= 0.

    Source: draws by R. W. Bailey, Math. Comp. 62 (1994) 779: w = sqrt(df (e^(2E/df) - 1)) cos(2 pi U) with E a unit
        exponential, exact into the far tail and several times faster than a ratio with a gamma variate.
    Accuracy: cdf and sf to 1e-12 relative (`tests/test_laws.py`, against SciPy). Their derivative in df is not known to
        JAX, which says so when it is asked for; logpdf has both derivatives.
    """

    df: Float[Array, ""] = eqx.field(converter=parameter)

    @property
    def tail_index(self) -> Float[Array, ""]:
        """df."""
        return self.df

    @property
    def mean(self) -> Float[Array, ""]:
        """0, and NaN for df <= 1."""
        return jnp.where(self.df > 1, 0.0, jnp.nan)

    @property
    def var(self) -> Float[Array, ""]:
        """df/(df-2), inf for df <= 2 and NaN for df <= 1."""
        df = jnp.where(self.df > 2, self.df, 3.0)
        return jnp.where(self.df > 2, df / (df - 2), jnp.where(self.df > 1, jnp.inf, jnp.nan))

    def __check_init__(self):
        check_parameter(self, "df")

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        radius_key, angle_key = jax.random.split(key)
        radius = jnp.sqrt(self.df * jnp.expm1(2 * jax.random.exponential(radius_key, shape, float) / self.df))
        return radius * jnp.cos(2 * jnp.pi * jax.random.uniform(angle_key, shape, float))

    def _logpdf(self, x: Array) -> Array:
        norm = gammaln((self.df + 1) / 2) - gammaln(self.df / 2) - jnp.log(jnp.pi * self.df) / 2
        return norm - (self.df + 1) / 2 * jnp.log1p(x * x / self.df)

    def _upper(self, size: Array) -> Array:
        """P(w > size) for size >= 0, as an incomplete beta function: half of I_z(df/2, 1/2), z = df/(df + size^2)."""
        return betainc(self.df / 2, 0.5, self.df / (self.df + size * size)) / 2

    def _cdf(self, x: Array) -> Array:
        upper = self._upper(jnp.abs(x))
        return jnp.where(x < 0, upper, 1 - upper)

    def _sf(self, x: Array) -> Array:
        upper = self._upper(jnp.abs(x))
        return jnp.where(x < 0, 1 - upper, upper)

    def _ppf(self, q: Array) -> Array:
        tail = jax.lax.stop_gradient(jnp.minimum(q, 1 - q))
        # In u = asinh(size), so that one bracket serves every df: beyond 350 the square of the size overflows.
        size = jnp.sinh(bisect(lambda u: tail - self._upper(jnp.sinh(u)), jnp.zeros_like(q), jnp.full_like(q, 350.0)))
        size = jnp.where(tail > 0, size, jnp.inf)
        return implicit(self, jnp.where(q > 0.5, size, -size), q)
