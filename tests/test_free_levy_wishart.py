"""The free Levy-Wishart law: its equation in many digits, one law in all its pieces, and the tail of its largest values."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from rmt.laws import FreeLevyWishart

CASES = [(0.5, 1.0), (1.0, 2.0), (1.5, 5.0)]
every_case = pytest.mark.parametrize(("mu", "Q"), CASES)


@every_case
def test_density_solves_the_equation_in_many_digits(mu, Q):
    """lambda = -(1 - T)(1 - T/Q)(D/T)^(1/s) at the T that the density and the Stieltjes transform make."""
    law = FreeLevyWishart(mu, Q)
    x = np.asarray(law.ppf(np.array([0.05, 0.5, 0.95])))
    pdf = np.asarray(law.pdf(x))
    with mpmath.workdps(30):
        s = mpmath.mpf(mu) / 2
        D = mpmath.pi * s / mpmath.sin(mpmath.pi * s)
        for lam, density in zip(map(float, x), map(float, pdf), strict=True):

            def equation(T, lam=lam):
                return mpmath.log((T - 1) * (1 - T / Q)) + (mpmath.log(D) - mpmath.log(T)) / s - mpmath.log(lam)

            im = mpmath.pi * lam * density
            _, best = min((mpmath.fabs(equation(mpmath.mpc(re, im))), re) for re in mpmath.linspace(-3, 5, 800))
            T = mpmath.findroot(equation, mpmath.mpc(best, im), tol=1e-40)
            assert float(T.imag / (mpmath.pi * lam)) == pytest.approx(density, rel=1e-9)


@every_case
def test_pieces_are_one_law(mu, Q):
    law = FreeLevyWishart(mu, Q, scale=3.0)
    q = np.array([1e-3, 0.2, 0.5, 0.9, 0.999])
    x = law.ppf(q)
    np.testing.assert_allclose(law.cdf(x), q, rtol=1e-9)
    np.testing.assert_allclose(jax.vmap(jax.grad(law.cdf))(x), law.pdf(x), rtol=1e-7)
    np.testing.assert_allclose(law.sf(law.isf(1 - q)), 1 - q, rtol=1e-9)
    assert law.cdf(law.lambda_minus) == pytest.approx(0, abs=1e-12)
    far = law.isf(1e-14)
    np.testing.assert_allclose(law.sf(far) * far ** (mu / 2), 3.0 ** (mu / 2), rtol=1e-3)


def test_parameters_out_of_range():
    for arguments, words in (((2.0, 1.0), "mu < 2"), ((1.0, 0.5), "Q"), ((1.0, 2.0, -1.0), "scale")):
        with pytest.raises(ValueError, match=words):
            FreeLevyWishart(*arguments)
    assert jnp.isinf(FreeLevyWishart(1.0).mean)
