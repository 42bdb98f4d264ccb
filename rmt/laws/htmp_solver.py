"""The density of the high-temperature Marchenko-Pastur law, on the host in NumPy, and its table over l = log x.

G(z) = E 1/(z - x) is -psi'/(kappa psi) with psi(z) = U(kappa, -a, -z), which solves Kummer's equation as

    z psi'' + (z - a) psi' + kappa psi = 0,

so that the real and imaginary part of psi(x + i 0) are two real solutions, of which the Wronskian is known: with f the
density of l, f |psi|^2 is proportional to x^(a+1) exp(-x), and one value of G on the axis fixes f. That value is that of
the continued fraction of G above the axis, brought down by Taylor series; from there psi is followed by Taylor series to
both sides. All of this goes where psi grows beside the other solutions, and so loses no digits:

- Away from the axis the continued fraction, of the Jacobi matrix with E x = a + 1 + kappa, then 2 n + 2 kappa + a + 1 on
  its diagonal, and (n + kappa)(n + kappa + a) for the squares beside it, converges as exp(-4 Im z^(1/2) n^(1/2)).
- Near 0, |psi| tends to a constant, the other solution to 0 as x^(a+1); the other falls as exp(-x) on the far side.
"""

from functools import cache, partial
from math import lgamma
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.polynomial import chebyshev
from numpy.polynomial.polynomial import polyder, polyval

from rmt.laws.tables import Real, Table, resolve, tabulate

_LEVELS = 2000  # of the continued fraction, which ends at a few hundred
_TERMS = 40  # of a Taylor series
_DEEPEST = -680.0  # log f at the low end of the table, just within float64
_ROUNDING = 40.0  # -log of what is nothing beside 1
_SERIES = 90  # terms of the asymptotic series
_ABOVE = 14  # Chebyshev coefficients beyond the table, the last below 1e-13
_LAGUERRE = 60  # nodes of the rule for sf there


def stieltjes(kappa: float, a: float, z: complex) -> complex:
    """G(z) by its continued fraction, from the far end: for z off the axis."""
    rest = 0j
    for n in range(_LEVELS, 0, -1):
        rest = (n + kappa) * (n + kappa + a) / (z - (2 * (n + kappa) + a + 1) - rest)
    return 1 / (z - (a + 1 + kappa) - rest)


class Path(NamedTuple):
    """A solution along a line: at each centre z its Taylor coefficients in (x - z)/size, a row a centre."""

    z: np.ndarray
    size: np.ndarray
    series: np.ndarray

    def at(self, x: Real) -> np.ndarray:
        """The solution at any x of a path along the axis, from the nearest centre."""
        z = np.real(self.z)
        near = np.searchsorted((z[1:] + z[:-1]) / 2, x)
        c, t = self.series[near], (x - z[near]) / self.size[near]
        total = np.zeros(x.shape, complex)
        for n in range(_TERMS - 1, -1, -1):
            total = total * t + c[..., n]
        return total


def follow(kappa: float, a: float, start: complex, end: complex, value: complex, slope: complex) -> Path:
    """The solution of Kummer's equation along a straight line, from its value and slope, in `_step`s."""
    z, rows = complex(start), []
    while True:
        size = _step(a, z, slope / value)
        c = [value, slope * size]
        for n in range(_TERMS - 2):
            new = (n + 1) * (n + z - a) * size * c[n + 1] + (n + kappa) * size**2 * c[n]
            c.append(-new / (z * (n + 1) * (n + 2)))
        rows.append((z, size, c))
        if z == end:
            return Path(*(np.array(column) for column in zip(*rows, strict=True)))
        rest = abs(end - z)
        ahead = complex(end) if rest <= size else z + size * (end - z) / rest
        t, z = (ahead - z) / size, ahead
        value, slope = complex(polyval(t, c)), complex(polyval(t, polyder(c))) / size


def _step(a: float, z: complex, rate: complex) -> float:
    """What no solution changes by more than exp(3) in, be it x^(a+1), exp(-x) or psi, and well within the radius |z|."""
    return min(3 * abs(z) / (a + 2), 2.0, 2 / max(abs(rate), 1e-300), 0.35 * abs(z))


class Density:
    """log f for l below `high`; beyond, the asymptotic series is exact to rounding."""

    def __init__(self, kappa: float, a: float):
        self.kappa, self.a = kappa, a
        centre = a + 1 + 2 * kappa
        z = centre + 1j * max(1.0, centre / 2)
        _, size, psi = (column[-1] for column in follow(kappa, a, z, centre, 1, -kappa * stieltjes(kappa, a, z)))
        slope = psi[1] / psi[0] / size
        self.norm = np.log(slope.imag / (np.pi * kappa)) - a * np.log(centre) + centre  # of f |psi|^2, at psi = 1
        self.high = np.log(3 * (np.sqrt(kappa) + np.sqrt(kappa + a + 1)) ** 2 + 60)
        self.near_0 = -_ROUNDING - np.log1p(kappa)  # below, psi = constant + x^(a+1)
        down, up = (follow(kappa, a, centre, end, 1, slope) for end in np.exp([self.near_0, self.high]))
        self.path = Path(*(np.concatenate([d[:0:-1], u]) for d, u in zip(down, up, strict=True)))
        self.first = self.path.series[0, 0], self.path.series[0, 1] / self.path.size[0] * np.exp(self.near_0)

    def __call__(self, l: Real) -> Real:
        """log f."""
        x = np.exp(np.maximum(l, self.near_0))
        power = self.a + 1
        rise = np.expm1(power * np.minimum(l - self.near_0, 0.0)) / power
        psi = np.where(l < self.near_0, self.first[0] + self.first[1] * rise, self.path.at(x))
        return self.norm + power * l - np.exp(l) - 2 * np.log(np.abs(psi))

    @property
    def low(self) -> float:
        """Where |psi| has become constant, to rounding; or log f = -680."""
        flat = min(self.near_0, -(_ROUNDING / (self.a + 1) + np.log1p(self.kappa)))
        l = np.linspace(flat, self.high, 4000)
        return float(l[np.argmax(self(l) > _DEEPEST)])


class FromZero(NamedTuple):
    """Below a table: f = exp(rate (l - low)) sum_n c_n w^n, w = exp(l - low); cdf is its integral, term by term."""

    low: float
    rate: float
    series: Real

    def log_density(self, l: Array) -> Array:
        """log f."""
        return self._log_sum(self.series, l)

    def log_tail(self, l: Array) -> Array:
        """log cdf."""
        return self._log_sum(self.series / (self.rate + np.arange(len(self.series))), l)

    def quantile(self, log_tail: Array) -> Array:
        """The inverse of `log_tail`, by iteration from the first term; the others are small."""
        l = self.low + (log_tail - np.log(self.series[0] / self.rate)) / self.rate
        for _ in range(3 if len(self.series) > 1 else 0):
            l = l + (log_tail - self.log_tail(l)) / self.rate
        return l

    def _log_sum(self, series: Real, l: Array) -> Array:
        total = jnp.polyval(jnp.asarray(series[::-1]), jnp.exp(l - self.low), unroll=len(series))
        return self.rate * (l - self.low) + jnp.log(total)


class ToInfinity(NamedTuple):
    """Above a table: f = x^power exp(d(w) - x) and sf = f exp(r(w))/x, Chebyshev series in w = exp(high - l) on (0, 1)."""

    high: float
    power: float
    density: Real
    ratio: Real

    def log_density(self, l: Array) -> Array:
        """log f."""
        return self.power * l - jnp.exp(l) + self._series(self.density, l)

    def log_tail(self, l: Array) -> Array:
        """log sf."""
        return self.log_density(l) - l + self._series(self.ratio, l)

    def quantile(self, log_tail: Array) -> Array:
        """About: x = -log sf + (power - 1) log x + constant, iterated."""

        def closer(_: int, l: Array) -> Array:
            return jnp.log(jnp.maximum(self.log_tail(l) + jnp.exp(l) - log_tail, jnp.exp(self.high)))

        return jax.lax.fori_loop(0, 4, closer, jnp.log(-log_tail))

    def _series(self, coefficients: Real, l: Array) -> Array:
        t = 2 * jnp.exp(jnp.minimum(self.high - l, 0.0)) - 1
        last, before = jnp.zeros_like(t), jnp.zeros_like(t)
        for c in coefficients[:0:-1]:  # few, and the same everywhere: `clenshaw` would copy them to every t
            last, before = c + 2 * t * last - before, last
        return coefficients[0] + t * last - before


def log_asymptotic(kappa: float, a: float, x: Real) -> Real:
    """log of x^kappa U(kappa, -a, -x) = sum_s (kappa)_s (kappa + a + 1)_s/(s! x^s), for large x."""
    s = np.arange(_SERIES)
    ratios = (kappa + s) * (kappa + a + 1 + s) / ((s + 1) * x[..., None])
    return np.log1p(np.cumprod(ratios, axis=-1).sum(-1))


def _to_infinity(kappa: float, a: float, high: float) -> ToInfinity:
    """The density by the asymptotic series; sf by Gauss-Laguerre on f(x + u)/f(x), u in units of about 1/hazard."""
    power = a + 1 + 2 * kappa
    norm = -lgamma(kappa + 1) - lgamma(kappa + a + 1)
    w = (1 + np.cos(np.pi * (np.arange(_ABOVE) + 0.5) / _ABOVE)) / 2
    x = np.exp(high) / w
    t, weights = np.polynomial.laguerre.laggauss(_LAGUERRE)
    unit = 1 / (1 - (power - 1) / x)
    u = unit[:, None] * t
    smooth = log_asymptotic(kappa, a, x)
    growth = (power - 1) * np.log1p(u / x[:, None]) - 2 * (log_asymptotic(kappa, a, x[:, None] + u) - smooth[:, None])
    ratio = np.log(unit * (weights * np.exp(growth - u + t)).sum(1))
    fit = partial(chebyshev.chebfit, 2 * w - 1, deg=_ABOVE - 1)
    return ToInfinity(high, power, fit(y=norm - 2 * smooth), fit(y=ratio))


def _from_zero(density: Density, low: float) -> FromZero:
    """One term where |psi| is constant to rounding; a few where the table ends because float64 does."""
    w = np.array([1.0]) if density.a < 10 else np.array([0.25, 0.5, 0.75, 1.0])
    rate = density.a + 1
    values = np.exp(density(low + np.log(w)) - rate * np.log(w))
    return FromZero(low, rate, np.linalg.solve(np.vander(w, increasing=True), values))


@cache
def table(kappa: float, a: float) -> Table:
    """The table of the law, made on first use: NumPy, so that a traced caller cannot leave a tracer in the cache."""
    density = Density(kappa, a)
    low, high = density.low, density.high
    width = max(1.0, 4 / (a + 1))  # below near_0, where nothing but x^(a+1) changes
    near_0 = max(low, density.near_0)
    ends = np.unique([*_evenly(low, near_0, width), *_evenly(near_0, high, 0.5)])
    owner = f"HighTemperatureMarchenkoPastur(kappa={kappa}, a={a}), l = log x"
    edges, log_f = resolve(density, np.stack([ends[:-1], ends[1:]], 1), owner)
    below, above = _from_zero(density, low), _to_infinity(kappa, a, high)
    beyond = above.power * high - np.exp(high) + chebyshev.chebval(1.0, above.density) - high
    sf_above = float(np.exp(beyond + chebyshev.chebval(1.0, above.ratio)))
    cdf_below = float((below.series / (below.rate + np.arange(len(below.series)))).sum())
    return tabulate(edges, log_f, cdf_below, sf_above, lambda log_cdf: below, above)


def _evenly(start: float, end: float, width: float) -> Real:
    """Points at most a width apart, both ends among them."""
    return np.linspace(start, end, int(np.ceil((end - start) / width)) + 1)
