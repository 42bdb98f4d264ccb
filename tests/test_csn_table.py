"""Table 2 of Clauset, Shalizi, Newman (SIAM Review 51(4) 2009), continuous column; and the bias of the searched fit.

The table has one data set: n = 10,000, alpha = 2.5, xmin = 1. Its caption says "bins of constant width 0.1", "up to 500 bins of
exponentially increasing width", "the cumulation of the fixed-width histogram", "a standard rank-frequency function", and "a
least-squares fit to the logarithm of the probability". The recipes that give its numbers (all fits are unweighted, of ln y on ln x,
and leave out empty bins; printed errors are those of the regression):

    LS + PDF, constant width  1.39(5)    ln counts at the centres of bins 1, 1.1, 1.2, ...; alpha = -slope
    LS + CDF, constant width  2.480(4)   ln of the counts summed from the top, at the same centres; alpha = 1 - slope
    LS + PDF, log. width      1.19(2)    ln counts in 500 bins, equal in ln x from 1 to the maximum; "alpha" = -slope
    LS + CDF, rank-frequency  2.4869(3)  ln of the rank from the top, 1 to n, at every value; alpha = 1 - slope
    continuous MLE            2.50(2)    eq 3.1, `rmt.Clauset(xmin=1.0)`

What does not agree, or is not settled:

- 1.19 is the slope of counts not divided by the width of their bins. The law's own slope of those is alpha - 1 = 1.5. The density,
  count / width, has a slope steeper by exactly one and would read 2.2.
- The rank-frequency estimate is 2.496 in the mean, not 2.4869, and the printed 0.0003 is not its scatter, which is 0.021. The
  published value is an ordinary draw, and so is the table's column as a whole. The other regression errors are also
  too small, by 1.5 times or more, as the paper's appendix A.1 warns; that of the MLE is right.
- The second row with empty bins kept scatters much more widely, so one published draw does not exclude that recipe.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import rmt

PUBLISHED = {
    "PDF, constant width": (1.39, 0.05),
    "CDF, constant width": (2.480, 0.004),
    "PDF, log. width": (1.19, 0.02),
    "CDF, rank-frequency": (2.4869, 0.0003),
    "MLE": (2.50, 0.02),
}
REPLICATES, N, ALPHA = 400, 10_000, 2.5


def line(log_x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """-slope of ln y, and the regression's error of it."""
    fit = scipy.stats.linregress(log_x, np.log(y))
    return -fit.slope, fit.stderr


def regressions(x: np.ndarray, width: float = 0.1, bins: int = 500) -> np.ndarray:
    """(estimate, printed error) of the four rows by least squares, from ascending x >= 1."""
    log_x = np.log(x)
    index, counts = np.unique(np.floor((x - 1) / width), return_counts=True)
    centres = np.log(1 + width * (index + 0.5))
    log_counts, edges = np.histogram(log_x, bins, (0, log_x[-1]))
    full = log_counts > 0
    pdf = line(centres, counts)
    cdf = line(centres, counts[::-1].cumsum()[::-1])
    log_pdf = line((edges[1:] + edges[:-1])[full] / 2, log_counts[full])
    rank = line(log_x, np.arange(len(x), 0, -1))
    return np.array([pdf, (1 + cdf[0], cdf[1]), log_pdf, (1 + rank[0], rank[1])])


@pytest.fixture(scope="module")
def rows() -> dict[str, np.ndarray]:
    """The table's column from every replicate: arrays (estimate or printed error, replicate)."""
    x = jnp.exp(jax.random.exponential(jax.random.key(20), (REPLICATES, N)) / (ALPHA - 1))
    x = np.sort(np.asarray(x))
    fit = rmt.fit_tail(x, rmt.Clauset(xmin=1.0), mask=np.ones(x.shape, bool))
    assert bool((fit.n_tail == N).all())
    table = [regressions(x) for x in x]
    columns = [*np.stack(table, axis=-1), np.stack([fit.alpha, fit.stderr])]
    return dict(zip(PUBLISHED, columns, strict=True))


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "CDF, rank-frequency"])
def test_the_mean_is_the_published_estimate_within_its_error(rows, name):
    estimate, (published, error) = rows[name][0], PUBLISHED[name]
    assert abs(estimate.mean() - published) < error + 3 * estimate.std() / np.sqrt(REPLICATES)


def test_the_rank_frequency_estimate_is_one_draw_and_its_error_is_not_its_scatter(rows):
    estimate, (published, error) = rows["CDF, rank-frequency"][0], PUBLISHED["CDF, rank-frequency"]
    three_errors = 3 * estimate.std() / np.sqrt(REPLICATES)
    assert abs(estimate.mean() - 2.496) < three_errors
    assert abs(estimate.mean() - published) > error + three_errors
    assert abs(estimate.mean() - published) < estimate.std()
    assert abs(estimate.std() - 0.021) < 0.002


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_printed_error_is_that_of_the_formula(rows, name):
    """To half a unit of its one digit, and two standard deviations of a data set."""
    error, published = rows[name][1], PUBLISHED[name][1]
    unit = 10 ** np.floor(np.log10(published))
    assert abs(error.mean() - published) < unit / 2 + 2 * error.std()


@pytest.mark.parametrize("name", PUBLISHED)
def test_only_the_error_of_the_mle_is_its_scatter(rows, name):
    ratio = rows[name][0].std() / rows[name][1].mean()
    assert abs(ratio - 1) < 3 / np.sqrt(2 * REPLICATES) if name == "MLE" else ratio > 1.5


def test_the_published_estimates_are_jointly_a_draw_of_these_recipes(rows):
    """They come from one data set and hang together (correlations up to 0.98): chi-square of five, at 95 %."""
    estimates = np.stack([row[0] for row in rows.values()])
    off = np.array([published for published, _ in PUBLISHED.values()]) - estimates.mean(axis=1)
    assert off @ np.linalg.solve(np.cov(estimates), off) < scipy.stats.chi2(5).ppf(0.95)


@pytest.fixture(scope="module")
def searched() -> tuple[np.ndarray, np.ndarray]:
    """(alpha - 1) / (true alpha - 1) of 5,000 exact Pareto sets of 1,000 values: with xmin searched, and with xmin known."""

    def one(key):
        log_x = jax.random.exponential(key, (1000,))
        return rmt.fit_tail(jnp.exp(log_x), rmt.Clauset()).alpha - 1, 1 / jnp.mean(log_x)

    free, known = jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(21), 5000))
    return np.asarray(free), np.asarray(known)


def test_x_to_a_power_divides_the_searched_exponent():
    x = jnp.exp(jax.random.exponential(jax.random.key(22), (1000,)))
    fit = rmt.fit_tail(x)
    for alpha in (1.5, 2.5, 4.0):
        power = rmt.fit_tail(x ** (1 / (alpha - 1)))
        assert float(power.alpha - 1) == pytest.approx((alpha - 1) * float(fit.alpha - 1), rel=1e-9)
        assert int(power.n_tail) == int(fit.n_tail)


@pytest.mark.parametrize("alpha", [1.5, 2.5, 4.0])
def test_bias_of_the_searched_alpha_of_exact_pareto_data_is_below_0_02(searched, alpha):
    """|bias| + 3 standard errors; the bias is 0.0045 (alpha - 1).

    With xmin known, alpha - 1 is biased by 1 / (n - 1) of itself, exactly. So only the mean of the difference is simulated, which
    scatters less than the searched alpha. By the test above one set of draws serves every alpha.
    """
    free, known = (alpha - 1) * np.asarray(searched)
    bias = (free - known).mean() + (alpha - 1) / 999
    three_errors = 3 * (free - known).std() / np.sqrt(len(free))
    assert abs(bias) + three_errors < 0.02
    assert abs(bias - 0.0045 * (alpha - 1)) < three_errors
