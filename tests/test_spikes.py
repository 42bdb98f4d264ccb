"""Where spikes and outliers stand: algebra of the formulas, and simulated spikes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rmt
from rmt import metrics, spikes
from rmt.tails import outlier_tail_index

Q = np.array([1.0, 2.0, 7.5])
SIGMA = np.array([1.0, 0.3, 2.0])


def test_at_the_threshold_the_spike_sits_on_the_edge():
    edge = [rmt.MarchenkoPastur(q, s).lambda_plus for q, s in zip(Q, SIGMA, strict=True)]
    threshold = spikes.spike_threshold(Q, SIGMA)
    np.testing.assert_allclose(threshold**4 * Q, SIGMA**4, rtol=1e-14)
    for fraction in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(spikes.spike_location(fraction * threshold, Q, SIGMA), edge, rtol=1e-14)
    assert (spikes.spike_location(1.01 * threshold, Q, SIGMA) > np.array(edge)).all()
    assert np.isnan(spikes.spike_std(0.9 * threshold, Q, 100, SIGMA)).all()
    assert (spikes.spike_std(1.1 * threshold, Q, 100, SIGMA) > 0).all()


def test_a_strong_spike_is_shifted_by_the_noise():
    """theta^2 + sigma^2 (1 + c) + c sigma^4/theta^2, multiplied out."""
    theta = 5.0
    want = theta**2 + SIGMA**2 * (1 + 1 / Q) + SIGMA**4 / (Q * theta**2)
    np.testing.assert_allclose(spikes.spike_location(theta, Q, SIGMA), want, rtol=1e-14)


def test_outlier_inverse_undoes_the_outlier_map():
    t = np.asarray(spikes.spike_threshold(Q, SIGMA)) ** 2 * np.array([[1.01], [2.0], [1e3], [1e12]])
    for row in t:
        np.testing.assert_allclose(spikes.outlier_inverse(spikes.outlier_map(row, Q, SIGMA), Q, SIGMA), row, rtol=1e-11)
    threshold = spikes.spike_threshold(Q, SIGMA) ** 2
    np.testing.assert_allclose(spikes.outlier_inverse(0.0, Q, SIGMA), threshold, rtol=1e-14)


def a_spectrum(t: np.ndarray, sigma: float) -> rmt.Spectrum:
    """Eigenvalues of a bulk of 80, and outliers where the map puts t, for N x M = 200 x (80 + number of t)."""
    N, M = 200, 80 + t.size
    bulk = rmt.MarchenkoPastur(N / M, sigma).ppf((np.arange(80) + 0.5) / 80)
    return rmt.Spectrum(jnp.sort(jnp.concatenate([bulk, spikes.outlier_map(t, N / M, sigma)])), N)


def test_outliers_give_back_the_tail_index_of_what_is_behind_them():
    sigma, M = 1.7, 120
    tmin = 2 * sigma**2 * np.sqrt(M / 200)
    t = tmin * np.random.default_rng(5).pareto(1.3, 40) + tmin
    t[:3] = tmin / 1.5  # outliers, but too near to the edge
    k, mu = outlier_tail_index(a_spectrum(t, sigma), sigma)
    assert int(k) == 37
    assert float(mu) == pytest.approx(2 * 36 / np.log(t[3:] / tmin).sum(), rel=1e-10)
    far = outlier_tail_index(a_spectrum(t, sigma), sigma, multiple=6.0)
    assert int(far[0]) == np.sum(t >= 3 * tmin)
    again = outlier_tail_index(a_spectrum(9 * t, 3 * sigma), 3 * sigma)  # W -> 3 W
    np.testing.assert_allclose(again, (k, mu), rtol=1e-10)


def test_with_few_outliers_the_tail_index_is_unknown():
    t = np.full(10, 1e3) * np.arange(1, 11)
    assert np.isfinite(outlier_tail_index(a_spectrum(t, 1.0), 1.0)[1])
    k, mu = outlier_tail_index(a_spectrum(t[1:], 1.0), 1.0)
    assert int(k) == 9
    assert np.isnan(mu)
    assert np.isfinite(outlier_tail_index(a_spectrum(t[1:], 1.0), 1.0, fewest=9)[1])
    k, mu = outlier_tail_index(a_spectrum(t[:0], 1.0), 1.0)
    assert int(k) == 0
    assert np.isnan(mu)


def test_tail_indices_of_pareto_matrices_are_unbiased_far_out():
    """mu = 1.5: 8 sigma^2 and more from the edge; the error of the mean, and 5 % for a bulk that is none."""

    def index(key: jax.Array) -> jax.Array:
        s = rmt.spectrum(rmt.IID(rmt.Pareto(1.5)).sample(key, (N, M)))
        return outlier_tail_index(s, jnp.sqrt(metrics.bulk_variance(s)), 8.0)[1]

    found = np.asarray(jax.jit(jax.vmap(index))(jax.random.split(jax.random.key(14), 200)))
    assert np.nanmean(found) == pytest.approx(1.5, abs=0.075 + 4 * np.nanstd(found) / np.sqrt(200))


def test_covariance_spike_starts_at_the_edge_and_is_an_additive_one():
    """A covariance eigenvalue l = 1 + theta^2 puts its eigenvalue where an additive theta does."""
    threshold = spikes.covariance_spike_threshold(Q)
    edge = spikes.spike_location(0.0, Q)
    np.testing.assert_allclose(spikes.covariance_spike_location(threshold, Q), edge, rtol=1e-14)
    np.testing.assert_allclose(spikes.covariance_spike_location(5.0, Q), spikes.spike_location(2.0, Q), rtol=1e-14)
    assert np.isnan(spikes.covariance_spike_std(threshold * 0.99, Q, 100)).all()


def test_covariance_spikes_scale_with_the_noise():
    """W -> sigma W: eigenvalues are multiplied by sigma^2, vectors stay."""
    l, var = 4.0, SIGMA**2
    np.testing.assert_allclose(spikes.covariance_spike_threshold(Q, SIGMA), var * spikes.covariance_spike_threshold(Q))
    for function in (spikes.covariance_spike_location, lambda l, Q, s=1.0: spikes.covariance_spike_std(l, Q, 100, s)):
        np.testing.assert_allclose(function(l * var, Q, SIGMA), var * function(l, Q), rtol=1e-13)
    overlap = spikes.covariance_spike_overlap
    np.testing.assert_allclose(overlap(l * var, Q, SIGMA), overlap(l, Q), rtol=1e-13)


def test_overlaps_start_at_zero_and_end_at_one():
    threshold = spikes.spike_threshold(Q, SIGMA)
    for strength, want in ((0.5, 0.0), (1.0, 0.0), (1e7, 1.0)):
        right, left = spikes.spike_overlaps(strength * threshold, Q, SIGMA)
        np.testing.assert_allclose((right, left), np.full((2, 3), want), atol=1e-12)
    right, left = spikes.spike_overlaps(1.5 * threshold, Q, SIGMA)
    assert (right >= left).all()  # v has fewer dimensions
    np.testing.assert_allclose(right[0], left[0], rtol=1e-14)  # unless W is square
    theta2 = (1.5 * threshold) ** 2
    np.testing.assert_allclose(spikes.covariance_spike_overlap(theta2 + SIGMA**2, Q, SIGMA), right, rtol=1e-13)


@pytest.mark.parametrize("function", [spikes.spike_std, spikes.covariance_spike_std])
def test_standard_deviations_have_a_finite_slope_above_the_threshold(function):
    assert np.isfinite(jax.grad(function)(3.0, 2.0, 100.0))


def top_eigenvalues(sample, n: int) -> np.ndarray:
    """lambda_max of n spectra."""
    W = jax.jit(jax.vmap(sample))(jax.random.split(jax.random.key(11), n))
    return np.linalg.svd(np.asarray(W), compute_uv=False)[:, 0] ** 2 / N


N, M, TRIALS = 150, 50, 400


def check(found: np.ndarray, location, std) -> None:
    """Mean within 4 standard errors and the next order, 3/N; spread within 4 standard errors of its own."""
    error = float(std) / np.sqrt(TRIALS)
    assert abs(found.mean() - location) < 4 * error + 3 / N
    assert abs(found.std(ddof=1) / std - 1) < 4 / np.sqrt(2 * TRIALS)


def test_additive_spike_is_found_where_theory_says():
    sigma, theta = 2.0, 3.0
    ensemble = rmt.Spiked(rmt.IID(rmt.Gaussian(sigma)), theta)
    found = top_eigenvalues(lambda key: ensemble.sample(key, (N, M)), TRIALS)
    check(found, spikes.spike_location(theta, N / M, sigma), spikes.spike_std(theta, N / M, N, sigma))


def test_covariance_spike_is_found_where_theory_says():
    l = 4.0

    def sample(key: jax.Array) -> jax.Array:
        return rmt.IID(rmt.Gaussian()).sample(key, (N, M)).at[:, 0].multiply(jnp.sqrt(l))

    found = top_eigenvalues(sample, TRIALS)
    check(found, spikes.covariance_spike_location(l, N / M), spikes.covariance_spike_std(l, N / M, N))


def test_one_large_entry_is_found_at_the_outlier_map():
    t = 2.0

    def sample(key: jax.Array) -> jax.Array:
        return rmt.IID(rmt.Gaussian()).sample(key, (N, M)).at[3, 5].set(jnp.sqrt(N * t))

    found = top_eigenvalues(sample, TRIALS)
    error = found.std(ddof=1) / np.sqrt(TRIALS)
    assert abs(found.mean() - spikes.outlier_map(t, N / M)) < 4 * error + 3 / N


def test_the_mean_of_the_entries_is_a_spike():
    law, trials = rmt.Lomax(6.0), 300
    ensemble = rmt.IID(law)

    def rank(key: jax.Array) -> jax.Array:
        return rmt.metrics.log_stable_rank(rmt.spectrum(ensemble.sample(key, (N, M))))

    found = np.asarray(jax.jit(jax.vmap(rank))(jax.random.split(jax.random.key(13), trials)))
    theory = spikes.mean_spike_rank(law.mean, law.var, N, M)
    assert float(theory) == pytest.approx(found.mean(), rel=0.01)
    assert float(theory) == pytest.approx(float(spikes.mean_spike_rank(-law.mean, law.var, N, M)), rel=1e-12)


def top_vectors(sample, n: int) -> tuple[np.ndarray, np.ndarray]:
    """First right and left singular vectors of n matrices."""
    W = jax.jit(jax.vmap(sample))(jax.random.split(jax.random.key(12), n))
    u, _, vt = np.linalg.svd(np.asarray(W), full_matrices=False)
    return vt[:, 0, :], u[:, :, 0]


def check_overlap(found: np.ndarray, limit) -> None:
    """Mean within 4 standard errors and the next order, 3/N."""
    assert abs(found.mean() - limit) < 4 * found.std(ddof=1) / np.sqrt(len(found)) + 3 / N


def test_additive_spike_shows_in_the_vectors():
    """Along a fixed u and v, which for Gaussian noise is no loss."""
    sigma, theta = 2.0, 2.5

    def sample(key: jax.Array) -> jax.Array:
        return rmt.Gaussian(sigma).sample(key, (N, M)).at[:, 0].add(theta)  # u = 1/sqrt N, v = e_0

    right, left = top_vectors(sample, TRIALS)
    want = spikes.spike_overlaps(theta, N / M, sigma)
    check_overlap(right[:, 0] ** 2, want[0])
    check_overlap(left.mean(1) ** 2 * N, want[1])


def test_below_the_threshold_the_vectors_know_nothing():
    """The overlap is of the order 1/M then, and not that of a strong spike."""
    theta = 0.3 * float(spikes.spike_threshold(N / M))
    right, _ = top_vectors(lambda key: rmt.Gaussian().sample(key, (N, M)).at[:, 0].add(theta), TRIALS)
    assert (right[:, 0] ** 2).mean() < 3 / M


def test_covariance_spike_shows_in_the_vector():
    l, sigma = 9.0, 1.5

    def sample(key: jax.Array) -> jax.Array:
        return rmt.Gaussian(sigma).sample(key, (N, M)).at[:, 0].multiply(jnp.sqrt(l) / sigma)

    check_overlap(top_vectors(sample, TRIALS)[0][:, 0] ** 2, spikes.covariance_spike_overlap(l, N / M, sigma))


def test_one_large_entry_shows_in_the_vectors():
    t = 1.5
    right, left = top_vectors(lambda key: rmt.Gaussian().sample(key, (N, M)).at[3, 5].set(jnp.sqrt(N * t)), TRIALS)
    want = spikes.spike_overlaps(np.sqrt(t), N / M)
    check_overlap(right[:, 5] ** 2, want[0])
    check_overlap(left[:, 3] ** 2, want[1])
