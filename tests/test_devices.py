"""The whole measurement is one program for any device: it lowers for CUDA and TPU from here. Lowering is not running."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rmt

PLATFORMS = ["cpu", "cuda", "tpu"]


def measurement(key_data, method="auto", dtype=float):
    """key -> W -> Spectrum -> TailFit and metrics, for one trial."""
    W = rmt.IID(rmt.Pareto(mu=1.5)).sample(jax.random.wrap_key_data(key_data), (60, 30), dtype)
    if method == "bidiagonal":
        s = rmt.spectrum(rmt.Bidiagonal(jnp.abs(W[:30, 0]), W[:29, 1], N=60))
    else:
        s = rmt.spectrum(W, method, k=12 if method == "top" else None)
    fit = rmt.fit_tail(s)
    law = rmt.MarchenkoPastur(Q=s.Q)
    ks = rmt.metrics.ks_distance(s, law) if s.complete else jnp.nan
    return fit, s.error, s.route, rmt.metrics.alpha_hat(s, fit), ks, rmt.TracyWidom(beta=1).sf(s.lambda_max)


def lowered(program, platform, *shapes) -> str:
    exported = jax.export.export(jax.jit(program), platforms=[platform])(*shapes)
    assert exported.platforms == (platform,)
    return exported.mlir_module()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_measurement_lowers_without_host_round_trips(platform):
    assert "callback" not in lowered(jax.vmap(measurement), platform, jax.ShapeDtypeStruct((4, 2), jnp.uint32))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", rmt.spectra.METHODS)
def test_every_spectrum_lowers_without_host_round_trips(method, dtype, platform):
    def batch(keys):
        return jax.lax.map(lambda key: measurement(key, method, dtype)[1:3], keys)

    module = lowered(batch, platform, jax.ShapeDtypeStruct((4, 2), jnp.uint32))
    assert "callback" not in module
    assert ("lapack" in module) == (platform == "cpu" and method != "bidiagonal")
