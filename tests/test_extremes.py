"""The largest eigenvalue at finite N: its parts in closed form, its limits, and simulated matrices."""

import importlib.util
import json

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from conftest import ROOT
from scipy import stats

import rmt
from rmt import extremes, spikes
from rmt.extremes import LargestEigenvalue
from rmt.laws import FrechetOrder

N, M = 100, 50
LAW = LargestEigenvalue(rmt.Pareto(mu=4.5), N, M)
QUANTILES = np.array([1e-6, 0.01, 0.2, 0.5, 0.8, 0.99, 1 - 1e-6])


def test_expected_outliers_of_the_pareto_law_are_exact():
    law = rmt.Pareto(mu=3.5)
    found = extremes.expected_outliers(law, 600, 300)
    np.testing.assert_allclose(found, extremes.expected_outliers_limit(law, 600, 300), rtol=1e-12)
    np.testing.assert_allclose(found, extremes.expected_outliers(law, 450, 400), rtol=1e-12)  # the same N M
    size = np.sqrt(600) * spikes.spike_threshold(2.0, jnp.sqrt(law.var))  # an entry as strong as a spike at threshold
    np.testing.assert_allclose(found, 600 * 300 * law.abs_sf(size), rtol=1e-12)


def test_outliers_beyond_are_those_of_the_law_of_the_largest():
    law = rmt.Pareto(3.0)
    edge = rmt.MarchenkoPastur(2.0, law.var**0.5).lambda_plus
    found = extremes.outliers_beyond(law, 600, 300, jnp.array([0.5, 1.0, 3.0, 9.0]) * edge)
    np.testing.assert_allclose(found[:2], extremes.expected_outliers(law, 600, 300), rtol=1e-6)
    largest = extremes.LargestEigenvalue(law, 600, 300, corrected=False)
    np.testing.assert_allclose(-jnp.expm1(-found[2:]), largest.sf(jnp.array([3.0, 9.0]) * edge), rtol=1e-9)


@pytest.mark.parametrize("law", [rmt.StudentT(3.5), rmt.Centred(rmt.Lomax(5))])
def test_expected_outliers_tend_to_their_power_law(law):
    ratios = [
        extremes.expected_outliers(law, n, n) / extremes.expected_outliers_limit(law, n, n) for n in (10**3, 10**9)
    ]
    assert abs(ratios[1] - 1) < min(1e-2, abs(ratios[0] - 1) / 10)


def test_edge_atom():
    np.testing.assert_allclose(extremes.edge_atom(rmt.Pareto(4)), np.exp(-0.25), rtol=1e-14)
    for law in (rmt.Pareto(4), rmt.StudentT(4), rmt.Centred(rmt.Lomax(4))):
        for shape in ((10**8, 10**8), (10**9, 10**7)):
            expected = extremes.expected_outliers(law, *shape)
            np.testing.assert_allclose(-np.log(extremes.edge_atom(law)), expected, rtol=2e-3)
    assert extremes.edge_atom(rmt.Pareto(3.9)) == 0
    assert extremes.edge_atom(rmt.Pareto(4.1)) == 1


@pytest.mark.parametrize("mu", [2.5, 4, 5])
def test_truncated_moments_of_the_pareto_law(mu):
    T = 37.0
    var = mu / (mu - 2) * (1 - T ** (2 - mu))
    fourth = 4 * np.log(T) if mu == 4 else mu / (mu - 4) * (1 - T ** (4 - mu))
    found = extremes.truncated_moments(rmt.Pareto(mu), T)
    np.testing.assert_allclose(found, (var, fourth / var**2 - 3), rtol=1e-11)


def test_truncated_moments_of_laws_with_a_density_that_jumps_and_without_a_tail():
    mu, T = 4.5, 20.0
    shift = 1 / mpmath.mpf(mu - 1)
    with mpmath.workdps(20):
        var, fourth = (
            mpmath.quad(lambda w, p=p: mu * (1 + w + shift) ** (-mu - 1) * w**p, [-shift, 0, 1, 5, T]) for p in (2, 4)
        )
    found = extremes.truncated_moments(rmt.Centred(rmt.Lomax(mu)), T)
    np.testing.assert_allclose(found, (float(var), float(fourth / var**2 - 3)), rtol=1e-3)
    np.testing.assert_allclose(extremes.truncated_moments(rmt.Gaussian(2), 90.0), (4, 0), rtol=1e-10, atol=1e-10)


def test_outlier_map_without_a_kurtosis_is_that_of_spikes():
    c = 0.5
    t = np.geomspace(1.01 * c**0.5, 1e9, 30)
    none = jnp.zeros(())
    np.testing.assert_allclose(extremes._location(t, c, none), spikes.outlier_map(t, 1 / c), rtol=1e-14)
    np.testing.assert_allclose(extremes._critical(c, none), c**0.5, rtol=1e-12)


@pytest.mark.parametrize("kurtosis", [-1.5, 3.0])
def test_outlier_map_is_flat_at_the_edge_and_the_edge_moves_as_it_should(kurtosis):
    c = 0.5
    for size in (1e4, 1e6):
        eps = jnp.asarray(kurtosis / size)
        bulk = extremes._Bulk(jnp.ones(()), eps * 100, extremes._critical(c, eps), 100, 50)
        shift = bulk.location(bulk.critical) / (1 + c**0.5) ** 2 - 1
        np.testing.assert_allclose(shift, eps / c**0.5, rtol=10 * abs(eps))  # kappa/sqrt(N M) with eps = kappa/N
        t = np.asarray(bulk.critical) * np.array([1.1, 2, 100, 1e10])
        np.testing.assert_allclose(bulk.strength(bulk.location(t)), t, rtol=1e-10)


@jax.jit
def at_quantiles(law: LargestEigenvalue) -> tuple[jax.Array, ...]:
    """x = ppf(q), cdf and sf there, isf(1 - q), the density and the slope of the cdf."""
    q = jnp.asarray(QUANTILES)
    x = law.ppf(q)
    slope = jax.jvp(law.cdf, (x,), (jnp.ones_like(x),))[1]
    return x, law.cdf(x), law.sf(x), law.isf(1 - q), law.pdf(x), slope


@pytest.mark.slow
def test_the_law_is_one():
    x, cdf, sf, above, density, slope = at_quantiles(LAW)
    np.testing.assert_allclose(cdf, QUANTILES, rtol=1e-9)
    np.testing.assert_allclose(sf + cdf, 1, rtol=1e-14)
    np.testing.assert_allclose(above, x, rtol=1e-9)
    np.testing.assert_allclose(density, slope, rtol=1e-7)
    assert np.isnan(LAW.cdf(jnp.full(QUANTILES.shape, jnp.nan))).all()


def test_tail_is_that_of_one_large_entry():
    x = np.geomspace(1e6, 1e30, QUANTILES.size)
    mu = LAW.law.tail_index
    assert LAW.tail_index == mu / 2
    want = LAW.tail_constant * x ** (-mu / 2)
    np.testing.assert_allclose(want, N * M * LAW.law.abs_sf(np.sqrt(N * x)), rtol=1e-12)
    np.testing.assert_allclose(LAW.sf(x), want, rtol=1e-4)
    np.testing.assert_allclose(LAW.sf(x)[-1], want[-1], rtol=1e-12)


@pytest.mark.slow
def test_samples_follow_the_law_and_its_moments():
    draws = np.asarray(LAW.sample(jax.random.key(3), (20_000,)))
    assert stats.kstest(draws, lambda x: np.asarray(LAW.cdf(x))).pvalue > 0.001
    assert stats.kstest(1.02 * draws, lambda x: np.asarray(LAW.cdf(x))).pvalue < 0.001
    typical = draws[draws < np.quantile(draws, 0.9999)]  # the variance of lambda_max^2 is infinite
    assert abs(typical.mean() - LAW.mean) < 4 * typical.std() / np.sqrt(len(draws)) + 0.01
    assert LargestEigenvalue(rmt.Pareto(mu=4), N, M).var == np.inf


@pytest.mark.slow
def test_many_outliers_make_it_frechet():
    n = 10**8
    for mu in (2.5, 3.0):
        law = rmt.Pareto(mu)
        x = rmt.Frechet(mu / 2).ppf(QUANTILES[1:-1])
        b2 = law.abs_isf(1 / n**2) ** 2
        found = LargestEigenvalue(law, n, n).cdf(jnp.pad(x, 1, constant_values=1.0) * b2 / n)[1:-1]
        np.testing.assert_allclose(found, QUANTILES[1:-1], atol=0.02)


@pytest.mark.slow
def test_gaussian_entries_make_it_tracy_widom():
    centre, scale = rmt.johnstone(N, M)
    s = np.linspace(-5, 3, QUANTILES.size)
    for corrected in (False, True):
        found = LargestEigenvalue(rmt.Gaussian(2.0), N, M, corrected).cdf(4 * (centre + s * scale) / N)
        np.testing.assert_allclose(found, rmt.TracyWidom(1).cdf(s), rtol=1e-9)


@pytest.mark.slow
def test_a_batch_of_laws_equals_a_loop():
    x = jnp.linspace(3.0, 9.0, QUANTILES.size)

    def cdf(mu):
        return LargestEigenvalue(rmt.Pareto(mu), N, M).cdf(x)

    mus = jnp.array([2.7, 4.0, 6.0])
    np.testing.assert_allclose(jax.jit(jax.vmap(cdf))(mus), np.stack([cdf(mu) for mu in mus]), rtol=1e-12)
    slope, h = jax.jvp(cdf, (4.0,), (1.0,))[1], 1e-5
    np.testing.assert_allclose(slope, (cdf(4 + h) - cdf(4 - h)) / (2 * h), rtol=1e-4, atol=1e-8)


def simulated(law: rmt.Law, shape: tuple[int, int], n: int, top: int = 1) -> np.ndarray:
    """The `top` largest eigenvalues of X of n matrices."""
    W = jax.jit(jax.vmap(lambda key: law.sample(key, shape)))(jax.random.split(jax.random.key(21), n))
    return np.linalg.svd(np.asarray(W), compute_uv=False)[:, :top] ** 2 / shape[0]


@pytest.mark.slow
@pytest.mark.parametrize("mu", [6.0, 40.0])
def test_small_kurtosis_draws_the_edge_in(mu):
    """kappa = -1.5 and -1.99: the correction is seen in 500 matrices, and without it the law is rejected."""
    x = simulated(rmt.Pareto(mu), (N, M), 500)[:, 0]
    p = {
        corrected: stats.kstest(
            x, lambda x, c=corrected: np.asarray(LargestEigenvalue(rmt.Pareto(mu), N, M, c).cdf(x))
        ).pvalue
        for corrected in (False, True)
    }
    assert p[True] > 0.001
    assert p[False] < 1e-6


@pytest.mark.slow
def test_the_largest_three_of_very_heavy_tails_are_poisson():
    n, mu = 150, 0.8
    law = rmt.Pareto(mu)
    found = simulated(law, (n, n), 400, top=3) * n / float(law.abs_isf(1 / n**2)) ** 2
    for k in (1, 2, 3):
        limit = FrechetOrder(mu / 2, k)
        assert stats.kstest(found[:, k - 1], lambda x, limit=limit: np.asarray(limit.cdf(x))).pvalue > 0.001 / 3
        other = FrechetOrder(mu / 2, k + 1)
        assert stats.kstest(found[:, k - 1], lambda x, other=other: np.asarray(other.cdf(x))).pvalue < 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: LargestEigenvalue(rmt.Pareto(2), N, M),
            r"finite variance, got tail index 2.0; .*rmt.Frechet\(mu / 2\)",
        ),
        (lambda: LargestEigenvalue(rmt.Lomax(3), N, M), r"mean 0, got 0.5; wrap the law in rmt.Centred"),
        (lambda: LargestEigenvalue(rmt.Pareto(3), M, N), r"N >= M >= 2, got \(50, 100\)"),
        (lambda: LargestEigenvalue(rmt.Pareto(3), 10.0, 5), r"integers"),
        (lambda: LargestEigenvalue(3.0, N, M), r"LargestEigenvalue\(law\) needs a law"),
        (lambda: LargestEigenvalue(rmt.Pareto(3), N, M, 1), r"True or False"),
        (lambda: extremes.expected_outliers(rmt.Lomax(3), N, M), r"expected_outliers\(law\) needs entries of mean 0"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.slow
def test_the_table_is_found_again():
    """One cell of tests/benchmarks/largest_eigenvalue.json, drawn again; and Lanczos against the SVD."""
    path = ROOT / "tests" / "benchmarks" / "largest_eigenvalue.py"
    spec = importlib.util.spec_from_file_location("largest_eigenvalue", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rows = json.loads(path.with_suffix(".json").read_text())["rows"]
    row = next(r for r in rows if (r["entries"], r["mu"], r["N"]) == ("signed Pareto", 5.0, 600))
    grid = {"entries": [row["entries"]], "mu": [row["mu"]], "N": [row["N"]], "M": [row["M"]]}
    ds = rmt.sweep(script.measure, grid, key=script.KEY, n_trials=row["trials"], progress=False)
    again = script.summary(ds, row["N"], row["M"])[0]
    for name in ("Frechet", "outlier map", "map times Tracy-Widom", "corrected"):
        assert abs(again[name] - row[name]) <= 0.002
    assert script.worst_error(row["N"], row["M"]) < 1e-10
