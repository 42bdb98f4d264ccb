"""compare: one table; Vuong's and the nested tests against their definitions, and their rates on made data."""

import json
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, slow
from scipy import stats
from test_tails import BAD

import rmt

NAMES = ("TruncatedPareto", "ExpTruncated", "LogNormal", "StretchedExponential", "Exponential")
GIVEN = rmt.Clauset(xmin=1.0)


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    return np.random.default_rng(0).lognormal(0, 1.5, 200)


@pytest.fixture(scope="module")
def comparison(data) -> rmt.Comparison:
    return rmt.compare(data, method=GIVEN)


def test_the_table_against_its_definitions(data, comparison):
    x = np.sort(data[data >= 1])
    power_law = rmt.fit_tail(data, GIVEN)
    base = np.asarray(power_law.law.logpdf(x))
    assert float(comparison.loglik_power_law) == pytest.approx(base.sum(), rel=1e-12)
    assert float(comparison.aic_power_law) == pytest.approx(2 - 2 * base.sum(), rel=1e-12)
    assert comparison.names == NAMES
    assert comparison.parameters == (2, 2, 2, 2, 1)
    assert comparison.nested == (True, True, True, True, False)
    for i, name in enumerate(NAMES):
        method = rmt.TruncatedPareto(xmin=1.0) if i == 0 else getattr(rmt, name)(xmin=1.0)
        fit = rmt.fit_tail(data, method)
        terms = np.asarray(fit.law.logpdf(x))
        difference = base - terms
        R = difference.sum()
        z = R / (np.sqrt(len(x)) * difference.std())
        p_nested = [None, stats.chi2.sf(-2 * R, 1), stats.chi2.sf(-2 * R, 1), stats.chi2.sf(-2 * R, 1), np.nan][i]
        got = [comparison.loglik[i], comparison.R[i], comparison.vuong[i], comparison.p_vuong[i], comparison.aic[i]]
        expected = [terms.sum(), R, z, 2 * stats.norm.sf(abs(z)), 2 * comparison.parameters[i] - 2 * terms.sum()]
        np.testing.assert_allclose(got, expected, rtol=1e-9)
        if i:
            np.testing.assert_allclose(comparison.p_nested[i], p_nested, rtol=1e-8)
        assert float(comparison.fits[i].ks) == pytest.approx(float(fit.ks), rel=1e-9)
        assert int(comparison.status[i]) == int(fit.status)


def test_rows_say_in_words_what_the_data_favour(comparison):
    rows = comparison.rows()
    assert [row["law"] for row in rows] == ["PowerLaw", *NAMES]
    assert [row["favoured"] for row in rows[1:5]] == list(NAMES[:4])
    json.dumps(rows)
    pareto = rmt.compare(np.random.default_rng(1).pareto(1.5, 200) + 1, method=GIVEN).rows()
    assert [row["favoured"] for row in pareto[1:]] == ["the data cannot tell"] * 4 + ["PowerLaw"]
    # Ten equal values above xmin: laws that can be as narrow as they like have no maximum.
    x = np.r_[np.arange(1.0, 191), np.full(10, 400.0)]
    sharp = rmt.compare(x, method=rmt.Clauset(xmin=300.0)).rows()
    assert [row["favoured"] == "no fit" for row in sharp[1:]] == [False, False, True, True, False]
    assert {sharp[3]["status"], sharp[4]["status"]} == {"NO_CONVERGENCE"}


def test_favoured_needs_its_level(comparison):
    assert (np.asarray(comparison.favoured(0.0)) == 0).all()
    strict, loose = np.asarray(comparison.favoured(1e-30)), np.asarray(comparison.favoured(0.9999))
    assert (strict[:4] == 0).all()
    assert (loose[:4] == -1).all()


def test_truncation_p_is_the_chance_of_a_smaller_largest_share():
    """Against simulation; and against Aban, Meerschaert and Panorska's limit, from which it departs for small n."""
    rng = np.random.default_rng(3)
    n, trials = 30, 40_000
    u = rng.exponential(size=(trials, n))
    shares = u.max(1) / u.sum(1)
    for share in np.quantile(shares, [0.02, 0.1, 0.5, 0.9]):
        top = share * 10.0
        rest = np.full(n - 1, (10.0 - top) / (n - 1))
        x = np.exp(np.r_[rest, top])
        got = float(rmt.compare(x, methods=(rmt.TruncatedPareto(),), method=GIVEN).p_nested[0])
        expected = np.mean(shares <= share)
        assert abs(got - expected) < 4 * np.sqrt(expected * (1 - expected) / trials)
    x = np.sort(rng.pareto(1.5, 2000) + 1)
    u = np.log(x)
    sample_p = float(rmt.compare(x, methods=(rmt.TruncatedPareto(),), method=GIVEN).p_nested[0])
    assert sample_p == pytest.approx(np.exp(-2000 * np.exp(-2000 * u.max() / u.sum())), abs=0.01)


def test_scale_and_order_change_nothing(data, comparison):
    for c in (1e-12, 1e12):
        scaled = rmt.compare(np.random.default_rng(1).permutation(c * data), method=rmt.Clauset(xmin=c))
        for field in ("R", "vuong", "p_vuong", "p_nested"):
            np.testing.assert_allclose(getattr(scaled, field), getattr(comparison, field), rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_batch_equals_loop():
    x = jnp.exp(jax.random.exponential(jax.random.key(3), (4, 200)) * jnp.linspace(0.2, 2, 4)[:, None])
    batch = jax.vmap(rmt.compare)(x)
    assert batch.R.shape == (4, 5)
    with pytest.raises(ValueError, match="batch"):
        batch.rows()
    for i in range(4):
        for a, b in zip(jax.tree.leaves(rmt.compare(x[i])), jax.tree.leaves(batch), strict=True):
            np.testing.assert_allclose(a, b[i], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_a_spectrum_and_a_mask_are_the_values_they_hold():
    s = rmt.spectrum(rmt.IID(rmt.Pareto(1.5)).sample(jax.random.key(0), (300, 200)))
    one = rmt.compare(s)
    x = np.asarray(s.eigenvalues)
    masked = rmt.compare(np.r_[x, np.full(4, np.nan)], mask=np.arange(204) < 200)
    for field in ("R", "vuong", "p_nested", "loglik"):
        np.testing.assert_array_equal(getattr(one, field), getattr(masked, field))


def test_all_laws_see_the_values_of_the_fit():
    x = np.random.default_rng(5).pareto(1.5, 300) + 1
    c = rmt.compare(x, (rmt.LogNormal(), rmt.TruncatedPareto()), rmt.Clauset(xmin=(1.2, 3.0), xmax=20.0))
    fit = rmt.fit_tail(x, rmt.Clauset(xmin=(1.2, 3.0), xmax=20.0))
    n = int(((x >= float(fit.xmin)) & (x <= 20)).sum())
    for each in (c.power_law, *c.fits):
        assert (int(each.n_tail), float(each.xmin)) == (n, float(fit.xmin))
        assert float(each.xmax) == x[x <= 20].max()


def test_a_law_that_excludes_a_value_has_lost():
    x = np.random.default_rng(6).pareto(1.5, 300) + 1
    c = rmt.compare(x, methods=(rmt.TruncatedPareto(xmax=20.0), rmt.Exponential()), method=GIVEN)
    assert float(c.R[0]) == np.inf
    assert c.favoured().tolist() == [1, 1]
    assert c.parameters == (1, 1)


def test_bad_data_are_a_status_not_a_number():
    bad = [(x, int(status)) for x, status in BAD.values() if len(x) == 20]
    good = np.random.default_rng(8).pareto(2.0, 20) + 1
    rows, methods = np.stack([*(x for x, _ in bad), good]), (rmt.TruncatedPareto(), rmt.LogNormal())
    c = rmt.compare(rows, methods, mask=np.ones(rows.shape, bool))
    assert c.status.tolist()[:-1] == [[status] * 2 for _, status in bad]
    for number in (c.loglik, c.R, c.vuong, c.p_vuong, c.p_nested, c.loglik_power_law):
        assert np.isnan(np.asarray(number)[:-1]).all()
    assert np.isfinite(np.asarray(c.R)[-1]).all()
    assert (np.asarray(c.favoured())[:-1] == 0).all()
    first = jax.tree.map(lambda a: a[0], c).rows()
    assert {row.get("favoured") for row in first} == {None, "no fit"}


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ((rmt.Hill(k=10),), "rmt.LogNormal"),
        ((rmt.LogNormal(xmin=2.0),), r"leave out LogNormal\(xmin\)"),
    ],
)
def test_wrong_methods_say_what_to_do(methods, words):
    with pytest.raises(ValueError, match=words):
        rmt.compare(np.arange(1.0, 50), methods)


POWER = json.loads((ROOT / "tests" / "benchmarks" / "power.json").read_text())
REPLAYED = ("power law, alpha = 2.5", "power law, alpha = 1.5", "log-normal, log_sd = 1", "exponential")


@pytest.mark.slow
@pytest.mark.parametrize("xmin", ["given", slow("searched")])
def test_the_power_table_is_what_its_script_finds(xmin):
    """100 data sets of n = 300, other ones, against the rates of power.json; and no rate is far from the level on power laws."""
    laws = runpy.run_path(str(ROOT / "tests" / "benchmarks" / "power.py"))["LAWS"]
    x = jnp.stack(
        [laws[name].sample(jax.random.fold_in(jax.random.key(99), i), (100, 300)) for i, name in enumerate(REPLAYED)]
    )
    method = GIVEN if xmin == "given" else rmt.Clauset()
    favoured = np.asarray(rmt.compare(x, method=method, mask=np.ones(x.shape, bool)).favoured())
    for name, got in zip(REPLAYED, favoured, strict=True):
        (row,) = [r for r in POWER["rows"] if (r["data"], r["n"], r["xmin"]) == (name, 300, xmin)]
        for sign, which in ((-1, "other law"), (1, "power law")):
            rate = np.array([row[which][test] for test in NAMES])
            error = np.sqrt((rate * (1 - rate) + 0.01) * (1 / 100 + 1 / row["trials"]))
            assert (np.abs(np.mean(got == sign, axis=0) - rate) < 4 * error).all(), (name, which)


def test_exact_power_laws_are_rarely_mistaken():
    """The negative control: at the 10 % level no test favours another law in more than 13 % of the study's power-law data.

    Two standard errors are granted. The truncated law's test, the exact one, rejects in 10 % where xmin is given.
    """
    for row in POWER["rows"]:
        if row["data"].startswith("power law"):
            error = np.sqrt(0.1 * 0.9 / row["trials"])
            assert max(row["other law"].values()) < 0.13 + 2 * error, row
            if row["xmin"] == "given":
                assert abs(row["other law"]["TruncatedPareto"] - 0.1) < 3.5 * error, row


@pytest.mark.slow
def test_the_cutoff_is_seen_too_often_near_alpha_one():
    """The docstring's 18 % at alpha = 1.1, where no moment of order 0.1 exists."""
    x = rmt.laws.PowerLaw(1.1).sample(jax.random.key(5), (2000, 200))
    favoured = rmt.compare(x, (rmt.ExpTruncated(),), GIVEN, np.ones(x.shape, bool)).favoured()
    assert abs(np.mean(np.asarray(favoured) == -1) - 0.18) < 4 * np.sqrt(0.18 * 0.82 / 2000)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_lowers_for_accelerators(platform):
    compared = jax.jit(jax.vmap(rmt.compare))
    exported = jax.export.export(compared, platforms=[platform])(jax.ShapeDtypeStruct((4, 50), float))
    assert "callback" not in exported.mlir_module()
