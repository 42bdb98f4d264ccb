"""The bootstrap of a fit: what a resample is, what its intervals hold, what its p-values say."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT
from scipy import stats

import rmt
from rmt.tails.base import Sample
from rmt.tails.bootstrap import draw

COVERAGE = json.loads((ROOT / "tests" / "benchmarks" / "coverage.json").read_text())


@pytest.fixture(scope="module")
def spliced() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.where(rng.random(200) < 0.4, rng.pareto(1.5, 200) + 1, rng.random(200))


@pytest.fixture(scope="module")
def result(spliced) -> rmt.Bootstrap:
    return rmt.bootstrap(jax.random.key(1), spliced, n_resamples=400)


def test_a_resample_is_the_fitted_model(spliced):
    """n_tail is binomial, the tail follows the fitted law, the body is drawn from the values below xmin, all in order."""
    x = jnp.sort(jnp.asarray(spliced))
    sample = Sample(x, jnp.log(x), jnp.zeros((), int))
    fit = rmt.fit_tail(spliced, rmt.Clauset(xmin=(0.9, 2.0)))
    draws = jax.jit(jax.vmap(lambda key: draw(key, sample, fit).x))(jax.random.split(jax.random.key(2), 500))
    assert bool(jnp.all(jnp.diff(draws, axis=1) >= 0))
    in_tail = np.asarray(draws >= fit.xmin)
    n_tail = int(fit.n_tail)
    counts = in_tail.sum(axis=1)
    assert stats.kstest(np.asarray(draws)[in_tail], lambda t: np.asarray(fit.law.cdf(t))).pvalue > 1e-3
    assert abs(counts.mean() - n_tail) < 4 * np.sqrt(n_tail * (1 - n_tail / 200) / 500)
    assert counts.var() == pytest.approx(n_tail * (1 - n_tail / 200), rel=0.3)
    body, times = np.unique(np.asarray(draws)[~in_tail], return_counts=True)
    np.testing.assert_array_equal(body, np.asarray(x)[: 200 - n_tail])
    assert stats.chisquare(times).pvalue > 1e-3


def test_order_padding_and_parts_change_no_draw(spliced, result):
    """Eager calls pad 200 values to 208; a traced one does not."""
    reverse = rmt.bootstrap(jax.random.key(1), spliced[::-1], n_resamples=400)
    part = rmt.bootstrap(jax.random.key(1), spliced, n_resamples=400, first=100)
    traced = jax.jit(lambda x: rmt.bootstrap(jax.random.key(1), x, n_resamples=40, calibrate=False))(spliced)
    for name in ("alpha", "xmin", "ks", "n_tail"):
        values = getattr(result.refits, name)
        np.testing.assert_array_equal(getattr(reverse.refits, name), values)
        np.testing.assert_array_equal(getattr(part.refits, name)[:300], values[100:])
        np.testing.assert_allclose(getattr(traced.refits, name), values[:40], rtol=1e-12)


@pytest.mark.slow
def test_without_calibration_the_first_level_is_the_same(spliced, result):
    plain = rmt.bootstrap(jax.random.key(1), spliced, n_resamples=400, calibrate=False)
    np.testing.assert_array_equal(plain.refits.alpha, result.refits.alpha)
    assert np.isnan(np.asarray(plain.second.alpha)).all()
    assert float(plain.p_value) == float(result.p_value)
    assert float(plain.p_scaled) == float(result.p_scaled)
    d = np.abs(np.log((np.asarray(plain.refits.alpha) - 1) / (float(plain.fit.alpha) - 1)))
    c = np.quantile(d, 0.95)
    np.testing.assert_allclose(plain.interval(), 1 + (float(plain.fit.alpha) - 1) * np.exp([-c, c]), rtol=1e-12)


def test_p_value_is_the_share_of_larger_distances(result):
    larger = np.mean(np.asarray(result.refits.ks) >= float(result.fit.ks))
    assert float(result.p_value) == pytest.approx(larger)
    assert float(result.p_stderr) == pytest.approx(np.sqrt(larger * (1 - larger) / 400))
    scaled = np.asarray(result.refits.ks) * np.sqrt(np.asarray(result.refits.n_tail))
    larger = np.mean(scaled >= float(result.fit.ks) * np.sqrt(float(result.fit.n_tail)))
    assert float(result.p_scaled) == pytest.approx(larger)


def test_an_interval_is_equivariant(spliced, result):
    """x -> c x^2 halves alpha - 1, and its interval with it."""
    other = rmt.bootstrap(jax.random.key(1), 5 * spliced**2, n_resamples=400)
    np.testing.assert_allclose(np.array(other.interval()) - 1, (np.array(result.interval()) - 1) / 2, rtol=1e-9)
    np.testing.assert_allclose(other.xmin_interval(), 5 * np.array(result.xmin_interval()) ** 2, rtol=1e-9)


def test_a_power_law_is_kept_and_a_uniform_law_rejected():
    """The negative control of the p-value, and its power."""
    rng = np.random.default_rng(3)
    keep, reject = (
        rmt.bootstrap(jax.random.key(4), x, n_resamples=400) for x in (rng.pareto(1.5, 200) + 1, rng.random(200) + 0.1)
    )
    for p in (keep.p_value, keep.p_scaled):
        assert float(p) > 0.1
    for p in (reject.p_value, reject.p_scaled):
        assert float(p) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("method", [rmt.Hill(k=50), rmt.Clauset(xmin=1.0, xmax="max")])
def test_any_method_can_be_bootstrapped(spliced, method):
    low, high = rmt.bootstrap(jax.random.key(5), spliced, method, n_resamples=100, calibrate=False).interval()
    assert float(low) < float(rmt.fit_tail(spliced, method).alpha) < float(high)


def test_bad_data_are_nan_throughout(spliced):
    bad = rmt.bootstrap(jax.random.key(6), np.r_[np.nan, spliced[1:]], n_resamples=400)
    assert int(bad.fit.status) == rmt.Status.NON_FINITE
    assert np.isnan([*bad.interval(), *bad.xmin_interval(), bad.p_value, bad.p_scaled]).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rmt.bootstrap(jax.random.key(0), np.ones((3, 20))), "one 1-D array"),
        (lambda: rmt.bootstrap(jax.random.key(0), np.ones(20), n_resamples=0), "positive int"),
    ],
)
def test_wrong_arguments_say_what_to_do(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.slow
def test_a_matrix_is_replicated_from_its_own_entries_or_from_an_ensemble():
    W = rmt.IID(rmt.Pareto(1.5)).sample(jax.random.key(7), (60, 30))
    own = rmt.bootstrap_matrix(jax.random.key(8), W, n_resamples=20)
    given = rmt.bootstrap_matrix(jax.random.key(8), W, ensemble=rmt.IID(rmt.Gaussian()), n_resamples=20)
    low, high = own.interval()
    assert float(low) < float(own.fit.alpha) < float(high)
    assert own.alpha.shape == (20,)
    assert float(own.fit.alpha) == float(given.fit.alpha)
    assert float(jnp.median(own.alpha)) < 3 < float(jnp.median(given.alpha))


def test_resampled_entries_are_those_of_the_matrix():
    W = rmt.IID(rmt.Pareto(1.5)).sample(jax.random.key(7), (60, 30))
    entries = rmt.Resampled(W).sample(jax.random.key(9), (60, 30))
    assert np.isin(entries, W).all()
    assert np.unique(entries).size / W.size == pytest.approx(1 - 1 / np.e, abs=0.05)


def test_the_table_of_coverage_is_complete():
    """1,000 data sets a cell; intervals hold the truth in 93 to 97 %; p is uniform under the null and small without it."""
    assert {(row["data"], row["n"]) for row in COVERAGE["rows"]} >= {
        (f"Pareto, alpha = {alpha}", n) for alpha in (1.5, 2.5, 3.5) for n in (100, 1000)
    }
    for row in COVERAGE["rows"]:
        assert row["trials"] >= 1000
        _, low, high = row["covered"]
        assert low < 0.97
        assert high > 0.93
        limit = stats.kstwo.isf(0.05 / len(COVERAGE["rows"]), row["trials"])
        assert row["p_scaled"]["KS"] < limit
    for row in COVERAGE["controls"]:
        assert row["n"] < 1000 or row["p_scaled"][0] > 0.3, row


@pytest.mark.slow
@pytest.mark.parametrize("data", ["Pareto, alpha = 2.5", "log-normal body, alpha = 3", "exponential body, alpha = 3"])
def test_coverage_is_what_the_table_says(data):
    """A replay with another key and fewer replicates, within the errors of both."""
    import runpy

    study = runpy.run_path(str(ROOT / "tests" / "benchmarks" / "coverage.py"))
    ds = rmt.sweep(study["measure"], {"data": [data], "n": [100]}, key=jax.random.key(77), n_trials=400, progress=False)
    (row,) = study["summary"](ds)
    (table,) = [r for r in COVERAGE["rows"] if (r["data"], r["n"]) == (data, 100)]
    for name in ("covered", "covered_given_xmin", "covered_xmin"):
        p = table[name][0]
        assert abs(row[name][0] - p) < 3 * np.sqrt(max(p * (1 - p), 0.01) * (1 / 400 + 1 / table["trials"])), name
