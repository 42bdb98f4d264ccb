"""Symmetric alpha-stable entries: the laws that sums of heavy-tailed variables go to."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from rmt.laws.base import SymmetricLaw, check_parameter, implicit_size, parameter, somewhere
from rmt.laws.gaussian import log_upper

_STEP, _FIRST, _NODES = 0.05, -3.6, 148  # of the integral over E
_TURN = 1.4  # mu above which the integral over the angle takes over
_ANGLES = 600  # its nodes
_FAR, _TERMS = 20.0, 30  # from where the series in t^-mu is good to the last digit, and its terms


class Stable(SymmetricLaw):
    """Symmetric stable: characteristic function E[exp(i k w)] = exp(-|scale k|^mu), with P(|w| > t) ~ k t^-mu.

    mu is SciPy's `levy_stable` alpha. mu = 1 is the Cauchy law, mu = 2 the Gaussian one of variance 2 scale^2. With
    h(theta) = ln(cos theta/sin mu theta) + (1 - 1/mu) ln(cos((mu-1) theta)/cos theta) falling on (0, pi/2), theta(y) the
    solution of h = -y, and z = t/scale,

        P(w > t) = (1/pi) E[pi/2 - theta(ln z - (1 - 1/mu) ln E)]                      (mu <= 1.4, E a unit exponential)
                 = (1/pi) int_0^(pi/2) exp(-exp((mu/(mu-1)) (ln z + h(theta)))) dtheta  (mu > 1.4)
                 ~ (1/pi) sum_k (-1)^(k+1) Gamma(mu k)/k! sin(pi mu k/2) z^(-mu k)      (z > 20)

    Args:
        mu: tail index, 0 < mu <= 2.
        scale: in units of w, > 0.

    Raises:
        ValueError: mu <= 0, mu > 2 or scale <= 0.

    Source: J. P. Nolan, Commun. Statist. Stoch. Models 13 (1997) 759 for the integral over theta, of which that over E is
        the same with the order of integration changed, smooth through mu = 1; draws by J. M. Chambers, C. L. Mallows,
        B. W. Stuck, J. Am. Stat. Assoc. 71 (1976) 340.
    Accuracy: sf, abs_sf and pdf to 1e-12 relative for 0.3 <= mu <= 2, at every distance (`tests/test_laws.py`, against
        Fourier inversion in 25 digits and SciPy's Cauchy and normal laws). Draws go through an exponential and a
        uniform in float64 and are exact as far as their 2^-52 reaches.
    """

    mu: Float[Array, ""] = eqx.field(converter=parameter)
    scale: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    @property
    def tail_index(self) -> Float[Array, ""]:
        """mu; inf for mu = 2."""
        return jnp.where(self.mu < 2, self.mu, jnp.inf)

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """(2/pi) Gamma(mu) sin(pi mu/2) scale^mu; NaN for mu = 2."""
        return jnp.where(self.mu < 2, jnp.exp(_log_constant(self.mu)) * self.scale**self.mu, jnp.nan)

    @property
    def mean(self) -> Float[Array, ""]:
        """0, and NaN for mu <= 1."""
        return jnp.where(self.mu > 1, 0.0, jnp.nan)

    @property
    def var(self) -> Float[Array, ""]:
        """2 scale^2 for mu = 2, inf for mu < 2 and NaN for mu <= 1."""
        return jnp.where(self.mu < 2, jnp.where(self.mu > 1, jnp.inf, jnp.nan), 2 * self.scale**2)

    def __check_init__(self):
        check_parameter(self, "mu")
        check_parameter(self, "scale")
        if somewhere(self.mu, lambda mu: mu > 2):
            raise ValueError(
                f"Stable(mu) needs mu <= 2, got {self.mu}; a law of finite variance is stable only if Gaussian"
            )

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        angle_key, size_key, sign_key = jax.random.split(key, 3)
        # phi = pi/2 - theta is what is drawn, so that the smallest ones, which make the tail, keep their digits.
        phi = jnp.pi / 2 * (1 - jax.random.uniform(angle_key, shape, float))
        log_e = jnp.log(jnp.maximum(jax.random.exponential(size_key, shape, float), 2.0**-54))
        log_size = (1 - 1 / self.mu) * log_e - _h(self.mu, jnp.pi / 2 - phi, phi)
        return self.scale * jnp.exp(log_size) * jax.random.rademacher(sign_key, shape, float)

    def _logpdf(self, x: Array) -> Array:
        z = jnp.abs(x) / self.scale
        return _log_tail(self.mu, z)[1] - jnp.log(self.scale)

    def _log_abs_sf(self, t: Array) -> Array:
        return _log_tail(self.mu, t / self.scale)[0]

    def _abs_quantile(self, log_p: Array) -> Array:
        at_end = (log_p == 0) | (log_p == -jnp.inf)
        mu, size = jax.lax.stop_gradient((self.mu, jnp.where(at_end, -1.0, log_p)))
        # Unimodal: 1 - p <= 2 pdf(0) z. Above both the power law's quantile and the Gaussian's, with room to spare.
        low = jnp.log(-jnp.expm1(size)) + jnp.log(jnp.pi / 2) - gammaln(1 + 1 / mu)
        power = jnp.where(mu < 2, (_log_constant(mu) - size) / mu, -jnp.inf)
        high = jnp.maximum(jnp.logaddexp(power, jnp.log(4.0 - 4 * size) / 2) + 3, low)

        def step(i: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            low, high, u = state
            log_sf, log_pdf = _log_tail(mu, jnp.exp(u))
            above = log_sf < size
            low, high = jnp.where(above, low, u), jnp.where(above, u, high)
            newton = u + (log_sf - size) * jnp.exp(log_sf - log_pdf - u) / 2
            # Once it is found, rounding may put it outside: a step as short as that is taken all the same.
            good = ((newton > low) & (newton < high) & (i % 2 == 0)) | (jnp.abs(newton - u) < 1e-10)
            return low, high, jnp.where(good, newton, (low + high) / 2)

        u = jax.lax.fori_loop(0, 40, step, (low, high, (low + high) / 2))[2]
        t = self.scale * jnp.exp(u)
        return implicit_size(self, jnp.where(log_p == 0, 0.0, jnp.where(at_end, jnp.inf, t)), log_p)


def _log_constant(mu: Array) -> Array:
    """log((2/pi) Gamma(mu) sin(pi mu/2)), with the digits of 2 - mu; that of mu = 1 at mu = 2, where the sine is 0."""
    mu = jnp.where(mu < 2, mu, 1.0)
    return jnp.log(2 / jnp.pi) + gammaln(mu) + jnp.log(_sine(mu, 1.0))


def _sine(mu: Array, k: Any) -> Array:
    """sin(pi mu k/2), from the nearer of mu = 0 and mu = 2."""
    return jnp.where(mu < 1, jnp.sin(jnp.pi / 2 * mu * k), -jnp.cos(jnp.pi * k) * jnp.sin(jnp.pi / 2 * (2 - mu) * k))


def _h(mu: Array, theta: Array, phi: Array) -> Array:
    """h(theta) of the class formula; phi = pi/2 - theta, given too so that neither loses digits near 0."""
    log_last = jnp.log(jnp.sin((2 - mu) * jnp.pi / 2 + (mu - 1) * phi))
    return jnp.log(jnp.sin(phi)) / mu - jnp.log(jnp.sin(_multiple(mu, theta, phi))) + (1 - 1 / mu) * log_last


def _multiple(mu: Array, theta: Array, phi: Array) -> Array:
    """mu theta or pi - mu theta, which have the same sine: the one that has its digits as mu theta nears pi."""
    return jnp.where((theta < phi) | (mu < 1), mu * theta, (2 - mu) * jnp.pi / 2 + mu * phi)


def _slope(mu: Array, theta: Array, phi: Array) -> Array:
    """-dh/dtheta > 0 for mu <= 1.4."""
    last = (2 - mu) * jnp.pi / 2 + (mu - 1) * phi
    return 1 / (mu * jnp.tan(phi)) + mu / jnp.tan(mu * theta) + (mu - 1) ** 2 / (mu * jnp.tan(last))


def _angles(s: Array) -> tuple[Array, Array]:
    """theta and pi/2 - theta, with s = log(theta/(pi/2 - theta))."""
    return jnp.pi / 2 * jax.nn.sigmoid(s), jnp.pi / 2 * jax.nn.sigmoid(-s)


def _log_tail(mu: Array, z: Array) -> tuple[Array, Array]:
    """log P(|w| > z) and log pdf(z) of the law of scale 1, z >= 0."""
    near = jnp.minimum(jnp.where(z < 1e-100, z + 1e-100, z), _FAR)  # below 1e-100 nothing changes but by its slope
    upper, density = jax.lax.cond(mu <= _TURN, _by_exponential, _by_angle, mu, near)
    log_sf, log_pdf = jnp.log(2 * upper / jnp.pi), jnp.log(density / jnp.pi) - jnp.log(near)
    far_sf, far_pdf = _series(mu, jnp.maximum(z, _FAR))
    far = z > _FAR
    return jnp.where(far, far_sf, jnp.minimum(log_sf, 0.0)), jnp.where(far, far_pdf, log_pdf)


def _by_exponential(mu: Array, z: Array) -> tuple[Array, Array]:
    """E[phi] and E[z dphi/dz] over E, by the trapezoidal rule in v, ln E = v - exp(-v); phi by Newton steps."""
    mu = jnp.minimum(mu, _TURN)  # what the other branch does is not evaluated here, but its derivative may be
    log_z, share = jnp.log(z), 1 - 1 / mu

    def newton(s: Array, y: Array) -> Array:
        theta, phi = _angles(s)
        return s + jnp.clip((_h(mu, theta, phi) + y) / (_slope(mu, theta, phi) * theta * phi * 2 / jnp.pi), -4.0, 4.0)

    def node(i: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        s, upper, density = state
        v = _FIRST + _STEP * i
        log_e = v - jnp.exp(-v)
        weight = _STEP * (1 + jnp.exp(-v)) * jnp.exp(log_e - jnp.exp(log_e))
        y = log_z - share * log_e
        at = jax.lax.stop_gradient(y)
        s = jax.lax.fori_loop(0, 3, lambda _, s: newton(s, at), s)
        s = newton(jax.lax.stop_gradient(s), y)  # this step carries the derivatives
        theta, phi = _angles(s)
        return s, upper + weight * phi, density + weight / _slope(mu, theta, phi)

    first = log_z - share * (_FIRST - np.exp(-_FIRST))
    start = jax.lax.stop_gradient(jnp.where(first < 0, first, mu * first))
    at = jax.lax.stop_gradient(first)
    start = jax.lax.fori_loop(0, 8, lambda _, s: newton(s, at), start)
    zero = jnp.zeros_like(z)
    _, upper, density = jax.lax.fori_loop(0, _NODES, node, (jax.lax.stop_gradient(start), zero, zero))
    return upper, density


def _by_angle(mu: Array, z: Array) -> tuple[Array, Array]:
    """int exp(-g) dtheta and z times minus its derivative, by the trapezoidal rule in s, see `_angles`; by series for z < 1."""
    mu = jnp.maximum(mu, _TURN)
    power = mu / (mu - 1)
    moved = jnp.maximum(z, 1.0)
    log_z = jnp.log(moved)
    # exp(-g) is 0 for theta < z/40; the integrand dies out as phi, from where g = 1 or, near mu = 2, 2 - mu stands for it.
    first = -4.0
    last = jax.lax.stop_gradient(44.0 + 2 * log_z - jnp.log(jnp.maximum(2 - mu, 1e-16)))
    step = (last - first) / _ANGLES

    def node(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        upper, density = state
        theta, phi = _angles(first + step * i)
        g = jnp.exp(power * (log_z + _h(mu, theta, phi)))
        mass = step * theta * phi * 2 / jnp.pi * jnp.exp(-g)
        return upper + mass, density + power * g * mass

    upper, density = jax.lax.fori_loop(0, _ANGLES, node, (jnp.zeros_like(z), jnp.zeros_like(z)))
    below = _power_series(mu, jnp.minimum(z, 1.0))
    return jnp.where(z < 1, jnp.pi / 2 - below[0], upper), jnp.where(z < 1, below[1], density)


def _power_series(mu: Array, z: Array) -> tuple[Array, Array]:
    """pi (1/2 - sf) = (1/mu) sum_k (-1)^k Gamma((2k+1)/mu)/(2k+1)! z^(2k+1), and z times its derivative; mu >= 1.4, z <= 1."""
    odd = 2.0 * np.arange(21) + 1
    a = np.cos(np.pi * np.arange(21)) * jnp.exp(gammaln(odd / mu) - gammaln(odd + 1)) / mu
    return z * jnp.polyval(a[::-1], z * z), z * jnp.polyval((odd * a)[::-1], z * z)


def _series(mu: Array, z: Array) -> tuple[Array, Array]:
    """log P(|w| > z) and log pdf(z) for z >= 20: relative to the first term, sum_k a_k z^(-mu k), a_0 = 1."""
    below = jnp.where(mu < 2, mu, 1.0)
    log_z = jnp.log(z)
    r = jnp.exp(-below * log_z)
    k = np.arange(1.0, _TERMS + 1)
    ratio = -np.cos(np.pi * k) * jnp.exp(gammaln(below * k) - gammaln(below) - gammaln(k + 1))
    a = ratio * _sine(below, k) / _sine(below, 1.0)
    upper, density = jnp.polyval(a[::-1], r), jnp.polyval((k * a)[::-1], r)
    power = _log_constant(mu) - below * log_z
    log_sf, log_pdf = power + jnp.log(upper), power + jnp.log(density) + jnp.log(below / 2) - log_z
    gaussian = jnp.log(2.0) + log_upper(z / np.sqrt(2)), -z * z / 4 - jnp.log(4 * jnp.pi) / 2
    return jnp.where(mu < 2, log_sf, gaussian[0]), jnp.where(mu < 2, log_pdf, gaussian[1])
