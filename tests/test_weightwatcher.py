"""WeightWatcher's three modes of fitting as a slow NumPy twin, held against what version 0.7.7 returned; ours against both.

    plain       xmin is any value but the last, repeated ones each on their own; from n_i values x_i <= x_(i+1) <= ...,

                    alpha_i = 1 + n_i / sum_j ln(x_j / x_i),    D_i = max_j |1 - (x_j / x_i)^(1 - alpha_i) - j / n_i|,

                and the first minimum of D wins. With fewer than 20 values n_i / sum becomes (n_i - 1) / sum, and
                tails of fewer than 8 values or of equal ones have alpha = 0 and D = 1. With fewer than 8 values the tail is
                all of them, and sigma, which is (alpha - 1) / sqrt(n_i) elsewhere, is that of alpha = 0.
    clip_xmax   the plain fit without the top m values, for the first m = 2 .. 9 that lowers alpha by more than 1; num_fingers
                is m - 1. The search also ends, without effect, at the first alpha below 2. It then fits up to three times
                more, without the next value each time, until alpha has moved by more than 1; those fits change nothing,
                but where one of them has fewer than two values left, the whole fit fails.
    xmin_peak   with p the left edge of the fullest of 100 bins of log10 x (the first of several), xmin is a distinct value
                in [log10(0.95 p), 1.5 p] but the largest there. So the lower end is a logarithm set against plain values: below
                p = 1 / 0.95 it bounds nothing. The ranks j of repeated values are that of the first of them; no correction
                below 20 values; no xmax; fewer than two distinct values in the range: the fit fails.

Values <= 1e-5 are dropped first, whatever the scale. num_pl_spikes counts the values >= xmin, clipped ones included.
"""

import json
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT

import rmt

NUMBERS = ("alpha", "xmin", "xmax", "D", "sigma", "num_pl_spikes", "num_fingers", "raw_alpha")
SPECTRA = runpy.run_path(str(ROOT / "tests" / "reference" / "weightwatcher.py"))["spectra"]()
MODES = {"plain": None, "clip_xmax": "clip_xmax", "xmin_peak": "xmin_peak"}
PEER = json.loads((ROOT / "tests" / "reference" / "weightwatcher.json").read_text())


class FailedError(Exception):
    """Where the peer's status is "failed"."""


def twin(x, mode):
    """The peer's numbers for ascending values, by name."""
    x = x[x > 1e-5]
    alpha, xmin, xmax, D, sigma, fingers, raw_alpha = {"plain": plain, "clip_xmax": clip, "xmin_peak": peak}[mode](x)
    spikes = np.sum(x >= xmin)
    return dict(zip(NUMBERS, (alpha, xmin, xmax, D, sigma, spikes, fingers, raw_alpha), strict=True))


def plain(x):
    alpha, D = scan(x)
    i = np.argmin(D)
    sigma = (alpha[i] - 1) / np.sqrt(len(x) - i)
    if len(x) < 8:
        alpha[i], D[i] = one_tail(x, corrected=True)
    return alpha[i], x[i], x[-1], D[i], sigma, 0, -1


def scan(x):
    """alpha and D of every candidate."""
    n = len(x)
    if n < 2:
        raise FailedError
    small = n < 20
    tails = [x[i:] if not (small and n - i < 8) else None for i in range(n - 1)]
    return np.array([(0.0, 1.0) if tail is None else one_tail(tail, corrected=small) for tail in tails]).T


def one_tail(tail, corrected):
    n, S = len(tail), np.sum(np.log(tail / tail[0]))
    if S == 0:
        return (0.0, 1.0) if corrected else (np.inf, (n - 1) / n)
    alpha = 1 + (n - corrected) / S
    return alpha, np.max(np.abs(1 - (tail / tail[0]) ** (1 - alpha) - np.arange(n) / n))


def clip(x):
    def without(m):
        return plain(x[: max(len(x) - m, 0)])

    raw = found = plain(x)
    fingers = 0
    for m in range(2, 10):
        clipped = without(m)
        if raw[0] - clipped[0] > 1:
            found, fingers = clipped, m - 1
        if fingers or clipped[0] < 2:
            break
    for further in range(m + 1, m + 4):
        if abs(without(further)[0] - clipped[0]) > 1:
            break
    return *found[:5], fingers, raw[0]


def peak(x):
    if len(x) == 0:
        raise FailedError
    counts, edges = np.histogram(np.log10(x), bins=100)
    p = 10 ** edges[np.argmax(counts)]
    distinct = np.unique(x)
    best = (np.inf,)
    for xmin in distinct[(distinct >= np.log10(0.95 * p)) & (distinct <= 1.5 * p)][:-1]:
        tail = x[x >= xmin]
        n = len(tail)
        alpha = 1 + n / np.sum(np.log(tail / xmin))
        D = np.max(np.abs(1 - (tail / xmin) ** (1 - alpha) - np.searchsorted(tail, tail) / n))
        if best[0] > D:
            best = (D, alpha, xmin, np.nan, D, (alpha - 1) / np.sqrt(n), 0, -1)
    if len(best) == 1:
        raise FailedError
    return best[1:]


def test_spectra_are_those_the_peer_was_given():
    assert list(SPECTRA) == list(PEER)
    np.testing.assert_allclose([np.sum(x) for x in SPECTRA.values()], [row["checksum"] for row in PEER.values()])


@pytest.mark.parametrize("mode", MODES)
def test_twin_is_the_peer(mode):
    failures = 0
    for name, x in SPECTRA.items():
        row = PEER[name][mode]
        if row["status"] == "failed":
            failures += 1
            with pytest.raises(FailedError):
                twin(x, mode)
        else:
            theirs = {key: np.nan if row[key] is None else row[key] for key in NUMBERS}
            np.testing.assert_allclose(list(twin(x, mode).values()), list(theirs.values()), rtol=1e-10, err_msg=name)
    assert failures < len(SPECTRA) / 4


@pytest.mark.parametrize("M", [500, 1000, 2000])
@pytest.mark.parametrize("kind", ["pareto3", "gauss"])
def test_twin_is_the_peer_on_larger_spectra(kind, M, reference):
    name = f"{kind}_M{M}"
    folder = reference / "weightwatcher"
    x = np.load(folder / f"{name}.npz")["evals"]
    row = json.loads((folder / "ww_fit.json").read_text())[name]
    ours = twin(x, "plain")
    for key in ("alpha", "xmin", "D", "sigma"):
        np.testing.assert_allclose(ours[key], row[key], rtol=1e-10)
    their_scan = np.load(folder / f"{name}_wwscan.npz")
    alpha, D = scan(x[x > 1e-5])
    np.testing.assert_allclose(alpha, their_scan["alphas"], rtol=1e-10)
    np.testing.assert_allclose(D, their_scan["Ds"], rtol=1e-10)


def small_sets():
    """Few values: ties, clips, values below the threshold, and whatever makes the peer return no number."""
    sets = {}
    for seed in range(160):
        rng = np.random.default_rng([8, seed])
        x = rng.lognormal(0, (0.3, 1, 3)[seed % 3], 10 + seed % 20)
        x *= 10.0 ** rng.integers(-4, 3)
        sets[f"small #{seed}"] = np.sort(x if seed % 4 else np.ceil(x / np.median(x) * 4))
    for seed in range(80):
        sets[f"clipped to the end #{seed}"] = np.sort(np.random.default_rng([9, seed]).lognormal(0, 0.5, 10 + seed % 4))
    sets["most are equal and largest"] = np.exp(690 - np.r_[690, 110, 30, 5, np.zeros(16)])
    sets["nine above the threshold"] = np.r_[np.full(5, 1e-5), np.geomspace(1, 4, 9)]
    sets["equal above the threshold"] = np.r_[np.full(5, 1e-7), np.ones(12)]
    return sets


SETS = {**SPECTRA, **small_sets()}


@pytest.fixture(scope="module")
def padded():
    n = max(map(len, SETS.values()))
    x = np.array([np.pad(x, (0, n - len(x)), constant_values=1e9) for x in SETS.values()])
    return x, np.arange(n) < np.array([len(x) for x in SETS.values()])[:, None]


@pytest.fixture(scope="module", params=MODES)
def fits(request, padded):
    """A mode and the fits of all sets in it, by name."""
    batch = rmt.fit_tail(padded[0], rmt.WeightWatcher(MODES[request.param]), padded[1])
    batch = jax.tree.map(np.asarray, batch)
    return request.param, {name: jax.tree.map(lambda a, i=i: a[i], batch) for i, name in enumerate(SETS)}


def assert_same(fit, theirs, name):
    """theirs: the peer's numbers, or None where it failed."""
    if theirs is None or np.sum(SETS[name] > 1e-5) < rmt.tails.MIN_POINTS:
        assert fit.status == rmt.Status.TOO_FEW, name
    elif theirs["alpha"] in (0, np.inf):
        assert fit.status == rmt.Status.NO_CONVERGENCE, name
    else:
        assert fit.ok, name
        got, keys = [fit.alpha, fit.ks, fit.xmin, fit.stderr], ("alpha", "D", "xmin", "sigma")
        np.testing.assert_allclose(got, [theirs[key] for key in keys], rtol=1e-9, err_msg=name)
        if theirs["xmax"] is not None and not np.isnan(theirs["xmax"]):
            assert fit.xmax == theirs["xmax"], name
        if len(np.unique(SETS[name])) == len(SETS[name]):
            clipped = theirs["num_fingers"] + (theirs["num_fingers"] > 0)
            assert fit.n_tail == theirs["num_pl_spikes"] - clipped, name


def test_agrees_with_the_peer(fits):
    mode, ours = fits
    for name, row in PEER.items():
        assert_same(ours[name], None if row[mode]["status"] == "failed" else row[mode], name)


def test_agrees_with_the_twin_on_few_values_and_on_none_worth_fitting(fits):
    mode, ours = fits
    seen = set()
    for name in small_sets():
        try:
            theirs = twin(SETS[name], mode)
        except FailedError:
            theirs = None
        assert_same(ours[name], theirs, name)
        seen.add(rmt.Status(ours[name].status))
    assert {rmt.Status.OK, rmt.Status.XMIN_AT_EDGE, rmt.Status.TIES_AT_XMIN} <= seen
    assert (rmt.Status.TOO_FEW if mode == "xmin_peak" else rmt.Status.NO_CONVERGENCE) in seen


@pytest.mark.parametrize("fits", ["plain", "clip_xmax"], indirect=True)
def test_padding_and_batches_change_no_bit(fits, padded):
    mode, ours = fits
    for i in range(0, len(SETS), 7):
        one = rmt.fit_tail(padded[0][i], rmt.WeightWatcher(MODES[mode]), padded[1][i])
        batched = ours[list(SETS)[i]]
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(batched), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("fits", ["plain", "xmin_peak"], indirect=True)
def test_the_scan_is_the_twins_and_its_first_minimum_the_fit(fits, padded):
    mode, ours = fits
    found = jax.tree.map(np.asarray, rmt.scan(padded[0], rmt.WeightWatcher(MODES[mode]), padded[1]))
    for i, (name, fit) in enumerate(ours.items()):
        at = found.candidate[i]
        if not at.any():
            assert fit.status in (rmt.Status.TOO_FEW, rmt.Status.NO_CONVERGENCE), name
            continue
        alpha, D = found.alpha[i, at], found.ks[i, at]
        if fit.ok:
            best = np.flatnonzero(at)[np.argmin(D)]
            assert (found.xmin[i, best], found.n_tail[i, best]) == (fit.xmin, fit.n_tail), name
            np.testing.assert_allclose([alpha[np.argmin(D)], D.min()], [fit.alpha, fit.ks], rtol=1e-12)
        if mode == "plain":
            their_alpha, their_D = scan(SETS[name][SETS[name] > 1e-5])
            kept = their_alpha > 0
            np.testing.assert_allclose(alpha, their_alpha[kept], rtol=1e-9, err_msg=name)
            np.testing.assert_allclose(D, their_D[kept], rtol=1e-9, err_msg=name)


def test_agrees_with_the_peer_on_larger_spectra_at_every_xmin(reference):
    folder = reference / "weightwatcher"
    names = [f"{kind}_M{M}" for kind in ("pareto3", "gauss") for M in (500, 1000, 2000)]
    rows = [np.load(folder / f"{name}.npz")["evals"] for name in names]
    x = np.array([np.pad(row, (0, 2000 - len(row))) for row in rows])
    mask = np.arange(2000) < np.array([len(row) for row in rows])[:, None]
    method = rmt.WeightWatcher()
    fit, found = jax.tree.map(np.asarray, (rmt.fit_tail(x, method, mask), rmt.scan(x, method, mask)))
    chosen = json.loads((folder / "ww_fit.json").read_text())
    for i, name in enumerate(names):
        got = [fit.alpha[i], fit.ks[i], fit.xmin[i], fit.stderr[i]]
        np.testing.assert_allclose(got, [chosen[name][key] for key in ("alpha", "D", "xmin", "sigma")], rtol=1e-9)
        assert int(fit.n_tail[i]) == chosen[name]["n_tail"]
        theirs = np.load(folder / f"{name}_wwscan.npz")
        at = found.candidate[i]
        np.testing.assert_allclose(found.alpha[i][at], theirs["alphas"], rtol=1e-9)
        np.testing.assert_allclose(found.ks[i][at], theirs["Ds"], rtol=1e-9)


@pytest.mark.parametrize("kind", ["pareto3", "gauss"])
def test_the_spectrum_of_the_matrix_gives_the_same(kind, reference):
    folder = reference / "weightwatcher"
    with np.load(folder / f"{kind}_M500_W.npz") as file:
        W = np.asarray(file[file.files[0]], float)
    s = rmt.spectrum(W if W.shape[0] >= W.shape[1] else W.T)
    fit = rmt.fit_tail(s, rmt.WeightWatcher())
    row = json.loads((folder / "ww_fit.json").read_text())[f"{kind}_M500"]
    got = [fit.alpha, fit.ks, fit.xmin * s.N, fit.stderr]
    np.testing.assert_allclose(got, [row[key] for key in ("alpha", "D", "xmin", "sigma")], rtol=1e-9)


def test_a_spectrum_is_fitted_as_the_eigenvalues_of_its_gram_matrix():
    """N moves the threshold and the logarithm of xmin_peak; xmin stays in the units of the spectrum."""
    N = 1000
    rows = {name: PEER[name]["xmin_peak"] for name, x in SPECTRA.items() if len(x) == 120}
    rows = {name: row for name, row in rows.items() if row["status"] != "failed"}
    assert {"scale 1e-5", "scale 1e-4", "scale 1e0", "Gaussian #0"} <= set(rows)
    s = rmt.Spectrum(jnp.array([SPECTRA[name] for name in rows]) / N, N=N)
    fit = rmt.fit_tail(s, rmt.WeightWatcher("xmin_peak"))
    theirs = np.array([[row[key] for key in ("alpha", "D", "xmin")] for row in rows.values()]).T
    np.testing.assert_allclose([fit.alpha, fit.ks, fit.xmin * N], theirs, rtol=1e-9)


def test_scale_changes_the_fit_where_the_threshold_bites():
    x = SPECTRA["Pareto mu=1 #0"]

    def alpha(c):
        return float(rmt.fit_tail(c * x, rmt.WeightWatcher()).alpha)

    assert alpha(1e3) == pytest.approx(alpha(1), rel=1e-11)
    assert 1e-6 * x[0] > 1e-5 > 1e-9 * np.median(x)
    assert alpha(1e-6) == pytest.approx(alpha(1), rel=1e-11)
    assert abs(alpha(1e-9) - alpha(1)) > 0.01


@pytest.mark.parametrize("mode", MODES)
def test_lowers_for_any_device(mode):
    fit = jax.jit(jax.vmap(lambda x: rmt.fit_tail(x, rmt.WeightWatcher(MODES[mode]))))
    exported = jax.export.export(fit, platforms=["cpu", "cuda", "tpu"])(jax.ShapeDtypeStruct((3, 40), float))
    assert "callback" not in exported.mlir_module()


def test_other_modes_are_refused():
    with pytest.raises(ValueError, match="None or 'clip_xmax' or 'xmin_peak', got 'clip'"):
        rmt.WeightWatcher("clip")
