"""The free Levy-Wishart law against its defining equation in many digits, and against rotationally invariant matrices."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from conftest import slow
from scipy import stats

from rmt.laws import FreeLevyWishart, LevyWishart

each_case = pytest.mark.parametrize(("mu", "Q"), [(1.0, 1.0), (1.5, 2.0), slow(0.5, 5.0), slow(1.9, 1.2)])


def in_digits(mu, Q, x):
    """pdf and sf from T(x): the root of the equation followed down from large lambda, where T ~ D (-lambda)^-s."""
    with mpmath.workdps(50):
        s, Q, x = mpmath.mpf(mu) / 2, mpmath.mpf(Q), mpmath.mpf(x)
        D = mpmath.pi * s / mpmath.sin(mpmath.pi * s)
        at = max(x, mpmath.mpf(1)) * mpmath.mpf(10) ** (6 / s)
        T = D * at**-s * mpmath.expjpi(s)
        while True:

            def residual(T, at=at):
                return (
                    mpmath.log(1 - T) + mpmath.log(1 - T / Q) + mpmath.log(D / T) / s + 1j * mpmath.pi - mpmath.log(at)
                )

            T = mpmath.findroot(residual, (T, T * mpmath.mpf("1.001")), tol=1e-80)
            if at == x:
                sf = ((1 / s - 2) * T - mpmath.log(1 - T) - Q * mpmath.log(1 - T / Q)).imag / mpmath.pi
                return float(T.imag / (mpmath.pi * x)), float(sf)
            at = max(at / mpmath.mpf(2), x)


@each_case
def test_values_solve_the_equation_in_many_digits(mu, Q):
    law = FreeLevyWishart(mu, Q)
    x = np.asarray(law.ppf(np.array([0.05, 0.5, 0.95])))
    pdf, sf = np.array([in_digits(mu, Q, v) for v in x]).T
    np.testing.assert_allclose(law.pdf(x), pdf, rtol=1e-11)
    np.testing.assert_allclose(law.sf(x), sf, rtol=1e-12)


@pytest.mark.slow
@each_case
def test_density_holds_all_the_mass(mu, Q):
    """By the trapezoidal rule along the curve from the edge to infinity: sf is the integral of pdf, not only a formula."""
    law = FreeLevyWishart(mu, Q)
    v = jnp.linspace(-60.0, 60.0, 6001)
    point = jax.vmap(law._curve)(v)
    slope = jax.vmap(jax.grad(lambda v: law._curve(v).log_x))(v)
    mass = point.im_T / jnp.pi * slope * (v[1] - v[0])
    np.testing.assert_allclose(mass.sum(), 1, rtol=1e-11)
    above = jnp.cumsum(mass[::-1])[::-1] - mass / 2
    np.testing.assert_allclose(above[3000], point.sf[3000], rtol=1e-4)


@pytest.mark.slow
@each_case
def test_ends(mu, Q):
    law = FreeLevyWishart(mu, Q, scale=2.0)
    far = law.isf(1e-12)
    np.testing.assert_allclose(law.sf(far) * (far / 2) ** (mu / 2), 1, rtol=1e-8)
    np.testing.assert_allclose(law.pdf(far) * far / law.sf(far), mu / 2, rtol=1e-8)
    assert law.cdf(law.lambda_minus) == 0
    if Q == 1:
        assert law.lambda_minus == 0
        x = np.array([1e-30, 1e-20])
        np.testing.assert_allclose(law.pdf(x[1]) / law.pdf(x[0]), 1e-5, rtol=1e-9)
    else:
        rise = law.pdf(law.lambda_minus * (1 + np.array([1e-8, 1e-6])))
        np.testing.assert_allclose(rise[1] / rise[0], 10, rtol=1e-3)
        np.testing.assert_allclose(law.ppf(1e-12), law.lambda_minus, rtol=1e-5)


@pytest.mark.slow
def test_same_tail_as_iid_entries_but_another_bulk():
    free, entries = FreeLevyWishart(1.5, 2.0), LevyWishart(1.5, 2.0)
    far = 1e16
    np.testing.assert_allclose(free.sf(far), entries.sf(far), rtol=1e-8)
    q = np.linspace(0.01, 0.99, 99)
    assert np.abs(entries.cdf(free.ppf(q)) - q).max() > 0.015


def rotated(mu: float, N: int, M: int, rng: np.random.Generator, chunk: int = 10000) -> np.ndarray:
    """Eigenvalues of W^T W/N for W = sum_ij w_ij u_ij v_ij^T, N M terms in random directions."""
    W = np.zeros((N, M))
    for k in np.diff(np.append(np.arange(0, N * M, chunk), N * M)):
        u, v = rng.standard_normal((N, k)), rng.standard_normal((k, M))
        w = rng.random(k) ** (-1 / mu) / np.linalg.norm(u, axis=0) / np.linalg.norm(v, axis=1)
        W += (u * w) @ v
    return np.linalg.svd(W, compute_uv=False) ** 2 / N


@pytest.mark.slow
@pytest.mark.parametrize(("mu", "Q"), [(1.0, 1), (1.2, 3)])
def test_matrices_of_heavy_terms_in_random_directions(mu, Q):
    N, M = 150, 150 // Q
    rng = np.random.default_rng(5)
    found = np.concatenate([rotated(mu, N, M, rng) for _ in range(8)])
    law, entries = (kind(mu, N / M, N ** (2 / mu - 1)) for kind in (FreeLevyWishart, LevyWishart))
    critical = stats.kstwo.isf(1e-3, found.size)
    assert stats.kstest(found, lambda x: np.asarray(law.cdf(x))).statistic < critical
    assert stats.kstest(found * 1.5, lambda x: np.asarray(law.cdf(x))).statistic > critical
    if Q == 3:  # a gap above 0, which no law of iid entries has
        assert found.min() > 0.8 * law.lambda_minus
        assert entries.cdf(0.8 * law.lambda_minus) > 1e-3


def test_gradients_in_the_parameters():
    def sf(mu, Q):
        return FreeLevyWishart(mu, Q).sf(2.0)

    step = 1e-5
    for k, found in enumerate(jax.grad(sf, (0, 1))(1.2, 2.0)):
        up, down = ([1.2, 2.0], [1.2, 2.0])
        up[k], down[k] = up[k] + step, down[k] - step
        np.testing.assert_allclose(found, (sf(*up) - sf(*down)) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((2.0,), "mu < 2"), ((0.0,), "mu > 0"), ((1.0, 0.9), "pass W.T"), ((1.0, 1.0, 0.0), "scale > 0")],
)
def test_parameters_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        FreeLevyWishart(*arguments)


@pytest.mark.slow
@each_case
def test_pieces_are_one_law(mu, Q):
    law = FreeLevyWishart(mu, Q, scale=3.0)
    q = np.array([1e-9, 1e-3, 0.2, 0.5, 0.9, 0.999])
    x = law.ppf(q)
    np.testing.assert_allclose(law.cdf(x), q, rtol=1e-7)  # the rounding of x beside the edge
    np.testing.assert_allclose(law.cdf(x)[1:], q[1:], rtol=1e-11)
    np.testing.assert_allclose(jax.vmap(jax.grad(law.cdf))(x)[1:], law.pdf(x)[1:], rtol=1e-9)
    np.testing.assert_allclose(law.sf(law.isf(1 - q)), 1 - q, rtol=1e-11)
