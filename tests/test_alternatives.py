"""The laws beside the power law: against mpmath, against everything on a grid, at the ends of their ranges, on their own draws."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from conftest import slow
from test_tails import BAD

import rmt
from rmt import laws
from rmt.tails.alternatives import _relative_variance, root

METHODS = [rmt.ExpTruncated, rmt.LogNormal, rmt.Exponential, rmt.StretchedExponential]
ALL = [*METHODS, rmt.TruncatedPareto]
SLOW_METHODS = [slow(rmt.ExpTruncated), *METHODS[1:]]  # it compiles for long
TRUE = {
    rmt.ExpTruncated: laws.ExpTruncatedPowerLaw(1.5, 0.05, 1.0),
    rmt.LogNormal: laws.Above(laws.LogNormal(0.3, 0.8), 1.0),
    rmt.Exponential: laws.Above(laws.Exponential(0.7), 1.0),
    rmt.StretchedExponential: laws.Above(laws.Weibull(0.6, 1.5), 1.0),
    rmt.TruncatedPareto: laws.PowerLaw(2.5, 1.0, 10.0),
}


def data_sets() -> dict[str, np.ndarray]:
    """200 values each, so that a method is compiled once for all."""
    rng = np.random.default_rng(4)
    return {
        "log-normal": rng.lognormal(0, 1, 200),
        "Weibull": rng.weibull(0.5, 200),
        "exponential, shifted": 1 + rng.exponential(1, 200),
        "Pareto, alpha = 1.5": rng.pareto(0.5, 200) + 1,
        "Pareto, alpha = 4": rng.pareto(3, 200) + 1,
        "uniform": 1 + 3 * rng.random(200),
        "chi-squared": rng.chisquare(3, 200),
        "rounded": np.round(rng.lognormal(0, 1, 200), 1) + 0.1,
        "ten points": np.r_[rng.lognormal(0.5, 0.7, 10) + 1, rng.random(190)],
        "short tail": 1 + 0.05 * rng.gamma(0.8, size=200),
        "far above xmin": rng.lognormal(3, 0.2, 200),
    }


def above(x: np.ndarray, xmin: float) -> np.ndarray:
    return np.sort(x[x >= xmin])


def numbers(fit: rmt.TailFit) -> list[float]:
    """The parameters of the law that are fitted."""
    law = fit.law.law if isinstance(fit.law, laws.Above) else fit.law
    return [float(p) for p in (jax.tree.leaves(law)[:2])]


# The likelihoods once more, in mpmath and from their textbook densities.


def mp_loglik(method, x, xmin):
    mp = mpmath
    n, xmin, sums = len(x), mp.mpf(xmin), {}
    for name, f in (("x", lambda v: v), ("log", mp.log), ("square", lambda v: mp.log(v) ** 2)):
        sums[name] = mp.fsum(f(mp.mpf(float(v))) for v in x)
    if method is rmt.Exponential:
        return lambda rate: n * mp.log(rate) - rate * (sums["x"] - n * xmin)
    if method is rmt.LogNormal:

        def log_normal(mean, sd):
            above = mp.erfc((mp.log(xmin) - mean) / sd / mp.sqrt(2)) / 2
            squares = (sums["square"] - 2 * mean * sums["log"] + n * mean**2) / (2 * sd**2)
            return -squares - sums["log"] - n * (mp.log(sd) + mp.log(2 * mp.pi) / 2 + mp.log(above))

        return log_normal
    if method is rmt.StretchedExponential:

        def weibull(shape, log_rate):
            powers = mp.fsum(mp.mpf(float(v)) ** shape for v in x) - n * xmin**shape
            scaled = mp.exp(shape * log_rate) * powers
            return n * (mp.log(shape) + shape * log_rate) + (shape - 1) * sums["log"] - scaled

        return weibull
    return lambda alpha, rate: (
        -alpha * sums["log"] - rate * sums["x"] - n * mp.log(xmin ** (1 - alpha) * mp.expint(alpha, rate * xmin))
    )


def mp_maximum(method, start, x, xmin) -> list[float]:
    """Newton's method with derivatives by differences at 40 digits, in units of the start."""
    with mpmath.workdps(40):
        loglik, start = mp_loglik(method, x, xmin), [mpmath.mpf(v) for v in start]
        if len(start) == 1:
            return [float(start[0] * mpmath.findroot(lambda p: mpmath.diff(loglik, p * start[0]) * start[0], 1.001))]

        def slope(p, q):
            point = p * start[0], q * start[1]
            return [
                mpmath.diff(loglik, point, order) * unit for order, unit in zip([(1, 0), (0, 1)], start, strict=True)
            ]

        found = mpmath.findroot(slope, (1.001, 1.001), tol=1e-20, maxsteps=50)
        return [float(unit * v) for unit, v in zip(start, found, strict=True)]


@pytest.mark.parametrize("name", data_sets())
@pytest.mark.parametrize("method", METHODS)
def test_parameters_against_mpmath(method, name):
    x, xmin = data_sets()[name], 1.0
    fit = rmt.fit_tail(x, method(xmin=xmin))
    x = above(x, xmin)
    assert int(fit.n_tail) == len(x)
    if int(fit.status) == rmt.Status.BOUND_REACHED:
        return  # see the tests of the ends
    got = numbers(fit)[: method.parameters]
    if method is rmt.StretchedExponential:
        got[1] = float(np.log(got[1]))
    np.testing.assert_allclose(got, mp_maximum(method, got, x, xmin), rtol=1e-10)


def grid(method):
    """Laws all over the range, and beyond what any of the data need."""
    if method is rmt.ExpTruncated:
        alpha, log_rate = np.meshgrid(np.linspace(0, 6, 31), np.linspace(-12, 4, 41))
        return jax.vmap(lambda a, b: laws.ExpTruncatedPowerLaw(a, jnp.exp(b), 1.0)), alpha.ravel(), log_rate.ravel()
    if method is rmt.LogNormal:
        mean, log_sd = np.meshgrid(np.r_[-np.geomspace(300, 0.1, 40), np.linspace(0, 5, 21)], np.linspace(-3, 3, 41))
        return jax.vmap(lambda a, b: laws.Above(laws.LogNormal(a, jnp.exp(b)), 1.0)), mean.ravel(), log_sd.ravel()
    if method is rmt.StretchedExponential:
        log_shape, log_rate = np.meshgrid(np.linspace(-4, 3, 51), np.linspace(-5, 12, 41))
        return (
            jax.vmap(lambda a, b: laws.Above(laws.Weibull(jnp.exp(a), jnp.exp(b)), 1.0)),
            log_shape.ravel(),
            log_rate.ravel(),
        )
    log_rate = np.linspace(-8, 8, 400)
    return jax.vmap(lambda a, _: laws.Above(laws.Exponential(jnp.exp(a)), 1.0)), log_rate, log_rate


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_no_law_on_a_grid_is_likelier(method):
    """The maximum is the one of the whole range, at its ends too."""
    make, *points = grid(method)
    loglik = jax.jit(jax.vmap(lambda law, x: jnp.sum(law.logpdf(x)), (0, None)))
    for name, x in data_sets().items():
        fit = rmt.fit_tail(x, method(xmin=1.0))
        x = above(x, 1.0)
        best = float(jnp.nanmax(loglik(make(*map(jnp.asarray, points)), jnp.asarray(x))))
        got = float(jnp.sum(fit.law.logpdf(x)))
        # A law that turns into the power law stops just short of it.
        slack = 0.05 if int(fit.status) == rmt.Status.BOUND_REACHED and method.nested else 0
        assert got > best - 1e-9 * abs(best) - slack, name


@pytest.mark.slow
@pytest.mark.parametrize("method", ALL)
def test_truth_and_stderr_from_its_own_draws(method):
    n_sets = 200
    x = TRUE[method].sample(jax.random.key(1), (n_sets, 1000))
    fits = rmt.fit_tail(x, method(xmin=1.0), np.ones(x.shape, bool))
    assert np.asarray(fits.ok).all()
    got, true = fits.law, TRUE[method]
    if isinstance(true, laws.Above):
        got, true = got.law, true.law
    for value, truth in list(zip(jax.tree.leaves(got), jax.tree.leaves(true), strict=True))[: method().parameters]:
        value = np.asarray(value)
        # 4 standard errors of a median, and a bias of a tenth of the error of one estimate
        if value.std():
            assert abs(np.median(value) - float(truth)) < (4 * 1.2533 / np.sqrt(n_sets) + 0.1) * value.std()
    if method in (rmt.ExpTruncated, rmt.TruncatedPareto):
        ratio = np.median(np.asarray(fits.stderr)) / np.asarray(fits.alpha).std()
        assert abs(ratio - 1) < 4 / np.sqrt(2 * n_sets) + 0.02


def heavier(n: int = 200) -> np.ndarray:
    """Logarithms whose mean square is above twice their squared mean: heavier than any power law."""
    u = np.random.default_rng(3).weibull(0.7, n)
    assert np.mean(u**2) > 2.2 * np.mean(u) ** 2
    return np.exp(u / 3)


@pytest.mark.parametrize("method", [rmt.ExpTruncated, rmt.LogNormal, rmt.StretchedExponential])
def test_data_heavier_than_a_power_law_end_at_the_power_law(method):
    x = heavier()
    fit, power = rmt.fit_tail(x, method(xmin=1.0)), rmt.fit_tail(x, rmt.Clauset(xmin=1.0))
    assert int(fit.status) == rmt.Status.BOUND_REACHED
    short = {rmt.ExpTruncated: 1e-12, rmt.LogNormal: 2e-4, rmt.StretchedExponential: 2e-2}[method]
    grid = jnp.linspace(1.0, float(x.max()), 50)
    np.testing.assert_allclose(fit.law.cdf(grid), power.law.cdf(grid), atol=short)
    if method is rmt.ExpTruncated:
        assert float(fit.law.rate) == 0
        np.testing.assert_allclose([fit.alpha, fit.stderr], [power.alpha, power.stderr], rtol=1e-12)


@pytest.mark.parametrize("method", [rmt.LogNormal, rmt.StretchedExponential])
@pytest.mark.parametrize("seed", range(3))
def test_the_end_is_reached_exactly_where_the_mean_square_says(method, seed):
    u = np.random.default_rng(seed).weibull(1.0, (200, 50))
    status = np.asarray(rmt.fit_tail(np.exp(u), method(xmin=1.0), np.ones(u.shape, bool)).status)
    ratio = np.mean(u**2, 1) / np.mean(u, 1) ** 2
    margin = {rmt.LogNormal: 4e-4, rmt.StretchedExponential: 0.05}[method]
    assert (status[ratio >= 2] == rmt.Status.BOUND_REACHED).all()
    assert (status[ratio < 2 - margin] == rmt.Status.OK).all()


def test_data_lighter_than_an_exponential_end_at_the_exponential():
    x = 1 + np.random.default_rng(1).random(200)
    fit, exponential = rmt.fit_tail(x, rmt.ExpTruncated(xmin=1.0)), rmt.fit_tail(x, rmt.Exponential(xmin=1.0))
    assert int(fit.status) == rmt.Status.BOUND_REACHED
    assert float(fit.alpha) == 0
    np.testing.assert_allclose(fit.law.logpdf(x), exponential.law.logpdf(x), rtol=1e-10)


@pytest.mark.parametrize("method", ALL)
def test_scale_moves_only_the_scale(method):
    x = np.random.default_rng(5).lognormal(size=200)
    fit = rmt.fit_tail(x, method(xmin=1.0))
    for c in (1e-12, 1e12):
        scaled = rmt.fit_tail(c * x, method(xmin=c))
        assert int(scaled.n_tail) == int(fit.n_tail)
        q = np.linspace(0.01, 0.99, 9)
        np.testing.assert_allclose(scaled.law.ppf(q) / c, fit.law.ppf(q), rtol=1e-9)
        np.testing.assert_allclose([scaled.ks, scaled.alpha], [fit.ks, fit.alpha], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("method", ALL)
def test_batch_equals_loop(method):
    """Bit for bit where the sums decide; to the last few bits where Newton's method runs, whose steps are compiled anew."""
    x = jnp.exp(jax.random.exponential(jax.random.key(3), (5, 200)) * jnp.linspace(0.2, 3, 5)[:, None])
    batch = jax.vmap(lambda x: rmt.fit_tail(x, method()))(x)
    for i in range(5):
        one = rmt.fit_tail(x[i], method())
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(batch), strict=True):
            rtol = 1e-11 if method in (rmt.ExpTruncated, rmt.StretchedExponential) else 0
            np.testing.assert_allclose(a, b[i], rtol=rtol)


@pytest.mark.parametrize("method", SLOW_METHODS)
def test_xmin_is_clausets_or_the_one_given(method):
    x = np.round(np.random.default_rng(7).pareto(1.5, 200) + 1, 2)
    for option in (None, 1.5, 1.505, 3.0):
        fit, power = rmt.fit_tail(x, method(xmin=option)), rmt.fit_tail(x, rmt.Clauset(xmin=option))
        for field in ("xmin", "xmax", "n_tail"):
            assert float(getattr(fit, field)) == float(getattr(power, field))
        graver = [int(s) for s in (power.status, fit.status) if s != rmt.Status.OK]
        assert int(fit.status) == (min(graver) if graver else 0)


@pytest.mark.slow
def test_xmin_may_be_traced():
    x = data_sets()["log-normal"]
    many = jax.vmap(lambda xmin: rmt.fit_tail(x, rmt.LogNormal(xmin=xmin)).n_tail)(jnp.array([1.5, 3.0]))
    assert many.tolist() == [(x >= 1.5).sum(), (x >= 3.0).sum()]


@pytest.mark.parametrize("method", METHODS)
def test_distance_is_that_of_the_law(method):
    x = np.random.default_rng(8).lognormal(size=200)
    fit = rmt.fit_tail(x, method(xmin=0.8))
    tail = above(x, 0.8)
    gap = np.abs(np.asarray(fit.law.cdf(tail)) - np.arange(len(tail)) / len(tail))
    assert float(fit.ks) == pytest.approx(gap.max(), rel=1e-12)
    assert np.isnan([fit.alpha, fit.stderr]).all() == (method is not rmt.ExpTruncated)


@pytest.mark.slow
@pytest.mark.parametrize("method", [rmt.LogNormal, rmt.StretchedExponential])
def test_float32_data_give_the_numbers_of_float64(method):
    x = np.random.default_rng(9).lognormal(size=200).astype(np.float32)
    fit32, fit64 = rmt.fit_tail(x, method(xmin=1.0)), rmt.fit_tail(x.astype(float), method(xmin=1.0))
    assert fit32.alpha.dtype == fit32.ks.dtype == np.float32
    np.testing.assert_allclose(jax.tree.leaves(fit32.law), jax.tree.leaves(fit64.law), rtol=1e-5)


@pytest.mark.parametrize("method", [*SLOW_METHODS, rmt.TruncatedPareto])
def test_bad_data_are_a_status_not_a_number(method):
    bad = [(x, int(status)) for x, status in BAD.values() if len(x) == 20]
    assert len(bad) >= 5
    good = np.random.default_rng(8).pareto(2.0, 20) + 1
    fits = rmt.fit_tail(np.stack([*(x for x, _ in bad), good]), method(), np.ones((len(bad) + 1, 20), bool))
    assert fits.status.tolist()[:-1] == [status for _, status in bad]
    for number in (*jax.tree.leaves(fits.law), fits.ks, fits.xmin):
        assert np.isnan(np.asarray(number)[:-1]).all()
        assert np.isfinite(np.asarray(number)[-1])


@pytest.mark.parametrize("method", SLOW_METHODS)
def test_a_tail_that_cannot_be_fitted_is_a_status(method):
    x = np.r_[np.arange(1.0, 20), np.full(10, 50.0)]
    assert int(rmt.fit_tail(x, method(xmin=60.0)).status) == rmt.Status.TOO_FEW
    degenerate = rmt.fit_tail(x, method(xmin=40.0))  # ten equal values above xmin
    sharp = method in (rmt.LogNormal, rmt.StretchedExponential)  # they can take any narrow shape
    assert int(degenerate.status) == (rmt.Status.NO_CONVERGENCE if sharp else degenerate.status)
    assert bool(degenerate.ok) == (not sharp)


def test_wrong_options_say_what_to_do():
    with pytest.raises(ValueError, match=r"LogNormal\(xmin\) needs a positive number, got -1"):
        rmt.LogNormal(xmin=-1.0)
    with pytest.raises(ValueError, match="xmax"):
        rmt.TruncatedPareto(xmax="largest")


@pytest.mark.parametrize("xmin", [1.0, None])
@pytest.mark.parametrize("xmax", ["max", 10.0])
def test_truncated_pareto_data_give_their_alpha_back(xmin, xmax):
    """Where the fit without an end gives 2.7 to 2.75."""
    x = laws.PowerLaw(2.5, 1.0, 10.0).sample(jax.random.key(0), (300, 1000))
    every = np.ones(x.shape, bool)
    alpha = np.asarray(rmt.fit_tail(x, rmt.TruncatedPareto(xmin=xmin, xmax=xmax), every).alpha)
    stderr = alpha.std() / np.sqrt(300)
    assert abs(alpha.mean() - 2.5) < 0.03
    assert stderr < 0.01
    blind = np.asarray(rmt.fit_tail(x, rmt.Clauset(xmin=xmin), every).alpha)
    assert blind.mean() > 2.65


def test_truncated_pareto_is_clauset_with_an_end():
    x = np.random.default_rng(2).pareto(1.5, 200) + 1
    ours, its = rmt.fit_tail(x, rmt.TruncatedPareto()), rmt.fit_tail(x, rmt.Clauset(xmax="max"))
    assert jax.tree.leaves(ours) == jax.tree.leaves(its)


@pytest.mark.parametrize("a", [-1000.0, -30.0, -3.0, 0.0, 2.0, 4.99, 5.0, 7.0, 20.0, 100.0])
def test_relative_variance_against_mpmath(a):
    with mpmath.workdps(60):
        z = mpmath.mpf(a)
        hazard = mpmath.npdf(z) / (mpmath.erfc(z / mpmath.sqrt(2)) / 2)
        ratio = (1 + z * hazard - hazard**2) / (hazard - z) ** 2
        got, rest = _relative_variance(jnp.asarray(a))
        assert float(got) == pytest.approx(float(ratio), rel=1e-11)
        if a >= 5:
            assert float(rest) == pytest.approx(float(1 - ratio), rel=1e-14)


def test_root_finds_zeros_that_newton_alone_misses():
    for zero in (1e-8, 0.3, 5.0, 900.0):
        x, found = root(lambda x, zero=zero: jnp.arctan(zero - x) ** 3 + zero - x, 0.0, jnp.asarray(1000.0))
        assert bool(found)
        assert float(x) == pytest.approx(zero, rel=1e-13)
    assert not bool(root(lambda x: x * jnp.nan, 0.0, 1.0)[1])


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("method", ALL)
def test_lowers_for_accelerators(method, platform):
    fit = jax.jit(jax.vmap(lambda x: rmt.fit_tail(x, method())))
    exported = jax.export.export(fit, platforms=[platform])(jax.ShapeDtypeStruct((4, 50), float))
    assert "callback" not in exported.mlir_module()
