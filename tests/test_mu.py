"""The tail index from a spectrum: the calculus on summaries of known law, the table, and matrices it never saw."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy import stats

import rmt
from rmt.calibration import FAMILIES, estimate_mu
from rmt.calibration import mu_table as module
from rmt.calibration.mu import invert
from rmt.calibration.mu_simulation import MU, build, calibrated
from rmt.calibration.mu_table import LEVELS, Family, Moments, MuTable, load, save
from rmt.calibration.storage import save_arrays
from rmt.calibration.summary import N_FEATURES, bands, summary
from rmt.errors import InputError

LOG_MU = np.log(MU)


@pytest.mark.parametrize("M", [25, 50, 101, 1000])
def test_bands_share_out_the_upper_four_fifths_of_the_ranks(M):
    weights = bands(M)
    assert weights.shape == (N_FEATURES, M)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights[0, 0] == 1  # the largest eigenvalue alone
    assert not weights[:, math.ceil(0.8 * M) :].any()
    assert (weights[:, : math.floor(0.8 * M)].sum(axis=0) > 0).all()


def test_a_summary_holds_no_scale():
    W = rmt.Pareto(1.5).sample(jax.random.key(0), (60, 40))
    np.testing.assert_allclose(summary(rmt.spectrum(W)), summary(rmt.spectrum(1e-3 * W)), atol=1e-10)


def test_a_likelihood_is_the_normal_one():
    rng = np.random.default_rng(1)
    mean, root = rng.normal(size=(len(MU), 3)), rng.normal(size=(len(MU), 3, 3))
    moments = Moments(LOG_MU, mean, root @ root.transpose(0, 2, 1) + np.eye(3))
    fine, mean, precision, _ = moments._fine
    x = rng.normal(size=(4, 3))
    found = moments.likelihoods(x)
    logs = np.array(
        [
            [stats.multivariate_normal(m, np.linalg.inv(p)).logpdf(each) for m, p in zip(mean, precision, strict=True)]
            for each in x
        ]
    )
    p = np.exp(logs - logs.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found.statistic, p @ fine / p.sum(axis=1))
    evidence = np.log(np.exp(logs).mean(axis=1)) + 1.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(found.log_evidence, evidence)
    off = x[:, None] - mean
    np.testing.assert_allclose(found.misfit, np.einsum("njk,jkl,njl->nj", off, precision, off).min(axis=1))


def draw(rng: np.random.Generator, log_mu: np.ndarray, n: int) -> np.ndarray:
    """Summaries that are not normal, and that hardly move above mu = 4: shape (mu, n, K)."""
    level = -np.logaddexp(-3 * log_mu, -3 * math.log(4.0)) / 3
    noise = rng.standard_gamma(4.0, (len(log_mu), n, N_FEATURES)) - 4
    return np.linspace(3, 0.1, N_FEATURES) * level[:, None, None] + 0.1 * noise


def made_table(seed: int = 0, shapes=((100, 100), (100, 50), (200, 200), (200, 100)), shift: float = 0.0) -> MuTable:
    rng, dims = np.random.default_rng(seed), ("entries", "N", "M", "mu", "trial", "summary_dim")
    data = {}
    for N, M in shapes:
        x = np.stack([draw(rng, LOG_MU, 400), draw(rng, LOG_MU - shift, 400)])[:, None, None]
        coords = {"entries": ["a", "b"], "N": [N], "M": [M], "mu": list(MU)}
        data[N, M] = xr.Dataset({"summary": (dims, x)}, coords)
    return build(data, seed)


@pytest.fixture(scope="module")
def made_tables() -> list[MuTable]:
    """Of some, since the coverage of one, of 400 matrices a cell, scatters by 0.01 itself."""
    return [made_table(seed) for seed in range(4)]


@pytest.mark.parametrize("mu", [0.6, 1.3, 2.2, 3.3, 5.5])
def test_intervals_cover_though_the_likelihood_is_wrong(mu, made_tables):
    x = draw(np.random.default_rng(7), np.log([mu]), 2000)[0]
    found = [
        one
        for table, part in zip(made_tables, np.split(x, 4), strict=True)
        for one in invert(table, 140, 100, part, ["a"])
    ]
    n = len(found)
    inside = sum(low <= mu <= high for low, high in (each.interval for each in found))
    # beyond mu = 5 the upper end is infinite: only the lower one can miss
    assert 0.93 <= inside / n <= (0.97 if mu < 5 else 0.99)
    if mu < 2:
        assert np.nanmedian([each.mu for each in found]) == pytest.approx(mu, rel=0.03)
        assert np.mean([each.identifiable for each in found]) > 0.9
    if mu > 5:
        assert np.mean([each.interval[1] == math.inf for each in found]) > 0.25
        assert np.mean([each.identifiable for each in found]) < 0.5
    assert np.mean([not each.entries for each in found]) < 0.03  # the test of the fit, at 1 %


def test_unknown_families_are_covered_by_the_union():
    table = made_table(shift=0.3)
    x = draw(np.random.default_rng(8), np.log([1.3]) - 0.3, 400)[0]  # of b
    both, wrong = (invert(table, 100, 100, x, names) for names in (("a", "b"), ("a",)))
    assert np.mean([low <= 1.3 <= high for low, high in (each.interval for each in both)]) > 0.92
    assert np.mean([low <= 1.3 <= high for low, high in (each.interval for each in wrong)]) < 0.2
    for each in both[:50]:
        ends = [one.interval for one in each.by_entries.values()]
        assert each.interval == (min(low for low, _ in ends), max(high for _, high in ends))
        assert set(each.entries) | set(each.refused) == {"a", "b"}


def test_what_no_family_makes_is_refused():
    found = invert(made_table(), 100, 100, np.full((1, N_FEATURES), 50.0), ("a", "b"))[0]
    assert math.isnan(found.mu)
    assert found.interval == (0.0, math.inf)
    assert (found.entries, found.refused, found.identifiable) == ((), ("a", "b"), False)


def test_beyond_the_table_is_as_far_as_it_tells():
    table, x = made_table(), draw(np.random.default_rng(9), np.log([MU[0], MU[-1]]), 1000)
    (low, high), (bound, top) = (np.transpose([one.interval for one in invert(table, 100, 100, of, ["a"])]) for of in x)
    assert (high.min(), bound.max()) == (MU[0], MU[-1])  # not 0 and inf: no mu outside of the table is excluded
    assert np.mean(low == 0) > 0.9
    assert np.mean(top == math.inf) > 0.9


def test_quantiles_are_what_was_simulated():
    rng = np.random.default_rng(3)
    mean, cov, quantiles, misfit = calibrated(LOG_MU, draw(rng, LOG_MU, 2000))
    family = Family(LOG_MU, mean, cov, quantiles, misfit)
    fresh = family.likelihoods(draw(rng, LOG_MU, 4000))
    for i, level in enumerate(LEVELS):
        # but near the ends of the grid, which the posterior mean cannot pass
        share = (fresh.statistic <= quantiles[:, i : i + 1]).mean(axis=1)[2:-2]
        # both samples scatter, over some 200 comparisons; and 1 % for a shape that is its neighbours' too
        assert np.abs(share - level).max() < 0.01 + 4 * math.sqrt(level * (1 - level) * (1 / 2000 + 1 / 4000))
    np.testing.assert_allclose((~family.fits(fresh)).mean(), 0.01, atol=0.006)


def test_a_table_is_read_back_as_it_was_written(tmp_path):
    table = made_table()
    save(table, tmp_path / "mu.npz")
    again = load(tmp_path / "mu.npz")
    assert (again.entries, again.seed) == (table.entries, table.seed)
    assert again.n_trials.tolist() == table.n_trials.tolist()
    for name in ("N", "M", "mu", "mean", "cov", "quantiles", "misfit"):
        np.testing.assert_allclose(getattr(again, name), getattr(table, name), rtol=1e-6, atol=1e-6)


def test_a_wrong_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none.npz: no such file"):
        load(tmp_path / "none.npz")
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 not a table")
    with pytest.raises(InputError, match=r"x.npz: not heavytail-lab table of mu"):
        load(tmp_path / "x.npz")
    save_arrays(tmp_path / "y.npz", "another table", {"N": np.arange(3)})
    with pytest.raises(InputError, match=r"y.npz: not heavytail-lab table of mu, version 2 but another table"):
        load(tmp_path / "y.npz")
    save_arrays(tmp_path / "z.npz", module.KIND, {"N": np.arange(3)})
    with pytest.raises(InputError, match=r"z.npz: damaged: it has no entries"):
        load(tmp_path / "z.npz")
    table = made_table()
    for name, values in {"mean": table.mean[..., :-1], "cov": np.nan * table.cov, "N": table.N[::-1]}.items():
        save(dataclasses.replace(table, **{name: values}), tmp_path / "w.npz")
        with pytest.raises(InputError, match=r"w.npz: damaged"):
            load(tmp_path / "w.npz")


def test_shapes_and_families_beyond_the_table_are_refused():
    table = made_table()
    for N, M in ((99, 99), (201, 150), (150, 50), (120, 119 * 2)):
        with pytest.raises(InputError, match=rf"reaches N = 100 to 200 and Q = N/M = 1 to 2; got {N} x {M}"):
            table.family("a", N, M)
    with pytest.raises(InputError, match="knows entries a, b; got 'c'"):
        table.family("c", 100, 100)


def test_a_table_may_be_of_one_N_or_one_Q():
    one_Q = made_table(shapes=((100, 67), (150, 100), (200, 133)))
    assert one_Q.family("a", 120, 80).mean.shape == (len(MU), N_FEATURES)
    np.testing.assert_allclose(one_Q.family("a", 150, 100).mean, one_Q.mean[0, 1, 0])
    with pytest.raises(InputError, match=r"Q = N/M = 1.5 to 1.5; got 120 x 70.* rmt calibrate mu --shapes 120x70 "):
        one_Q.family("a", 120, 70)
    one_N = made_table(shapes=((100, 100), (100, 50)))
    np.testing.assert_allclose(one_N.family("b", 100, 50).cov, one_N.cov[1, 0, 1])
    assert invert(one_N, 100, 70, draw(np.random.default_rng(2), LOG_MU[8:9], 1)[0], ["a"])[0].entries == ("a",)
    with pytest.raises(InputError, match="N = 100 to 100"):
        one_N.family("a", 101, 70)


@pytest.fixture(scope="module")
def shipped() -> MuTable:
    return module.shipped()


def summaries(make, key, n, N, M):
    sample = jax.jit(lambda keys: jax.lax.map(lambda k: summary(rmt.spectrum(make.sample(k, (N, M)))), keys))
    return np.asarray(sample(jax.random.split(key, n)))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("mu", [0.8, 1.7, 3.2])
def test_the_shipped_table_covers_matrices_it_never_saw(shipped, name, mu):
    N, M, n = 130, 90, 400
    x = summaries(rmt.IID(FAMILIES[name](mu)), jax.random.key(21), n, N, M)
    for names in ((name,), shipped.entries):
        inside = [low <= mu <= high for low, high in (each.interval for each in invert(shipped, N, M, x, names))]
        assert np.mean(inside) > 0.91


def test_noise_has_a_lower_bound_and_spikes_have_none(shipped):
    noise = rmt.spectrum(rmt.Gaussian().sample(jax.random.key(22), (120, 100)))
    found = estimate_mu(noise)
    assert found.interval[0] > 2
    assert found.interval[1] == math.inf
    assert not found.identifiable
    spiked = rmt.Spiked(rmt.IID(rmt.Gaussian()), 20.0 * jnp.ones(12))
    refused = estimate_mu(rmt.spectrum(spiked.sample(jax.random.key(23), (120, 100))))
    assert refused.entries == ()
    one = estimate_mu(rmt.spectrum(rmt.Pareto(1.0).sample(jax.random.key(24), (120, 100))), "signed Pareto")
    assert one.entries == ("signed Pareto",)
    assert one.interval[0] < 1.0 < one.interval[1]


def test_what_is_no_whole_spectrum_of_one_matrix_is_refused():
    W = rmt.Gaussian().sample(jax.random.key(25), (2, 120, 100))
    with pytest.raises(ValueError, match="needs all eigenvalues of one matrix"):
        estimate_mu(rmt.spectrum(W[0], method="top", k=5))
    with pytest.raises(ValueError, match="needs all eigenvalues of one matrix"):
        estimate_mu(jax.vmap(rmt.spectrum)(W))
