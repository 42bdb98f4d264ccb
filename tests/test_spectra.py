"""Eigenvalues of W^T W / N against mpmath and closed forms."""

import jax
import mpmath
import numpy as np
import pytest

import rmt


def test_eigenvalues_of_a_known_matrix():
    s = rmt.spectrum(np.array([[3.0, 0], [0, 4], [0, 0]]))
    np.testing.assert_allclose(s.eigenvalues, [3, 16 / 3], rtol=1e-15)
    assert (s.N, s.M, s.Q) == (3, 2, 1.5)
    assert float(s.lambda_max) == pytest.approx(16 / 3)


def test_heavy_tailed_eigenvalues_agree_with_mpmath_where_the_gram_matrix_fails():
    rng = np.random.default_rng(0)
    W = np.exp(rng.exponential(size=(30, 15)) / 0.4) * rng.choice([-1.0, 1.0], (30, 15))
    with mpmath.workdps(60):
        X = mpmath.matrix(W.tolist())
        exact = np.array([float(v) for v in sorted(mpmath.eigsy(X.T * X / 30, eigvals_only=True))])
    error = np.abs(np.asarray(rmt.spectrum(W).eigenvalues) / exact - 1)
    promised = np.finfo(float).eps * np.sqrt(exact[-1] / exact)
    assert (error < 16 * promised).all()
    gram = np.abs(np.linalg.eigvalsh(W.T @ W / 30) / exact - 1)
    assert gram.max() > 100 * error.max()  # what the SVD is for


def test_scale_moves_every_eigenvalue_by_its_square():
    W = np.random.default_rng(1).standard_normal((30, 20))
    np.testing.assert_allclose(rmt.spectrum(3 * W).eigenvalues, 9 * rmt.spectrum(W).eigenvalues, rtol=1e-12)


def test_vmap_equals_loop():
    W = jax.random.normal(jax.random.key(0), (4, 30, 20))
    batch = jax.vmap(rmt.spectrum)(W)
    assert (batch.N, batch.M) == (30, 20)
    for i in range(4):
        np.testing.assert_allclose(batch.eigenvalues[i], rmt.spectrum(W[i]).eigenvalues, rtol=1e-13)


def test_dtype_is_kept_and_integers_become_float64():
    assert rmt.spectrum(np.ones((3, 2), np.float32)).eigenvalues.dtype == np.float32
    assert rmt.spectrum(np.eye(3, 2, dtype=int)).eigenvalues.dtype == np.float64


def test_one_bad_entry_makes_the_spectrum_nan_and_the_fit_says_so():
    W = np.random.default_rng(2).standard_normal((30, 20))
    W[3, 4] = np.inf
    s = rmt.spectrum(W)
    assert np.isnan(s.eigenvalues).all()
    assert int(rmt.fit_tail(s).status) == rmt.Status.NON_FINITE


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
