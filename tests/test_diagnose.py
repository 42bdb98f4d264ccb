"""The scan over xmin and the flags: what they say of tails that are there, and of tails that are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rmt


def test_the_scan_is_every_fit_with_that_xmin():
    x = np.round(np.random.default_rng(1).pareto(1.5, 60) + 1, 1)
    found = rmt.scan(x, rmt.Clauset(ks="two-sided"))
    candidate = np.asarray(found.candidate)
    np.testing.assert_array_equal(np.asarray(found.xmin)[candidate], np.unique(x)[:-1])
    for i in np.flatnonzero(candidate):
        fit = rmt.fit_tail(x, rmt.Clauset(ks="two-sided", xmin=float(found.xmin[i])))
        np.testing.assert_allclose([found.alpha[i], found.ks[i]], [fit.alpha, fit.ks], rtol=1e-12)
        assert int(found.n_tail[i]) == int(fit.n_tail)
    assert np.isnan(np.asarray(found.ks)[~candidate]).all()
    best = np.nanargmin(np.asarray(found.ks))
    assert float(found.xmin[best]) == float(rmt.fit_tail(x, rmt.Clauset(ks="two-sided")).xmin)


def test_data_that_cannot_be_fitted_have_no_candidate():
    d = rmt.diagnose(np.r_[np.nan, np.arange(1.0, 30)])
    assert not np.any(d.scan.candidate)
    assert not bool(d.clear)
    assert np.isnan(float(d.decades))


def test_a_method_without_a_search_cannot_be_scanned():
    with pytest.raises(ValueError, match=r"Hill does not search over xmin.*rmt.Clauset"):
        rmt.scan(np.arange(1.0, 30), rmt.Hill(k=5))


def matrices(law, n: int, shape=(200, 100)) -> rmt.Diagnosis:
    keys = jax.random.split(jax.random.key(5), n)
    s = jax.jit(jax.vmap(lambda key: rmt.spectrum(rmt.IID(law).sample(key, shape))))(keys)
    return rmt.diagnose(s)


@pytest.mark.parametrize(
    ("law", "low", "high"),
    [
        (rmt.Pareto(0.5), 0.0, 0.02),
        (rmt.Lomax(1.0), 0.0, 0.15),
        (rmt.Pareto(1.5), 0.0, 0.3),
        (rmt.Pareto(3.0), 0.9, 1.0),
        (rmt.Gaussian(), 0.97, 1.0),
    ],
)
def test_the_bulk_flag_tells_tails_from_bulk_edges(law, low, high):
    """Very heavy tails, where alpha = mu/2 + 1 nearly holds, are the negative control."""
    d = matrices(law, 60)
    assert low <= float(jnp.mean(d.in_bulk)) <= high
    assert bool(jnp.all(d.in_bulk == (d.bulk_share > 2 / 3)))


def test_bulk_edge_is_that_of_the_law_for_noise():
    d = matrices(rmt.Gaussian(), 60)
    edge = float(rmt.MarchenkoPastur(Q=2.0).lambda_plus)
    assert float(jnp.mean(d.lambda_plus)) == pytest.approx(edge, rel=0.03)


def test_no_spectrum_has_no_bulk():
    d = rmt.diagnose(np.random.default_rng(2).pareto(1.5, 100) + 1)
    assert not bool(d.in_bulk)
    assert float(d.bulk_share) == 0


@pytest.mark.slow
def test_tails_have_a_clear_minimum_and_an_exponential_sometimes_none():
    x = jnp.exp(jax.random.exponential(jax.random.key(3), (50, 200)) / 1.5)
    assert float(jnp.mean(rmt.diagnose(x, mask=jnp.ones(x.shape, bool)).clear)) >= 0.95
    assert float(jnp.mean(matrices(rmt.Pareto(1.0), 60).clear)) >= 0.95
    light = 1 + jax.random.exponential(jax.random.key(4), (60, 1000))
    assert float(jnp.mean(rmt.diagnose(light, mask=jnp.ones(light.shape, bool)).clear)) <= 0.95


def test_decades():
    fit = rmt.fit_tail(np.geomspace(1, 1e4, 60))
    d = rmt.diagnose(np.geomspace(1, 1e4, 60))
    assert float(d.decades) == pytest.approx(4 - np.log10(float(fit.xmin)))
