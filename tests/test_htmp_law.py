"""The high-temperature Marchenko-Pastur law against Tricomi's function in many digits, its limits, and simulated spectra."""

from math import lgamma

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from conftest import slow
from mpmath import mpf
from scipy import stats

import rmt
from rmt.laws import HighTemperatureMarchenkoPastur, htmp
from rmt.laws.htmp_solver import stieltjes, table
from rmt.laws.tabulated import log_density

CASES = [(1.0, 0.0), (2.5, 0.5), (0.01, -0.9), (10.0, 3.0), (50.0, -0.5), (3.0, 20.0), (50.0, 49.5)]
# Every (kappa, a) compiles anew, so all but one are slow.
every_case = pytest.mark.parametrize(("kappa", "a"), [case if case == (2.5, 0.5) else slow(*case) for case in CASES])
# from both ends; a value of 300 decades is left out where x itself would underflow
LOG_TAILS = np.log([1e-300, 1e-100, 1e-20, 1e-5, 1e-2, 0.1, 0.3])


def tricomi(kappa, a, x):
    """psi = U(kappa, -a, x exp(-i pi)). Near 0 by its two power series there, for which a must not be an integer."""
    if x > 1:
        return mpmath.conj(mpmath.hyperu(kappa, -a, -x))
    power = x ** (1 + a) * mpmath.expjpi(-(1 + a))
    first = mpmath.gamma(1 + a) / mpmath.gamma(kappa + a + 1) * mpmath.hyp1f1(kappa, -a, -x)
    return first + mpmath.gamma(-a - 1) / mpmath.gamma(kappa) * power * mpmath.hyp1f1(kappa + a + 1, a + 2, -x)


def density(kappa, a, x):
    """As it is published."""
    psi = mpmath.hyperu(kappa, -a, -x) if x > 1 or a == int(a) else tricomi(kappa, a, x)
    return x**a * mpmath.exp(-x) / (mpmath.gamma(kappa + 1) * mpmath.gamma(kappa + a + 1) * abs(psi) ** 2)


def log_below(kappa, a, x, cdf):
    """pi kappa cdf is the phase of psi, Im psi = pi/Gamma(kappa) x^(1 + a) M(kappa + a + 1, a + 2, -x)/Gamma(a + 2).

    cdf says how often it has wound.
    """
    psi = tricomi(kappa, a, x)
    if kappa * cdf > 0.3:
        turns = mpmath.nint((kappa * cdf - mpmath.arg(psi) / mpmath.pi) / 2)
        return mpmath.log((mpmath.arg(psi) / mpmath.pi + 2 * turns) / kappa)
    sine = mpmath.hyp1f1(kappa + a + 1, a + 2, -x) / mpmath.gamma(a + 2) / abs(psi)
    return mpmath.log(mpmath.asin(mpmath.pi / mpmath.gamma(kappa) * x ** (1 + a) * sine) / (mpmath.pi * kappa))


def log_above(kappa, a, x, sf):
    """And Im psi exp(-i pi kappa) = -pi/Gamma(kappa) x^(1 + a) exp(-x) U(1 - kappa, a + 2, x)/Gamma(kappa + a + 1)."""
    psi = tricomi(kappa, a, x)
    if kappa * sf > 0.3:
        phase = mpmath.arg(psi * mpmath.expjpi(-kappa)) / mpmath.pi
        return mpmath.log((2 * mpmath.nint((kappa * sf + phase) / 2) - phase) / kappa)
    sine = mpmath.exp(-x) * mpmath.hyperu(1 - kappa, a + 2, x) / mpmath.gamma(kappa + a + 1) / abs(psi)
    return mpmath.log(mpmath.asin(mpmath.pi / mpmath.gamma(kappa) * x ** (1 + a) * sine) / (mpmath.pi * kappa))


@every_case
def test_values_of_tricomis_function_in_many_digits(kappa, a):
    """pdf, cdf and sf to 1e-11 relative, down to cdf = 1e-300 (or x = 1e-300) and sf = 1e-300."""
    law = HighTemperatureMarchenkoPastur(kappa, a)
    below, above = (np.asarray(q(np.exp(LOG_TAILS))) for q in (law.ppf, law.isf))
    if a == int(a):
        below = np.append(below[below > 1], np.full(7, 1.5))[:7]  # mpmath has no U near 0 there
    logpdf = [np.asarray(law.logpdf(x)) for x in (below, above)]
    cdf, logsf = np.asarray(law.cdf(below)), np.asarray(law.logsf(above))
    with mpmath.workdps(60):
        parameters = mpf(kappa), mpf(a)
        for i in np.flatnonzero(below > 1e-300):
            x, mass = mpf(float(below[i])), mpf(float(cdf[i]))
            assert abs(logpdf[0][i] - mpmath.log(density(*parameters, x))) < 1e-11
            assert abs(mpmath.log(mass) - log_below(*parameters, x, mass)) < 1e-11
        for i in np.flatnonzero(above > 1):
            x, mass = mpf(float(above[i])), mpmath.exp(mpf(float(logsf[i])))
            assert abs(logpdf[1][i] - mpmath.log(density(*parameters, x))) < 1e-11
            assert abs(mpmath.log(mass) - log_above(*parameters, x, mass)) < 1e-11
    assert min(logsf) == pytest.approx(-690.8, abs=0.1)


@pytest.mark.parametrize(("kappa", "a"), [(1.0, 0.0), slow(2.5, 0.5)])
def test_cdf_is_the_integral_of_the_density(kappa, a):
    law = HighTemperatureMarchenkoPastur(kappa, a)
    x = np.array([0.3, 2.0, 5.0])
    with mpmath.workdps(20):
        pieces = [mpmath.quad(lambda x: density(mpf(kappa), mpf(a), x), pair) for pair in ((1.5, 2.5), (2.5, 5))]
    np.testing.assert_allclose(
        [law.cdf(2.5) - law.cdf(1.5), law.sf(2.5) - law.sf(5.0)], [float(p) for p in pieces], rtol=1e-12
    )
    np.testing.assert_allclose(law.cdf(x) + law.sf(x), 1, rtol=1e-15)


@pytest.mark.parametrize("kappa", [1e-6, 0.01, 0.7, 1.0, 5.0, 50.0])
@pytest.mark.parametrize("a", [-0.999, -0.5, 0.0, 1.0, 3.3, 20.0, 50.0])
def test_mass_and_both_ends_of_the_table(kappa, a):
    """The density, fixed by one value of G, integrates to 1, starts as its closed form does and goes over into its series."""
    known = table(kappa, a)
    assert abs(known.gap) < 1e-12
    below, high = known.below, known.edges[-1]
    constant = lgamma(kappa + a + 1) - lgamma(kappa + 1) - lgamma(a + 1) - lgamma(a + 2)
    found = np.log(below.series[0] / below.rate) - below.rate * below.low
    np.testing.assert_allclose(found, constant, rtol=0, atol=1e-11)
    last = np.polynomial.chebyshev.chebval(1.0, known.density[-1])
    np.testing.assert_allclose(known.above.log_density(high), last, rtol=0, atol=1e-11)
    np.testing.assert_allclose(known.above.log_tail(high), known.log_sf[-1], rtol=0, atol=1e-11)


def test_stieltjes_transform_solves_its_quadratic_equation():
    """a G - z G + 1 - z G' + kappa z G^2 = 0, of which the moments follow."""
    kappa, a, z, h = 1.7, 0.6, 2.0 + 1.5j, 1e-4
    G, after, before = (stieltjes(kappa, a, at) for at in (z, z + h, z - h))
    assert abs(a * G - z * G + 1 - z * (after - before) / (2 * h) + kappa * z * G**2) < 1e-8
    assert abs(a * G - z * G + 1 + kappa * z * G**2) > 0.1


@pytest.mark.parametrize(("kappa", "a"), [(0.3, 2.5), (4.0, 3.0), (30.0, 6.0)])
def test_moments_are_those_of_the_density(kappa, a):
    """By the trapezoidal rule in log x, and so are those of the inverse."""
    law, inverse = (HighTemperatureMarchenkoPastur(kappa, a, inverse, scale=2.0) for inverse in (False, True))
    l = np.arange(-30, 9, 0.01)
    x = np.exp(l)
    f = np.asarray(law.pdf(2 * x)) * 2 * x * 0.01
    np.testing.assert_allclose(f.sum(), 1, rtol=1e-12)
    for power, found in ((1, law), (-1, inverse)):
        mean, square = (2**k * (f * x ** (power * k)).sum() for k in (1, 2))
        np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
        np.testing.assert_allclose(found.var, square - mean**2, rtol=1e-11)


def test_moments_of_the_inverse_that_diverge():
    infinite = [HighTemperatureMarchenkoPastur(1.0, a, inverse=True) for a in (-0.5, 0.0, 0.5, 1.0)]
    assert [float(law.mean) for law in infinite] == [np.inf, np.inf, 2.0, 1.0]
    assert [float(law.var) for law in infinite] == [np.inf] * 4


@pytest.mark.parametrize("a", [-0.5, slow(1.0)])
def test_without_repulsion_it_is_a_gamma_law(a):
    """kappa -> 0, at first order."""
    q = np.linspace(0.02, 0.98, 49)
    x = stats.gamma(a + 1).ppf(q)
    small, smaller = (
        np.abs(np.asarray(HighTemperatureMarchenkoPastur(kappa, a).cdf(x)) - q).max() for kappa in (1e-3, 1e-6)
    )
    assert 0.2e-3 < small < 0.6e-3
    np.testing.assert_allclose(small / smaller, 1000, rtol=0.01)


@pytest.mark.parametrize("Q", [slow(1.0), 1.5, slow(2.0)])
def test_strong_repulsion_makes_it_marchenko_pastur(Q):
    """x/(Q kappa) for a = (Q - 1) kappa -> inf, with an error of 1/kappa: a quarter of it at Q = 1."""
    q = np.linspace(0.02, 0.98, 49)
    x = rmt.MarchenkoPastur(Q).ppf(q)

    def distance(kappa):
        law = HighTemperatureMarchenkoPastur(kappa, (Q - 1) * kappa, scale=1 / (Q * kappa))
        return float(np.abs(np.asarray(law.cdf(x)) - q).max())

    far, near, nearest = (distance(kappa) for kappa in (12.5, 25.0, 50.0))
    assert 0.2 < nearest * 50 < 0.25
    assert 1.9 < far / near < near / nearest < 2.0  # first order, ever more so


@pytest.mark.parametrize(("kappa", "a"), [(0.01, 0.5), slow(2.0, -0.5), (50.0, 3.0)])
def test_the_inverse_has_a_power_law_that_kappa_does_not_change(kappa, a):
    law = HighTemperatureMarchenkoPastur(kappa, a, inverse=True, scale=3.0)
    assert law.tail_index == a + 1
    x = np.array([1e50, 1e70])
    logpdf, sf = np.asarray(law.logpdf(x)), np.asarray(law.sf(x))
    assert (sf > 0).all()
    np.testing.assert_allclose(-np.diff(logpdf) / np.diff(np.log(x)), a + 2, rtol=1e-10)
    np.testing.assert_allclose(np.log(sf) + (a + 1) * np.log(x), np.log(law.tail_constant), rtol=0, atol=1e-11)
    assert HighTemperatureMarchenkoPastur(kappa, a).tail_index == np.inf


@pytest.mark.slow
def test_the_inverse_is_the_law_of_one_over_x():
    law, inverse = (HighTemperatureMarchenkoPastur(2.0, 0.5, inverse) for inverse in (False, True))
    x = np.array([1e-200, 1e-6, 0.1, 1.0, 4.0, 30.0, 700.0])
    np.testing.assert_allclose(inverse.sf(1 / x), law.cdf(x), rtol=1e-12)
    np.testing.assert_allclose(inverse.cdf(1 / x), law.sf(x), rtol=1e-12)
    np.testing.assert_allclose(inverse.pdf(1 / x), np.asarray(law.pdf(x)) * x**2, rtol=1e-12)
    p = np.array([1e-300, 1e-100, 1e-20, 1e-6, 0.1, 0.5, 0.9])
    np.testing.assert_allclose(inverse.isf(p) * law.ppf(p), 1, rtol=1e-12)


@pytest.mark.slow
def test_upper_tail_beyond_the_table():
    """logsf and its inverse where sf has long underflown: sf/pdf is 1/(1 - (a + 2 kappa)/x) to second order in 1/x."""
    kappa, a = 2.0, 0.5
    law = HighTemperatureMarchenkoPastur(kappa, a)
    x = np.array([2e3, 1e4, 1e6])
    logsf = np.asarray(law.logsf(x))
    ratio = np.exp(logsf - np.asarray(law.logpdf(x)))
    slope = np.array([float(jax.grad(law.logpdf)(v)) for v in x])
    np.testing.assert_allclose(ratio * -slope, 1, atol=(a + 2 * kappa) / x[0] ** 2 * 1.1)
    np.testing.assert_allclose(slope, (a + 2 * kappa) / x - 1, atol=1e-5)
    np.testing.assert_allclose(law._quantile_above(jnp.asarray(logsf)), x, rtol=1e-12)


@pytest.mark.slow
def test_nothing_jumps_at_the_ends_of_the_table():
    for kappa, a in ((2.0, 0.5), (2.0, 30.0)):
        known, law = table(kappa, a), HighTemperatureMarchenkoPastur(kappa, a)
        for end in known.edges[[0, -1]]:
            around = np.exp(end + np.array([-1e-10, 1e-10]))
            for function in (law.logpdf, lambda x, law=law: jnp.log(law.cdf(x)), law.logsf):
                np.testing.assert_allclose(*function(around), rtol=0, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("inverse", [False, True])
def test_pieces_are_one_law(inverse):
    """cdf and ppf are inverse, and pdf is the slope of cdf."""
    law = HighTemperatureMarchenkoPastur(5.0, 0.5, inverse, scale=2.0)
    q = np.array([1e-250, 1e-60, 1e-20, 1e-6, 0.01, 0.2, 0.49, 0.51, 0.8, 0.99, 1 - 1e-9])
    x = law.ppf(q)
    np.testing.assert_allclose(law.cdf(x), q, rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(jax.grad(law.cdf))(x), law.pdf(x), rtol=1e-9)
    np.testing.assert_allclose(jax.vmap(jax.grad(law.ppf))(q) * law.pdf(x), 1, rtol=1e-9)
    p = np.geomspace(1e-300, 0.9, q.size)
    np.testing.assert_allclose(law.sf(law.isf(p)), p, rtol=1e-12)
    np.testing.assert_allclose(jax.jacfwd(lambda l: log_density(law._table, l))(0.3), _slope(law, 0.3), rtol=1e-7)


def _slope(law, l, h=1e-4):
    return float(log_density(law._table, jnp.asarray(l + h)) - log_density(law._table, jnp.asarray(l - h))) / (2 * h)


@pytest.mark.slow
def test_draws_reach_as_deep_as_their_exponentials(monkeypatch):
    """On either side, however small the mass: an exponential of 600 is the tail 1e-261."""
    sizes = jnp.array([600.0, 600.0, 0.3, 0.3]), jnp.array([1.0, -1.0, 1.0, -1.0])
    monkeypatch.setattr(htmp, "signed_exponential", lambda key, shape: sizes)
    law = HighTemperatureMarchenkoPastur(2.0, 0.5, inverse=True)
    x = law._draw(jax.random.key(0), (4,))
    tails = np.sort([*np.asarray(law.logsf(x)), *np.log(np.asarray(law.cdf(x)))])
    expected = -np.array([600, 600, 0.3, 0.3]) - np.log(2)
    np.testing.assert_allclose(tails[:4], expected, rtol=1e-12)


def eigenvalues(kappa: float, a: float, inverse: bool, M: int, n: int) -> np.ndarray:
    """Of n matrices, (n, M)."""
    ensemble = rmt.HTMP(kappa, a, inverse)
    keys = jax.random.split(jax.random.key(0), n)
    B = np.asarray(jax.vmap(lambda key: ensemble.bidiagonal(key, (M, M)).matrix)(keys))
    x = np.linalg.svd(B, compute_uv=False) ** 2 / M
    return 1 / x if inverse else x


def deviation(law: rmt.Law, x: np.ndarray) -> np.ndarray:
    """Share of eigenvalues below each of the law's 19 quantiles, less what it should be, in standard errors from the scatter."""
    q = np.arange(1, 20) / 20
    share = (np.asarray(law.cdf(x))[:, :, None] <= q).mean(1)
    return (share.mean(0) - q) / (share.std(0, ddof=1) / np.sqrt(len(x)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kappa", "a", "inverse"),
    [(2.0, 0.5, False), (0.3, -0.5, True), (10.0, 3.0, False)],
)
def test_simulated_spectra_follow_the_law(kappa, a, inverse):
    """At the 0.1 % level over 19 quantiles, with errors from 40 matrices; for 1.3 kappa in its place they do not."""
    M, n = 300, 40
    x = eigenvalues(kappa, a, inverse, M, n)
    bound = stats.t.isf(1e-3 / (2 * 19), n - 1)
    assert np.abs(deviation(HighTemperatureMarchenkoPastur(kappa, a, inverse), x)).max() < bound
    assert np.abs(deviation(HighTemperatureMarchenkoPastur(1.3 * kappa, a, inverse), x)).max() > bound


def test_mean_and_variance_of_simulated_spectra():
    """E tr X/M = a + 1 + kappa (1 - 1/M); the second moment at finite M differs by as little."""
    kappa, a, M, n = 2.0, 0.5, 300, 40
    x, law = eigenvalues(kappa, a, False, M, n), HighTemperatureMarchenkoPastur(kappa, a)
    for power, expected in ((1, law.mean - kappa / M), (2, law.var + law.mean**2)):
        moment = (x**power).mean(1)
        error = moment.std(ddof=1) / np.sqrt(n)
        assert abs(moment.mean() - expected) < 4 * error
        assert error < 0.02 * expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0), r"1e-06 <= kappa <= 50, got 0; at 0 it is the Gamma\(a \+ 1\) law"),
        ((60.0, 30.0), r"got 60; .*MarchenkoPastur\(1 \+ a/kappa\)"),
        ((1.0, -1.0), r"-0.999 <= a <= 50, got -1"),
        ((1.0, np.nan), r"-0.999 <= a <= 50, got nan"),
        ((1.0, 1.0, 1), "inverse.* True or False, got 1"),
        ((1.0, 1.0, True, -1.0), "scale > 0"),
        ((np.ones(2), 2.0), "Python numbers"),
    ],
)
def test_parameters_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        HighTemperatureMarchenkoPastur(*arguments)


def test_a_traced_parameter_is_refused():
    with pytest.raises(ValueError, match="Python numbers"):
        jax.jit(lambda kappa: HighTemperatureMarchenkoPastur(kappa, 1.0).mean)(1.0)
