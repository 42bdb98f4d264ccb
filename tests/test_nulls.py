"""A matrix beside its nulls: what the p-values are distributed like, and what each null can and cannot tell."""

import jax
import numpy as np
import pytest
from conftest import slow
from scipy import stats

import rmt
from rmt.calibration.nulls import (
    NULLS,
    STATISTICS,
    esd_distances,
    fitted_student,
    localised,
    n_replicates,
    null_p_value,
    null_spectra,
    null_test,
    null_tests,
    verdict,
)

N, M = 120, 60


def test_students_p_value_is_the_prediction_interval_of_one_more_replicate():
    rng = np.random.default_rng(0)
    draws = np.exp(rng.normal(size=(4000, 8)))
    p = np.array([null_test(row[0], row[1:]).p for row in draws])
    assert stats.kstest(p, "uniform").pvalue > 0.01
    one_sided = np.array([null_test(row[0], row[1:], two_sided=False).p for row in draws])
    assert stats.kstest(one_sided, "uniform").pvalue > 0.01


def test_rank_p_values():
    replicates = np.arange(1.0, 20.0)
    assert null_test(100.0, replicates).rank == pytest.approx(2 / 20)
    assert null_test(100.0, replicates).beyond
    assert null_test(0.5, replicates, two_sided=False).rank == 1.0
    assert null_test(10.5, replicates).rank == pytest.approx(1.0)
    same = null_test(1.0, np.ones(5))
    assert np.isnan(same.t)
    assert same.rank == 1.0


def test_esd_distances_agree_with_scipy():
    rng = np.random.default_rng(0)
    layer, nulls = rng.exponential(size=30), rng.exponential(size=(4, 30))
    nulls[0, :3] = layer[:3]  # ties
    D = esd_distances(layer, nulls)
    assert D[0] == pytest.approx(stats.ks_2samp(layer, nulls.ravel()).statistic)
    for i in range(4):
        assert D[1 + i] == pytest.approx(stats.ks_2samp(nulls[i], np.delete(nulls, i, axis=0).ravel()).statistic)


def test_localised_is_the_spike_threshold_halved():
    W = np.random.default_rng(0).normal(0.01, 0.3, (N, M))
    assert not localised(W)
    W[3, 4] = 1.1 * np.sqrt(0.5 * np.var(W) * np.sqrt(N * M))
    assert localised(W)


def test_large_layers_get_fewer_replicates():
    assert n_replicates(384, 384, 20) == 20
    assert n_replicates(30522, 384, 20) == 5


def many_tests(law, null: str, seed: int, n: int, shape=(36, 24), n_nulls: int = 19) -> list[dict]:
    """Tests of n matrices of a law against a null of theirs."""
    found = []
    for key in jax.random.split(jax.random.key(seed), n):
        key, own = jax.random.split(key)
        W = np.asarray(rmt.IID(law).sample(own, shape))
        eigenvalues = np.asarray(rmt.spectrum(W).eigenvalues)
        found.append(null_tests(eigenvalues, shape[0], null_spectra(W, null, key, n_nulls)))
    return found


@pytest.mark.parametrize(
    ("law", "null"),
    [(rmt.Gaussian(0.3), "gaussian"), (rmt.Pareto(2.0), "shuffled"), slow(rmt.Gaussian(0.3), "shuffled")],
)
def test_ranks_are_uniform_where_the_null_holds(law, null):
    """20 x 2 thousand matrices of each are in tests/benchmarks/null_tests.json."""
    every = many_tests(law, null, 5, 150)
    for what in STATISTICS:
        rank = np.array([tests[what].rank for tests in every])
        steps = 20 if what in ("n_spikes", "esd") else 10
        counts = np.bincount(np.round(rank * steps).astype(int), minlength=steps + 1)[1:]
        assert stats.chisquare(counts).pvalue > 1e-3, (what, counts)
    if null == "gaussian":
        for what in ("lambda_max", "esd"):
            assert stats.kstest([tests[what].p for tests in every], "uniform").pvalue > 1e-3


def test_a_law_that_was_fitted_is_not_rejected_too_often():
    every = many_tests(rmt.StudentT(3.0), "fitted", 6, 150)
    rank = np.array([[tests[what].rank for what in STATISTICS] for tests in every])
    assert np.all(np.mean(rank <= 0.1, axis=0) <= 0.1 + 3 * np.sqrt(0.09 / 150)), rank
    assert np.any(rank <= 0.1)


def test_a_spike_is_seen_by_lambda_max_and_counted():
    key = jax.random.key(3)
    W = np.asarray(rmt.Spiked(rmt.IID(rmt.Gaussian()), [3.0, 2.5]).sample(key, (120, 60)))
    tests = null_tests(np.asarray(rmt.spectrum(W).eigenvalues), 120, null_spectra(W, "shuffled", key, 39))
    assert tests["n_spikes"].observed == 2
    assert tests["n_spikes"].median == 0
    assert tests["n_spikes"].rank == 1 / 40
    assert tests["lambda_max"].p < 1e-6
    assert null_p_value("shuffled", tests, is_localised=False) < 1e-5


def test_the_gaussian_null_has_the_mean_and_the_norm_of_the_matrix():
    W = np.asarray(0.2 + rmt.IID(rmt.Pareto(2.5)).sample(jax.random.key(0), (30, 20)))
    spectra = null_spectra(W, "gaussian", jax.random.key(1), 4)
    assert spectra.sum(axis=1) == pytest.approx(np.sum(W**2) / 30)
    assert null_spectra(W, "shuffled", jax.random.key(1), 4).sum(axis=1) == pytest.approx(np.sum(W**2) / 30)


@pytest.mark.parametrize("df", [0.8, 3.0, 30.0])
def test_the_fitted_student_law_is_found(df):
    W = 0.05 * np.random.default_rng(2).standard_t(df, (400, 300))
    found, location, scale = fitted_student(W)
    # The information on ln df falls as df^-2: 120,000 entries give 1 % at 0.8 and 15 % at 30
    assert found == pytest.approx(df, rel=0.02 if df < 5 else 0.4)
    assert scale == pytest.approx(0.05, rel=0.02)
    assert location == pytest.approx(0, abs=1e-3)
    assert stats.t.logpdf(W, *fitted_student(W)).mean() >= stats.t.logpdf(W, df, scale=0.05).mean() - 1e-7


def test_constant_matrices_have_no_null_to_be_apart_from():
    W = np.zeros((30, 20))
    for null in NULLS:
        own = np.asarray(rmt.spectrum(W).eigenvalues)
        tests = null_tests(own, 30, null_spectra(W, null, jax.random.key(0), 6))
        assert null_p_value(null, tests, is_localised=False) == 1
        assert np.isnan(tests["alpha"].rank)
    assert verdict({"gaussian": np.nan, "shuffled": np.nan}, 0.05) == "not tested"
