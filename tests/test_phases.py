"""Phases: noise is Random-like at the stated rate, each definition finds what it is made for, and none depends on the scale."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import slow

import rmt
from rmt import phases, spikes
from rmt.phases import Phase

GAUSSIAN = rmt.IID(rmt.Gaussian())
SHAPE = (200, 100)
SPIKES = jnp.array([2.0, 2.5, 3.0]) * spikes.spike_threshold(2.0)


def low_rank(key):
    left, right = jax.random.split(key)
    return jax.random.normal(left, (200, 70)) @ jax.random.normal(right, (70, 100))


MADE = {
    Phase.RANDOM_LIKE: lambda key: GAUSSIAN.sample(key, SHAPE),
    Phase.BULK_SPIKES: lambda key: rmt.Spiked(GAUSSIAN, SPIKES).sample(key, SHAPE),
    Phase.BULK_DECAY: lambda key: rmt.Correlated(GAUSSIAN, rmt.laws.PowerLaw(alpha=3.5)).sample(key, SHAPE),
    Phase.HEAVY_TAILED: lambda key: rmt.IID(rmt.Pareto(1.0)).sample(key, SHAPE),
    Phase.RANK_COLLAPSE: low_rank,
}


@jax.jit
def weighed(W):
    spectra = jax.lax.map(rmt.spectrum, W)
    return spectra, jax.lax.map(phases.weigh, spectra)


@jax.jit
def one_of_each():
    keys = jax.random.split(jax.random.key(7), len(MADE))
    return jnp.stack([make(key) for make, key in zip(MADE.values(), keys, strict=True)])


def test_each_definition_finds_what_it_is_made_for_at_every_scale():
    W = one_of_each()
    spectra, e = weighed(W)
    np.testing.assert_array_equal(e.phase, list(MADE))
    np.testing.assert_array_equal(weighed(1e-3 * W)[1].phase, list(MADE))
    batch = jax.jit(jax.vmap(phases.phase))(spectra)
    np.testing.assert_array_equal(batch, e.phase)


@pytest.mark.parametrize("shape", [(100, 50), slow((50, 50)), slow((250, 50)), slow((200, 200)), slow((800, 400))])
def test_noise_is_random_like_at_the_stated_rate(shape):
    keys = jax.random.split(jax.random.key(8), 1000)
    spectra = jax.jit(jax.vmap(lambda key: rmt.Wishart(sigma=3.0).spectrum(key, shape)))(keys)
    e = jax.jit(jax.vmap(phases.weigh))(spectra)
    assert np.mean(e.phase != Phase.RANDOM_LIKE) <= 0.04
    assert np.mean(e.n_outside > 0) == pytest.approx(phases.LEVEL, abs=0.012)
    assert np.mean(~e.has_bulk) <= phases.LEVEL + 0.01
    assert np.mean(e.variance) == pytest.approx(9, rel=0.01)


def test_outliers_without_a_gap_bleed_out_and_with_one_are_spikes():
    """Right above the edge of an exact Marchenko-Pastur bulk."""
    law, (_, scale) = rmt.MarchenkoPastur(Q=2.0), rmt.johnstone(*SHAPE)
    bulk = np.asarray(law.ppf((np.arange(97) + 0.5) / 97))
    phase_of = jax.jit(phases.weigh)
    for gap, expected in ((5.0, Phase.BLEEDING_OUT), (8.0, Phase.BULK_SPIKES)):
        outside = bulk[-1] + float(scale) / 200 * gap * np.arange(1, 4)
        e = phase_of(rmt.Spectrum(jnp.asarray(np.r_[bulk, outside]), 200))
        assert (Phase(int(e.phase)), int(e.n_outside)) == (expected, 3)
        assert float(e.variance) == pytest.approx(1, abs=0.01)


def test_data_problems_are_a_code_and_mistakes_an_error():
    W = one_of_each()
    _, e = weighed(W.at[0, 0, 0].set(jnp.nan).at[1].set(0.0))
    assert [Phase(int(code)).label for code in e.phase[:2]] == ["undefined", "Rank-collapse"]
    with pytest.raises(ValueError, match=r"all eigenvalues of one matrix.*jax.vmap"):
        phases.phase(rmt.Spectrum(jnp.ones((2, 30)), 30))
    with pytest.raises(ValueError, match=r"M >= 20"):
        phases.phase(rmt.Spectrum(jnp.ones(5), 30))
