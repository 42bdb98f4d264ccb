"""The whole measurement is one program for any device: it lowers for CUDA and TPU from here. Lowering is not running."""

import jax
import jax.numpy as jnp
import pytest

import rmt


def measurement(key_data):
    """key -> W -> Spectrum -> TailFit and metrics, for one trial."""
    W = rmt.IID(rmt.Pareto(mu=1.5)).sample(jax.random.wrap_key_data(key_data), (60, 30))
    s = rmt.spectrum(W)
    fit = rmt.fit_tail(s)
    law = rmt.MarchenkoPastur(Q=s.Q)
    return fit, rmt.metrics.alpha_hat(s, fit), rmt.metrics.ks_distance(s, law), rmt.TracyWidom(beta=1).sf(s.lambda_max)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_the_measurement_lowers_without_host_round_trips(platform):
    batch = jax.jit(jax.vmap(measurement))
    exported = jax.export.export(batch, platforms=[platform])(jax.ShapeDtypeStruct((4, 2), jnp.uint32))
    assert exported.platforms == (platform,)
    assert "callback" not in exported.mlir_module()
