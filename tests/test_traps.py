"""Traps: what the entries make wherever they stand, as often as noise does by chance, and no spike."""

import jax
import numpy as np
import pytest
from scipy import stats

import rmt
from rmt.calibration import expected_traps, null_spectra, spike_p_value, spike_threshold, trap_p_value
from rmt.calibration.nulls import null_tests

N, M = 120, 60
NOISE = 0.3 * np.random.default_rng(0).normal(size=(N, M))
AT = [(7, 5), (20, 44), (99, 13)]


def planted(size: float, count: int = 3) -> np.ndarray:
    """Noise with entries of +- size in rows and columns of their own."""
    W = NOISE.copy()
    for i, at in enumerate(AT[:count]):
        W[at] = 0.3 * size * (-1) ** i
    return W


def spiked(strength: float = 3.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    u, v = rng.normal(size=N), rng.normal(size=M)
    return NOISE + 0.3 * strength * np.sqrt(N) * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))


def traps(W: np.ndarray) -> tuple[float, int, float]:
    """Those of the median shuffle, those that the entries explain, and p."""
    shuffles = null_spectra(W, "shuffled", jax.random.key(2), 19)
    own = np.asarray(rmt.spectrum(W).eigenvalues)
    return null_tests(own, N, shuffles)["n_spikes"].median, expected_traps(W), trap_p_value(shuffles, N)


@pytest.mark.parametrize("shape", [(60, 60), (120, 60), (200, 40)])
def test_noise_has_traps_as_often_as_the_level_says(shape):
    rng, n = np.random.default_rng(3), 500
    W = rng.normal(0.0, 0.3, (n, *shape))
    shuffled = rng.permuted(W.reshape(n, -1), axis=1).reshape(W.shape)
    shuffles = np.linalg.svd(shuffled, compute_uv=False)[:, ::-1] ** 2 / shape[0]
    beyond = shuffles[:, -1] > np.mean(W**2, axis=(1, 2)) * spike_threshold(*shape, 0.01, estimated=True)
    assert stats.binomtest(int(np.sum(beyond)), n, 0.01).pvalue > 1e-3
    p = spike_p_value(shuffles[:, -1] / shuffles.mean(axis=1), *shape, estimated=True)
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert trap_p_value(shuffles[:1], shape[0]) == pytest.approx(min(1, 2 * p[0]))
    assert [expected_traps(w) for w in W[:20]] == [0] * 20


@pytest.mark.parametrize("count", [1, 2, 3])
def test_large_entries_are_as_many_traps(count):
    found, expected, p = traps(planted(20.0, count))
    assert found == expected == count
    assert p < 1e-6


def test_entries_below_the_outliers_are_none():
    # An outlier takes (N M)^(1/4) = 9.2 standard deviations, one beyond the edge of 1 % of noise some more
    assert traps(planted(6.0))[:2] == (0, 0)


def test_a_spike_is_scattered_and_a_mean_is_not():
    found, expected, p = traps(spiked())
    assert (found, expected) == (0, 0)
    assert p > 0.05
    assert rmt.spectrum(spiked()).lambda_max / np.mean(spiked() ** 2) > spike_threshold(N, M, 0.01, estimated=True)
    found, expected, p = traps(NOISE + 0.3)
    assert found == expected == 1
    assert p < 1e-6


def test_of_heavy_entries_nearly_all_traps_are_single_entries():
    cases = [(mu, key) for mu in (1.0, 1.5, 2.0, 2.5) for key in range(5)]
    found = np.array([traps(np.asarray(rmt.Pareto(mu).sample(jax.random.key(key), (N, M)))) for mu, key in cases])
    assert found[:, 0].sum() > 40
    assert found[:, 0].sum() == pytest.approx(found[:, 1].sum(), rel=0.15)
    assert np.max(np.abs(found[:, 0] - found[:, 1])) <= 2
    assert np.all(found[found[:, 0] > 0, 2] < 0.02)


def test_scale_is_nothing_to_them():
    W = planted(20.0)
    assert expected_traps(1e-9 * W) == expected_traps(W)
    assert traps(1e6 * W)[2] == pytest.approx(traps(W)[2], rel=1e-6)
    assert expected_traps(np.zeros((30, 20))) == 0
    assert np.isnan(trap_p_value(np.zeros((5, 20)), 30))


@pytest.mark.parametrize("estimated", [False, True])
def test_the_p_value_is_the_level_of_the_threshold(estimated):
    for level in (0.5, 0.05, 1e-3, 1e-9):
        x = spike_threshold(300, 200, level, sigma=2.0, kurtosis=0.5, estimated=estimated)
        assert spike_p_value(x, 300, 200, 2.0, 0.5, estimated=estimated) == pytest.approx(level, rel=1e-6)
    assert np.all(np.diff(spike_p_value([1.0, 3.0, 3.4, 5.0], 300, 200)) <= 0)
    with pytest.raises(rmt.InputError, match=r"spike_p_value.*N >= M"):
        spike_p_value(1.0, 100, 200)
