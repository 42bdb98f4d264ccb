"""The Levy-Wishart law against the same equations in many digits, closed limits, and simulated spectra."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from conftest import ROOT, slow
from scipy import special, stats

import rmt
from rmt.laws import LevyWishart
from rmt.laws.levy_wishart_solver import moments, table

CASES = [(0.5, 1.0), (0.5, 5.0), (1.0, 1.0), (1.0, 1.1), (1.0, 2.0), (1.5, 1.0), (1.5, 2.0), (1.5, 5.0)]
every_case = pytest.mark.parametrize(("mu", "Q"), CASES)
REFERENCE = json.loads((Path(__file__).parent / "reference" / "levy_wishart.json").read_text())
BENCHMARK = json.loads((Path(__file__).parent / "benchmarks" / "levy_wishart.json").read_text())


@pytest.mark.parametrize("every", [4, slow(1)])
def test_values_of_the_equations_in_many_digits(every):
    for row in REFERENCE[::every]:
        law = LevyWishart(row["mu"], row["Q"], noise=row["noise"])
        np.testing.assert_allclose(law.pdf(row["x"]), float(row["pdf"]), rtol=1e-10)
        np.testing.assert_allclose(law.sf(row["x"]), float(row["sf"]), rtol=1e-11)
    assert min(float(row["sf"]) for row in REFERENCE) < 0.01
    assert len(REFERENCE) > 24
    assert {np.sign(row["noise"]) for row in REFERENCE} == {-1, 0, 1}


def test_lower_tail_keeps_its_relative_accuracy():
    """mu = 1, where g(y) = sqrt(pi) exp(y^2/4) erfc(y/2): down to cdf = 1e-80 the pdf is a remainder in the 100th digit."""
    law = LevyWishart(1.0, 2.0)
    x = np.asarray(law.ppf(np.array([1e-80, 1e-30, 1e-8, 1e-3])))
    with mpmath.workdps(200):

        def g(y):
            return mpmath.sqrt(mpmath.pi) * mpmath.exp(y**2 / 4) * mpmath.erfc(y / 2)

        pdf = []
        for lam in map(mpmath.mpf, map(float, x)):
            K = 1j / mpmath.sqrt(lam)
            v0 = mpmath.findroot(lambda v: 1 - v * g(v) / 2 - mpmath.mpf(1) / 2, 0.8)  # the limit lambda -> 0
            start = K * g(v0)
            y = mpmath.findroot(lambda y, K=K: mpmath.log(y / (K * g(K / 2 * g(y)))), (start, start * (1 + 0.01j)))
            pdf.append(float((y * y * 0 + y * (K / 2 * g(y)) / K).imag / (mpmath.pi * lam)))
    np.testing.assert_allclose(law.pdf(x), pdf, rtol=1e-10)


@pytest.mark.parametrize("s", [0.1, 0.5, 0.75, 0.95])
def test_contour_integrals(s):
    """h = 1 - s y g on the ray where the straight contour overflows for s > 1/2, and the closed form at s = 1/2."""
    size = np.geomspace(1e-6, 1e6, 25)
    for turn in (0.0, 0.5, 1.0):
        y = size * np.exp(1j * np.pi * s * turn)
        g, h, slope = moments(s, y)
        np.testing.assert_allclose(h + s * y * g, 1, rtol=1e-12 / (1 - s))
        np.testing.assert_allclose(g[0] / special.gamma(s), 1, rtol=1e-4)
        np.testing.assert_allclose(s * y[-1] * g[-1], 1, rtol=1e-4)
        assert np.isfinite(slope).all()
        if s == 0.5:
            np.testing.assert_allclose(g, np.sqrt(np.pi) * special.wofz(0.5j * y), rtol=1e-13)


@every_case
def test_mass_is_one(mu, Q):
    """The density integrated from below and from above meets at 1: all the mass is there, from one solution branch."""
    assert abs(table(mu, Q).gap) < 1e-12


@pytest.mark.slow
@every_case
def test_pieces_are_one_law(mu, Q):
    """cdf and ppf are inverse, pdf is the slope of cdf, and nothing jumps at the ends of the table."""
    law, known = LevyWishart(mu, Q), table(mu, Q)
    q = np.array([1e-60, 1e-20, 1e-6, 0.01, 0.2, 0.49, 0.51, 0.8, 0.99, 1 - 1e-9])
    x = law.ppf(q)
    np.testing.assert_allclose(law.cdf(x), q, rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(jax.grad(law.cdf))(x), law.pdf(x), rtol=1e-8)
    np.testing.assert_allclose(jax.vmap(jax.grad(law.ppf))(q) * law.pdf(x), 1, rtol=1e-8)
    p = np.geomspace(1e-40, 0.9, q.size)
    np.testing.assert_allclose(law.sf(law.isf(p)), p, rtol=1e-12)
    for end in known.edges[[0, -1]]:
        around = np.exp((end + np.array([-1e-10, 1e-10])) * 2 / mu)
        for function in (law.logpdf, lambda x: jnp.log(law.cdf(x)), law.logsf):
            np.testing.assert_allclose(*function(around), rtol=1e-7, atol=1e-14)


@pytest.mark.slow
@every_case
def test_tail_constant_does_not_depend_on_Q(mu, Q):
    law = LevyWishart(mu, Q, scale=3.0)
    far = law.isf(1e-12)
    assert law.tail_constant == pytest.approx(3.0 ** (mu / 2), rel=1e-14)
    np.testing.assert_allclose(law.sf(far) * far ** (mu / 2), law.tail_constant, rtol=1e-9)
    np.testing.assert_allclose(law.pdf(far) * far ** (1 + mu / 2), mu / 2 * law.tail_constant, rtol=1e-9)


def test_local_slope_is_far_from_its_limit_where_one_would_look():
    law = LevyWishart(1.5, 2.0)
    slope = law.local_slope(jnp.array([27.0, 1e3, 1e6, 1e12]))
    assert slope[0] == pytest.approx(2.01, abs=0.005)
    assert (jnp.diff(slope) < 0).all()
    assert slope[-1] == pytest.approx(1.75, abs=1e-6)
    around = 27.0 * np.exp([-1e-4, 1e-4])
    by_difference = -np.diff(np.asarray(law.logpdf(around))) / 2e-4
    np.testing.assert_allclose(slope[0], by_difference[0], rtol=1e-6)
    assert np.isnan(law.local_slope(-1.0))


def test_square_matrices_have_a_hard_edge():
    """rho = Gamma(k+1) (s Gamma(s)/Gamma(1-s))^(k/2) lambda^(-1/2)/pi with k = 1/s, from g(y) = 1/(s y) - ..."""
    for mu in (0.5, 1.0, 1.5):
        s = mu / 2
        x = np.array([1e-200, 1e-40])
        ratio = special.gamma(1 / s + 1) * (s * special.gamma(s) / special.gamma(1 - s)) ** (1 / mu) / np.pi
        np.testing.assert_allclose(LevyWishart(mu, 1.0).pdf(x) * np.sqrt(x), ratio, rtol=1e-11)


@pytest.mark.slow
def test_tall_matrices_tend_to_the_stable_law_of_column_norms():
    """Q -> inf: columns become orthogonal, and sum_i w_ij^2/N^2 is the Levy law with E exp(-p x) = exp(-sqrt(pi p))."""
    q = np.array([1e-4, 0.1, 0.5, 0.9, 0.999])
    errors = [
        np.abs(stats.levy(scale=np.pi / 2).cdf(np.asarray(LevyWishart(1.0, Q).ppf(q))) - q).max() for Q in (1e2, 1e4)
    ]
    assert errors[1] < 1e-3
    assert 30 < errors[0] / errors[1] < 300  # first order in 1/Q


@pytest.mark.slow
def test_near_two_it_tends_to_marchenko_pastur():
    """With the variance Gamma(1 - mu/2) of entries cut at N^(1/mu), as mu -> 2, with a tail of mass 2 - mu beside it."""
    q = np.linspace(0.05, 0.95, 19)

    def distance(mu):
        bulk = rmt.MarchenkoPastur(Q=1.0, sigma=float(special.gamma(1 - mu / 2)) ** 0.5)
        return float(np.abs(bulk.cdf(LevyWishart(mu, 1.0).ppf(q)) - q).max())

    near = np.array([distance(mu) for mu in (1.6, 1.8, 1.9)])
    assert (near[1:] < 0.65 * near[:-1]).all()  # halving 2 - mu
    assert near[-1] < 0.07


@pytest.mark.slow
@pytest.mark.parametrize(("mu", "Q"), [(1.0, 1 + 1e-6), (1.8, 1.1), (1.5, 1.1)])
def test_sharp_lower_edges_lose_no_mass(mu, Q):
    """Where the density below the edge is beyond float64, the table ends at a square-root edge."""
    known = table(mu, Q)
    assert abs(known.gap) < 1e-12
    law = LevyWishart(mu, Q)
    edge = float(np.exp(2 / mu * known.edges[0]))
    assert law.cdf(edge * (1 - 1e-3)) == 0
    rise = np.asarray(law.pdf(edge * (1 + np.array([1e-6, 1e-4]))))
    np.testing.assert_allclose(rise[1] / rise[0], 10, rtol=2e-3)


@pytest.mark.slow
def test_every_shape_of_lower_tail_is_solved():
    """From smooth to sharp edges, where the density below the edge is just within float64, or just not."""
    for mu, Q in [
        (1.6, 2.0),
        (1.664, 1.8163),
        (0.755, 1.00018),
        (1.87, 7.5918),
        (0.914, 1.00105),
        (0.3, 1e5),
        (1.9, 50.0),
    ]:
        assert abs(table(mu, Q).gap) < 1e-12, (mu, Q)
        law = LevyWishart(mu, Q)
        q = np.array([1e-3, 0.1, 0.5, 0.999])
        np.testing.assert_allclose(law.cdf(law.ppf(q)), q, rtol=1e-11)


def test_law_of_a_matrix():
    """Its scale; and the noise of Pareto entries, mu/(mu - 2) each, which the matrix times 2 has 4 times."""
    limit = LevyWishart.of_matrix(1.5, 400, 200, constant=2.0, moment=0)
    assert (limit.mu, limit.Q, limit.noise) == (1.5, 2.0, 0.0)
    assert limit.scale == pytest.approx(400 ** (1 / 3) * 2 ** (4 / 3))
    x = np.array([0.5, 2.0, 50.0])
    unit = LevyWishart(1.5, 2.0)
    np.testing.assert_allclose(limit.cdf(x * limit.scale), unit.cdf(x), rtol=1e-13)
    np.testing.assert_allclose(limit.pdf(x * limit.scale) * limit.scale, unit.pdf(x), rtol=1e-13)
    pareto, doubled = LevyWishart.of_matrix(1.5, 400, 200), LevyWishart.of_matrix(1.5, 400, 200, constant=2**1.5)
    assert pareto.noise == pytest.approx(-3 / 400 ** (1 / 3))
    assert doubled.noise == pytest.approx(pareto.noise)
    assert doubled.scale == pytest.approx(4 * pareto.scale)
    student = LevyWishart.of_matrix(1.5, 400, 200, float(rmt.StudentT(1.5).tail_constant), -3)
    assert student.noise * student.scale == pytest.approx(-3)


@pytest.mark.parametrize(
    ("mu", "Q", "noise"),
    [
        (1.5, 1.0, -0.6),
        (1.5, 2.0, 3.0),
        slow(0.5, 1.0, -3e-7),
        slow(1.0, 2.0, -0.01),
        slow(1.5, 5.0, -0.4),
        slow(0.5, 5.0, 0.1),
    ],
)
def test_noise_keeps_the_mass_and_the_tail(mu, Q, noise):
    """Integrated from both ends it meets at 1; far out it is the law without noise; more noise, a larger lower quantile."""
    assert abs(table(mu, Q, noise).gap) < 1e-11
    law, silent = LevyWishart(mu, Q, noise=noise), LevyWishart(mu, Q)
    far = silent.isf(1e-9)
    np.testing.assert_allclose(law.sf(far), 1e-9, rtol=1e-4)
    np.testing.assert_allclose(law.sf(law.isf(1e-9)), 1e-9, rtol=1e-11)
    assert np.sign(law.ppf(0.01) - silent.ppf(0.01)) == np.sign(noise)


def test_much_noise_is_marchenko_pastur():
    """noise -> inf leaves the Gaussian matrix, but for a tail of relative size noise^(-mu/2)."""
    q = np.linspace(0.05, 0.95, 19)
    away = [
        np.abs(rmt.MarchenkoPastur(2.0, noise**0.5).cdf(LevyWishart(1.5, 2.0, noise=noise).ppf(q)) - q).max()
        for noise in (1e3, 1e5)
    ]
    assert away[1] < 1e-3
    np.testing.assert_allclose(away[0] / away[1], 100**0.75, rtol=0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2.0, 1.0), "0.2 <= mu <= 1.9.*MarchenkoPastur"),
        ((0.1, 1.0), "0.2 <= mu <= 1.9"),
        ((1.0, 0.5), "pass W.T"),
        ((1.0, 1e7), "Q <= 1e\\+06"),
        ((1.0, 2.0, -1.0), "scale > 0"),
        ((np.ones(2), 2.0), "Python numbers"),
        ((1.0, 2.0, 1.0, np.inf), "must be finite"),
        ((1.5, 2.0, 1.0, -5.0), "too far below 0.*moment=0"),
    ],
)
def test_parameters_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        LevyWishart(*arguments)


def test_a_traced_parameter_is_refused():
    with pytest.raises(ValueError, match="Python numbers"):
        jax.jit(lambda mu: LevyWishart(mu, 1.0).mean)(1.0)


def eigenvalues(mu: float, shape: tuple[int, int], n: int, seed: int = 0) -> np.ndarray:
    """Of W^T W/N for n matrices of signed Pareto entries, (n, M)."""
    keys = jax.random.split(jax.random.key(seed), n)
    W = jax.vmap(lambda key: rmt.IID(rmt.Pareto(mu)).sample(key, shape))(keys)
    return np.linalg.svd(np.asarray(W), compute_uv=False) ** 2 / shape[0]


@pytest.mark.slow
@pytest.mark.parametrize(("mu", "Q"), [(0.5, 1), (1.0, 2), (1.5, 2), (1.5, 5)])
def test_simulated_spectra_follow_the_law(mu, Q):
    """KS below the 0.1 % level of as many independent values."""
    found = eigenvalues(mu, (200, 200 // Q), 10)
    law = LevyWishart.of_matrix(mu, 200, 200 // Q)
    gap = stats.kstest(found.ravel(), lambda x: np.asarray(law.cdf(x))).statistic
    assert gap < stats.kstwo.isf(1e-3, found.size)
    wrong = stats.kstest(found.ravel() * 2 ** (2 / mu), lambda x: np.asarray(law.cdf(x))).statistic
    assert wrong > stats.kstwo.isf(1e-3, found.size)


def z(rows: list[dict]) -> np.ndarray:
    return np.abs([row["z"] for row in rows])


def rows(N: int, entries: str, law: str, mu: float) -> list[dict]:
    cell = (N, entries, law, mu)
    found = [row for row in BENCHMARK["cells"] if (row["N"], row["entries"], row["law"], row["mu"]) == cell]
    assert len(found) == 3
    return found


@pytest.mark.parametrize(
    ("entries", "law", "mu"),
    [
        ("pareto", "finite N", 0.5),
        ("pareto", "finite N", 1.0),
        ("pareto", "finite N", 1.5),
        ("pareto", "finite N", 1.7),
        ("student t", "finite N", 1.5),
        ("stable", "limit", 1.5),
        ("smoothed", "limit", 1.5),
    ],
)
def test_bins_of_the_benchmark_hold(entries, law, mu):
    """Within 3 standard errors, but for what chance allows 36 bins, at Q = 1, 2 and 5."""
    large = z(rows(max(BENCHMARK["sizes"]), entries, law, mu))
    assert (large > 3).sum() <= 2
    assert np.sqrt((large**2).mean()) < 1.4


def test_the_limit_alone_is_slow_for_pareto_entries():
    """mu = 1.5: many standard errors off even at N = 800, by a bias that falls as N^(1 - 2/mu) = N^(-1/3)."""
    small, large = (rows(N, "pareto", "limit", 1.5) for N in sorted(BENCHMARK["sizes"]))
    assert (z(large).max(1) > 5).all()
    fall = np.array([a["bias"] / b["bias"] for a, b in zip(small, large, strict=True)])
    np.testing.assert_allclose(fall, (BENCHMARK["sizes"][1] / BENCHMARK["sizes"][0]) ** (1 / 3), rtol=0.15)


@pytest.mark.slow
def test_benchmark_replays(monkeypatch):
    """One cell again, from its seed: shares are counts, so only an eigenvalue at a bin's edge could move one."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "benchmarks"))
    from levy_wishart import cell

    row = next(row for row in rows(min(BENCHMARK["sizes"]), "student t", "finite N", 1.5) if row["Q"] == 2)
    replayed = cell("student t", "finite N", 1.5, 2, row["N"], row["matrices"])
    np.testing.assert_allclose(replayed["share"], row["share"], atol=3 / (row["M"] * row["matrices"]))
