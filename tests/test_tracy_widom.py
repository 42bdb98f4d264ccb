"""Tracy-Widom against its published moments, Fredholm determinants, and simulated largest eigenvalues."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from scipy import special, stats

import rmt

REFERENCE = json.loads((Path(__file__).parent / "reference" / "tracy_widom.json").read_text())

# F. Bornemann, Math. Comp. 79 (2010) 871, Table 5: mean, variance, skewness, excess kurtosis
MOMENTS = {
    1: (-1.2065335745820, 1.607781034581, 0.29346452408, 0.1652429384),
    2: (-1.771086807411, 0.8131947928329, 0.224084203610, 0.0934480876),
    4: (-2.306884893241, 0.5177237207726, 0.16550949435, 0.0491951565),
}
SCALE = {1: 1.0, 2: 1.0, 4: np.sqrt(2)}  # from the argument of F to that of the determinants
each_beta = pytest.mark.parametrize("beta", MOMENTS)


def determinant(kernel, low: float, length: float, n: int = 60) -> float:
    """det(1 - K) on (low, low + length) in double precision."""
    nodes, weights = leggauss(n)
    x, root = low + length * (nodes + 1) / 2, np.sqrt(length * weights / 2)
    return np.linalg.det(np.eye(n) - root[:, None] * kernel(x[:, None], x[None, :]) * root)


def airy_kernel(x, y):
    (a, da, *_), (b, db, *_) = special.airy(x), special.airy(y)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(x == y, da * db - x * a * b, (a * db - da * b) / (x - y))


@each_beta
def test_table_gives_the_reference_values(beta):
    rows = [row for row in REFERENCE if row["beta"] == beta]
    s, cdf, sf = (np.array([float(row[name]) for row in rows]) for name in ("s", "cdf", "sf"))
    law = rmt.TracyWidom(beta=beta)
    np.testing.assert_allclose(law.cdf(s), cdf, rtol=1e-13)
    np.testing.assert_allclose(law.sf(s), sf, rtol=1e-9)
    inside = (SCALE[beta] * s > -8) & (SCALE[beta] * s < 9)
    np.testing.assert_allclose(law.sf(s)[inside], sf[inside], rtol=1e-13)


def test_reference_values_agree_between_rules_and_between_kernels():
    assert max(row["rule_error"] for row in REFERENCE) < 1e-9
    assert max(row.get("kernel_error", 0) for row in REFERENCE) < 1e-9


def test_distribution_is_the_fredholm_determinant():
    for s in (-6.0, -3.3, -1.0, 0.5, 2.5):
        real = determinant(lambda x, y, s=s: special.airy((x + y) / 2 + s)[0] / 2, 0, 2 * (14 - s))
        other = determinant(lambda x, y, s=s: -special.airy((x + y) / 2 + s)[0] / 2, 0, 2 * (14 - s))
        np.testing.assert_allclose(rmt.TracyWidom(beta=1).cdf(s), real, atol=1e-13)
        np.testing.assert_allclose(rmt.TracyWidom(beta=4).cdf(s / np.sqrt(2)), (real + other) / 2, atol=1e-13)
        np.testing.assert_allclose(rmt.TracyWidom(beta=2).cdf(s), determinant(airy_kernel, s, 14 - s), atol=1e-13)


@each_beta
def test_density_has_the_published_moments(beta):
    law = rmt.TracyWidom(beta=beta)
    nodes, weights = leggauss(400)
    s, ds = -10 + 26 * (nodes + 1) / 2, 13 * weights
    mass = ds * np.asarray(law.pdf(s))
    mean = mass @ s
    var, third, fourth = (mass @ (s - mean) ** k for k in (2, 3, 4))
    found = (mean, var, third / var**1.5, fourth / var**2 - 3)
    np.testing.assert_allclose(mass.sum(), 1, rtol=1e-13)
    np.testing.assert_allclose(found, MOMENTS[beta], atol=1e-10)  # the last printed digit
    np.testing.assert_allclose(found[:2], MOMENTS[beta][:2], rtol=1e-12)
    np.testing.assert_allclose((law.mean, law.var), MOMENTS[beta][:2], rtol=1e-12)
    named = (law.mean, law.var, law.skewness, law.excess_kurtosis)
    np.testing.assert_allclose(named, found, rtol=1e-10)


@each_beta
def test_pieces_join_smoothly(beta):
    """Both ends of the table, its middle and its inner joints: no jump in the log of a tail, nor in the density."""
    law = rmt.TracyWidom(beta=beta)
    edge = -10 / SCALE[beta]
    joints = np.arange(-8.0, 13.0, 2.0) / SCALE[beta]
    for function in (law.logpdf, lambda s: jnp.log(law.cdf(s)), lambda s: jnp.log(law.sf(s))):
        np.testing.assert_allclose(function(joints - 1e-12), function(joints + 1e-12), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(law.cdf(np.array([-1e-300, -1e-17, 0, 1e-17])), law.cdf(0.0), rtol=1e-14)
    np.testing.assert_allclose(jnp.log(law.cdf(edge - 1e-12)), jnp.log(law.cdf(edge + 1e-12)), rtol=1e-12)
    np.testing.assert_allclose(law.pdf(edge - 1e-12), law.pdf(edge + 1e-12), rtol=1e-2)


@each_beta
def test_far_tails_stay_finite_and_fall(beta):
    law = rmt.TracyWidom(beta=beta)
    s = np.array([-60.0, -20.0, -12.0, 14.0, 30.0, 50.0])
    assert np.isfinite(law.logpdf(s)).all()
    assert (np.diff(law.logpdf(s)[:3]) > 0).all()
    assert (np.diff(law.logpdf(s)[3:]) < 0).all()
    assert law.sf(45.0) > 0
    np.testing.assert_allclose(law.sf(law.ppf(1 - 2.0**-40)), 2.0**-40, rtol=1e-3)
    np.testing.assert_allclose(law.cdf(law.ppf(1e-40)), 1e-40, rtol=1e-9)


def test_centre_and_scale():
    centre, scale = rmt.johnstone(10, 4)  # a = 3, b = 2
    np.testing.assert_allclose((centre, scale), (25, 5 * (5 / 6) ** (1 / 3)), rtol=1e-14)
    centre, scale = rmt.laws.ma(4.75 - 2.0, 1.5)  # a = 3/2, b = 1
    np.testing.assert_allclose((centre, scale), (6.25, 2.5 * (5 / 3) ** (1 / 3)), rtol=1e-14)
    with pytest.raises(ValueError, match=r"johnstone\(N, M\) needs N >= 2"):
        rmt.johnstone(1, 1)


def largest_eigenvalues(shape: tuple[int, int], n: int) -> np.ndarray:
    """lambda_max of W^T W for n Gaussian matrices."""
    matrix = rmt.IID(rmt.Gaussian())
    W = jax.vmap(lambda key: matrix.sample(key, shape))(jax.random.split(jax.random.key(1), n))
    return np.linalg.svd(np.asarray(W), compute_uv=False)[:, 0] ** 2


def test_largest_eigenvalue_of_a_gaussian_matrix_follows_the_law():
    centre, scale = rmt.johnstone(80, 40)
    top = (largest_eigenvalues((80, 40), 2000) - centre) / scale
    assert stats.kstest(top, lambda s: np.asarray(rmt.TracyWidom(beta=1).cdf(s))).pvalue > 1e-2
    assert stats.kstest(top, lambda s: np.asarray(rmt.TracyWidom(beta=2).cdf(s))).pvalue < 1e-10


@pytest.mark.slow
def test_largest_eigenvalue_of_a_quaternion_matrix_follows_the_law_of_beta_4():
    """N x M quaternions as 2N x 2M complex numbers; mean square 1, Ma's constants with N + 1/4, and 2^(1/6)."""
    N, M, n = 60, 30, 1500
    a, b, c, d = np.asarray(rmt.Gaussian(sigma=0.5).sample(jax.random.key(6), (4, n, N, M)))
    W = np.block([[a + 1j * b, c + 1j * d], [-c + 1j * d, a - 1j * b]])
    top = np.array([np.linalg.eigvalsh(w.conj().T @ w)[-1] for w in W])
    centre, scale = rmt.laws.ma(N + 0.75, M + 0.75)
    s = (top - centre) / scale * 2 ** (1 / 6)
    assert stats.kstest(s, lambda s: np.asarray(rmt.TracyWidom(beta=4).cdf(s))).pvalue > 1e-2
    for beta in (1, 2):
        assert stats.kstest(s, lambda s, beta=beta: np.asarray(rmt.TracyWidom(beta).cdf(s))).pvalue < 1e-10


def test_second_order_constants_are_better_in_the_upper_tail():
    """At 20 x 10 Ma's constants put the right share of draws above each high quantile, Johnstone's a tenth too few."""
    top = largest_eigenvalues((20, 10), 20_000)

    def share_above(constants, q: float) -> float:
        centre, scale = constants(20, 10)
        return float((top > centre + scale * rmt.TracyWidom(beta=1).ppf(1 - q)).mean()) / q

    for q in (0.1, 0.05):
        error = 1 / np.sqrt(q * len(top))
        assert abs(share_above(rmt.laws.ma, q) - 1) < 0.05 + 3 * error
        assert share_above(rmt.johnstone, q) < 1 - 0.1 + 3 * error
        assert share_above(rmt.laws.ma, q) > share_above(rmt.johnstone, q) + 0.03
