"""Student's t: symmetric entries with a smooth density and a power-law tail."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import betainc, gammaln
from jaxtyping import Array, Float

from rmt.laws.base import SymmetricLaw, bisect, check_parameter, implicit_size, parameter


class StudentT(SymmetricLaw):
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
    def tail_constant(self) -> Float[Array, ""]:
        """df^(df/2)/((df/2) B(df/2, 1/2))."""
        return jnp.exp(self._log_constant)

    @property
    def _log_constant(self) -> Array:
        log_beta = gammaln(self.df / 2) + jnp.log(jnp.pi) / 2 - gammaln((self.df + 1) / 2)
        return self.df / 2 * jnp.log(self.df) - log_beta + jnp.log(2 / self.df)

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

    def _log_abs_sf(self, t: Array) -> Array:
        """log I_z(df/2, 1/2), z = df/(df + t^2), an incomplete beta function; both ends by the first term of its series."""
        a, square = self.df / 2, t * t / self.df
        near, far = square < 1e-12 / (self.df + 1), square > 1e18
        size = jnp.where(near | far, jnp.sqrt(self.df), t)
        middle = jnp.log(betainc(a, 0.5, self.df / (self.df + size * size)))
        log_at_zero = self._logpdf(jnp.zeros_like(t)) + jnp.log(2.0)
        first = jnp.log1p(-jnp.exp(log_at_zero) * jnp.where(near, t, 0.0))
        last = self._log_constant - self.df * jnp.log(jnp.where(far, t, 1.0))
        return jnp.where(near, first, jnp.where(far, last, middle))

    def _abs_quantile(self, log_p: Array) -> Array:
        low = jnp.zeros_like(log_p)
        # In u = asinh(t), so that one bracket serves every df.
        t = jnp.sinh(bisect(lambda u: log_p - self._log_abs_sf(jnp.sinh(u)), low, jnp.full_like(low, 709.0)))
        t = jnp.where(log_p == 0, 0.0, jnp.where(log_p == -jnp.inf, jnp.inf, t))
        return implicit_size(self, t, log_p)
