"""Thresholds of noise: their error rates at shapes that no table was made from, what they refuse, and what they detect."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT
from scipy import stats

import rmt
from rmt.calibration import (
    SMALLEST_M,
    SMALLEST_N_TAIL,
    NoiseTable,
    ks_threshold,
    noise_p_value,
    noise_quantile,
    noise_threshold,
    spike_threshold,
)
from rmt.calibration import noise as module
from rmt.calibration import noise_simulation as simulation
from rmt.calibration.storage import save_arrays
from rmt.errors import InputError

SURE = 1e-4  # of a binomial test: dozens of them hold together with 99 %


@pytest.fixture(scope="module")
def table() -> NoiseTable:
    return module.shipped()


def found(ensemble, key, n, N, M):
    """alpha and D of both fits, lambda_max and mean eigenvalue of n matrices."""

    @jax.jit
    def all_of(keys):
        def one(key):
            s = ensemble.spectrum(key, (N, M))
            fit, hill = rmt.fit_tail(s), rmt.fit_tail(s, rmt.Hill(xmin="median"))
            return fit.alpha, fit.ks, fit.n_tail, hill.alpha, s.lambda_max, s.eigenvalues.mean()

        return jax.lax.map(one, keys)

    names = (*module.WHAT, "lambda_max", "mean")
    return dict(zip(names, map(np.asarray, all_of(jax.random.split(key, n))), strict=True))


def probability(hits, level):
    return stats.binomtest(int(np.sum(hits)), len(hits), level).pvalue


@pytest.fixture(scope="module", params=[(90, 60), (170, 45)], ids=str)
def noise(request):
    """2,000 matrices of noise at a shape between those of the table."""
    N, M = request.param
    assert (N, M) not in simulation.SHAPES
    return N, M, found(rmt.Wishart(), jax.random.key(4711 + M), 2000, N, M)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.5, 0.95])
@pytest.mark.parametrize("what", ["alpha", "ks", "hill"])
def test_quantiles_hold_between_the_shapes_of_the_table(noise, what, level):
    N, M, values = noise
    assert probability(values[what] < noise_quantile(what, N, M, level), level) > SURE


def test_quantiles_of_n_tail_lie_within_a_step_of_it(noise):
    N, M, values = noise
    for level in (0.1, 0.5, 0.9):
        expected = noise_quantile("n_tail", N, M, level)
        # a whole number with atoms of several per cent: no level is met exactly
        assert np.quantile(values["n_tail"], level - 0.05) - 1 <= expected
        assert expected <= np.quantile(values["n_tail"], level + 0.05) + 1


@pytest.mark.parametrize("level", [0.01, 0.05])
def test_lambda_max_of_noise_passes_its_threshold_at_the_stated_rate(noise, level):
    N, M, values = noise
    top, mean = values["lambda_max"], values["mean"]
    assert probability(top > spike_threshold(N, M, level), level) > SURE
    assert probability(top / mean > spike_threshold(N, M, level, estimated=True), level) > SURE
    # what the mean takes from the fluctuation is seen: without it the rate is too small
    assert np.mean(top / mean > spike_threshold(N, M, level)) < np.mean(top > spike_threshold(N, M, level))


def test_p_values_are_uniform(noise):
    N, M, values = noise
    p = noise_p_value(values["alpha"], N, M)
    assert stats.kstest(p, "uniform").pvalue > SURE


def test_rates_of_independent_values():
    @jax.jit
    def fits(keys):
        law = rmt.Pareto(mu=2.0, signed=False)
        fit = jax.lax.map(lambda key: rmt.fit_tail(law.sample(key, (150,))), keys)
        return fit.ks, fit.n_tail

    ks, n_tail = map(np.asarray, fits(jax.random.split(jax.random.key(77), 2000)))
    for level in (0.01, 0.05, 0.1):
        limit = np.array([ks_threshold(int(m), level) for m in np.clip(n_tail, 10, None)])
        assert probability(ks > limit, level) > SURE


def test_order():
    levels = np.array(module.LEVELS)
    for shape in ((25, 25), (61, 60), (400, 25), (333, 250), (1000, 1000), (16000, 1000)):
        for what in module.WHAT:
            assert np.all(np.diff(noise_quantile(what, *shape, levels)) >= 0)
        p = noise_p_value(noise_quantile("alpha", *shape, levels), *shape)
        np.testing.assert_allclose(p, levels, rtol=1e-9)
    edges = [spike_threshold(300, 200, level) for level in (0.5, 0.05, 0.01, 1e-4)]
    assert np.all(np.diff(edges) > 0)
    assert np.all(np.diff([ks_threshold(n) for n in (10, 30, 100, 1000, 5000)]) < 0)
    assert np.all(np.diff([ks_threshold(100, level) for level in (0.5, 0.1, 0.01)]) > 0)


def test_p_values_stay_inside_of_the_levels():
    np.testing.assert_allclose(noise_p_value([1.01, 1e6], 200, 100), [0.001, 0.999])
    assert np.isnan(noise_p_value(np.nan, 200, 100))
    with pytest.raises(InputError, match="above 1"):
        noise_p_value(-1.0, 200, 100)


def test_a_spectrum_has_the_units_of_sigma_squared():
    np.testing.assert_allclose(spike_threshold(300, 200, sigma=3.0), 9 * spike_threshold(300, 200), rtol=1e-12)
    kurtosis = spike_threshold(300, 200, kurtosis=3.0) / spike_threshold(300, 200)
    assert kurtosis > 1 + 3 / np.sqrt(300 * 200)  # it moves the edge, and widens it


@pytest.mark.parametrize("level", [0.01, 0.2])
def test_without_kurtosis_a_law_and_its_moments_agree(level):
    by_law = spike_threshold(600, 300, level, entries=rmt.Gaussian())
    np.testing.assert_allclose(by_law, spike_threshold(600, 300, level), rtol=2e-3)


def test_heavy_entries_need_their_law():
    law = rmt.StudentT(4.5)
    sigma, kurtosis = float(law.var) ** 0.5, 6 / 0.5
    by_moments = spike_threshold(200, 100, sigma=sigma, kurtosis=kurtosis)
    assert spike_threshold(200, 100, entries=law) > 1.2 * by_moments


def test_the_published_thresholds_do_not_tell_noise_from_signal():
    """alpha < 6 is said to be a well trained layer, > 8 a spurious fit: noise of 500 x 500 is found below and above both."""
    below, above = noise_p_value([6.0, 8.0], 500, 500)
    assert 0.05 < below < 0.3
    assert below < above < 0.6
    values = found(rmt.Wishart(), jax.random.key(6), 150, 500, 500)
    assert probability(values["alpha"] < 6, below) > SURE
    assert noise_threshold(50, 50) < 3 < 5 < noise_threshold(1000, 1000)  # and the share depends on the shape


def test_the_study_of_error_rates_says_what_the_docstrings_do():
    study = json.loads((ROOT / "tests" / "benchmarks" / "thresholds.json").read_text())
    meant = [row for row in study["false positives"] if not row["by neglect"]]
    assert len(meant) == 176
    assert not any(row["off"] for row in meant)
    smallest = {
        row["at"]: row["M"]
        for row in study["smallest M of power 0.8"]
        if (row["signal"], row["Q"], row["test"]) == ("signed Pareto", 1, "alpha")
    }
    assert {mu: M for mu, M in smallest.items() if M is not None} == SMALLEST_M
    within = [(row["n_tail"], row["within a factor 1.5"]) for row in study["alpha - 1 of independent values"]]
    assert 0.945 < np.interp(SMALLEST_N_TAIL, *zip(*within, strict=True)) < 0.965


def test_signals_are_detected():
    N, M = 300, 200
    theta = 2 * rmt.spikes.spike_threshold(N / M)
    spiked = found(rmt.Spiked(rmt.Wishart(), jnp.full(1, theta)), jax.random.key(8), 100, N, M)
    assert np.mean(spiked["lambda_max"] / spiked["mean"] > spike_threshold(N, M, estimated=True)) > 0.95
    weak = found(rmt.Spiked(rmt.Wishart(), jnp.full(1, theta / 4)), jax.random.key(8), 400, N, M)
    assert probability(weak["lambda_max"] > spike_threshold(N, M, 0.05), 0.05) > SURE  # below it, a spike does not show
    heavy = found(rmt.IID(rmt.Pareto(1.5)), jax.random.key(9), 100, N, M)
    assert np.mean(heavy["alpha"] < noise_threshold(N, M, 0.01)) > 0.95


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: noise_threshold(24, 20), "reaches M = 25 to 1000"),
        (lambda: noise_threshold(2000, 1001), "reaches M = 25 to 1000"),
        (lambda: noise_threshold(1700, 100), "Q = N/M up to 16"),
        (lambda: noise_threshold(100, 200), "integers N >= M"),
        (lambda: noise_threshold(100.5, 50), "integers N >= M"),
        (lambda: noise_threshold(100, 50, 1e-4), "levels from 0.001 to 0.999"),
        (lambda: noise_threshold(100, 50, float("nan")), "levels from 0.001 to 0.999"),
        (lambda: noise_quantile("xmin", 100, 50, 0.05), "alpha, ks, n_tail, hill; got 'xmin'"),
        (lambda: ks_threshold(9), "n_tail = 10 to 5000"),
        (lambda: ks_threshold(100, 0.0), "levels from"),
        (lambda: spike_threshold(100, 200), "integers N >= M"),
        (lambda: spike_threshold(200, 100, 0.0), "between 0 and 1"),
        (lambda: spike_threshold(200, 100, sigma=-1.0), "sigma > 0"),
        (lambda: spike_threshold(200, 100, kurtosis=float("inf")), "pass their law"),
        (lambda: spike_threshold(200, 100, sigma=2.0, entries=rmt.Laplace()), "leave them out"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_table_comes_back_as_it_was_saved(table, tmp_path):
    module.save(table, tmp_path / "noise.npz")
    back = module.load(tmp_path / "noise.npz")
    for field in dataclasses.fields(NoiseTable):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(table, field.name))


def test_a_grid_that_does_not_determine_the_surface_tells_of_its_own_shapes(table, tmp_path):
    some = table.M % 2 == 0
    of = {name: getattr(table, name)[some] for name in ("N", "M", "n_trials")}
    even = dataclasses.replace(table, **of, quantiles=table.quantiles[:, some])
    module.save(even, tmp_path / "even.npz")
    assert noise_threshold(120, 81, table=tmp_path / "even.npz") == pytest.approx(noise_threshold(120, 81), rel=0.01)
    as_simulated = even.quantiles[3, np.flatnonzero((even.N == 150) & (even.M == 100))[0], module.LEVELS.index(0.1)]
    assert noise_quantile("hill", 150, 100, 0.1, even) == pytest.approx(as_simulated)
    with pytest.raises(
        InputError, match=r"tells hill of .*; got 120 x 81\. To make another: rmt calibrate noise --shapes 120"
    ):
        noise_quantile("hill", 120, 81, 0.1, even)


@pytest.mark.parametrize(
    "change",
    [
        {"quantiles": np.full((4, 2, 23), np.nan)},
        {"M": np.array([[1.5]])},
        {"seed": np.array("none")},
        {"independent": np.ones((2, 2))},
        {"n_trials": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_damaged_table_is_refused(table, change, tmp_path):
    arrays = {field.name: np.asarray(getattr(table, field.name)) for field in dataclasses.fields(NoiseTable)}
    arrays = {name: of for name, of in (arrays | change).items() if of is not None}
    save_arrays(tmp_path / "noise.npz", module.KIND, arrays)
    with pytest.raises(InputError, match="damaged"):
        module.load(tmp_path / "noise.npz")


def test_a_foreign_table_is_refused(tmp_path):
    save_arrays(tmp_path / "mu.npz", "heavytail-lab table of mu, version 1", {"mu": np.ones(3)})
    with pytest.raises(InputError, match="not heavytail-lab table of noise, version 1 but heavytail-lab table of mu"):
        module.load(tmp_path / "mu.npz")
    (tmp_path / "text.npz").write_text("no table")
    with pytest.raises(InputError, match="or damaged"):
        module.load(tmp_path / "text.npz")


@pytest.mark.slow
def test_a_small_table_is_made_again_from_its_store(tmp_path):
    shapes = {(30, 25): 20}
    first = simulation.simulate(shapes, seed=1, store=tmp_path / "noise", progress=False)
    again = simulation.simulate(shapes, seed=1, store=tmp_path / "noise", progress=False)
    independent = simulation.simulate_independent(seed=1, n_trials=4, sizes=(10, 20), progress=False)
    table = simulation.build(first, independent, seed=1)
    assert table.quantiles.shape == (4, 1, len(module.LEVELS))
    np.testing.assert_array_equal(table.quantiles, simulation.build(again, independent, seed=1).quantiles)
    assert (list(table.N), list(table.M), list(table.n_trials)) == ([30], [25], [20])
