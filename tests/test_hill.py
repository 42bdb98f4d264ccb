"""Hill: the estimator by hand, the rule that chooses k, and what TempBalance and FARMS report."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import slow
from scipy import integrate

import rmt
from rmt.tails import hill_limit


def by_hand(x, k):
    x = np.sort(x)[::-1]
    return 1 + k / np.log(x[:k] / x[k]).sum(), x[k]


@pytest.fixture(scope="module")
def pareto() -> np.ndarray:
    return np.random.default_rng(1).pareto(1.5, 301) + 1


@pytest.mark.parametrize(("method", "k"), [(rmt.Hill(k=20), 20), (rmt.Hill(fraction=0.1), 30)])
def test_k_values_above_the_next_largest(pareto, method, k):
    fit = rmt.fit_tail(pareto, method)
    np.testing.assert_allclose([fit.alpha, fit.xmin], by_hand(pareto, k), rtol=1e-12)
    assert int(fit.n_tail) == k + 1
    assert float(fit.stderr) == pytest.approx((float(fit.alpha) - 1) / np.sqrt(k))
    assert int(fit.status) == rmt.Status.OK


def test_median_counts_the_threshold_as_tempbalance_does(pareto):
    x = np.sort(pareto)
    i = len(x) // 2
    n = len(x) - i
    fit = rmt.fit_tail(pareto, rmt.Hill(xmin="median"))
    assert float(fit.alpha) == pytest.approx(1 + n / (np.log(x[i:]).sum() - n * np.log(x[i])), rel=1e-12)
    assert (float(fit.xmin), int(fit.n_tail)) == (x[i], n)


@pytest.mark.parametrize("alpha", [1.5, 3.5])
def test_the_limit_of_a_power_law_is_its_exponent(alpha):
    assert hill_limit(rmt.laws.PowerLaw(alpha), share=0.2) == pytest.approx(alpha, rel=1e-6)


@pytest.mark.parametrize("Q", [1.0, 2.0, 10.0])
def test_the_limit_is_the_integral_that_it_claims_to_be(Q):
    law = rmt.MarchenkoPastur(Q=Q)
    median = float(law.ppf(0.5))
    mean, _ = integrate.quad(lambda x: 2 * float(law.pdf(x)) * np.log(x / median), median, float(law.lambda_plus))
    assert hill_limit(law) == pytest.approx(1 + 1 / mean, rel=1e-9)


def test_the_share_of_a_limit_is_one():
    with pytest.raises(ValueError, match="a share between 0 and 1, got 1"):
        hill_limit(rmt.laws.PowerLaw(2.0), share=1)


@pytest.mark.parametrize("Q", [slow(1), 2, slow(5), slow(10)])
def test_on_noise_the_median_rule_reports_the_aspect_ratio(Q):
    """What a median-threshold estimator says of pure Marchenko-Pastur spectra: the bias that FARMS takes away."""
    M = 200
    W = jax.vmap(lambda key: rmt.IID(rmt.Gaussian()).sample(key, (Q * M, M)))(jax.random.split(jax.random.key(Q), 6))
    fit = rmt.fit_tail(jax.vmap(rmt.spectrum)(W), rmt.Hill(xmin="median"))
    assert abs(float(fit.alpha.mean()) - hill_limit(rmt.MarchenkoPastur(float(Q)))) < 0.02 + 4 * float(
        fit.alpha.std()
    ) / np.sqrt(6)


def guillou_hall_by_hand(x):
    """Straight from the definition, with sums over every k."""
    x = np.sort(x)[::-1]
    n = len(x)
    Z = np.arange(1, n) * np.log(x[:-1] / x[1:])
    T = np.zeros(n)  # T[k]
    for k in range(2, n):
        w = k - 2 * np.arange(1, k + 1) + 1
        T[k] = (w @ Z[:k]) / np.sqrt(w @ w) / Z[:k].mean()
    largest = max(k for k in range(2, n) if k + k // 2 <= n - 1)
    Q = {k: np.sqrt(np.mean(T[k - k // 2 : k + k // 2 + 1] ** 2)) for k in range(2, largest + 1)}
    for k in range(2, largest + 1):
        if all(Q[j] > 1.25 for j in range(k, largest + 1)):
            return k
    return largest


@pytest.mark.parametrize("name", ["pareto", "student", "spliced", "lognormal"])
def test_guillou_hall_by_hand(name):
    rng = np.random.default_rng(5)
    x = {
        "pareto": rng.pareto(2.0, 150) + 1,
        "student": np.abs(rng.standard_t(2, 150)),
        "spliced": np.where(rng.random(150) < 0.3, rng.pareto(2.0, 150) + 1, rng.random(150)),
        "lognormal": rng.lognormal(size=150),
    }[name]
    fit = rmt.fit_tail(x, rmt.Hill())
    assert int(fit.n_tail) == guillou_hall_by_hand(x) + 1


def test_the_rule_keeps_a_pareto_sample_and_finds_a_splice():
    def spliced(key):
        tail, body, which = jax.random.split(key, 3)
        above = jnp.exp(jax.random.exponential(tail, (1000,)) / 1.5)
        return jnp.where(jax.random.uniform(which, (1000,)) < 0.3, above, jax.random.uniform(body, (1000,)))

    keys = jax.random.split(jax.random.key(6), 200)
    fit = jax.jit(lambda k: rmt.fit_tail(jax.vmap(spliced)(k), rmt.Hill(), mask=jnp.ones((200, 1000), bool)))(keys)
    k = np.asarray(fit.n_tail) - 1
    assert np.mean((k > 150) & (k < 600)) > 0.7
    assert abs(np.mean(fit.alpha) - 2.5) < 0.05 + 3 * np.std(fit.alpha) / np.sqrt(200)
    pareto = jnp.exp(jax.random.exponential(jax.random.key(7), (200, 1000)) / 1.5)
    kept = np.asarray(rmt.fit_tail(pareto, rmt.Hill(), mask=np.ones((200, 1000), bool)).n_tail)
    assert np.median(kept) == 667


def test_padding_scale_and_order_change_nothing(pareto):
    fit = rmt.fit_tail(pareto, rmt.Hill())
    padded = np.r_[pareto[::-1], np.full(40, np.nan)]
    again = rmt.fit_tail(padded, rmt.Hill(), mask=np.isfinite(padded))
    scaled = rmt.fit_tail(1e9 * pareto, rmt.Hill())
    assert (float(again.alpha), int(again.n_tail)) == (float(fit.alpha), int(fit.n_tail))
    np.testing.assert_allclose([scaled.alpha, scaled.xmin], [fit.alpha, 1e9 * fit.xmin], rtol=1e-12)


def test_more_than_there_is_a_status():
    assert int(rmt.fit_tail(np.arange(1.0, 21), rmt.Hill(k=20)).status) == rmt.Status.TOO_FEW
    assert int(rmt.fit_tail(np.arange(1.0, 21), rmt.Hill(fraction=0.05)).status) == rmt.Status.TOO_FEW


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k": 5, "fraction": 0.1}, "one of k, fraction and xmin"),
        ({"k": 1}, "at least 2"),
        ({"k": "hall"}, "guillou-hall"),
        ({"fraction": 1.0}, "between 0 and 1"),
        ({"xmin": 2.0}, "'median'"),
    ],
)
def test_wrong_options_say_what_to_do(options, words):
    with pytest.raises(ValueError, match=words):
        rmt.Hill(**options)
