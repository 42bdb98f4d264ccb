"""The Marchenko-Pastur law: eigenvalues of W^T W / N for entries of finite variance."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rmt.laws.base import PositiveLaw, bisect, check_parameter, implicit, implicit_above, parameter


class MarchenkoPastur(PositiveLaw):
    """Marchenko-Pastur: rho(x) = Q sqrt((lambda_plus - x)(x - lambda_minus)) / (2 pi sigma^2 x) between its edges.

    The limit, as N grows, of the eigenvalues of W^T W / N for W of size N x M, Q = N/M, with iid centred entries of
    variance sigma^2. At Q = 1 the density diverges as x^(-1/2) at lambda_minus = 0. For Q < 1, M - N eigenvalues are 0:
    the law has the mass 1 - Q there, which cdf, sf, quantiles and draws know of, and pdf, that of the rest, does not.

    With x = sigma^2 (1 + 1/Q + 2 Q^(-1/2) cos(phi)) and r = min(Q, 1/Q)^(1/2), the mass above x is

        sf = min(Q, 1) (r phi - sin(phi) + (1 - r^2)/r atan2(r sin(phi), 1 + r cos(phi))) / (pi r)

    and the mass from lambda_minus to x is the same function of pi - phi and -r.

    Args:
        Q: aspect ratio N/M, > 0.
        sigma: standard deviation of the entries of W, > 0.

    Raises:
        ValueError: Q <= 0 or sigma <= 0.

    Source: V. A. Marchenko, L. A. Pastur, Math. USSR Sb. 1 (1967) 457; the closed form is the integral of the density.
    Accuracy: cdf and sf to 1e-14 absolute for Q from 1e-4 to 1e4. The relative error of sf near the upper edge is no more than
        the rounding of the edge itself causes, about 1e-16 lambda_plus/(lambda_plus - x) (`tests/test_laws.py`, against
        mpmath quadrature).
    """

    Q: Float[Array, ""] = eqx.field(converter=parameter)
    sigma: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    @property
    def lambda_minus(self) -> Float[Array, ""]:
        """Lower edge, sigma^2 (1 - 1/sqrt Q)^2."""
        return (self.sigma * (1 - self.Q**-0.5)) ** 2

    @property
    def lambda_plus(self) -> Float[Array, ""]:
        """Upper edge, sigma^2 (1 + 1/sqrt Q)^2."""
        return (self.sigma * (1 + self.Q**-0.5)) ** 2

    @property
    def mean(self) -> Float[Array, ""]:
        """sigma^2."""
        return self.sigma**2

    @property
    def var(self) -> Float[Array, ""]:
        """sigma^4/Q."""
        return self.sigma**4 / self.Q

    def __check_init__(self):
        check_parameter(self, "Q")
        check_parameter(self, "sigma")

    @property
    def _bulk(self) -> tuple[Array, Array]:
        """The mass between the edges, min(Q, 1), and the r of the class formula: that of W W^T, the same eigenvalues but 0."""
        return jnp.minimum(self.Q, 1.0), jnp.minimum(self.Q, 1 / self.Q) ** 0.5

    def _inside(self, x: Array) -> tuple[Array, Array]:
        """Whether x is strictly between the edges, and x moved to the middle where it is not."""
        inside = (x > self.lambda_minus) & (x < self.lambda_plus)
        return inside, jnp.where(inside, x, (self.lambda_minus + self.lambda_plus) / 2)

    def _logpdf(self, x: Array) -> Array:
        inside, x = self._inside(x)
        log_root = (jnp.log(self.lambda_plus - x) + jnp.log(x - self.lambda_minus)) / 2
        return jnp.where(inside, jnp.log(self.Q / (2 * jnp.pi * self.mean)) + log_root - jnp.log(x), -jnp.inf)

    def _angle(self, x: Array) -> Array:
        """phi from both distances to the edges, 4 r sin^2(phi/2) and 4 r cos^2(phi/2): precise near each of them."""
        return 2 * jnp.arctan2(jnp.sqrt(self.lambda_plus - x), jnp.sqrt(x - self.lambda_minus))

    def _sf(self, x: Array) -> Array:
        inside, moved = self._inside(x)
        mass, r = self._bulk
        outside = jnp.where(x < 0, 1.0, jnp.where(x < self.lambda_plus, mass, 0.0))
        return jnp.where(inside, mass * _mass_above(self._angle(moved), r), outside)

    def _cdf(self, x: Array) -> Array:
        inside, moved = self._inside(x)
        mass, r = self._bulk
        outside = jnp.where(x < 0, 0.0, jnp.where(x < self.lambda_plus, 1 - mass, 1.0))
        return jnp.where(inside, 1 - mass + mass * _mass(jnp.pi - self._angle(moved), -r), outside)

    def _ppf(self, q: Array) -> Array:
        mass, r = self._bulk
        share = (q - (1 - mass)) / mass
        # The angle from the lower edge, where Q = 1 packs the mass into a square-root singularity.
        angle = bisect(lambda a: _mass(a, -r) - share, jnp.zeros_like(q), jnp.full_like(q, jnp.pi))
        x = self.lambda_minus + 4 * self.Q**-0.5 * self.mean * jnp.sin(angle / 2) ** 2
        x = jnp.where(share == 0, self.lambda_minus, jnp.where(q == 1, self.lambda_plus, x))
        at_zero = (mass < 1) & (share <= 0)
        return jnp.where(at_zero, 0.0, implicit(self, jnp.where(at_zero, self.lambda_plus, x), q))

    def _quantile_above(self, log_p: Array) -> Array:
        mass, r = self._bulk
        log_share = log_p - jnp.log(mass)
        angle = bisect(
            lambda a: jnp.log(_mass_above(a, r)) - log_share, jnp.zeros_like(log_p), jnp.full_like(log_p, jnp.pi)
        )
        x = self.lambda_plus - 4 * self.Q**-0.5 * self.mean * jnp.sin(angle / 2) ** 2
        x = jnp.where(log_share == 0, self.lambda_minus, jnp.where(log_p == -jnp.inf, self.lambda_plus, x))
        at_zero = (mass < 1) & (log_share >= 0)
        return jnp.where(at_zero, 0.0, implicit_above(self, jnp.where(at_zero, self.lambda_plus, x), log_p))


def _mass(angle: Array, r: Array) -> Array:
    """Mass between the edge sigma^2 (1 + r)^2 and the point `angle` away from it; r < 0 is the lower edge."""
    argument = jnp.arctan2(r * jnp.sin(angle), 1 + r * jnp.cos(angle))
    return (r * angle - jnp.sin(angle) + (1 - r * r) / r * argument) / (jnp.pi * r)


def _mass_above(angle: Array, r: Array) -> Array:
    """`_mass` for the upper edge; near it the closed form cancels, and Gauss-Legendre on its derivative does not.

    The derivative is (2/pi) sin^2(t) / (1 + r^2 + 2 r cos(t)), whose poles keep a distance of 2 from 0 < t < 1.
    """
    near = jnp.minimum(angle, 1.0)
    nodes, weights = _gauss_legendre()

    def derivative(node: Array) -> Array:
        t = near * node
        return 2 / jnp.pi * jnp.sin(t) ** 2 / (1 + r * r + 2 * r * jnp.cos(t))

    mass = near * jnp.tensordot(weights, jax.vmap(derivative)(jnp.asarray(nodes)), axes=1)
    return jnp.where(angle < 1, mass, _mass(angle, r))


@cache
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    """The rule of 16 nodes on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    return (nodes + 1) / 2, weights / 2
