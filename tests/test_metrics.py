"""Metrics against their definitions on the matrix itself."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy import stats

import rmt
from rmt import metrics


@pytest.fixture(scope="module")
def case():
    W = np.random.default_rng(0).standard_t(2.5, (80, 50))
    s = rmt.spectrum(W)
    return W, s, rmt.fit_tail(s)


def test_norms_are_norms_of_W(case):
    W, s, _ = case
    assert float(metrics.log_frobenius_norm(s)) == pytest.approx(np.log10((W**2).sum()), rel=1e-12)
    assert float(metrics.log_spectral_norm(s)) == pytest.approx(2 * np.log10(np.linalg.norm(W, 2)), rel=1e-12)
    assert float(metrics.stable_rank(s)) == pytest.approx((W**2).sum() / np.linalg.norm(W, 2) ** 2, rel=1e-12)


def test_shape_metrics_follow_their_formulas(case):
    W, s, fit = case
    X = W.T @ W / 80
    lambdas, alpha = np.linalg.eigvalsh(X), float(fit.alpha)
    assert float(metrics.alpha_hat(s, fit)) == pytest.approx(alpha * np.log10(lambdas[-1]), rel=1e-10)
    assert float(metrics.log_alpha_norm(s, fit)) == pytest.approx(np.log10((lambdas**alpha).sum()), rel=1e-10)
    assert float(metrics.log_stable_rank(s)) == pytest.approx(np.log10((W**2).sum()) / np.log10(lambdas[-1]), rel=1e-10)


def test_schatten_norm_lies_within_log_M_above_alpha_hat(case):
    _, s, fit = case
    gap = float(metrics.log_alpha_norm(s, fit) - metrics.alpha_hat(s, fit))
    assert 0 <= gap <= np.log10(s.M)


def test_schatten_norm_does_not_overflow():
    s = rmt.Spectrum(np.geomspace(1e-3, 1e25, 40), N=40)
    fit = rmt.fit_tail(s)
    steep = dataclasses.replace(fit, alpha=20.0 + 0 * fit.alpha)
    assert float(metrics.log_alpha_norm(s, steep)) == pytest.approx(500, rel=1e-9)


def test_entropy_is_one_for_equal_eigenvalues_and_zero_for_rank_one():
    assert float(metrics.entropy(rmt.Spectrum(np.ones(30), N=60))) == pytest.approx(1)
    one = np.zeros(30)
    one[-1] = 3
    assert float(metrics.entropy(rmt.Spectrum(one, N=60))) == 0
    # Of a collapsed rank the zeros do not count, and small eigenvalues that an SVD resolves do
    for s in (rmt.spectrum(np.eye(60, 30) * (np.arange(30) < 7)), rmt.Spectrum(np.r_[np.zeros(23), np.ones(7)], N=60)):
        assert float(metrics.entropy(s)) == pytest.approx(1)
    small = rmt.spectrum(np.diag([1e-9, 1.0, 1.0]))
    assert float(metrics.entropy(small)) == pytest.approx(np.log(2) / np.log(3))


def test_metrics_batch(case):
    W = case[0]
    batch = jax.vmap(rmt.spectrum)(np.stack([W, 2 * W]))
    fits = jax.vmap(rmt.fit_tail)(batch)
    for name in ("alpha_hat", "log_alpha_norm"):
        loop = [getattr(metrics, name)(t, rmt.fit_tail(t)) for t in (rmt.spectrum(W), rmt.spectrum(2 * W))]
        np.testing.assert_allclose(getattr(metrics, name)(batch, fits), loop, rtol=1e-12)
    for name in (
        "log_frobenius_norm",
        "log_spectral_norm",
        "stable_rank",
        "log_stable_rank",
        "entropy",
        "bulk_variance",
    ):
        loop = [getattr(metrics, name)(t) for t in (rmt.spectrum(W), rmt.spectrum(2 * W))]
        np.testing.assert_allclose(getattr(metrics, name)(batch), loop, rtol=1e-12)


def test_bulk_variance_is_that_of_the_entries_whatever_the_outliers():
    W = 3 * np.random.default_rng(4).standard_normal((600, 300))
    assert float(metrics.bulk_variance(rmt.spectrum(W))) == pytest.approx(9, rel=0.02)
    x = np.asarray(rmt.spectrum(W).eigenvalues)
    expected = np.median(x) / float(rmt.MarchenkoPastur(Q=2.0).ppf(0.5))
    assert float(metrics.bulk_variance(rmt.Spectrum(np.append(x[:-1], 1e9), N=600))) == pytest.approx(
        expected, rel=1e-12
    )
    with pytest.raises(ValueError, match="needs all M = 300 eigenvalues"):
        metrics.bulk_variance(rmt.spectrum(W, method="top", k=5))


def test_ks_distance_is_the_two_sided_one_of_scipy():
    s = rmt.spectrum(np.random.default_rng(3).standard_normal((80, 40)))
    law = rmt.MarchenkoPastur(Q=2.0)
    expected = stats.ks_1samp(np.asarray(s.eigenvalues), lambda x: np.asarray(law.cdf(x))).statistic
    assert float(metrics.ks_distance(s, law)) == pytest.approx(expected, rel=1e-12)
    assert expected < 0.1 < float(metrics.ks_distance(s, rmt.MarchenkoPastur(Q=3.0)))
