"""Eigenvalues of W^T W / N against mpmath and closed forms: what each way of computing them promises, and which one is taken."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from conftest import slow

import rmt
from rmt.spectra import spectrum_on_host
from rmt.spectra.dense import ABSOLUTE, MARGIN, gram_may_do, gram_will_do, predicted_condition, svd_by_reflections

EPS = np.finfo(float).eps
DENSE = ("svd", "gram", "auto")
ENTRIES = {"mu=0.5": 0.5, "mu=1": 1.0, "mu=2": 2.0, "Gaussian": None}


def matrix(seed: int, entries: str, shape: tuple[int, int]) -> np.ndarray:
    """Signed Pareto entries, or Gaussian ones."""
    rng, mu = np.random.default_rng(seed), ENTRIES[entries]
    return rng.standard_normal(shape) if mu is None else (rng.pareto(mu, shape) + 1) * rng.choice([-1.0, 1.0], shape)


def exact(W: np.ndarray, N: int | None = None) -> np.ndarray:
    """Eigenvalues of W^T W / N in 100 digits, then rounded."""
    with mpmath.workdps(100):
        X = mpmath.matrix(W.tolist())
        values = sorted(mpmath.eigsy(X.T * X / (len(W) if N is None else N), eigvals_only=True))
        return np.array([float(v) for v in values])


def wishart(seed: int, N: int, M: int) -> rmt.Bidiagonal:
    """The bidiagonal form of an N x M Gaussian matrix."""
    rng = np.random.default_rng(seed)
    return rmt.Bidiagonal(
        np.sqrt(rng.chisquare(np.arange(N, N - M, -1.0))), np.sqrt(rng.chisquare(np.arange(M - 1, 0, -1.0))), N
    )


def test_eigenvalues_of_a_known_matrix():
    for method in DENSE:
        s = rmt.spectrum(np.array([[3.0, 0], [0, 4], [0, 0]]), method)
        np.testing.assert_allclose(s.eigenvalues, [3, 16 / 3], rtol=1e-15)
        assert (s.N, s.M, s.Q, int(s.rank), float(s.floor)) == (3, 2, 1.5, 2, 0.0)
        assert float(s.lambda_max) == pytest.approx(16 / 3)


@pytest.mark.parametrize("entries", ENTRIES)
@pytest.mark.parametrize("shape", [(30, 15), (20, 20)])
def test_every_eigenvalue_is_within_its_error_of_the_exact_one(entries, shape):
    W = matrix(0, entries, shape)
    truth = exact(W)
    for method in DENSE:
        s = rmt.spectrum(W, method)
        assert (np.abs(s.eigenvalues - truth) <= s.error).all(), method


@pytest.mark.slow
@pytest.mark.parametrize("entries", ENTRIES)
def test_errors_of_a_thousand_matrices_stay_below_half_their_bounds(entries):
    worst = dict.fromkeys(DENSE, 0.0)
    for seed in range(250):
        W = matrix(seed, entries, (24, 12) if seed % 2 else (14, 14))
        truth = exact(W)
        for method in DENSE:
            s = rmt.spectrum(W, method)
            worst[method] = max(worst[method], float((np.abs(s.eigenvalues - truth) / s.error).max()))
    assert max(worst.values()) < 0.5, worst


@pytest.mark.parametrize("M", [100, 400])
def test_large_gram_matrices_agree_with_the_svd_within_both_bounds(M):
    for seed, entries in enumerate(ENTRIES):
        W = matrix(seed, entries, (2 * M, M))
        svd, gram = rmt.spectrum(W, "svd"), rmt.spectrum(W, "gram")
        assert (np.abs(svd.eigenvalues - gram.eigenvalues) <= (svd.error + gram.error) / 2).all(), entries


@pytest.mark.parametrize("entries", ENTRIES)
def test_a_matrix_in_blocks_has_the_spectrum_of_the_whole(entries):
    W = matrix(3, entries, (90, 40))
    whole, parts = rmt.spectrum(W, "svd"), rmt.spectra.spectrum_of_rows(W[i : i + 17] for i in range(0, 90, 17))
    assert (np.abs(whole.eigenvalues - parts.eigenvalues) <= (whole.error + parts.error) / 2).all()
    assert (parts.N, parts.M, rmt.Route(int(parts.route))) == (90, 40, rmt.Route.GRAM)


@pytest.mark.parametrize("dtype", [np.float64, slow(np.float32)])
def test_the_svd_of_accelerators_keeps_half_the_bound(dtype):
    cases = [matrix(i, entries, (90, 70)) for i, entries in enumerate(ENTRIES)]
    low_rank = cases[3][:, :5] @ cases[3][:5]
    cases += [low_rank, np.eye(90, 70), np.zeros((90, 70)), 1e-20 * cases[2], 1e15 * cases[0], np.triu(cases[3])]
    W = np.array(cases, dtype)
    for got, expected in zip(jax.jit(jax.vmap(svd_by_reflections))(W), np.linalg.svd(W.astype(float))[1], strict=True):
        s = expected[::-1]
        assert (abs(got - s) <= np.finfo(dtype).eps * (ABSOLUTE / 4 * s[-1] + np.sqrt(90) * s)).all()


def test_blocks_that_are_no_matrix_are_refused_and_what_is_not_finite_has_no_spectrum():
    with pytest.raises(ValueError, match="equally many columns, got shape"):
        rmt.spectra.spectrum_of_rows([np.ones((5, 3)), np.ones((5, 2))])
    for blocks in ([], [np.ones((2, 3))]):
        with pytest.raises(ValueError, match="needs N >= M >= 1, got"):
            rmt.spectra.spectrum_of_rows(blocks)
    assert np.isnan(rmt.spectra.spectrum_of_rows([np.ones((3, 3)), np.full((1, 3), np.inf)]).eigenvalues).all()


@pytest.mark.parametrize("entries", ENTRIES)
@pytest.mark.parametrize("shape", [(30, 15), (20, 20)])
def test_on_the_host_every_eigenvalue_is_within_its_error_and_the_route_the_same(entries, shape):
    W = matrix(9, entries, shape)
    truth = exact(W)
    for rtol in (1e-6, 1e-14):
        s, device = spectrum_on_host(W, rtol), rmt.spectrum(W, rtol=rtol)
        assert (np.abs(s.eigenvalues - truth) <= s.error).all()
        assert (s.N, s.M, int(s.route), type(s.eigenvalues)) == (*shape, int(device.route), np.ndarray)
        np.testing.assert_allclose(s.error, device.error, rtol=1e-9)
    for turned in (np.asfortranarray(W), W[:, ::-1]):
        np.testing.assert_allclose(spectrum_on_host(turned).eigenvalues, s.eigenvalues, rtol=1e-6)


def test_on_the_host_many_rows_extreme_scales_collapsed_ranks_and_bad_entries():
    W = matrix(10, "Gaussian", (70_000, 8))  # more than one block
    s = spectrum_on_host(W)
    np.testing.assert_allclose(s.eigenvalues, rmt.spectrum(W).eigenvalues, rtol=1e-12)
    W = matrix(10, "Gaussian", (60, 40))
    for c in (2.0**500, 2.0**-500):
        np.testing.assert_allclose(
            spectrum_on_host(c * W).eigenvalues, c * c * spectrum_on_host(W).eigenvalues, rtol=1e-12
        )
    low = spectrum_on_host(matrix(5, "mu=2", (60, 20)) @ matrix(6, "Gaussian", (20, 40)))
    assert (int(low.rank), int(low.route)) == (20, rmt.Route.SVD)
    assert 0 < low.floor < low.eigenvalues[20]
    assert int(rmt.fit_tail(low).status) == rmt.Status.RANK_COLLAPSE
    assert int(spectrum_on_host(np.zeros((20, 12))).rank) == 0
    W[3, 4] = np.nan
    assert np.isnan(spectrum_on_host(W).eigenvalues).all()
    with pytest.raises(ValueError, match=r"N >= M >= 1, got shape \(3, 5\)"):
        spectrum_on_host(np.ones((3, 5)))


def test_on_the_host_nothing_is_compiled_and_one_program_fits_every_short_spectrum(caplog):
    rmt.fit_tail(spectrum_on_host(matrix(0, "mu=2", (90, 31))))
    with jax.log_compiles(), caplog.at_level("WARNING", "jax"):
        for N, M in ((91, 32), (700, 33), (300, 301 - 1)):
            s = spectrum_on_host(matrix(0, "mu=2", (N, M)))
            fit = jax.device_get(rmt.fit_tail(s))
            assert fit.ok
            assert 0 < rmt.metrics.entropy(s) < 1
            assert np.isfinite(rmt.metrics.log_alpha_norm(s, fit))
        assert not [record.message for record in caplog.records if "Compiling" in record.message]
        rmt.fit_tail(np.arange(1.0, 1300.0))
        assert [record.message for record in caplog.records if "Compiling" in record.message]


def test_heavy_tails_need_the_svd():
    W = matrix(0, "mu=0.5", (30, 15))
    truth = exact(W)
    error = {method: np.abs(rmt.spectrum(W, method).eigenvalues / truth - 1).max() for method in DENSE}
    assert error["gram"] > 100 * error["svd"]
    assert error["auto"] == error["svd"]


def test_auto_takes_the_gram_matrix_where_it_is_good_enough_and_only_there():
    takes = {}
    for entries in ENTRIES:
        for shape in [(200, 100), (100, 100)]:
            W = matrix(1, entries, shape)
            s = rmt.spectrum(W)
            gram = rmt.spectrum(W, "gram")
            takes[entries, shape[0]] = rmt.Route(int(s.route))
            if takes[entries, shape[0]] == rmt.Route.GRAM:
                assert (s.error <= 1e-6 * s.eigenvalues).all()
                np.testing.assert_array_equal(s.eigenvalues, gram.eigenvalues)
            else:
                np.testing.assert_array_equal(s.eigenvalues, rmt.spectrum(W, "svd").eigenvalues)
    assert {k for k, route in takes.items() if route == rmt.Route.SVD} == {
        ("mu=0.5", 200), ("mu=0.5", 100), ("mu=1", 100)
    }  # fmt: skip


def test_a_matrix_worse_than_it_looks_is_caught_after_the_fact():
    W = np.array(matrix(2, "Gaussian", (100, 50)))
    W[:, 0] = W[:, 1] + 1e-7 * W[:, 0]  # nothing in its norms says so
    assert bool(gram_will_do(W, 1e-6))
    s, truth = rmt.spectrum(W), np.linalg.svd(W, compute_uv=False)[-1] ** 2 / 100
    assert int(s.route) == rmt.Route.SVD
    assert float(s.eigenvalues[0]) == pytest.approx(truth, rel=1e-6)
    assert int(rmt.spectrum(W, rtol=1e-2).route) == rmt.Route.SVD
    assert int(s.rank) == 50
    assert int(rmt.spectrum(W, "gram").rank) == 50 - 1  # what the Gram route cannot see it does not claim


@pytest.mark.parametrize("mu", [1.25, 1.5, 2.0, 3.0])
def test_norms_tell_the_condition_of_heavy_tailed_matrices(mu):
    ENTRIES["mu"] = mu
    for seed in range(10):
        W = matrix(seed, "mu", (300, 150))
        s = rmt.spectrum(W, "svd")
        condition = float(s.lambda_max / s.eigenvalues[0])
        assert condition / MARGIN < float(predicted_condition(jnp.asarray(W))) < condition * MARGIN
    del ENTRIES["mu"]


def test_fits_do_not_depend_on_the_route():
    for seed in range(5):
        W = matrix(seed, "mu=2", (200, 100))
        svd, gram = (rmt.fit_tail(rmt.spectrum(W, method)) for method in ("svd", "auto"))
        assert int(rmt.spectrum(W).route) == rmt.Route.GRAM
        for name in ("alpha", "xmin", "ks"):
            assert float(getattr(gram, name)) == pytest.approx(float(getattr(svd, name)), rel=1e-6), name


def test_bounds_have_the_documented_form():
    W = matrix(3, "mu=1", (30, 15))
    s = rmt.spectrum(W, "gram")
    x = np.asarray(s.eigenvalues)
    np.testing.assert_allclose(s.error, EPS * (ABSOLUTE * x[-1] + 4 * 30**0.5 * x), rtol=1e-12)
    s = rmt.spectrum(W, "svd")
    size = np.sqrt(np.asarray(s.eigenvalues) * 30)
    ds = EPS * (8 * size[-1] + 2 * 30**0.5 * size)
    np.testing.assert_allclose(s.error, (2 * size + ds) * ds / 30, rtol=1e-12)


@pytest.mark.parametrize("method", DENSE)
def test_scale_moves_every_eigenvalue_and_error_by_its_square(method):
    W = np.random.default_rng(1).standard_normal((90, 70))
    s = rmt.spectrum(W, method)
    for c in (3.0, 2.0**500, 2.0**-500):
        scaled = rmt.spectrum(c * W, method)
        assert int(scaled.route) == int(s.route)
        np.testing.assert_allclose(scaled.eigenvalues, c * c * s.eigenvalues, rtol=1e-12)
        np.testing.assert_allclose(scaled.error, c * c * s.error, rtol=1e-9)


@pytest.mark.parametrize("method", DENSE)
def test_vmap_equals_loop_bit_for_bit(method):
    W = np.stack([matrix(i, e, (80, 70)) for i, e in enumerate(["mu=0.5", "Gaussian", "mu=2", "mu=1"])])
    batch = jax.vmap(lambda W: rmt.spectrum(W, method))(W)
    assert (batch.N, batch.M, batch.rank.shape) == (80, 70, (4,))
    for i in range(4):
        one = rmt.spectrum(W[i], method)
        np.testing.assert_array_equal(batch.eigenvalues[i], one.eigenvalues)
        np.testing.assert_array_equal(batch.error[i], one.error)
        assert int(batch.route[i]) == int(one.route)
    np.testing.assert_array_equal(
        jax.vmap(jax.vmap(lambda W: rmt.spectrum(W, method).eigenvalues))(W.reshape(2, 2, 80, 70)).reshape(4, 70),
        batch.eigenvalues,
    )
    np.testing.assert_array_equal(jax.lax.map(lambda W: rmt.spectrum(W, method).eigenvalues, W), batch.eigenvalues)


@pytest.mark.parametrize("method", DENSE)
def test_float32_is_kept_and_held_to_its_own_bound(method):
    for entries in ENTRIES:
        W = matrix(4, entries, (30, 15)).astype(np.float32)
        s, truth = rmt.spectrum(W, method), exact(W.astype(float))
        assert s.eigenvalues.dtype == s.error.dtype == np.float32
        assert (np.abs(s.eigenvalues - truth) <= s.error).all(), entries


def test_dtypes_of_other_numbers():
    assert rmt.spectrum(np.eye(3, 2, dtype=int)).eigenvalues.dtype == np.float64
    assert rmt.spectrum(np.eye(3, 2, dtype=np.float16)).eigenvalues.dtype == np.float32
    assert rmt.spectrum(jnp.eye(3, 2, dtype=jnp.bfloat16)).eigenvalues.dtype == np.float32


@pytest.mark.parametrize("method", DENSE)
def test_rank_collapse_is_seen_and_left_out_of_the_fit(method):
    W = matrix(5, "mu=2", (60, 20)) @ matrix(6, "Gaussian", (20, 40))
    s = rmt.spectrum(W, method)
    assert int(s.rank) == int(jnp.sum(s.resolved)) == 20
    assert 0 < float(s.floor) < float(s.eigenvalues[20])
    fit = rmt.fit_tail(s)
    assert int(fit.status) == rmt.Status.RANK_COLLAPSE
    assert float(fit.xmin) > float(s.floor)
    assert int(rmt.spectrum(W).route) == rmt.Route.SVD


def test_a_fit_leaves_out_what_the_route_does_not_resolve():
    x = np.geomspace(1e-12, 1, 40)
    assert int(rmt.fit_tail(rmt.Spectrum(x, N=80)).status) != rmt.Status.RANK_COLLAPSE
    s = rmt.Spectrum(x, N=80, error=np.full(40, 1e-6))
    fit = rmt.fit_tail(s)
    assert int(fit.status) == rmt.Status.RANK_COLLAPSE
    assert float(fit.xmin) > 1e-6
    assert int(s.rank) == np.sum(x > 1e-6)
    batch = rmt.fit_tail(rmt.Spectrum(np.stack([x, x]), 80, np.stack([np.full(40, 1e-6), np.zeros(40)])))
    assert [int(v) == rmt.Status.RANK_COLLAPSE for v in batch.status] == [True, False]


@pytest.mark.parametrize("method", DENSE)
def test_the_zero_matrix_has_rank_zero(method):
    s = rmt.spectrum(np.zeros((20, 12)), method)
    assert int(s.rank) == 0
    assert (np.asarray(s.eigenvalues) == 0).all()
    assert int(rmt.fit_tail(s).status) in (rmt.Status.TOO_FEW, rmt.Status.NON_POSITIVE)


@pytest.mark.parametrize("method", [*DENSE, "top"])
def test_one_bad_entry_makes_the_spectrum_nan_and_the_fit_says_so(method):
    for bad in (np.inf, np.nan):
        W = np.random.default_rng(2).standard_normal((30, 20))
        W[3, 4] = bad
        s = rmt.spectrum(W, method, k=12 if method == "top" else None)
        assert np.isnan(s.eigenvalues).all()
        assert np.isnan(s.error).all()
        assert int(s.rank) == 0
        assert int(rmt.fit_tail(s).status) == rmt.Status.NON_FINITE


@pytest.mark.slow
@pytest.mark.parametrize("method", ["svd", "gram", "auto", "top"])
def test_the_gradient_is_that_of_the_trace(method):
    """The eigenvalues of W^T W / N sum to ||W||_F^2 / N, whose gradient is 2 W / N."""
    W = jax.random.normal(jax.random.key(3), (12, 8))
    k = 8 if method == "top" else None
    total = jax.grad(lambda W: rmt.spectrum(W, method, k=k).eigenvalues.sum())(W)
    np.testing.assert_allclose(total, 2 * W / 12, atol=1e-13)
    V = np.asarray(jax.random.normal(jax.random.key(4), (12, 8)))
    _, slope = jax.jvp(lambda W: rmt.spectrum(W, method, k=k).eigenvalues, (W,), (jnp.asarray(V),))
    ends = [np.linalg.svd(W + h * V, compute_uv=False)[::-1] ** 2 / 12 for h in (1e-6, -1e-6)]
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-8)


def graded(seed: int, M: int, size: float) -> rmt.Bidiagonal:
    """Entries over many decades."""
    rng = np.random.default_rng(seed)
    return rmt.Bidiagonal(np.exp(size * rng.normal(size=M)), np.exp(size * rng.normal(size=M - 1)), M)


def singular(B: rmt.Bidiagonal, digits: int = 40) -> np.ndarray:
    """s^2 / N by mpmath."""
    with mpmath.workdps(digits):
        values = mpmath.svd_r(mpmath.matrix(np.asarray(B.matrix).tolist()), compute_uv=False)
        return np.array([float(v**2 / B.N) for v in sorted(values)])


@pytest.mark.parametrize(
    ("B", "digits"),
    [(wishart(0, 24, 12), 40), (wishart(1, 12, 12), 40), (wishart(2, 3, 1), 40), (graded(3, 12, 20.0), 300)],
)
def test_bidiagonal_matrices_have_every_eigenvalue_to_high_relative_accuracy(B, digits):
    s, truth = rmt.spectrum(B), singular(B, digits)
    assert int(s.route) == rmt.Route.BIDIAGONAL
    assert (s.N, s.M, int(s.rank)) == (B.N, B.M, B.M)
    assert (np.asarray(s.error) <= EPS * (17 + 4 * B.M**0.5) * truth).all()
    assert (np.abs(s.eigenvalues - truth) <= s.error).all()


def test_bidiagonal_and_dense_spectra_of_one_matrix_agree():
    for N, M in ((300, 300), (400, 200)):
        B = wishart(5, N, M)
        s, dense = rmt.spectrum(B), rmt.spectrum(np.vstack([B.matrix, np.zeros((N - M, M))]), "svd")
        assert (np.abs(s.eigenvalues - dense.eigenvalues) <= s.error + dense.error).all()


@pytest.mark.slow
def test_bidiagonal_matrices_of_every_kind():
    """Repeated, clustered, vanishing and signed entries; batches; float32; gradients."""
    ones = rmt.spectrum(rmt.Bidiagonal(np.full(40, 2.0), np.zeros(39), 40))
    np.testing.assert_allclose(ones.eigenvalues, 0.1, rtol=1e-14)
    hole = rmt.Bidiagonal(np.r_[1.0, 0.0, np.ones(8)], np.ones(9), 10)
    s = rmt.spectrum(hole)
    dense = np.linalg.svd(np.asarray(hole.matrix), compute_uv=False)[::-1] ** 2 / 10
    np.testing.assert_allclose(s.eigenvalues, dense, rtol=1e-12, atol=1e-16)
    assert int(s.rank) == 9
    wilkinson = rmt.Bidiagonal(np.abs(np.arange(-10, 11)) + 1e-3, np.full(20, 1e-3), 21)
    s, truth = rmt.spectrum(wilkinson), singular(wilkinson)
    assert (np.abs(s.eigenvalues - truth) <= s.error).all()
    signed = rmt.Bidiagonal(-wilkinson.diagonal, wilkinson.offdiagonal * (-1) ** np.arange(20), 21)
    np.testing.assert_array_equal(rmt.spectrum(signed).eigenvalues, s.eigenvalues)

    rows = [wishart(seed, 40, 30) for seed in range(3)]
    batch = jax.vmap(rmt.spectrum)(jax.tree.map(lambda *a: jnp.stack(a), *rows))
    for i, B in enumerate(rows):
        np.testing.assert_array_equal(batch.eigenvalues[i], rmt.spectrum(B).eigenvalues)
    single = rmt.Bidiagonal(rows[0].diagonal.astype(np.float32), rows[0].offdiagonal.astype(np.float32), 40)
    s = rmt.spectrum(single)
    assert s.eigenvalues.dtype == np.float32
    assert (np.abs(s.eigenvalues - singular(single)) <= s.error).all()

    slope = jax.grad(lambda B: rmt.spectrum(B).eigenvalues.sum())(rows[0])
    np.testing.assert_allclose(slope.diagonal, 2 * rows[0].diagonal / 40, rtol=1e-12)
    broken = rmt.Bidiagonal(np.r_[np.nan, np.ones(9)], np.ones(9), 10)
    assert np.isnan(rmt.spectrum(broken).eigenvalues).all()


@pytest.mark.slow
@pytest.mark.parametrize("entries", ENTRIES)
@pytest.mark.parametrize("k", [1, 5, 40])
def test_the_top_agrees_with_all_eigenvalues_within_its_error(entries, k):
    W = matrix(7, entries, (120, 80))
    top, every = rmt.spectrum(W, "top", k=k, rtol=1e-10), rmt.spectrum(W, "svd")
    assert (top.N, top.M, top.Q, top.complete, every.complete) == (120, 80, 1.5, False, True)
    assert int(top.route) == rmt.Route.TOP
    assert top.eigenvalues.shape == top.error.shape == (k,)
    assert (np.abs(top.eigenvalues - every.eigenvalues[-k:]) <= top.error + every.error[-k:]).all()
    floor = EPS * (ABSOLUTE + 4 * 120**0.5) * every.lambda_max
    assert (top.error <= 1e-10 * top.eigenvalues + floor).all()
    batch = jax.vmap(lambda W: rmt.spectrum(W, "top", k=k, rtol=1e-10))(jnp.stack([W, W]))
    np.testing.assert_array_equal(batch.eigenvalues[1], top.eigenvalues)


def test_the_top_has_repeated_eigenvalues_as_often_as_they_occur():
    W = np.diag(np.r_[np.ones(30), 2.0, 3.0, 3.0, 3.0])
    s = rmt.spectrum(W, "top", k=6)
    np.testing.assert_allclose(s.eigenvalues * 34, [1, 1, 4, 9, 9, 9], rtol=1e-12)


def test_a_top_that_does_not_converge_says_so_in_its_error():
    # Singular values 10^-5 apart at the edge: 110 steps of Lanczos cannot tell them apart.
    x = 1 - 1e-5 * np.arange(1500)
    s = rmt.spectrum(np.diag(np.sqrt(x * 1500)), "top", k=1, rtol=1e-12)
    assert float(s.error[0]) > 1e-12
    assert np.abs(float(s.eigenvalues[0]) - x).min() <= float(s.error[0])


def test_metrics_of_the_whole_refuse_a_part():
    s = rmt.spectrum(matrix(8, "mu=1", (60, 40)), "top", k=12)
    assert float(rmt.metrics.log_spectral_norm(s)) == pytest.approx(np.log10(60 * float(s.lambda_max)))
    for metric in (rmt.metrics.stable_rank, rmt.metrics.log_frobenius_norm, rmt.metrics.entropy):
        with pytest.raises(ValueError, match="all M = 40 eigenvalues, got the largest 12"):
            metric(s)
    assert int(rmt.fit_tail(s).n_tail) <= 12
    assert np.isnan(rmt.diagnose(s).lambda_plus)


@pytest.mark.parametrize(
    ("W", "words"),
    [
        (np.ones((3, 5)), r"N >= M, got \(3, 5\); pass W.T"),
        (np.ones(3), r"2-D matrix, got shape \(3,\)"),
        (np.ones((2, 3, 2)), "jax.vmap"),
        (np.ones((3, 2)) * 1j, "real matrix"),
        (np.ones((3, 0)), "at least one column"),
    ],
)
def test_wrong_shapes_say_what_to_do(W, words):
    with pytest.raises(ValueError, match=words):
        rmt.spectrum(W)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "qr"}, "'auto', 'svd', 'gram', 'bidiagonal', 'top', got 'qr'"),
        ({"rtol": 0.0}, "between 0 and 1"),
        ({"rtol": np.nan}, "between 0 and 1"),
        ({"k": 2}, 'method="top"'),
        ({"method": "top"}, 'method="top"'),
        ({"method": "top", "k": 0}, "positive number"),
        ({"method": "top", "k": 2.5}, "positive number"),
        ({"method": "top", "k": 3}, "at most M = 2"),
        ({"method": "bidiagonal"}, "needs a rmt.spectra.Bidiagonal"),
    ],
)
def test_wrong_options_name_the_right_ones(options, words):
    with pytest.raises(ValueError, match=words):
        rmt.spectrum(np.eye(3, 2), **options)


def test_wrong_spectra_and_bidiagonal_matrices_say_so():
    B = wishart(0, 5, 3)
    with pytest.raises(ValueError, match=r"dense \.matrix"):
        rmt.spectrum(B, "svd")
    for diagonal, offdiagonal, N in ((np.ones(3), np.ones(3), 5), (np.ones((3, 1)), np.ones(2), 5), ([], [], 5)):
        with pytest.raises(ValueError, match="M >= 1 and M - 1 numbers, got shapes"):
            rmt.Bidiagonal(diagonal, offdiagonal, N)
    with pytest.raises(ValueError, match="N >= M = 3 rows, got 2"):
        rmt.Bidiagonal(np.ones(3), np.ones(2), 2)
    with pytest.raises(ValueError, match="real numbers"):
        rmt.Bidiagonal(np.ones(3) * 1j, np.ones(2), 3)
    with pytest.raises(ValueError, match="3 eigenvalues <= M <= N = 5, got 2"):
        rmt.Spectrum(np.ones(3), N=5, M=2)


def test_the_inverse_spectrum_has_inverse_eigenvalues_and_a_bound_that_holds():
    """X^-1 of a square matrix: its eigenvalues are those of (W^T W / N)^-1, and no error is forgotten."""
    s = rmt.spectrum(jnp.diag(jnp.array([1.0, 2.0, 3.0])))
    np.testing.assert_allclose(s.inverse().eigenvalues, 3 / np.array([9.0, 4.0, 1.0]), rtol=1e-14)
    rough = rmt.Spectrum(jnp.array([1.0, 2.0]), 2, jnp.array([1.0, 1.0]), jnp.asarray(0)).inverse()
    assert float(1 / (2.0 - 1.0) - rough.eigenvalues[0]) <= float(rough.error[0])
    assert np.isinf(rough.error[1])
    with pytest.raises(ValueError, match="all M = 9 eigenvalues, got 2"):
        rmt.Spectrum(jnp.ones(2), 9, M=9).inverse()


@pytest.mark.parametrize("entries", [rmt.Gaussian(), rmt.Pareto(1.0), rmt.Pareto(4.0)])
def test_the_shape_alone_rules_out_only_what_the_matrix_would(entries):
    """Where the Gram route would be tried, its shape allows it; and large square matrices are refused by shape, for nothing."""
    assert not gram_may_do(1000, 1000, EPS, 1e-6)
    assert gram_may_do(2000, 1000, EPS, 1e-6)
    for N, M in [(40, 40), (60, 40), (44, 40)]:
        W = entries.sample(jax.random.key(N), (N, M))
        for rtol in 10.0 ** np.arange(-12, 0):
            assert gram_may_do(N, M, EPS, rtol) or not gram_will_do(W, rtol)
