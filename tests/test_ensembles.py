"""Ensembles: shapes, reproducibility, and what is random about each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

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


def test_dtype_is_as_asked():
    for ensemble in (
        rmt.IID(rmt.Gaussian()),
        rmt.Spiked(rmt.IID(rmt.Gaussian()), 2.0),
        rmt.Shuffled(np.ones((4, 3), np.float16)),
    ):
        assert ensemble.sample(jax.random.key(0), (4, 3)).dtype == jnp.float64
        assert ensemble.sample(jax.random.key(0), (4, 3), jnp.float32).dtype == jnp.float32


GAUSSIAN = rmt.IID(rmt.Gaussian())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rmt.IID(3.0), r"IID\(law\) needs a law"),
        (lambda: rmt.Spiked(rmt.Gaussian(), 1.0), r"Spiked\(base\) needs an ensemble"),
        (lambda: rmt.Spiked(GAUSSIAN, []), r"one or more numbers"),
        (lambda: rmt.Spiked(GAUSSIAN, [[1.0]]), r"one or more numbers in a row, got shape \(1, 1\)"),
        (lambda: rmt.Spiked(GAUSSIAN, [1.0] * 4).sample(jax.random.key(0), (9, 3)), r"4 spikes do not fit .*\(9, 3\)"),
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
