"""Ensembles: shapes, reproducibility, and what is random about each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

import rmt


def test_iid_has_the_entries_of_its_law():
    W, again, other = (rmt.IID(rmt.Lomax(mu=2.5)).sample(jax.random.key(seed), (80, 50)) for seed in (0, 0, 1))
    assert W.shape == (80, 50)
    assert W.dtype == jnp.float64
    assert stats.kstest(np.asarray(W).ravel(), stats.lomax(2.5).cdf).pvalue > 1e-3
    assert (again == W).all()
    assert not (other == W).any()


def test_ensembles_batch_over_keys_and_parameters():
    mus = jnp.array([0.8, 2.0])
    keys = jax.random.split(jax.random.key(2), 2)

    def draw(key, mu):
        return rmt.Spiked(rmt.IID(rmt.Pareto(mu=mu)), jnp.array([3.0, 1.0])).sample(key, (6, 4))

    batch = jax.jit(jax.vmap(draw))(keys, mus)
    loop = jnp.stack([draw(key, mu) for key, mu in zip(jax.random.clone(keys), mus, strict=True)])
    np.testing.assert_allclose(batch, loop, rtol=1e-12)


def test_spikes_alone_are_the_singular_values():
    strengths = np.array([3.0, 0.5, 1.0])
    W = rmt.Spiked(rmt.IID(rmt.Gaussian(1e-12)), strengths).sample(jax.random.key(3), (40, 30))
    s = np.linalg.svd(W, compute_uv=False)
    np.testing.assert_allclose(s[:3], np.sort(strengths)[::-1] * np.sqrt(40), rtol=1e-10)
    assert s[3] < 1e-9
    np.testing.assert_allclose(rmt.spectrum(W).eigenvalues[-3:], np.sort(strengths**2), rtol=1e-10)


@pytest.mark.slow
def test_spike_directions_are_uniform():
    """N u_1^2 of a uniform unit vector in N dimensions is a Beta(1/2, (N-1)/2) times N, and its sign is fair."""
    N = 5
    ensemble = rmt.Spiked(rmt.IID(rmt.Gaussian(1e-9)), [1.0, 0.5])
    W = jax.vmap(lambda key: ensemble.sample(key, (N, 2)))(jax.random.split(jax.random.key(4), 4000))
    u = np.linalg.svd(np.asarray(W))[0][:, :, 0]
    assert stats.kstest(u[:, 2] ** 2, stats.beta(0.5, (N - 1) / 2).cdf).pvalue > 1e-3
    corner = np.asarray(W)[:, 0, 0]
    assert abs((corner > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(len(corner))


def test_shuffling_keeps_the_entries_and_forgets_their_place():
    W = jnp.outer(jnp.arange(1.0, 41.0), jnp.ones(30))
    shuffled = rmt.Shuffled(W).sample(jax.random.key(5), (40, 30))
    assert (jnp.sort(shuffled.ravel()) == jnp.sort(W.ravel())).all()
    assert rmt.spectrum(W).lambda_max > 1.2 * rmt.spectrum(shuffled).lambda_max
    assert jnp.linalg.matrix_rank(shuffled) == 30
    # each entry is anywhere with the same probability: the mean of the first row over many shuffles
    keys = jax.random.split(jax.random.key(6), 300)
    first = np.asarray(jax.jit(jax.vmap(lambda key: rmt.Shuffled(W).sample(key, (40, 30))[0]))(keys))
    assert abs(first.mean() - 20.5) < 4 * np.sqrt((40**2 - 1) / 12 / first.size)


def batch(ensemble: rmt.Ensemble, seed: int, shape: tuple[int, int], count: int) -> np.ndarray:
    """Eigenvalues of many draws, a row a draw, by the ensemble's own way."""
    keys = jax.random.split(jax.random.key(seed), count)
    return np.asarray(jax.jit(jax.vmap(lambda key: ensemble.spectrum(key, shape).eigenvalues))(keys))


def test_wishart_spectra_are_those_of_dense_gaussian_matrices():
    """Extreme and middle eigenvalues by two-sample KS, the trace by its exact law, sigma^2/N times a chi^2 of N M."""
    N, M, count = 40, 20, 1500
    ours, dense = (batch(e, 7 + i, (N, M), count) for i, e in enumerate((rmt.Wishart(2.0), rmt.IID(rmt.Gaussian(2.0)))))
    for which in (0, M // 2, -1):
        assert stats.ks_2samp(ours[:, which], dense[:, which]).pvalue > 0.01 / 4
    assert stats.kstest(ours.sum(axis=1) * N / 4, stats.chi2(N * M).cdf).pvalue > 0.01 / 4


@pytest.mark.slow
@pytest.mark.parametrize("beta", [2, 4, 0.5])
def test_wishart_of_any_beta_has_its_trace_and_determinant(beta):
    """beta N tr X is a chi^2 of beta N M; the log determinant sums the logs of independent chi^2 of beta (N - i)."""
    N, M, count = 12, 8, 2000
    x = batch(rmt.Wishart(beta=beta), 9, (N, M), count)
    assert stats.kstest(x.sum(axis=1) * N * beta, stats.chi2(beta * N * M).cdf).pvalue > 1e-3
    logs = np.log(x * N * beta).sum(axis=1)
    shapes = beta * (N - np.arange(M)) / 2
    expected = (np.log(2) + special.digamma(shapes)).sum()
    assert abs(logs.mean() - expected) < 4 * np.sqrt(special.polygamma(1, shapes).sum() / count)


def test_wishart_sample_is_dense_and_of_the_same_law():
    W = rmt.Wishart(3.0).sample(jax.random.key(1), (80, 50), jnp.float32)
    assert W.dtype == jnp.float32
    assert stats.kstest(np.asarray(W).ravel(), stats.norm(scale=3).cdf).pvalue > 1e-3


@pytest.mark.slow
def test_high_temperature_levels_and_their_inverse():
    """Mean and second moment of the bidiagonal's entries, exactly; kappa -> 0 leaves independent Gamma(a + 1) levels."""
    M, kappa, a, count = 30, 2.0, 0.5, 1500
    x = batch(rmt.HTMP(kappa, a), 10, (M, M), count)
    rest = kappa * (M - 1 - np.arange(M)) / M
    total = a + 1 + 2 * rest.sum() / M
    trace = x.mean(axis=1)
    assert abs(trace.mean() - total) < 4 * trace.std() / np.sqrt(count)
    inverse = batch(rmt.HTMP(kappa, a, inverse=True), 10, (M, M), count)
    np.testing.assert_allclose(inverse, 1 / x[:, ::-1], rtol=1e-12)
    free = batch(rmt.HTMP(1e-9, a), 11, (M, M), 100)
    assert stats.kstest(free.ravel(), stats.gamma(a + 1).cdf).pvalue > 1e-3


@pytest.mark.parametrize("inverse", [False, True])
def test_high_temperature_matrices_have_the_spectrum_of_their_bidiagonal(inverse):
    ensemble = rmt.HTMP(1.0, 0.5, inverse)
    W = ensemble.sample(jax.random.key(12), (20, 20))
    x = ensemble.spectrum(jax.random.key(12), (20, 20)).eigenvalues
    np.testing.assert_allclose(np.linalg.svd(W, compute_uv=False)[::-1] ** 2 / 20, x, rtol=1e-8)


def test_toeplitz_root_is_that_of_its_covariance():
    lag = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    L = rmt.Toeplitz(-0.6).root(6)
    np.testing.assert_allclose(L @ L.T, (-0.6) ** lag, rtol=1e-13)


@pytest.mark.parametrize("population", [rmt.Toeplitz(0.7), rmt.laws.PowerLaw(alpha=4), [0.5, 1.0, 2.0] * 10])
def test_correlated_spectra_have_their_first_two_moments(population):
    """E tr X = tr S and E tr X^2 = (1 + 1/N) tr S^2 + (tr S)^2/N for Gaussian Z, exactly."""
    N, M, count = 60, 30, 800
    ensemble = rmt.Correlated(rmt.Wishart(), population)
    x, S = batch(ensemble, 13, (N, M), count), np.asarray(ensemble.eigenvalues(M))
    for power, expected in ((1, S.sum()), (2, (1 + 1 / N) * (S**2).sum() + S.sum() ** 2 / N)):
        found = (x**power).sum(axis=1)
        assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(count)


def test_population_quantiles_follow_their_law():
    S = np.asarray(rmt.Correlated(rmt.Wishart(), rmt.laws.PowerLaw(alpha=3)).eigenvalues(1000))
    assert stats.kstest(S, stats.pareto(2).cdf).statistic == pytest.approx(0.5 / 1000)


@pytest.mark.slow
def test_a_covariance_spike_stands_where_theory_puts_it():
    N, M, l = 300, 150, np.array([6.0, 4.0])
    top = batch(rmt.SpikedCovariance(rmt.Wishart(), l), 14, (N, M), 200)[:, :-3:-1]
    for found, spike in zip(top.T, l, strict=True):
        expected = rmt.spikes.covariance_spike_location(spike, N / M)
        assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(len(found)) + 2 * spike / N


def test_correlation_matrices_have_unit_diagonal_and_restore_the_edge():
    """Symmetric entries of tail index 3: lambda_max is an outlier of X, and that of the correlation matrix is not."""
    base = rmt.IID(rmt.Pareto(3.0))
    W = np.asarray(rmt.Correlation(base).sample(jax.random.key(15), (200, 100)))
    np.testing.assert_allclose(W.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose((W**2).mean(axis=0), 1, rtol=1e-13)
    raw = np.asarray(rmt.Correlation(base, centre=False).sample(jax.random.key(15), (200, 100)))
    np.testing.assert_allclose((raw**2).mean(axis=0), 1, rtol=1e-13)
    edge = float(rmt.MarchenkoPastur(Q=2).lambda_plus)
    free, tied = (np.median(batch(e, 16, (400, 200), 20)[:, -1]) for e in (base, rmt.Correlation(base)))
    assert free > 2 * 3 * edge / 2
    assert tied == pytest.approx(edge, rel=0.05)


def test_correlation_does_not_see_the_scale_of_a_column_and_survives_huge_entries():
    base = rmt.IID(rmt.Pareto(0.06))
    W = rmt.Correlation(base).sample(jax.random.key(17), (30, 10))
    assert np.isfinite(W).all()
    scaled = rmt.Correlation(rmt.Shuffled(jnp.ones((30, 10)))).sample(jax.random.key(0), (30, 10))
    assert np.isnan(scaled).all()


@pytest.mark.slow
def test_dtype_is_as_asked():
    for ensemble in (
        rmt.IID(rmt.Gaussian()),
        rmt.Spiked(rmt.IID(rmt.Gaussian()), 2.0),
        rmt.Shuffled(np.ones((4, 4), np.float16)),
        rmt.Wishart(),
        rmt.HTMP(1.0, 0.0),
        rmt.SpikedCovariance(rmt.Wishart(), 3.0),
        rmt.Correlated(rmt.Wishart(), rmt.Toeplitz(0.5)),
        rmt.Correlation(rmt.Wishart()),
    ):
        for dtype in (float, jnp.float32):
            assert ensemble.sample(jax.random.key(0), (4, 4), dtype).dtype == dtype
    assert rmt.Wishart().spectrum(jax.random.key(0), (4, 4), jnp.float32).eigenvalues.dtype == jnp.float32


GAUSSIAN = rmt.IID(rmt.Gaussian())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rmt.IID(3.0), r"IID\(law\) needs a law"),
        (lambda: rmt.Spiked(rmt.Gaussian(), 1.0), r"Spiked\(base\) needs an ensemble"),
        (lambda: rmt.Spiked(GAUSSIAN, []), r"one or more numbers"),
        (lambda: rmt.Spiked(GAUSSIAN, [[1.0]]), r"one or more numbers in a row, got shape \(1, 1\)"),
        (lambda: rmt.Spiked(GAUSSIAN, [1.0] * 4).sample(jax.random.key(0), (9, 3)), r"4 spikes do not fit .*\(9, 3\)"),
        (lambda: rmt.SpikedCovariance(GAUSSIAN, [2.0, -1.0]), r"SpikedCovariance\(spikes\) needs a finite spikes > 0"),
        (lambda: rmt.SpikedCovariance(GAUSSIAN, [2.0] * 4).sample(jax.random.key(0), (9, 3)), r"4 spikes do not fit"),
        (lambda: rmt.Correlated(3, rmt.Toeplitz(0.5)), r"Correlated\(base\) needs an ensemble"),
        (lambda: rmt.Correlated(GAUSSIAN, 2.0), r"a row of eigenvalues >= 0"),
        (lambda: rmt.Correlated(GAUSSIAN, [1.0, -2.0]), r"a row of eigenvalues >= 0"),
        (lambda: rmt.Correlated(GAUSSIAN, [1.0, 2.0]).sample(jax.random.key(0), (9, 3)), r"2 .* do not fit 3 columns"),
        (lambda: rmt.Toeplitz(1.0), r"-1 < rho < 1, got 1.0"),
        (lambda: rmt.Correlation(rmt.Gaussian()), r"Correlation\(base\) needs an ensemble"),
        (lambda: rmt.Wishart(0.0), r"Wishart\(sigma\) needs a finite sigma > 0"),
        (lambda: rmt.Wishart(beta=2).sample(jax.random.key(0), (9, 3)), r"no real matrix"),
        (lambda: rmt.Wishart().spectrum(jax.random.key(0), (3, 9)), r"N >= M, got \(3, 9\)"),
        (lambda: rmt.HTMP(1.0, -1.0), r"HTMP\(a\) needs a finite a > -1"),
        (lambda: rmt.HTMP(1.0, 1.0).spectrum(jax.random.key(0), (9, 3)), r"square: pass \(M, M\)"),
        (lambda: rmt.Shuffled(np.ones(3)), r"one 2-D matrix, got shape \(3,\)"),
        (lambda: rmt.Shuffled(np.ones((3, 2))).sample(jax.random.key(0), (2, 3)), r"\(3, 2\), got \(2, 3\)"),
        (lambda: GAUSSIAN.sample(jax.random.key(0), 7), r"two positive integers, got 7"),
        (lambda: GAUSSIAN.sample(jax.random.key(0), (3, 0)), r"two positive integers, got \(3, 0\)"),
        (lambda: GAUSSIAN.sample(jax.random.key(0), (3, 2, 2)), r"two positive integers"),
    ],
)
def test_wrong_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
