"""The exact CSN search: against brute force, against the shared reference, under every symmetry it must have."""

import json

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

import rmt
from rmt.tails.truncated import truncated_exponent


def brute_force(x: np.ndarray, ks: str) -> tuple[float, float, float, int]:
    """Slow twin, straight from the definition: (alpha, xmin, D, n_tail)."""
    x = np.sort(x)
    best = (np.inf, 0.0, 0.0, 0)
    for xmin in np.unique(x)[:-1]:
        tail = x[x >= xmin]
        n = len(tail)
        excess = np.log1p((tail - xmin) / xmin)
        alpha = 1 + n / excess.sum()
        F = -np.expm1(-(alpha - 1) * excess)
        D = np.abs(F - np.arange(n) / n).max()
        if ks == "two-sided":
            D = max(D, np.abs(np.arange(1, n + 1) / n - F).max())
        if best[0] - 1e-12 > D:
            best = (D, alpha, xmin, n)
    return best[1], best[2], best[0], best[3]


def distance(x: np.ndarray, xmin: float, ks: str) -> float:
    """D of one candidate."""
    tail = np.sort(x[x >= xmin])
    n, j = len(tail), np.arange(len(tail))
    excess = np.log1p((tail - xmin) / xmin)
    F = -np.expm1(-n / excess.sum() * excess)
    return max(np.abs(F - j / n).max(), np.abs((j + 1) / n - F).max() if ks == "two-sided" else 0)


def assert_same(fit: rmt.TailFit, expected: tuple[float, float, float, int]) -> None:
    alpha, xmin, D, n_tail = expected
    assert bool(fit.ok)
    np.testing.assert_allclose([fit.alpha, fit.ks], [alpha, D], rtol=1e-9, atol=1e-12)
    assert float(fit.xmin) == xmin
    assert int(fit.n_tail) == n_tail
    np.testing.assert_allclose(fit.stderr, (alpha - 1) / np.sqrt(n_tail), rtol=1e-9)


def data_sets() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    pareto = rng.pareto(1.5, 60) + 1
    return {
        "pareto": pareto,
        "lognormal": rng.lognormal(size=60),
        "rounded": np.round(pareto, 1),
        "integers": rng.integers(1, 6, 60).astype(float),
        "tiny n": pareto[:10],
        "near-constant": 1 + 1e-6 * rng.random(60),
        "two values": np.r_[np.ones(59), 2.0],
        "huge scale": pareto * 1e200,
        "tiny scale": pareto * 1e-200,
        "25 decades": np.exp(rng.uniform(-30, 30, 60)),
        "uniform": rng.random(61),
    }


@pytest.mark.parametrize("ks", ["one-sided", "two-sided"])
@pytest.mark.parametrize("name", data_sets())
def test_agrees_with_brute_force(name, ks):
    x = data_sets()[name]
    assert_same(rmt.fit_tail(x, rmt.Clauset(ks=ks)), brute_force(x, ks))


@pytest.mark.parametrize(("ks", "key"), [("one-sided", "csn_onesided"), ("two-sided", "ks_twosided")])
def test_agrees_with_the_shared_reference(reference, ks, key):
    inputs = np.load(reference / "tails" / "inputs.npz")
    exact = json.loads((reference / "tails" / "exact.json").read_text())
    assert len(exact) >= 74
    for name, rows in exact.items():
        fit = rmt.fit_tail(inputs[name], rmt.Clauset(ks=ks))
        got = (float(fit.alpha), float(fit.ks))
        assert got == pytest.approx((rows[key]["alpha"], rows[key]["D"]), abs=1e-9), name
        assert (float(fit.xmin), int(fit.n_tail)) == (rows[key]["xmin"], rows[key]["n_tail"]), name


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 40), min_size=24, max_size=24))
def test_agrees_with_brute_force_on_heavily_tied_data(values):
    x = np.asarray(values, float)
    fit = rmt.fit_tail(x)
    if len(set(values)) == 1:
        assert int(fit.status) == rmt.Status.CONSTANT
        return
    D = brute_force(x, "one-sided")[2]
    # Exact ties in D between candidates are common here; the minimum is unique, the candidate that attains it need not be.
    assert float(fit.ks) == pytest.approx(D, abs=1e-11)
    tail = x[x >= float(fit.xmin)]
    assert float(fit.alpha) == pytest.approx(1 + len(tail) / np.log(tail / tail.min()).sum(), rel=1e-9)


FIELDS = ("alpha", "stderr", "xmin", "xmax", "ks", "n_tail", "status")


def same_bits(a: rmt.TailFit, b: rmt.TailFit, row=()) -> None:
    for field in FIELDS:
        assert np.array_equal(getattr(a, field), np.asarray(getattr(b, field))[row], equal_nan=True), field
    assert np.array_equal(np.asarray(a.law.alpha), np.asarray(b.law.alpha)[row], equal_nan=True)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Seven data sets of 200 values, from light to heavy tails."""
    x = np.random.default_rng(3).exponential(size=(7, 200))
    return np.exp(x * np.linspace(0.2, 3, 7)[:, None])


def test_batch_equals_loop_bit_for_bit(rows):
    vmapped = jax.vmap(rmt.fit_tail)(jnp.asarray(rows))
    batch = rmt.fit_tail(rows, mask=np.ones(rows.shape, bool))
    for i in range(7):
        one = rmt.fit_tail(rows[i])
        same_bits(one, vmapped, i)
        same_bits(one, batch, i)
        same_bits(one, jax.jit(rmt.fit_tail)(rows[i]))


def test_padding_and_masks_change_no_bit(rows):
    rng = np.random.default_rng(4)
    padded = np.full((7, 331), np.nan)
    mask = np.zeros(padded.shape, bool)
    for i in range(7):
        n = 200 - 20 * i
        at = rng.permutation(331)[:n]  # the values stand anywhere between what does not count
        padded[i, at], mask[i, at] = rows[i, :n], True
    batch = rmt.fit_tail(padded, mask=mask)
    traced = jax.jit(lambda x, m: rmt.fit_tail(x, mask=m))(padded, mask)
    for i in range(7):
        one = rmt.fit_tail(rows[i, : 200 - 20 * i])
        same_bits(one, batch, i)
        same_bits(one, traced, i)


def test_a_batched_spectrum_is_fitted_row_by_row():
    W = jax.random.normal(jax.random.key(2), (3, 60, 40))
    s = jax.vmap(rmt.spectrum)(W)
    batch = rmt.fit_tail(s)
    for i in range(3):
        same_bits(rmt.fit_tail(rmt.spectrum(W[i])), batch, i)


def test_order_does_not_matter_and_scale_moves_only_xmin():
    x = np.random.default_rng(5).lognormal(size=300)
    fit = rmt.fit_tail(x)
    shuffled = rmt.fit_tail(np.random.default_rng(6).permutation(x))
    assert float(fit.alpha) == float(shuffled.alpha)
    for c in (1e-12, 1e12):
        scaled = rmt.fit_tail(c * x)
        np.testing.assert_allclose(
            [scaled.alpha, scaled.ks, scaled.xmin / c], [fit.alpha, fit.ks, fit.xmin], rtol=1e-11
        )
        assert int(scaled.n_tail) == int(fit.n_tail)


def test_float32_stays_float32_and_finds_the_same_xmin():
    x = np.random.default_rng(7).pareto(1.5, 400).astype(np.float32) + 1
    fit32, fit64 = rmt.fit_tail(x), rmt.fit_tail(x.astype(float))
    assert fit32.alpha.dtype == np.float32
    assert float(fit32.xmin) == float(fit64.xmin)
    assert float(fit32.alpha) == pytest.approx(float(fit64.alpha), rel=1e-5)


def test_a_spectrum_is_fitted_as_its_eigenvalues():
    s = rmt.spectrum(jax.random.normal(jax.random.key(1), (60, 40)))
    assert float(rmt.fit_tail(s).alpha) == float(rmt.fit_tail(s.eigenvalues).alpha)


def test_zero_eigenvalues_are_below_every_xmin():
    W = np.random.default_rng(2).standard_t(2, (60, 40))
    W[:, :5] = 0
    s = rmt.spectrum(W)
    zeroed = rmt.Spectrum(jnp.where(s.eigenvalues < 1e-12, 0, s.eigenvalues), N=s.N)
    fit = rmt.fit_tail(zeroed)
    assert int(fit.status) == rmt.Status.RANK_COLLAPSE
    assert bool(fit.ok)
    assert float(fit.alpha) == float(rmt.fit_tail(zeroed.eigenvalues[5:]).alpha)


def test_float32_finds_the_same_xmin_on_spectra():
    for mu in (1.0, 2.0, 3.0, 6.0):
        W = rmt.IID(rmt.Pareto(mu)).sample(jax.random.key(4), (300, 150))
        x = np.asarray(rmt.spectrum(W).eigenvalues).astype(np.float32)
        fit32, fit64 = rmt.fit_tail(x), rmt.fit_tail(x.astype(float))
        assert {getattr(fit32, name).dtype for name in ("alpha", "stderr", "xmin", "xmax", "ks")} == {
            np.dtype("float32")
        }
        assert float(fit32.xmin) == float(fit64.xmin)
        assert float(fit32.ks) == pytest.approx(float(fit64.ks), abs=2e-6)


def test_the_search_is_exact_where_every_candidate_is_as_good():
    """Quantiles of the power law itself: D is nearly the same for all, and the search has to look at each."""
    n = 300
    x = (1 - (np.arange(n) + 0.5) / n) ** (-1 / 1.5)
    assert_same(rmt.fit_tail(x), brute_force(x, "one-sided"))


@pytest.mark.slow
def test_agrees_with_brute_force_on_ten_thousand_sets():
    rng = np.random.default_rng(2026)
    sets, ambiguous = [], 0
    for i in range(10_000):
        n = int(rng.choice([10, 11, 13, 20, 50]))
        x = [
            lambda n: rng.pareto(rng.uniform(0.3, 5), n) + 1,
            lambda n: rng.lognormal(sigma=rng.uniform(0.1, 3), size=n),
            lambda n: np.round(rng.pareto(1.5, n) + 1, 1),
            lambda n: rng.integers(1, 6, n).astype(float),
            lambda n: 1 + 1e-6 * rng.random(n),
            lambda n: np.exp(rng.uniform(-30, 30, n)),
        ][i % 6](n) * 10.0 ** rng.choice([-12, 0, 12])
        sets.append(x)
    padded, mask = np.zeros((10_000, 50)), np.zeros((10_000, 50), bool)
    for i, x in enumerate(sets):
        padded[i, : x.size], mask[i, : x.size] = x, True
    for ks in ("one-sided", "two-sided"):
        fits = jax.tree.map(np.asarray, rmt.fit_tail(padded, rmt.Clauset(ks=ks), mask=mask))
        for i, x in enumerate(sets):
            if np.all(x == x[0]):
                assert fits.status[i] == rmt.Status.CONSTANT
                continue
            alpha, xmin, D, n_tail = brute_force(x, ks)
            assert fits.ks[i] == pytest.approx(D, abs=1e-9)
            if fits.xmin[i] == xmin:
                assert (fits.alpha[i], fits.n_tail[i]) == (pytest.approx(alpha, rel=1e-9), n_tail)
            else:  # only where two candidates are equal to the last digits of D
                ambiguous += 1
                tail = x[x >= fits.xmin[i]]
                assert fits.alpha[i] == pytest.approx(
                    1 + len(tail) / np.log1p((tail - tail.min()) / tail.min()).sum(), rel=1e-9
                )
                assert abs(distance(x, fits.xmin[i], ks) - D) < 1e-11
    assert ambiguous < 1000  # integers and other ties


def test_a_given_xmin_need_not_be_one_of_the_data():
    x = np.sort(np.random.default_rng(9).pareto(1.5, 200) + 1)
    fit = rmt.fit_tail(x, rmt.Clauset(xmin=2.0, ks="two-sided"))
    tail = x[x >= 2]
    alpha = 1 + len(tail) / np.log(tail / 2).sum()
    F, j = 1 - (tail / 2) ** (1 - alpha), np.arange(len(tail))
    D = max(np.max(F - j / len(tail)), np.max((j + 1) / len(tail) - F))
    np.testing.assert_allclose([fit.alpha, fit.ks, fit.xmin, fit.n_tail], [alpha, D, 2, len(tail)], rtol=1e-12)


def test_a_range_of_xmin_and_the_shortest_tail_bound_the_search():
    x = np.random.default_rng(10).lognormal(size=300)
    low, high = np.quantile(x, [0.6, 0.8])
    fit = rmt.fit_tail(x, rmt.Clauset(xmin=(low, high)))
    inside = np.unique(x[(x >= low) & (x <= high)])
    D = [distance(x, xmin, "one-sided") for xmin in inside]
    assert float(fit.xmin) == inside[np.argmin(D)]
    assert int(rmt.fit_tail(x, rmt.Clauset(min_tail=100)).n_tail) >= 100
    assert int(rmt.fit_tail(x).n_tail) < 100
    at_edge = rmt.fit_tail(x, rmt.Clauset(xmin=tuple(np.sort(x)[200:202])))  # one of two
    assert int(at_edge.status) == rmt.Status.XMIN_AT_EDGE


def test_correction_is_unbiased_given_xmin():
    x = np.random.default_rng(11).pareto(1.5, 40) + 1
    raw, corrected = (rmt.fit_tail(x, rmt.Clauset(correction=c)) for c in (False, True))
    n = int(raw.n_tail)
    assert float(corrected.alpha) == pytest.approx(float(raw.alpha) * (n - 1) / n + 1 / n, rel=1e-14)
    assert float(corrected.xmin) == float(raw.xmin)


@pytest.mark.parametrize("xmax", ["max", 6.0])
def test_truncated_search_agrees_with_brute_force(xmax):
    x = np.sort(np.random.default_rng(12).pareto(1.2, 80) + 1)
    end = x[-1] if xmax == "max" else xmax
    kept = x[x <= end]

    def D_and_alpha(xmin):
        tail, span = kept[kept >= xmin], np.log(end / xmin)
        gap = np.log(tail / xmin).mean() / span - 0.5
        if abs(gap) < 1e-9:  # two values, or log-uniform ones
            gap = 1e-6
        theta = optimize.brentq(
            lambda t: 1 / t - 1 / np.expm1(t) - 0.5 - gap, -np.sign(gap) * 1e-7, -np.sign(gap) * 300
        )
        b = theta / span
        F = np.expm1(-b * np.log(tail / xmin)) / np.expm1(-b * span)
        return np.max(np.abs(F - np.arange(len(tail)) / len(tail))), 1 + b

    pairs = [D_and_alpha(xmin) for xmin in kept[:-1]]
    D, alpha = pairs[int(np.argmin([pair[0] for pair in pairs]))]
    fit = rmt.fit_tail(x, rmt.Clauset(xmax=xmax))
    np.testing.assert_allclose([fit.alpha, fit.ks, fit.law.xmax], [alpha, D, end], rtol=1e-8)
    assert float(fit.xmax) == kept[-1]


def test_truncated_exponent_against_mpmath():
    """mean/span from next to nothing to next to everything, through the log-uniform 1/2."""
    for share in (1e-9, 1e-3, 0.2, 0.45, 0.5 - 1e-7, 0.5, 0.5 + 1e-4, 0.6, 0.9, 1 - 1e-6):
        for span in (1e-3, 2.0, 40.0):
            b = float(truncated_exponent(jnp.asarray(share * span), jnp.asarray(span)))
            with mpmath.workdps(40):
                theta = mpmath.mpf(b) * mpmath.mpf(span)
                mean = mpmath.mpf(1) / 2 if theta == 0 else 1 / theta - 1 / mpmath.expm1(theta)
                # how far b is off, from how far the mean is, by the slope -variance
                variance = (
                    mpmath.mpf(1) / 12 if abs(theta) < 1e-3 else 1 / theta**2 - 1 / (4 * mpmath.sinh(theta / 2) ** 2)
                )
                error = (mean - mpmath.mpf(share * span) / mpmath.mpf(span)) / variance
            assert abs(float(error)) < 1e-13 * max(1, abs(b * span)) / min(1, 2 * (1 - share)), (share, span)


def test_truncated_stderr_is_that_of_replicates():
    x = jnp.exp(rmt.laws.PowerLaw(2.5, 1.0, 10.0).sample(jax.random.key(12), (2000, 200)))
    x = jnp.log(x)
    fit = jax.jit(lambda x: rmt.fit_tail(x, rmt.Clauset(xmin=1.0, xmax=10.0), mask=jnp.ones(x.shape, bool)))(x)
    assert float(jnp.std(fit.alpha)) == pytest.approx(float(jnp.mean(fit.stderr)), rel=4 / np.sqrt(2 * 2000))


BAD = {
    "NaN": (np.r_[np.arange(1.0, 20), np.nan], rmt.Status.NON_FINITE),
    "inf": (np.r_[np.arange(1.0, 20), np.inf], rmt.Status.NON_FINITE),
    "-inf": (np.r_[np.arange(1.0, 20), -np.inf], rmt.Status.NON_FINITE),
    "all NaN": (np.full(20, np.nan), rmt.Status.NON_FINITE),
    "zero": (np.arange(20.0), rmt.Status.NON_POSITIVE),
    "all zero": (np.zeros(20), rmt.Status.NON_POSITIVE),
    "negative": (np.arange(-3.0, 17), rmt.Status.NON_POSITIVE),
    "constant": (np.ones(20), rmt.Status.CONSTANT),
    "nine points": (np.arange(1.0, 10), rmt.Status.TOO_FEW),
    "one point": (np.ones(1), rmt.Status.TOO_FEW),
    "empty": (np.zeros(0), rmt.Status.TOO_FEW),
}


def test_every_note_keeps_its_numbers():
    pareto = np.random.default_rng(8).pareto(1.5, 60) + 1
    s = rmt.spectrum(np.random.default_rng(2).standard_t(2, (60, 20)) @ np.random.default_rng(3).normal(size=(20, 40)))
    notes = {
        rmt.Status.TIES_AT_XMIN: rmt.fit_tail(np.repeat(np.arange(1.0, 9), 5) ** 2, rmt.Clauset(xmin=4.0)),
        rmt.Status.XMIN_AT_EDGE: rmt.fit_tail(pareto, rmt.Clauset(xmin=(3.0, 3.3))),
        rmt.Status.RANK_COLLAPSE: rmt.fit_tail(s),
    }
    for status, fit in notes.items():
        assert int(fit.status) == status
        assert bool(fit.ok)
        assert np.isfinite([fit.alpha, fit.stderr, fit.xmin, fit.ks]).all()
        assert not status.failed
        assert status.remedy
    assert int(notes[rmt.Status.RANK_COLLAPSE].n_tail) <= 20


def test_a_spectrum_with_a_negative_eigenvalue_is_refused_unless_it_is_rounding():
    x = np.linspace(1, 9, 40)
    assert int(rmt.fit_tail(rmt.Spectrum(jnp.asarray(np.r_[-1e-30, x]), N=50)).status) == rmt.Status.RANK_COLLAPSE
    assert int(rmt.fit_tail(rmt.Spectrum(jnp.asarray(np.r_[-1e-3, 0, x]), N=50)).status) == rmt.Status.NON_POSITIVE


@pytest.mark.parametrize("name", BAD)
def test_bad_data_are_a_status_not_a_number(name):
    x, status = BAD[name]
    fit = rmt.fit_tail(x)
    assert int(fit.status) == status
    assert np.isnan([fit.alpha, fit.stderr, fit.xmin, fit.xmax, fit.ks]).all()
    assert int(fit.n_tail) == 0
    assert not bool(fit.ok)
    assert rmt.Status(int(fit.status)).failed
    assert rmt.Status(int(fit.status)).remedy


def test_a_bad_row_leaves_the_good_rows_of_a_batch_alone():
    good = np.random.default_rng(8).pareto(2.0, 20) + 1
    batch = jax.vmap(rmt.fit_tail)(np.stack([BAD["NaN"][0], good, BAD["negative"][0], BAD["constant"][0]]))
    assert batch.status.tolist() == [2, 0, 3, 4]
    assert float(batch.alpha[1]) == float(rmt.fit_tail(good).alpha)
    assert np.isnan(np.asarray(batch.alpha)[[0, 2, 3]]).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rmt.fit_tail(np.ones((3, 4))), r"shape \(3, 4\).*rmt.spectrum"),
        (lambda: rmt.fit_tail(np.ones(20) * 1j), "complex"),
        (lambda: rmt.fit_tail(np.ones(20), "clauset"), "rmt.Clauset"),
        (lambda: rmt.fit_tail(np.array(["a"])), "dtype <U1"),
        (lambda: rmt.fit_tail(np.ones(20), mask=np.ones(19, bool)), r"shape of the data, \(20,\), got \(19,\)"),
        (lambda: rmt.Clauset(ks="both"), "'one-sided' or 'two-sided'"),
        (lambda: rmt.Clauset(xmin=-1.0), "positive number, got -1.0"),
        (lambda: rmt.Clauset(xmin=(1.0, 2.0, 3.0)), r"\(lo, hi\)"),
        (lambda: rmt.Clauset(xmin="median"), "positive number"),
        (lambda: rmt.Clauset(xmax="min"), "'max'"),
        (lambda: rmt.Clauset(min_tail=1), "at least 2"),
        (lambda: rmt.Clauset(correction=True, xmax="max"), "leave out xmax"),
    ],
)
def test_wrong_arguments_say_what_to_do(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.fixture(scope="module")
def pareto_fits() -> rmt.TailFit:
    """600 fits of 200 exact Pareto values each, alpha = 2.5."""
    x = jnp.exp(jax.random.exponential(jax.random.key(11), (600, 200)) / 1.5)
    return jax.jit(lambda x: jax.lax.map(rmt.fit_tail, x))(x)


def test_alpha_of_exact_pareto_data_is_recovered(pareto_fits):
    alpha = np.asarray(pareto_fits.alpha)
    error = np.median(alpha) - 2.5
    assert abs(error) < 4 * 1.2533 * alpha.std() / np.sqrt(len(alpha)) + 0.02


def test_the_interval_given_xmin_covers_less_than_it_says(pareto_fits):
    """Selection of xmin is not in the interval: 89 % at n = 200."""
    low, high = pareto_fits.interval(0.95)
    covered = np.mean((np.asarray(low) <= 2.5) & (np.asarray(high) >= 2.5))
    assert abs(covered - 0.89) < 3 * np.sqrt(0.89 * 0.11 / 600)
