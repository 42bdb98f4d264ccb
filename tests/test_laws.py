"""Every law against SciPy or mpmath, from one table; what all laws promise, and what single laws promise."""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import stats

import rmt


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
    "frechet_0.75": Case(rmt.Frechet(shape=0.75), stats.invweibull(0.75), POWERS),
    "frechet_3": Case(rmt.Frechet(shape=3, scale=2), stats.invweibull(3, scale=2), POWERS),
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
}
# SciPy gives inf for a mean that does not exist, and a number for one that is infinite
NO_MOMENTS = {"student_0.7": (np.nan, np.nan), "frechet_0.75": (np.inf, np.inf)}
QUANTILES = np.array([1e-6, 1e-3, 0.02, 0.15, 0.4, 0.6, 0.85, 0.97, 0.999, 1 - 1e-6])
N_SAMPLES = 20_000
SIGNIFICANCE = 0.01 / len(CASES)

every_law = pytest.mark.parametrize("name", CASES)
every_twin = pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.twin is not None])


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
def test_mean_and_variance_agree_with_the_twin(name):
    law, twin, _ = CASES[name]
    mean, var = NO_MOMENTS.get(name) or (twin.mean(), twin.var())
    np.testing.assert_allclose(law.mean, mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(law.var, var, rtol=1e-12)


@every_law
def test_quantile_inverts_distribution(name):
    law = CASES[name].law
    np.testing.assert_allclose(law.cdf(points(name)), QUANTILES, rtol=1e-9, atol=1e-15)
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


@pytest.mark.parametrize("name", FAMILIES.values())
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


@pytest.mark.parametrize("law", [rmt.Pareto(mu=0.5), rmt.Lomax(mu=0.5), rmt.Frechet(shape=0.5)])
def test_largest_of_a_million_draws_are_on_no_lattice(law):
    """A 32-bit uniform makes P(|w| > t) a multiple of 2^-23 at every draw, and caps |w| at 2^(23/mu)."""
    w = jnp.abs(law.sample(jax.random.key(3), (1_000_000,), jnp.float32))
    assert w.dtype == jnp.float32
    scale = 1 if isinstance(law, rmt.Frechet) else 1 + int(getattr(law, "signed", False))
    steps = np.asarray(scale * law.sf(jax.lax.top_k(w, 40)[0])) * 2.0**23
    assert np.abs(steps - np.round(steps)).mean() > 0.15
    assert 0.01 < steps.min() < 60


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
        (lambda: rmt.MarchenkoPastur(Q=0.5), r"MarchenkoPastur\(Q\) needs a finite Q >= 1, got 0.5; .* pass W.T"),
        (lambda: rmt.Pareto(mu=2, signed=1), r"signed.* True or False"),
        (lambda: rmt.Centred(3.0), r"Centred\(law\) needs a law"),
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


def test_marchenko_pastur_quantile_follows_Q():
    """d ppf/dQ through the implicit step, against a central difference."""
    h = 1e-5
    for q in (0.1, 0.5, 0.9):
        slope = jax.grad(lambda Q, q=q: rmt.MarchenkoPastur(Q=Q).ppf(q))(2.0)
        upper, lower = rmt.MarchenkoPastur(Q=2.0 + h).ppf(q), rmt.MarchenkoPastur(Q=2.0 - h).ppf(q)
        np.testing.assert_allclose(slope, (upper - lower) / (2 * h), rtol=1e-6)
