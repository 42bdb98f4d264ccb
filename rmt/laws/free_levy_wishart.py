"""The free Levy-Wishart law: the rotationally invariant counterpart of the Levy-Wishart law."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rmt.laws.base import (
    PositiveLaw,
    bisect,
    check_parameter,
    derivative,
    implicit,
    implicit_above,
    parameter,
    somewhere,
)


class FreeLevyWishart(PositiveLaw):
    """Free Levy-Wishart: the singular values of a heavy-tailed W without preferred axes, squared, / N^(2/mu), 0 < mu < 2.

    W = sum_ij w_ij u_ij v_ij^T with one iid w_ij, P(|w| > t) ~ t^-mu, for each entry of an N x M matrix, but unit vectors
    u_ij and v_ij in uniformly random directions, where iid entries have those of the axes. So it has the same largest
    eigenvalues, the same tail sf ~ lambda^(-mu/2), and another bulk than `LevyWishart`. With s = mu/2,
    D = pi s/sin(pi s) and T(lambda) = 1 - lambda E 1/(lambda - x),

        lambda = -(1 - T)(1 - T/Q) (D/T)^(1/s),    rho = Im T/(pi lambda),
        sf = Im[(1/s - 2) T - log(1 - T) - Q log(1 - T/Q)]/pi.

    It is the free multiplicative convolution of the Marchenko-Pastur law with the free positive stable law of index s. On
    arg T = phi, 0 < phi < pi s, |T| solves a quadratic equation, so that lambda, rho and sf are closed forms in phi.

    Args:
        mu: tail index, 0 < mu < 2.
        Q: aspect ratio N/M >= 1.
        scale: the unit of the eigenvalues, > 0; N^(2/mu - 1) for X = W^T W / N.

    Raises:
        ValueError: mu, Q or scale out of range.

    Source: F. Benaych-Georges, Probab. Theory Relat. Fields 139 (2007) 143, for laws infinitely divisible under rectangular
        free convolution and this matrix model of them; Ann. Inst. H. Poincare Probab. Statist. 46 (2010) 644 for the link to
        Marchenko-Pastur; H. Bercovici, V. Pata, Ann. Math. 149 (1999) 1023, for the free stable laws. The closed forms are
        derived from them here.
    Accuracy: pdf to 1e-11 and sf to 1e-12 relative against the equation in 50 digits; cdf to 1e-11 relative but for what
        the rounding of x does beside the edge (`tests/test_free_levy_wishart.py`, with simulated matrices).
    """

    mu: Float[Array, ""] = eqx.field(converter=parameter)
    Q: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)
    scale: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    @property
    def lambda_minus(self) -> Float[Array, ""]:
        """Lower edge, where the density starts as a square root; 0 for Q = 1."""
        k, c = 2 / self.mu, 1 / self.Q
        root = jnp.sqrt(((1 - c) * (k - 1)) ** 2 + 4 * c)
        total = (1 + c) * (k - 1) + root
        T = 2 * k / total
        T_less_1 = 2 - 4 * c / (root + (1 - c) * (k - 1))
        rest = (1 - c) * (k - 1) + root - 2 * c
        return self.scale * jnp.maximum(T_less_1, 0.0) * rest / total**2 * (_tail_weight(self.mu / 2) / T) ** k

    def __check_init__(self):
        check_parameter(self, "mu")
        if somewhere(self.mu, lambda mu: mu >= 2):
            raise ValueError(
                f"FreeLevyWishart(mu) needs mu < 2, got {self.mu}; from 2 on the law is MarchenkoPastur(Q, sigma)"
            )
        check_parameter(self, "Q", 1, closed=True, remedy="; Q = N/M with N >= M, so pass W.T and its Q")
        check_parameter(self, "scale")

    @property
    def tail_index(self) -> Float[Array, ""]:
        """mu/2."""
        return self.mu / 2

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """lim x^(mu/2) sf(x) = scale^(mu/2), for any Q."""
        return self.scale ** (self.mu / 2)

    @property
    def mean(self) -> Float[Array, ""]:
        """It diverges: inf."""
        return jnp.full_like(self.mu, jnp.inf)

    @property
    def var(self) -> Float[Array, ""]:
        """It diverges: inf."""
        return jnp.full_like(self.mu, jnp.inf)

    def _curve(self, v: Array) -> "_Point":
        """The point of the curve T(lambda) at arg T = pi s w, w = 1/(1 + exp(-v)): from the lower edge to infinity.

        There (1 - T)(1 - T/Q) has the argument -chi = -pi (1 - w), which is a quadratic equation for |T|.
        """
        s, c = self.mu / 2, 1 / self.Q
        w, rest = jax.nn.sigmoid(v), jax.nn.sigmoid(-v)
        phi = jnp.pi * s * w
        sin_phi, sin_chi = jnp.sin(phi), jnp.sin(jnp.pi * jnp.minimum(w, rest))
        sin_both = jnp.sin(jnp.pi * (1 - s) * w)  # of phi + chi
        root = jnp.sqrt(((1 - c) * sin_both) ** 2 + 4 * c * sin_phi**2)
        total = (1 + c) * sin_both + root
        size = 2 * sin_chi / total
        # Re(1 - T) and Re(1 - T/Q), in terms that do not cancel where T is near 1 or Q: they vanish with w, more so at Q = 1
        tilt = 4 * jnp.sin(jnp.pi * w / 2) ** 2 * sin_phi
        gap = (1 - c) * (sin_both + ((1 - c) * sin_both**2 + 4 * c * sin_phi**2) / (root + 2 * c * sin_phi))
        first = (tilt - 2 * sin_phi * gap / (root + (1 - c) * sin_both)) / total
        second = (c * tilt + gap) / total
        im_T = size * sin_phi
        both = (jnp.log(first**2 + im_T**2) + jnp.log(second**2 + (c * im_T) ** 2)) / 2
        log_x = jnp.log(self.scale) + both + (jnp.log(_tail_weight(s)) - jnp.log(size)) / s
        angles = jnp.arctan2(im_T, first) + self.Q * jnp.arctan2(c * im_T, second)
        return _Point(log_x, im_T, ((1 / s - 2) * im_T + angles) / jnp.pi)

    def _rise(self, v: Array) -> Array:
        """dlog(lambda)/dv."""
        return derivative(lambda v: self._curve(v).log_x, v)

    def _mass_below(self, v: Array) -> Array:
        """cdf: 1 - sf, but near the lower edge by Gauss-Legendre on rho dlambda = Im T dlog(lambda)/pi, free of cancellation."""
        near = jnp.minimum(v, -2.0)
        nodes, weights = (jnp.asarray(value) for value in np.polynomial.legendre.leggauss(20))
        w = jax.nn.sigmoid(near)

        def density(node: Array) -> Array:
            at = w * (node + 1) / 2
            v = jnp.log(at) - jnp.log1p(-at)
            return self._curve(v).im_T / jnp.pi * self._rise(v) / (at * (1 - at))

        mass = w / 2 * jnp.tensordot(weights, jax.vmap(density)(nodes), axes=1)
        return jnp.where(v < -2, mass, 1 - self._curve(jnp.maximum(v, -2.0)).sf)

    def _inverse(self, x: Array) -> Array:
        """v at x, as a differentiable function of x and the parameters: a Newton step from where bisection ends."""
        log_x = jnp.log(x)
        v = bisect(lambda v: self._curve(v).log_x - log_x, jnp.full_like(x, -_FAR), jnp.full_like(x, _FAR))
        slope = jax.lax.stop_gradient(self._rise(v))
        steep = slope > 1e-12  # not at the edge itself
        return v - jnp.where(steep, (self._curve(v).log_x - log_x) / jnp.where(steep, slope, 1.0), 0.0)

    def _inside(self, x: Array) -> tuple[Array, Array]:
        # the edge may be rounded otherwise where it was computed before
        inside = (x > self.lambda_minus * (1 + 1e-15)) & (x < jnp.inf)
        return inside, jnp.where(inside, x, self.lambda_minus + self.scale)

    def _logpdf(self, x: Array) -> Array:
        inside, x = self._inside(x)
        log_density = jnp.log(self._curve(self._inverse(x)).im_T) - jnp.log(jnp.pi * x)
        return jnp.where(inside, log_density, -jnp.inf)

    def _sf(self, x: Array) -> Array:
        inside, moved = self._inside(x)
        sf = self._curve(self._inverse(moved)).sf
        return jnp.where(inside, sf, jnp.where(x < jnp.inf, 1.0, 0.0))

    def _cdf(self, x: Array) -> Array:
        inside, moved = self._inside(x)
        cdf = self._mass_below(self._inverse(moved))
        return jnp.where(inside, cdf, jnp.where(x < jnp.inf, 0.0, 1.0))

    def _ppf(self, q: Array) -> Array:
        v = bisect(lambda v: 1 - self._curve(v).sf - q, jnp.full_like(q, -_FAR), jnp.full_like(q, _FAR))
        low = q < 0.1
        log_q = jnp.log(jnp.where(low & (q > 0), q, 0.1))

        def newton(_: int, v: Array) -> Array:
            """On log cdf, nearly linear in v near the edge, where 1 - sf has lost its digits."""
            mass, slope = self._mass_below(v), self._curve(v).im_T / jnp.pi * self._rise(v)
            return v - (jnp.log(mass) - log_q) * mass / slope

        v = jnp.where(low, jax.lax.fori_loop(0, 5, newton, jnp.clip(v, -12.0, 0.0)), v)
        x = jnp.exp(self._curve(jax.lax.stop_gradient(v)).log_x)
        return implicit(self, jnp.where(q == 0, self.lambda_minus, jnp.where(q == 1, jnp.inf, x)), q)

    def _quantile_above(self, log_p: Array) -> Array:
        v = bisect(
            lambda v: log_p - jnp.log(self._curve(v).sf), jnp.full_like(log_p, -_FAR), jnp.full_like(log_p, _FAR)
        )
        x = jnp.exp(self._curve(v).log_x)
        x = jnp.where(log_p == 0, self.lambda_minus, jnp.where(log_p == -jnp.inf, jnp.inf, x))
        return implicit_above(self, x, log_p)


class _Point(NamedTuple):
    log_x: Array
    im_T: Array
    sf: Array


_FAR = 340.0  # v at the ends: w and 1 - w are 1e-148 there


def _tail_weight(s: Array) -> Array:
    """D = pi s/sin(pi s)."""
    return jnp.pi * s / jnp.sin(jnp.pi * jnp.minimum(s, 1 - s))
