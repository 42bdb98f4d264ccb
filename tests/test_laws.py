"""Every law against SciPy or mpmath, from one table; what all laws promise, and what single laws promise."""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from conftest import slow
from scipy import stats

import rmt
from rmt.laws import Above, Exponential, ExpTruncatedPowerLaw, FrechetOrder, LogNormal, PowerLaw, Weibull
from rmt.laws.base import signed_exponential, uniform_log
from rmt.laws.exp_truncated import log_scaled_integral


class Signed:
    """A positive SciPy law with a random sign."""

    def __init__(self, size):
        self.size = size

    def logpdf(self, x):
        return self.size.logpdf(np.abs(x)) - np.log(2)

    def sf(self, x):
        half = self.size.sf(np.abs(x)) / 2
        return np.where(x < 0, 1 - half, half)

    def cdf(self, x):
        return self.sf(-x)

    def mean(self):
        return 0.0 if np.isfinite(self.size.mean()) else np.nan

    def var(self):
        return self.size.var() + self.size.mean() ** 2 if np.isfinite(self.mean()) else np.nan


class MarchenkoPasturByQuadrature:
    """The density of the law, integrated in 30 digits."""

    def __init__(self, Q, sigma=1.0):
        with mpmath.workdps(30):
            self.Q, self.var_w = mpmath.mpf(Q), mpmath.mpf(sigma) ** 2
            r = 1 / mpmath.sqrt(self.Q)
            self.low, self.high = self.var_w * (1 - r) ** 2, self.var_w * (1 + r) ** 2

    def density(self, x):
        root = mpmath.sqrt(mpmath.fabs((self.high - x) * (x - self.low)))
        return self.Q * root / (2 * mpmath.pi * self.var_w * x)

    def logpdf(self, x):
        return np.array([float(mpmath.log(self.density(mpmath.mpf(v)))) for v in x])

    def integral(self, power, low, high):
        # x = low + u^2 takes the square roots at the edges away
        return mpmath.quad(
            lambda u: (self.low + u * u) ** power * self.density(self.low + u * u) * 2 * u,
            [mpmath.sqrt(low - self.low), mpmath.sqrt(high - self.low)],
        )

    def cdf(self, x):
        with mpmath.workdps(30):
            return np.array([float(self.integral(0, self.low, min(mpmath.mpf(v), self.high))) for v in x])

    def sf(self, x):
        with mpmath.workdps(30):
            return np.array([float(self.integral(0, mpmath.mpf(v), self.high)) for v in x])

    def mean(self):
        return float(self.integral(1, self.low, self.high))

    def var(self):
        return float(self.integral(2, self.low, self.high)) - self.mean() ** 2


class StableByFourier:
    """The inversion integrals of exp(-|k|^mu) in 25 digits, along a ray where the integrand does not oscillate for long.

    sf(x) = 1/2 - Im int (exp(i x k) - 1) exp(-k^mu) dk/(pi k) and pdf(x) = Re int exp(i x k - k^mu) dk/pi, by the
    trapezoidal rule in log k.
    """

    def __init__(self, mu, scale=1.0):
        with mpmath.workdps(30):
            self.mu, self.scale = mpmath.mpf(mu), mpmath.mpf(scale)
            angle = mpmath.pi / 4 / max(self.mu, 1)
            self.step = 2 * mpmath.pi * angle / 60
            first, last = -70, mpmath.log(60 / mpmath.cos(angle * self.mu)) / self.mu
            rays = (first + self.step * j for j in range(int((last - first) / self.step)))
            self.k = [mpmath.expj(angle) * mpmath.exp(u) for u in rays]
            self.cut = [mpmath.exp(-(k**self.mu)) for k in self.k]
        self.integrals = cache(self.integrals)

    def integrals(self, x):
        with mpmath.workdps(30):
            z = mpmath.mpf(x) / self.scale
            waves = [mpmath.expj(z * k) for k in self.k]
            sf = mpmath.fsum((wave - 1) * cut for wave, cut in zip(waves, self.cut, strict=True))
            pdf = mpmath.fsum(wave * cut * k for wave, cut, k in zip(waves, self.cut, self.k, strict=True))
            scale = self.step / mpmath.pi
            return float(mpmath.mpf(0.5) - scale * sf.imag), float(scale * pdf.real / self.scale)

    def sf(self, x):
        return np.array([self.integrals(abs(v))[0] if v > 0 else 1 - self.integrals(abs(v))[0] for v in map(float, x)])

    def cdf(self, x):
        return self.sf(-np.asarray(x))

    def logpdf(self, x):
        return np.log([self.integrals(abs(v))[1] for v in map(float, x)])

    def mean(self):
        return 0.0 if self.mu > 1 else np.nan

    def var(self):
        return np.inf if self.mu > 1 else np.nan


class TailInDigits:
    """A density x^-alpha exp(-rate x) on [xmin, xmax], by closed forms in 30 digits."""

    def __init__(self, alpha, xmin=1.0, xmax=np.inf, rate=0.0):
        self.alpha, self.xmin, self.xmax, self.rate = (mpmath.mpf(v) for v in (alpha, xmin, xmax, rate))

    def integral(self, low, high, power=0):
        p, low, high = self.alpha - power, mpmath.mpf(low), mpmath.mpf(high)
        with mpmath.workdps(30):
            if self.rate:
                return low ** (1 - p) * mpmath.expint(p, self.rate * low) - (
                    high ** (1 - p) * mpmath.expint(p, self.rate * high) if high < mpmath.inf else 0
                )
            return mpmath.log(high / low) if p == 1 else (low ** (1 - p) - high ** (1 - p)) / (p - 1)

    def share(self, low, high, power=0):
        return float(self.integral(low, high, power) / self.integral(self.xmin, self.xmax))

    def logpdf(self, x):
        norm = mpmath.log(self.integral(self.xmin, self.xmax))
        return np.array([float(-self.alpha * mpmath.log(v) - self.rate * mpmath.mpf(v) - norm) for v in x])

    def cdf(self, x):
        return np.array([self.share(self.xmin, v) for v in x])

    def sf(self, x):
        return np.array([self.share(v, self.xmax) for v in x])

    def mean(self):
        return self.share(self.xmin, self.xmax, 1)

    def var(self):
        return self.share(self.xmin, self.xmax, 2) - self.mean() ** 2


def PowerLawByHand(alpha, xmin, xmax):
    """logpdf, cdf, sf at PLACES, ppf at QUANTILES, and mean, in 60 digits."""
    with mpmath.workdps(900 if abs(alpha) > 100 or xmax > 1e9 else 60):
        b, xmin, xmax = mpmath.mpf(alpha) - 1, mpmath.mpf(xmin), mpmath.mpf(xmax)
        top = mpmath.mpf(0) if xmax == mpmath.inf else xmax**-b

        def mass(low, high_power, high, b=b):
            return mpmath.log(high / low) if b == 0 else (low**-b - high_power) / b

        total = mass(xmin, top, xmax)
        inside = [min(max(mpmath.mpf(x), xmin), xmax) for x in PLACES]
        sf = [0.0 if x == xmax else float(mass(x, top, xmax) / total) for x in inside]
        cdf = [1.0 if x == mpmath.inf else float(mass(xmin, x**-b, x) / total) for x in inside]
        logpdf = [
            float(-(b + 1) * mpmath.log(x) - mpmath.log(total)) if xmin <= x <= xmax and x < mpmath.inf else -np.inf
            for x in map(mpmath.mpf, PLACES)
        ]
        ppf = [
            float(xmin * (xmax / xmin) ** q if b == 0 else (xmin**-b - q * b * total) ** (-1 / b))
            for q in map(mpmath.mpf, QUANTILES)
        ]
        top = mpmath.mpf(0) if xmax == mpmath.inf else xmax ** (1 - b)
        return logpdf, cdf, sf, ppf, float(mass(xmin, top, xmax, b - 1) / total)


class LogNormalAbove:
    """The log-normal law above xmin, in 30 digits."""

    def __init__(self, log_mean, log_sd, xmin):
        self.log_mean, self.log_sd, self.xmin = mpmath.mpf(log_mean), mpmath.mpf(log_sd), mpmath.mpf(xmin)

    def upper(self, x, power=0):
        """E[x^power; above x]: the law tilted by x^power is log-normal again."""
        with mpmath.workdps(30):
            z = (mpmath.log(x) - self.log_mean) / self.log_sd - power * self.log_sd
            tilt = mpmath.exp(power * self.log_mean + (power * self.log_sd) ** 2 / 2)
            return tilt * mpmath.erfc(z / mpmath.sqrt(2)) / 2

    def logpdf(self, x):
        base = stats.lognorm(float(self.log_sd), scale=float(mpmath.exp(self.log_mean))).logpdf(x)
        return base - float(mpmath.log(self.upper(self.xmin)))

    def sf(self, x):
        return np.array([float(self.upper(v) / self.upper(self.xmin)) for v in x])

    def cdf(self, x):
        return np.array([float(1 - self.upper(v) / self.upper(self.xmin)) for v in x])

    def mean(self):
        return float(self.upper(self.xmin, 1) / self.upper(self.xmin))

    def var(self):
        return float(self.upper(self.xmin, 2) / self.upper(self.xmin)) - self.mean() ** 2


class ScipyAbove:
    """A SciPy law above xmin; its moments by SciPy's quadrature."""

    def __init__(self, law, xmin):
        self.law, self.xmin = law, xmin

    def logpdf(self, x):
        return self.law.logpdf(x) - self.law.logsf(self.xmin)

    def sf(self, x):
        return self.law.sf(x) / self.law.sf(self.xmin)

    def cdf(self, x):
        return (self.law.cdf(x) - self.law.cdf(self.xmin)) / self.law.sf(self.xmin)

    def moment(self, power):
        with mpmath.workdps(20):
            # int x^power dF by parts, for the Frechet law of shape 3, in t = x^-3
            t = mpmath.mpf(self.xmin) ** -3
            return mpmath.gammainc(1 - mpmath.mpf(power) / 3, 0, t) / -mpmath.expm1(-t)

    def mean(self):
        return float(self.moment(1))

    def var(self):
        return float(self.moment(2) - self.moment(1) ** 2)


class Case(NamedTuple):
    law: rmt.Law
    twin: object
    far: tuple[float, ...] = ()  # points deep in the upper tail


POWERS = (30.0, 1e4, 1e12)
CASES = {
    "gaussian": Case(rmt.Gaussian(), stats.norm(), (5.0, 12.0, 30.0)),
    "gaussian_3": Case(rmt.Gaussian(sigma=3), stats.norm(scale=3), (20.0, 60.0)),
    "pareto_0.5": Case(rmt.Pareto(mu=0.5), Signed(stats.pareto(0.5)), POWERS),
    "pareto_1.5": Case(rmt.Pareto(mu=1.5), Signed(stats.pareto(1.5)), POWERS),
    "pareto_5": Case(rmt.Pareto(mu=5), Signed(stats.pareto(5)), POWERS),
    "pareto_one_sided": Case(rmt.Pareto(mu=2.5, signed=False), stats.pareto(2.5), POWERS),
    "lomax_0.5": Case(rmt.Lomax(mu=0.5), stats.lomax(0.5), POWERS),
    "lomax_2.5": Case(rmt.Lomax(mu=2.5), stats.lomax(2.5), POWERS),
    "lomax_signed": Case(rmt.Lomax(mu=3, signed=True), Signed(stats.lomax(3)), POWERS),
    "lomax_centred": Case(rmt.Centred(rmt.Lomax(mu=3)), stats.lomax(3, loc=-0.5), POWERS),
    "lomax_centred_below_1": Case(rmt.Centred(rmt.Lomax(mu=0.8)), stats.lomax(0.8), POWERS),
    "student_0.7": Case(rmt.StudentT(df=0.7), stats.t(0.7), POWERS),
    "student_3": Case(rmt.StudentT(df=3), stats.t(3), POWERS),
    "student_40": Case(rmt.StudentT(df=40), stats.t(40), (10.0, 100.0)),
    "laplace": Case(rmt.Laplace(scale=1.7), stats.laplace(scale=1.7), (20.0, 1000.0)),
    "stable_0.4": Case(rmt.Stable(mu=0.4), StableByFourier(0.4), POWERS),
    "stable_cauchy": Case(rmt.Stable(mu=1, scale=2), stats.cauchy(scale=2), POWERS),
    "stable_1.8": Case(rmt.Stable(mu=1.8), StableByFourier(1.8), (19.0, 30.0, 1e6)),
    "stable_gaussian": Case(rmt.Stable(mu=2), stats.norm(scale=np.sqrt(2)), (5.0, 12.0, 19.9, 40.0)),
    "stable_1.25": Case(rmt.Stable(mu=1.25, scale=0.5), StableByFourier(1.25, 0.5), (30.0, 1e4, 1e6)),
    "signed_log_normal": Case(
        rmt.Signed(LogNormal(0.5, 0.8)), Signed(stats.lognorm(0.8, scale=np.exp(0.5))), POWERS[:2]
    ),
    "signed_truncated": Case(
        rmt.Signed(PowerLaw(2.5, 1, 50)), Signed(TailInDigits(2.5, 1, 50)), (30.0, 49.9, 49.999999)
    ),
    "frechet_0.75": Case(rmt.Frechet(shape=0.75), stats.invweibull(0.75), POWERS),
    "frechet_3": Case(rmt.Frechet(shape=3, scale=2), stats.invweibull(3, scale=2), POWERS),
    "frechet_second": Case(FrechetOrder(1.25, 2), stats.gengamma(2, -1.25), POWERS),
    "frechet_fifth": Case(FrechetOrder(1.25, 5, scale=3), stats.gengamma(5, -1.25, scale=3), POWERS),
    "mp_1": Case(rmt.MarchenkoPastur(Q=1), MarchenkoPasturByQuadrature(1), (3.9, 3.9999, 3.9999999)),
    "mp_2": Case(rmt.MarchenkoPastur(Q=2), MarchenkoPasturByQuadrature(2), (2.9, 2.914, 2.9142135)),
    "mp_10_sigma": Case(
        rmt.MarchenkoPastur(Q=10, sigma=0.5),
        MarchenkoPasturByQuadrature(10, 0.5),
        (
            0.43,
            0.4330,
        ),
    ),
    "tracy_widom_1": Case(rmt.TracyWidom(beta=1), None),
    "tracy_widom_2": Case(rmt.TracyWidom(beta=2), None),
    "levy_wishart": Case(rmt.laws.LevyWishart(1.5, 2.0), None),
    "levy_wishart_square": Case(rmt.laws.LevyWishart(1.0, 1.0), None),
    "free_levy_wishart": Case(rmt.laws.FreeLevyWishart(1.0, 2.0), None),
    "free_levy_wishart_square": Case(rmt.laws.FreeLevyWishart(1.5), None),
    "htmp": Case(rmt.laws.HighTemperatureMarchenkoPastur(2.5, 0.5), None),
    "htmp_inverse": Case(rmt.laws.HighTemperatureMarchenkoPastur(1.0, 0.0, inverse=True, scale=2.0), None),
    "power_law_2.5": Case(PowerLaw(alpha=2.5, xmin=0.2), stats.pareto(1.5, scale=0.2), POWERS),
    "power_law_log_uniform": Case(PowerLaw(1, 0.5, 400), TailInDigits(1, 0.5, 400), (300.0, 399.9, 399.999999)),
    "power_law_rising": Case(PowerLaw(-1.3, 0.7, 3), TailInDigits(-1.3, 0.7, 3), (2.9, 2.9999, 2.9999999)),
    "power_law_truncated": Case(PowerLaw(3.2, 0.5, 1e9), TailInDigits(3.2, 0.5, 1e9), (30.0, 1e7, 1e9 - 1)),
    "exp_truncated": Case(ExpTruncatedPowerLaw(2.4, 0.01, 0.5), TailInDigits(2.4, 0.5, rate=0.01), (50.0, 1e3, 5e4)),
    "exp_truncated_integer": Case(ExpTruncatedPowerLaw(3, 1e-9), TailInDigits(3, rate=1e-9), (50.0, 1e6, 1e10)),
    "exp_truncated_gamma": Case(
        ExpTruncatedPowerLaw(-1.5, 2, 0.3), TailInDigits(-1.5, 0.3, rate=2), (10.0, 80.0, 300.0)
    ),
    "log_normal": Case(LogNormal(log_mean=0.5, log_sd=0.8), stats.lognorm(0.8, scale=np.exp(0.5)), POWERS[:2]),
    "weibull_0.6": Case(Weibull(shape=0.6, rate=2), stats.weibull_min(0.6, scale=0.5), (30.0, 1e3, 1e4)),
    "weibull_2.5": Case(Weibull(shape=2.5, rate=0.7), stats.weibull_min(2.5, scale=1 / 0.7), (5.0, 10.0)),
    "exponential": Case(Exponential(rate=0.7), stats.expon(scale=1 / 0.7), (30.0, 900.0)),
    "log_normal_above": Case(Above(LogNormal(-3, 0.5), 0.9), LogNormalAbove(-3, 0.5, 0.9), (2.0, 10.0, 1e4)),
    "log_normal_above_1e-30": Case(Above(LogNormal(-11.4, 1), 1), LogNormalAbove(-11.4, 1, 1), (2.0, 10.0, 1e4)),
    "frechet_above": Case(Above(rmt.Frechet(3), 0.7), ScipyAbove(stats.invweibull(3), 0.7), POWERS),
}
# SciPy gives inf for a mean that does not exist, and a number for one that is infinite
NO_MOMENTS = {"student_0.7": (np.nan, np.nan), "stable_cauchy": (np.nan, np.nan), "frechet_0.75": (np.inf, np.inf)}
QUANTILES = np.array([1e-6, 1e-3, 0.02, 0.15, 0.4, 0.6, 0.85, 0.97, 0.999, 1 - 1e-6])
N_SAMPLES = 20_000
SIGNIFICANCE = 0.01 / len(CASES)

# Laws that compile for long, each method anew, and parameters of laws that others of the table have too
PREFIXES = (
    "stable",
    "signed",
    "tracy_widom",
    "exp_truncated",
    "frechet_second",
    "frechet_fifth",
    "frechet_above",
    "log_normal_above",
    "levy_wishart",
    "free_levy_wishart",
    "htmp",
)
SLOW = {name for name in CASES if name.startswith(PREFIXES)}


def marked(names) -> list:
    return [slow(name) if name in SLOW else name for name in names]


every_law = pytest.mark.parametrize("name", marked(CASES))
every_twin = pytest.mark.parametrize("name", marked(n for n, case in CASES.items() if case.twin is not None))


@cache
def points(name: str) -> np.ndarray:
    """The law's QUANTILES. Tests stay with this one shape, because each shape is compiled anew."""
    return np.asarray(CASES[name].law.ppf(QUANTILES))


@cache
def draw(name: str) -> np.ndarray:
    key = jax.random.key(list(CASES).index(name))
    return np.asarray(CASES[name].law.sample(key, (N_SAMPLES,)))


def p_value(name: str, x: np.ndarray) -> float:
    return stats.kstest(x, lambda x: np.asarray(CASES[name].law.cdf(x))).pvalue


@every_twin
def test_density_and_distribution_agree_with_the_twin(name):
    law, twin, _ = CASES[name]
    x = points(name)
    np.testing.assert_allclose(law.cdf(x), twin.cdf(x), rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(law.sf(x), twin.sf(x), rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(law.logpdf(x), twin.logpdf(x), rtol=1e-9, atol=1e-10)


@every_twin
def test_tail_keeps_its_relative_accuracy(name):
    law, twin, far = CASES[name]
    rtol = 1e-8 if isinstance(law, rmt.MarchenkoPastur) else 1e-12
    sf = law.sf(np.resize(far, QUANTILES.shape))[: len(far)]
    np.testing.assert_allclose(sf, twin.sf(np.array(far)), rtol=rtol)


@every_twin
def test_tail_of_the_size_keeps_its_relative_accuracy(name):
    law, twin, far = CASES[name]
    rtol = 1e-8 if isinstance(law, rmt.MarchenkoPastur) else 1e-12
    t = np.resize((*np.asarray(law.abs_isf(np.array([0.7, 0.1]))), *far), QUANTILES.shape)
    both = twin.sf(t) + (0 if law.ppf(0.0) >= 0 else twin.cdf(-t))
    np.testing.assert_allclose(law.abs_sf(t), both, rtol=rtol)
    np.testing.assert_array_equal(law.abs_sf(-t), 1)


@jax.jit
def size(law: rmt.Law, p: jax.Array) -> tuple[jax.Array, ...]:
    """t = abs_isf(p), P(|w| > t), its derivative times that of abs_isf, and both ends and what has no answer."""
    t, slope = jax.jvp(law.abs_isf, (p,), (jnp.ones_like(p),))
    return t, law.abs_sf(t), slope * (law.pdf(t) + law.pdf(-t)), law.abs_isf(jnp.array([0.0, 1.0, -0.1, 1.1, jnp.nan]))


@every_law
def test_size_exceeded_with_a_given_probability(name):
    law = CASES[name].law
    bounded = law.ppf(1.0) < np.inf  # the digits of t end where those of sf(t) would begin
    p = jnp.geomspace(1e-6 if bounded else 1e-40, 0.9, QUANTILES.size)
    t, back, slope, ends = size(law, p)
    np.testing.assert_allclose(back, p, rtol=1e-9)
    np.testing.assert_allclose(slope, -1, rtol=1e-6)
    np.testing.assert_allclose(ends[0], max(law.ppf(1.0), -law.ppf(0.0)))
    np.testing.assert_allclose(law.abs_sf(ends[1]), 1, rtol=1e-14)
    assert ends[1] < t[-1]
    assert np.isnan(ends[2:]).all()


@every_law
def test_tail_constant_is_where_the_tail_goes(name):
    law = CASES[name].law
    mu, constant = law.tail_index, law.tail_constant
    if mu == np.inf or isinstance(law, Above):
        assert np.isnan(constant)
    else:
        log_t = min(140.0, 600 / mu)
        np.testing.assert_allclose(mu * log_t + np.log(law.abs_sf(np.exp(log_t))), np.log(constant), atol=1e-8)


def test_student_beyond_where_the_square_overflows():
    t = np.array([1e-150, 1e-9, 1e7, 1e9, 1e100, 1e250])
    for df in (0.3, 0.7):
        with mpmath.workdps(30):
            upper = [
                mpmath.betainc(df / mpmath.mpf(2), 0.5, 0, df / (df + mpmath.mpf(v) ** 2), regularized=True) for v in t
            ]
        np.testing.assert_allclose(rmt.StudentT(df).abs_sf(t), np.array(upper, float), rtol=1e-12)


@every_twin
def test_mean_and_variance_agree_with_the_twin(name):
    law, twin, _ = CASES[name]
    mean, var = NO_MOMENTS.get(name) or (twin.mean(), twin.var())
    rtol = 1e-9 if isinstance(law, Above) else 1e-12
    np.testing.assert_allclose(law.mean, mean, rtol=rtol, atol=1e-14)
    np.testing.assert_allclose(law.var, var, rtol=rtol)


@every_law
def test_quantile_inverts_distribution(name):
    law = CASES[name].law
    # Above is known to the rounding of the law's logsf
    atol = 1e-15 * max(1, -law.law.logsf(law.xmin)) if isinstance(law, Above) else 1e-15
    np.testing.assert_allclose(law.cdf(points(name)), QUANTILES, rtol=1e-9, atol=atol)
    ends = np.asarray(law.ppf(np.resize([0.0, 1.0, -0.1, 1.1, np.nan], QUANTILES.shape)))[:5]
    assert np.isnan(ends[2:]).all()
    assert law.cdf(np.resize(ends[0], QUANTILES.shape))[0] == 0
    assert law.sf(np.resize(ends[1], QUANTILES.shape))[0] == 0


@every_law
def test_both_tails_add_up_to_one(name):
    law = CASES[name].law
    for x in (points(name), np.array([-1e3, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1e3, np.inf, -np.inf])):
        cdf, sf = law.cdf(x), law.sf(x)
        np.testing.assert_allclose(cdf + sf, 1, rtol=1e-14)
    assert cdf[-2] == 1
    assert sf[-1] == 1


@jax.jit
def slopes(law: rmt.Law, x: jax.Array, q: jax.Array) -> tuple[jax.Array, ...]:
    """d cdf/dx and d ppf/dq, forwards; and a mixture of slopes in and out of the support, backwards."""
    anywhere = jnp.array([-7.5, -0.3, 0.3, 7.5])
    total = jax.grad(lambda x: (law.logpdf(x) + law.cdf(x) * law.sf(x)).sum())(anywhere)
    return *(jax.jvp(f, (at,), (jnp.ones_like(at),))[1] for f, at in ((law.cdf, x), (law.ppf, q))), total


@every_law
def test_derivatives_are_the_density_and_its_inverse(name):
    law = CASES[name].law
    q = jnp.asarray(QUANTILES)
    density = law.pdf(points(name))
    cdf, ppf, anywhere = slopes(law, jnp.asarray(points(name)), q)
    np.testing.assert_allclose(cdf, density, rtol=1e-7)
    np.testing.assert_allclose(ppf, 1 / density, rtol=1e-5)
    assert np.isfinite(anywhere).all()


@every_law
def test_nan_stays_nan(name):
    law = CASES[name].law
    for function in (law.logpdf, law.pdf, law.cdf, law.sf):
        assert np.isnan(function(np.full(QUANTILES.shape, np.nan))).all()


@every_law
def test_samples_follow_the_law(name):
    assert p_value(name, draw(name)) > SIGNIFICANCE


@every_law
def test_samples_stretched_by_a_quarter_are_told_apart(name):
    assert p_value(name, 1.25 * draw(name)) < SIGNIFICANCE


FAMILIES = {jax.tree.structure(case.law): name for name, case in CASES.items() if jax.tree.leaves(case.law)}


@jax.jit
def upper(law: rmt.Law, p: jax.Array, ends: jax.Array) -> tuple[jax.Array, ...]:
    """What belongs to x = isf(p), and both ends."""
    x, slope = jax.jvp(law.isf, (p,), (jnp.ones_like(p),))
    return law.sf(x), law.logsf(x), slope * law.pdf(x), law.isf(ends), law.ppf(1 - ends)


@pytest.mark.parametrize(
    "name", marked(name for name in FAMILIES.values() if not name.startswith(("student", "tracy", "lomax_s")))
)
def test_logsf_and_isf_are_sf_and_its_inverse(name):
    p = jnp.geomspace(1e-8, 0.9, QUANTILES.size)
    sf, logsf, slope, ends, expected = upper(CASES[name].law, p, jnp.array([0.0, 1.0, -0.1, 1.1, np.nan]))
    np.testing.assert_allclose(sf, p, rtol=1e-9)
    np.testing.assert_allclose(logsf, np.log(p), rtol=1e-9)
    np.testing.assert_allclose(slope, -1, rtol=1e-6)
    np.testing.assert_array_equal(ends, expected)


@pytest.mark.parametrize("name", marked(FAMILIES.values()))
def test_vmap_over_parameters_under_jit_equals_a_loop(name):
    factors = jnp.array([1.0, 1.1, 1.3])
    batch = jax.tree.map(lambda p: p * factors, CASES[name].law)

    def everything(law):
        x = jnp.linspace(0.5, 1.5, QUANTILES.size)
        w = law.sample(jax.random.key(7), QUANTILES.shape)
        return law.logpdf(x), law.sf(x), law.ppf(x / 2), w, law.mean, law.var

    loop = [everything(jax.tree.map(lambda p, i=i: p[i], batch)) for i in range(len(factors))]
    for got, *want in zip(jax.jit(jax.vmap(everything))(batch), *loop, strict=True):
        np.testing.assert_allclose(got, np.stack(want), rtol=1e-12, atol=1e-13)


def test_a_new_parameter_value_compiles_nothing():
    traces = []

    @jax.jit
    def tail(law):
        traces.append(law)
        return law.sf(3.0)

    for mu in (1, 1.5, np.float32(2.5), jnp.asarray(4.0)):
        np.testing.assert_allclose(tail(rmt.Pareto(mu=mu)), 3.0 ** -float(mu) / 2, rtol=1e-14)
    assert len(traces) == 1


def test_centring_follows_a_traced_mu_across_one():
    means = jax.vmap(lambda mu: rmt.Centred(rmt.Lomax(mu=mu)).shift)(jnp.array([0.5, 1.0, 1.5, 3.0]))
    np.testing.assert_allclose(means, [0, 0, 2, 0.5])
    assert np.isinf(rmt.Centred(rmt.Lomax(mu=0.5)).mean)
    assert rmt.Centred(rmt.Lomax(mu=3)).mean == 0


def test_tail_index_of_each_family():
    found = [law.tail_index for law in (rmt.Pareto(1.5), rmt.Lomax(2.5), rmt.StudentT(3), rmt.Gaussian())]
    assert found == [1.5, 2.5, 3, np.inf]
    assert rmt.Centred(rmt.Lomax(2.5)).tail_index == 2.5
    tails = [PowerLaw(2.5), PowerLaw(2.5, xmax=9), ExpTruncatedPowerLaw(2.5, 0), ExpTruncatedPowerLaw(2.5, 1)]
    assert [law.tail_index for law in tails] == [1.5, np.inf, 1.5, np.inf]
    assert Above(rmt.Frechet(0.7), 2).tail_index == 0.7
    entries = [rmt.Stable(1.7), rmt.Stable(2), rmt.Laplace(), rmt.Signed(rmt.Frechet(1.2)), rmt.Signed(LogNormal())]
    assert [law.tail_index for law in entries] == [1.7, np.inf, np.inf, 1.2, np.inf]


@pytest.mark.parametrize("law", [rmt.Pareto(mu=0.5), rmt.Lomax(mu=0.5), rmt.Frechet(shape=0.5), rmt.Stable(mu=0.5)])
def test_largest_of_a_million_draws_are_on_no_lattice(law):
    """A 32-bit uniform makes P(|w| > t) a multiple of 2^-23 at every draw, and caps |w| at 2^(23/mu)."""
    w = jnp.abs(law.sample(jax.random.key(3), (1_000_000,), jnp.float32))
    assert w.dtype == jnp.float32
    steps = np.asarray(law.abs_sf(jax.lax.top_k(w, 40)[0])) * 2.0**23
    assert np.abs(steps - np.round(steps)).mean() > 0.15
    assert 0.01 < steps.min() < 60


@pytest.mark.slow
@pytest.mark.parametrize("law", [rmt.Pareto(mu=0.5), rmt.Stable(mu=0.5)])
def test_largest_of_ten_million_draws_in_float32(law):
    """32-bit uniforms would cap P(|w| > t) at 2^-23, two of three such maxima are beyond it; and repeat themselves."""
    n = 10_000_000
    w = np.abs(np.asarray(law.sample(jax.random.key(1), (n,), jnp.float32)))
    assert np.isfinite(w).all()
    rank = n * float(law.abs_sf(float(w.max())))  # unit exponential
    assert 1e-3 < rank < 7
    assert rank < n * 2.0**-23
    assert np.unique(w).size > 0.7 * n  # 2^23 lattice points, drawn 10^7 times, leave 0.58 n distinct ones


def test_draws_stay_finite_at_the_heaviest_index():
    for dtype in (jnp.float32, jnp.float64):
        w = rmt.Pareto(mu=0.3).sample(jax.random.key(0), (1000, 1000), dtype)
        assert np.isfinite(w).all()
    assert np.isfinite(rmt.Pareto(mu=0.01).sample(jax.random.key(0), (1000,), jnp.float32)).all()


def test_float32_draws_are_the_rounded_float64_draws():
    law, key = rmt.StudentT(df=2.5), jax.random.key(5)
    same = jax.random.clone(key)
    assert (law.sample(key, (100,)).astype(jnp.float32) == law.sample(same, (100,), jnp.float32)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rmt.Pareto(mu=-1), r"Pareto\(mu\) needs a finite mu > 0, got -1"),
        (lambda: rmt.Lomax(mu=np.nan), r"Lomax\(mu\) needs a finite mu > 0, got nan"),
        (lambda: rmt.Gaussian(sigma=0), r"Gaussian\(sigma\) needs a finite sigma > 0, got 0"),
        (lambda: rmt.StudentT(df=0), r"StudentT\(df\)"),
        (lambda: rmt.Frechet(shape=1, scale=-2), r"Frechet\(scale\)"),
        (lambda: rmt.MarchenkoPastur(Q=0), r"MarchenkoPastur\(Q\) needs a finite Q > 0, got 0"),
        (lambda: rmt.Stable(mu=2.1), r"Stable\(mu\) needs mu <= 2, got 2.1"),
        (lambda: rmt.Stable(mu=0), r"Stable\(mu\) needs a finite mu > 0, got 0"),
        (lambda: rmt.Stable(mu=1, scale=0), r"Stable\(scale\)"),
        (lambda: rmt.Laplace(scale=-1), r"Laplace\(scale\)"),
        (lambda: rmt.Signed(3.0), r"Signed\(law\) needs a law"),
        (lambda: FrechetOrder(shape=1, k=0), r"FrechetOrder\(k\) needs an integer k >= 1, 1 for the largest, got 0"),
        (lambda: rmt.Pareto(mu=2, signed=1), r"signed.* True or False"),
        (lambda: rmt.Centred(3.0), r"Centred\(law\) needs a law"),
        (lambda: PowerLaw(alpha=1), r"PowerLaw\(alpha\) needs a finite alpha > 1, got 1.0 without an xmax"),
        (lambda: PowerLaw(alpha=np.nan, xmax=2), r"PowerLaw\(alpha\) needs a finite alpha, got nan"),
        (lambda: PowerLaw(alpha=2, xmin=0), r"PowerLaw\(xmin\)"),
        (lambda: PowerLaw(alpha=2, xmin=3, xmax=3), r"PowerLaw\(xmax\) needs xmax > xmin, got 3.0 and 3.0"),
        (lambda: PowerLaw(alpha=2, xmax=np.nan), r"PowerLaw\(xmax\) needs xmax > xmin"),
        (lambda: ExpTruncatedPowerLaw(alpha=2, rate=-1), r"ExpTruncatedPowerLaw\(rate\) needs a finite rate >= 0"),
        (lambda: ExpTruncatedPowerLaw(alpha=1, rate=0), r"finite alpha > 1, got 1.0 with rate = 0"),
        (lambda: ExpTruncatedPowerLaw(alpha=1, rate=1, xmin=0), r"ExpTruncatedPowerLaw\(xmin\)"),
        (lambda: LogNormal(log_mean=np.inf), r"LogNormal\(log_mean\) needs a finite log_mean, got inf"),
        (lambda: LogNormal(log_sd=0), r"LogNormal\(log_sd\)"),
        (lambda: Weibull(shape=0), r"Weibull\(shape\)"),
        (lambda: Weibull(shape=1, rate=-1), r"Weibull\(rate\)"),
        (lambda: Exponential(rate=0), r"Exponential\(rate\)"),
        (lambda: Above(3.0, 1), r"Above\(law\) needs a law"),
        (lambda: Above(LogNormal(), np.inf), r"Above\(xmin\) needs a finite xmin, got inf"),
        (lambda: rmt.Gaussian().sample(jax.random.key(0), (2,), int), "floating dtype"),
    ],
)
def test_impossible_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_marchenko_pastur_integrates_over_its_whole_support():
    for Q in (1.0, 1.001, 3.0, 1e4):
        law = rmt.MarchenkoPastur(Q=Q)
        x = jnp.linspace(law.lambda_minus, law.lambda_plus, 2001)
        cdf = np.asarray(law.cdf(x))
        assert cdf[0] == 0
        assert cdf[-1] == 1
        assert (np.diff(cdf) > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("mu", [0.3, 0.7, 0.999999, 1.000001, 1.4, 1.4000001, 1.99])
def test_stable_law_in_the_middle_and_where_its_series_begins(mu):
    law, twin = rmt.Stable(mu), StableByFourier(mu)
    t = np.array([1e-3, 0.4, 0.999, 1.001, 6.0, 19.99, 20.01, 300.0])
    np.testing.assert_allclose(law.sf(t), twin.sf(t), rtol=1e-12)
    np.testing.assert_allclose(law.pdf(t), np.exp(twin.logpdf(t)), rtol=1e-12)


@pytest.mark.slow
def test_stable_law_is_smooth_through_cauchy_and_close_to_gauss():
    def values(mu):
        law = rmt.Stable(mu)
        return jnp.array([law.logpdf(0.5), law.logpdf(40.0), law.logsf(3.0)])

    slope, values = jax.jit(jax.jacfwd(values)), jax.jit(values)
    for mu in (1.0, 1.7):
        np.testing.assert_allclose(slope(mu), (values(mu + 1e-4) - values(mu - 1e-4)) / 2e-4, rtol=1e-6)
    p = np.geomspace(1e-30, 0.999, 12)
    for mu in (0.3, 1.9999, 2 - 1e-7, 2 - 1e-12):
        law = rmt.Stable(mu)
        np.testing.assert_allclose(law.abs_sf(law.abs_isf(p)), p, rtol=1e-11)


@pytest.mark.slow
def test_stable_law_is_that_of_its_own_sums():
    """(w_1 + ... + w_4)/4^(1/mu) is w again: by KS distance, for each mu; without the scale it is not."""
    for mu in (0.5, 1.5):
        law = rmt.Stable(mu)
        w = np.asarray(law.sample(jax.random.key(8), (N_SAMPLES, 4)).sum(1))
        assert stats.kstest(w / 4 ** (1 / mu), lambda x, law=law: np.asarray(law.cdf(x))).pvalue > 1e-3
        assert stats.kstest(w / 4, lambda x, law=law: np.asarray(law.cdf(x))).pvalue < 1e-3


@pytest.mark.parametrize("Q", [0.05, 0.4, 0.9])
def test_marchenko_pastur_with_more_columns_than_rows(Q):
    """M - N eigenvalues are 0; the others are those of W W^T / M, a law of 1/Q, times M/N."""
    law, sigma = rmt.MarchenkoPastur(Q, sigma=1.5), 1.5
    twin = MarchenkoPasturByQuadrature(Q, sigma)
    q = np.array([1e-9, 0.1, 0.5, 0.9, 1 - 1e-6])
    x = np.asarray(law.ppf(1 - Q + Q * q))
    np.testing.assert_allclose(law.sf(x), twin.sf(x), rtol=1e-8)
    np.testing.assert_allclose(law.logpdf(x), twin.logpdf(x), rtol=1e-8)
    np.testing.assert_allclose(law.cdf(x), 1 - Q + Q * q, rtol=1e-13)
    np.testing.assert_allclose(x, rmt.MarchenkoPastur(1 / Q, sigma).ppf(q) / Q, rtol=1e-6)
    np.testing.assert_allclose((law.mean, law.var), (twin.mean(), twin.var()), rtol=1e-12)
    np.testing.assert_allclose(law.isf(law.sf(x[1:])), x[1:], rtol=1e-9)
    np.testing.assert_array_equal(law.ppf([0, 0.99 * (1 - Q)]), 0)
    np.testing.assert_array_equal(law.isf([1, 1 - 0.99 * (1 - Q), 0]), [0, 0, law.lambda_plus])
    below, inside_gap = -1e-300, float(law.lambda_minus) / 2
    np.testing.assert_allclose(law.cdf([below, 0, inside_gap, law.lambda_plus]), [0, 1 - Q, 1 - Q, 1], rtol=1e-15)
    np.testing.assert_allclose(law.sf([below, 0, inside_gap, law.lambda_plus]), [1, Q, Q, 0], rtol=1e-15)
    np.testing.assert_allclose(law.abs_sf([-1, 0, inside_gap]), [1, Q, Q], rtol=1e-15)


def test_marchenko_pastur_draws_have_zeros_in_their_share():
    Q, n = 0.3, 50_000
    law = rmt.MarchenkoPastur(Q)
    x = np.asarray(law.sample(jax.random.key(2), (n,)))
    assert abs((x == 0).sum() - n * (1 - Q)) < 4 * np.sqrt(n * Q * (1 - Q))
    positive = x[x > 0]
    assert stats.kstest(positive, lambda x: (np.asarray(law.cdf(x)) - (1 - Q)) / Q).pvalue > 1e-3
    assert stats.kstest(1.05 * positive, lambda x: (np.asarray(law.cdf(x)) - (1 - Q)) / Q).pvalue < 1e-3


def test_marchenko_pastur_is_the_spectrum_of_a_wide_matrix():
    W = np.asarray(rmt.Gaussian().sample(jax.random.key(4), (200, 600)))
    eigenvalues = np.append(np.linalg.svd(W, compute_uv=False) ** 2 / 200, np.zeros(400))
    law, x = rmt.MarchenkoPastur(Q=200 / 600), np.linspace(0, 8, 400)
    esd = (eigenvalues[:, None] <= x).mean(0)
    assert np.abs(esd - np.asarray(law.cdf(x))).max() < 0.01


def test_marchenko_pastur_quantile_follows_Q():
    """d ppf/dQ through the implicit step, against a central difference."""
    h = 1e-5
    for q in (0.1, 0.5, 0.9):
        slope = jax.grad(lambda Q, q=q: rmt.MarchenkoPastur(Q=Q).ppf(q))(2.0)
        upper, lower = rmt.MarchenkoPastur(Q=2.0 + h).ppf(q), rmt.MarchenkoPastur(Q=2.0 - h).ppf(q)
        np.testing.assert_allclose(slope, (upper - lower) / (2 * h), rtol=1e-6)


ORDERS = (-5, -4.3, -2, -1 + 1e-9, 0, 0.5, 1 - 1e-9, 1, 1 + 1e-12, 2, 2.5, 4, 11.7, 30)
ARGUMENTS = (1e-12, 1e-6, 0.01, 0.7, 1.9999999, 2, 2.0000001, 7, 80, 1e3, 1e5)


def log_scaled_in_digits(p, z):
    return mpmath.log(mpmath.expint(p, mpmath.mpf(z))) + mpmath.mpf(z)


@cache
def grid() -> tuple[np.ndarray, np.ndarray]:
    p, z = np.meshgrid(ORDERS, ARGUMENTS)
    return p.ravel(), z.ravel()


def test_exponential_integral_of_real_order():
    with mpmath.workdps(30):
        expected = [float(log_scaled_in_digits(mpmath.mpf(p), z)) for p, z in zip(*grid(), strict=True)]
    np.testing.assert_allclose(log_scaled_integral(*grid()), expected, rtol=0, atol=1e-13)


def test_derivatives_of_the_exponential_integral():
    """First and second in the order, first in the argument, where z = 1e-12 leaves no digit to a difference of terms."""
    first = jax.grad(log_scaled_integral, (0, 1))
    (in_p, in_z), in_pp = jax.jit(jax.vmap(lambda p, z: (first(p, z), jax.grad(lambda p: first(p, z)[0])(p))))(*grid())
    expected = []
    with mpmath.workdps(30):
        for p, z in zip(*grid(), strict=True):
            p = mpmath.mpf(p)
            ratio = mpmath.expint(p - 1, mpmath.mpf(z)) / mpmath.expint(p, mpmath.mpf(z))
            slopes = [mpmath.diff(lambda q, z=z: log_scaled_in_digits(q, z), p, n) for n in (1, 2)]
            expected.append([float(v) for v in (slopes[0], 1 - ratio, slopes[1])])
    small = grid()[1] < 100  # beyond, the second derivative is a difference: of the order 1/z^2
    in_p_expected, in_z_expected, in_pp_expected = np.array(expected).T
    np.testing.assert_allclose(in_p, in_p_expected, rtol=1e-11)
    np.testing.assert_allclose(in_z, in_z_expected, rtol=1e-11)
    np.testing.assert_allclose(in_pp[small], in_pp_expected[small], rtol=1e-9)


def test_an_exponential_cutoff_goes_over_into_none():
    x = np.geomspace(2, 1e6, QUANTILES.size)
    pure, almost, without = PowerLaw(2.5, 2), ExpTruncatedPowerLaw(2.5, 1e-18, 2), ExpTruncatedPowerLaw(2.5, 0, 2)
    for law in (almost, without):
        np.testing.assert_allclose(law.logpdf(x), pure.logpdf(x), rtol=1e-8)
        np.testing.assert_allclose(law.logsf(x), pure.logsf(x), rtol=1e-8)
    np.testing.assert_allclose(without.ppf(QUANTILES), pure.ppf(QUANTILES), rtol=1e-12)
    np.testing.assert_allclose(without.mean, pure.mean, rtol=1e-13)
    assert without.var == np.inf
    score = jax.vmap(jax.grad(lambda rate, x: ExpTruncatedPowerLaw(2.5, rate, 2).logpdf(x)), (None, 0))
    np.testing.assert_allclose(score(0.0, x), 6 - x, rtol=1e-12)  # E[x] - x
    assert score(1e-18, x)[0] > 0


# At x = xmin, between, at xmax, and outside: alpha, xmin, xmax of each is traced.
PLACES = np.array([0.2, 0.5, 0.500001, 0.7, 2.0, 2.999999, 3.0, 9.0, np.inf])


@jax.jit
def power_law(alpha, xmin, xmax):
    """Values and their derivatives in alpha, xmin and xmax."""

    def values(alpha, xmin, xmax):
        law = PowerLaw(alpha, xmin, xmax)
        return law.logpdf(PLACES), law.cdf(PLACES), law.sf(PLACES), law.ppf(QUANTILES), law.mean

    return values(alpha, xmin, xmax), jax.jacfwd(values, (0, 1, 2))(alpha, xmin, xmax)


def test_power_law_with_traced_parameters():
    for alpha, xmax in ((1.0, 3.0), (-40.0, 3.0), (-900.0, 3.0), (900.0, 3.0), (2.5, np.inf), (2.5, 1e300)):
        values, slopes = power_law(alpha, 0.5, xmax)
        for value, want in zip(values, PowerLawByHand(alpha, 0.5, xmax), strict=True):
            np.testing.assert_allclose(value, want, rtol=1e-12, atol=1e-14)
        finite = jax.tree.leaves(slopes)
        assert all(np.isfinite(slope).all() for slope in finite)


def test_power_law_is_smooth_through_alpha_1():
    """d logpdf/dalpha is L/2 - u and the second derivative -L^2/12 at alpha = 1; both sides of it join there."""
    x, log_ratio = 2.0, np.log(3 / 0.5)

    def logpdf(alpha):
        return PowerLaw(alpha, 0.5, 3.0).logpdf(x)

    both = jax.jit(lambda alpha: (jax.grad(logpdf)(alpha), jax.grad(jax.grad(logpdf))(alpha)))
    for alpha in (1 - 1e-9, 1.0, 1 + 1e-9):
        np.testing.assert_allclose(both(alpha), (log_ratio / 2 - np.log(x / 0.5), -(log_ratio**2) / 12), rtol=1e-8)
    edge = 0.5 / log_ratio  # where log_mean_decay leaves its series
    below, above = both(1 + edge * (1 - 1e-12)), both(1 + edge * (1 + 1e-12))
    np.testing.assert_allclose(below, above, rtol=1e-10)
    slope = jax.grad(lambda alpha: PowerLaw(alpha, 0.5, 3.0).ppf(0.3))
    quantiles = PowerLaw(1 + 1e-5, 0.5, 3.0).ppf(0.3), PowerLaw(1 - 1e-5, 0.5, 3.0).ppf(0.3)
    np.testing.assert_allclose(slope(1.0), (quantiles[0] - quantiles[1]) / 2e-5, rtol=1e-6)


TAILS = {
    "power_law": PowerLaw(2.5, 2),
    "exp_truncated": ExpTruncatedPowerLaw(2.5, 0.1, 2),
    "log_normal": Above(LogNormal(0.1, 0.7), 2),
    "weibull": Above(Weibull(0.6, 1.5), 2),
}


@pytest.mark.parametrize("law", TAILS.values(), ids=TAILS)
def test_a_tail_starts_at_xmin_with_finite_derivatives(law):
    """A fit puts xmin on a data point: nothing may be lost there, in value or derivative."""

    def values(law, x):
        return jnp.array([law.logpdf(x), law.cdf(x), law.sf(x), law.ppf(law.cdf(x))])

    (logpdf, cdf, sf, x), (by_law, by_x), score = jax.jit(
        lambda law, x: (values(law, x), jax.jacfwd(values, (0, 1))(law, x), jax.grad(lambda law: law.logpdf(x))(law))
    )(law, law.xmin)
    assert (cdf, sf, x) == (0, 1, law.xmin)
    assert np.isfinite(logpdf)
    np.testing.assert_allclose(by_x[1:3], np.exp(logpdf) * np.array([1, -1]), rtol=1e-12)
    assert all(np.isfinite(slope).all() for slope in jax.tree.leaves((by_law, by_x, score)))
    assert law.logpdf(np.nextafter(law.xmin, 0)) == -np.inf


@pytest.mark.parametrize("mu", [1.1, 2.1, 40])
def test_moments_above_by_quadrature_near_and_far_from_divergence(mu):
    law, twin = Above(rmt.Pareto(mu, signed=False), 3), PowerLaw(mu + 1, 3)
    np.testing.assert_allclose((law.mean, law.var), (twin.mean, twin.var), rtol=1e-12)


def test_gaussian_tail_beyond_its_underflow():
    z = np.array([5, 19.9, 20.1, 21, 30, 37, 50, 200, 1e4, 1e8])
    np.testing.assert_allclose(rmt.Gaussian().logsf(z), stats.norm.logsf(z), rtol=1e-13)


@pytest.mark.parametrize(
    ("law", "xmin"),
    [(LogNormal(0, 0.05), np.exp(2.5)), (Weibull(2.5, 2), 50.0), (rmt.Pareto(400), 50.0)],
)
def test_above_where_the_mass_underflows(law, xmin):
    """sf(xmin) is 1e-543 and less; the tail beyond it is that of the memoryless law with the local hazard."""
    tail = Above(law, xmin)
    assert law.sf(xmin) == 0
    p = np.geomspace(1e-4, 0.9, QUANTILES.size)
    x = tail.isf(p)
    np.testing.assert_allclose(tail.sf(x), p, rtol=1e-9)
    np.testing.assert_allclose(law.logsf(x) - law.logsf(xmin), np.log(p), rtol=1e-9)
    assert stats.kstest(tail.sample(jax.random.key(11), (N_SAMPLES,)), lambda x: np.asarray(tail.cdf(x))).pvalue > 0.001
    steps = np.linspace(xmin, float(x[0]), 2001)
    density = np.exp(np.asarray(tail.logpdf(steps)))
    mass = (density[:-1:2] + 4 * density[1::2] + density[2::2]).sum() * (steps[1] - steps[0]) / 3  # Simpson
    np.testing.assert_allclose(mass, 1 - 1e-4, rtol=1e-6)


def test_signed_exponentials_are_exponential_and_their_signs_fair():
    """Both exact in law, independent of each other, and the sign of a word is not seen in its size."""
    size, sign = signed_exponential(jax.random.key(5), (200_000,))
    assert stats.kstest(np.asarray(size), stats.expon.cdf).pvalue > 1e-3
    assert abs(np.asarray(sign).mean()) < 4 / np.sqrt(size.size)
    up, down = (np.asarray(size)[np.asarray(sign) == s] for s in (1, -1))
    assert stats.ks_2samp(up, down).pvalue > 1e-3
    assert np.unique(size).size > size.size - 5


def test_logarithm_of_uniforms():
    """What turns them into exponentials, against libm: 5e-16 relative on (0, 1], as near to 1 and to 0 as they come."""
    x = 2.0 ** -np.random.default_rng(0).uniform(0, 63, 100_000)
    x = np.concatenate(
        [x, 1 - 2.0 ** -np.arange(1, 54), 2.0 ** -np.arange(64), [np.sqrt(0.5), np.nextafter(np.sqrt(0.5), 0)]]
    )
    np.testing.assert_allclose(jax.jit(uniform_log)(x), np.log(x), rtol=6e-16)
