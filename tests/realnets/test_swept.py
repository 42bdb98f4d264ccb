"""Layers as the axis of a sweep."""

import jax
import jax.numpy as jnp
import numpy as np

import realnets
import rmt
from realnets import swept


def test_an_axis_of_layers_is_never_empty(monkeypatch, tmp_path):
    monkeypatch.setenv("REALNETS_CACHE", str(tmp_path))
    assert realnets.layer_axis(2**16, 4) == (realnets.NO_NETWORK,)
    monkeypatch.setattr(swept, "cached_layers", lambda max_entries, count: ("toy/a", "toy/b")[:count])
    assert realnets.layer_axis() == ("toy/a", "toy/b")
    assert realnets.layer_axis(None, 1) == ("toy/a",)


def test_what_is_computed_eagerly_is_a_constant_of_the_program():
    def measure(key, *, layer, mu):
        with realnets.eagerly():
            own = float(jnp.linalg.norm(jnp.arange(len(layer))))  # a float of a tracer would be an error
        return {"own": own, "drawn": mu + jax.random.uniform(key)}

    axes = {"layer": ("toy/a", "toy/longer"), "mu": (1.0, 2.0)}
    ds = rmt.sweep(measure, axes, key=jax.random.key(0), n_trials=3, progress=False)
    np.testing.assert_allclose(realnets.per_layer(ds, "own"), [np.sqrt(30), np.sqrt(285)])
    drawn = realnets.per_draw(ds.transpose("trial", ...), "drawn")
    np.testing.assert_array_equal(drawn, ds.drawn.values)
    assert drawn.shape == (2, 2, 3)
