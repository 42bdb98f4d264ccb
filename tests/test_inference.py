"""Intervals must cover what they estimate as often as they say: each is simulated with a fixed seed."""

import math

import numpy as np
import pytest
from scipy import stats

from rmt.inference import (
    Estimate,
    bootstrap_interval,
    exponent_interval,
    fit_line,
    fit_power,
    holm,
    ks_test,
    left_out,
    mann_whitney_interval,
    mean_interval,
    median_interval,
    prediction_interval,
    proportion_interval,
    rank_correlation,
    rate_interval,
    slope_of_one_more,
    spread,
    stack,
    worst,
    worst_rms_ratio,
)


def coverage(low, high, truth) -> float:
    return float(np.mean((np.asarray(low) <= truth) & (truth <= np.asarray(high))))


def binomial_band(level: float, runs: int) -> tuple[float, float]:
    """Where the share of `runs` intervals of exact coverage `level` falls with probability 1 - 1e-4."""
    low, high = stats.binom.interval(1 - 1e-4, runs, level)
    return low / runs, high / runs


@pytest.mark.parametrize(("level", "comparisons"), [(0.95, 1), (0.8, 1), (0.8, 4)])
def test_mean_interval_of_gaussians_has_exactly_its_level(level, comparisons):
    x = np.random.default_rng(1).normal(3.0, 2.0, (4000, 7))
    est = mean_interval(x, axis=1, level=level, comparisons=comparisons)
    low, high = binomial_band(1 - (1 - level) / comparisons, 4000)
    assert low <= coverage(*est.interval, 3.0) <= high


@pytest.mark.parametrize("n", [2, 7])
def test_prediction_interval_holds_one_more_gaussian_with_exactly_its_level(n):
    x = np.random.default_rng(13).normal(3.0, 2.0, (4000, n + 1))
    est = prediction_interval(x[:, :n], level=0.9, comparisons=2)
    low, high = binomial_band(0.95, 4000)
    assert low <= np.mean((est.low <= x[:, n]) & (x[:, n] <= est.high)) <= high
    np.testing.assert_array_equal(est.value, mean_interval(x[:, :n]).value)


def test_bonferroni_intervals_hold_together():
    x = np.random.default_rng(2).normal(size=(1500, 10, 6))
    est = mean_interval(x, comparisons=10)
    together = np.all((est.low <= 0) & (est.high >= 0), axis=1).mean()
    apart = mean_interval(x)
    assert together >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 1500)
    assert np.all((apart.low <= 0) & (apart.high >= 0), axis=1).mean() < 0.75  # what goes wrong without it


def test_mean_interval_is_scipys_on_the_samples_that_are_there():
    x = np.array([[1.0, math.nan, 4.0, 2.5], [0.0, 1.0, 2.0, 7.0]])
    est = mean_interval(x, axis=-1)
    for i, row in enumerate(x):
        twin = stats.ttest_1samp(row[~np.isnan(row)], 0.0)
        np.testing.assert_allclose([est.low[i], est.high[i]], twin.confidence_interval(0.95), rtol=1e-13)
    assert est.n.tolist() == [3, 4]
    np.testing.assert_array_equal(mean_interval(x.T, axis=0).low, est.low)


def test_too_few_samples_never_bound_anything():
    for interval in (mean_interval, prediction_interval, median_interval):
        one, none = interval([2.0, math.nan]), interval([math.nan, math.nan])
        assert one == Estimate(2.0, -math.inf, math.inf, 1)
        assert math.isnan(none.value)
        assert (none.low, none.high, none.n) == (-math.inf, math.inf, 0)
    assert median_interval(np.arange(5.0)).interval == (-math.inf, math.inf)
    assert median_interval(np.arange(6.0)).interval == (0.0, 5.0)  # 1 - 2 / 2^6 = 96.9 %
    assert bootstrap_interval(np.mean, [1.0]).interval == (-math.inf, math.inf)
    assert bootstrap_interval(np.mean, np.ones(9)).interval == (-math.inf, math.inf)
    assert fit_line([1.0, 2.0], [[1.0, 2.0], [3.0, math.nan]]).slope == Estimate(1.5, -math.inf, math.inf, 3)
    assert math.isnan(fit_line([1.0, 1.0], np.ones((2, 3))).slope.value)


def test_median_interval_covers_a_law_without_mean_as_its_binomial_says():
    n = 11
    x = np.random.default_rng(3).standard_cauchy((500, n)) + 5.0
    est = median_interval(x)
    k = stats.binom.ppf(0.025, n, 0.5)  # ranks k and n + 1 - k
    low, high = binomial_band(1 - 2 * stats.binom.cdf(k - 1, n, 0.5), 500)
    assert low <= coverage(*est.interval, 5.0) <= high


def test_bootstrap_covers_a_correlation_of_paired_samples():
    rng = np.random.default_rng(4)
    hits = []

    def correlation(a, b):
        return np.corrcoef(a, b)[0, 1]

    for seed in range(120):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 30).T
        est = bootstrap_interval(
            lambda a, b: np.corrcoef(a, b)[0, 1], x, y, level=0.9, n_boot=300, seed=seed, paired=True
        )
        hits.append(est.low <= 0.6 <= est.high)
    assert 0.8 <= np.mean(hits) <= 0.98  # 0.9 +- 3.6 binomial standard deviations


def test_bootstrap_resamples_unpaired_samples_apart_and_repeats_itself():
    rng = np.random.default_rng(5)
    x, y = rng.normal(1.0, 1.0, 60), rng.normal(0.0, 3.0, 40)
    est = bootstrap_interval(lambda a, b: a.mean() - b.mean(), np.append(x, math.nan), y, seed=6)
    welch = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose(est.interval, welch, atol=0.12)  # a tenth of its width
    assert est.n == 40
    assert est == bootstrap_interval(lambda a, b: a.mean() - b.mean(), x, y, seed=6)


def test_bootstrap_takes_enough_replicates_for_many_comparisons():
    x = np.random.default_rng(7).normal(size=30)
    sizes = []
    bootstrap_interval(lambda a: sizes.append(a.size) or a.mean(), x, level=0.9, comparisons=10, n_boot=100)
    assert len(sizes) >= 2 * 10 * 10 / 0.1  # ten beyond each end of the 99 % interval


@pytest.mark.parametrize("coefficient", ["slope", "intercept"])
def test_fit_line_covers_with_scatter_that_grows_along_the_line(coefficient):
    rng = np.random.default_rng(8)
    x, truth = np.array([1.0, 2.0, 4.0, 7.0]), {"slope": -0.5, "intercept": 2.0}
    hits = []
    for _ in range(1500):
        y = truth["slope"] * x[:, None] + truth["intercept"] + rng.normal(size=(4, 8)) * (0.1 * x[:, None])
        est = getattr(fit_line(x, y), coefficient)
        hits.append(est.low <= truth[coefficient] <= est.high)
    low, high = binomial_band(0.95, 1500)
    assert low - 0.005 <= np.mean(hits) <= high + 0.01  # Satterthwaite's degrees of freedom are an approximation


def test_fit_line_is_least_squares_and_leaves_out_missing_trials():
    rng = np.random.default_rng(9)
    x, y = np.array([0.5, 1.0, 3.0]), rng.normal(size=(3, 5))
    fit = fit_line(x, y)
    np.testing.assert_allclose([fit.slope.value, fit.intercept.value], np.polyfit(x, y.mean(axis=1), 1), rtol=1e-12)
    padded = fit_line(np.append(x, 9.0), np.vstack([np.column_stack([y, np.full(3, math.nan)]), np.full(6, math.nan)]))
    assert padded.slope.n == 15
    np.testing.assert_allclose(padded.slope.interval, fit.slope.interval, rtol=1e-12)


def test_fit_line_interval_does_not_widen_with_curvature():
    rng = np.random.default_rng(10)
    x, noise = np.linspace(0, 1, 5), rng.normal(size=(5, 20))
    straight, bent = fit_line(x, noise), fit_line(x, noise + 50 * (x[:, None] - 0.5) ** 2)
    np.testing.assert_allclose(np.subtract(*straight.slope.interval), np.subtract(*bent.slope.interval), rtol=1e-9)
    np.testing.assert_allclose(bent.slope.value, straight.slope.value, atol=1e-9)


def test_one_more_experiment_has_its_slope_where_predicted():
    rng, x, inside = np.random.default_rng(3), np.linspace(0, 2, 6), 0

    def draw(x):
        return 2 * x + (0.5 + x) * rng.standard_normal(x.shape)

    for _ in range(60):
        predicted = slope_of_one_more(x, draw(np.repeat(x[:, None], 20, axis=1)), draws=40)
        new = x[rng.integers(6, size=40)]
        inside += predicted.low <= np.polyfit(new, draw(new), 1)[0] <= predicted.high
    assert stats.binomtest(inside, 60, 0.95).pvalue > 0.01


def test_ks_accepts_the_law_rejects_its_neighbour_and_bounds_the_distance():
    x = np.random.default_rng(11).normal(size=2000)
    own, other = ks_test(x, stats.norm.cdf), ks_test(x, stats.norm(0.3).cdf)
    assert own.pvalue > 0.01
    assert own.distance.low == 0.0
    assert other.pvalue < 1e-6
    truth = 2 * stats.norm.cdf(0.15) - 1  # sup |Phi(x) - Phi(x - 0.3)|, at x = 0.15
    assert 0 < other.distance.low <= truth <= other.distance.high
    assert ks_test(np.append(x, math.nan), stats.norm.cdf) == own
    assert math.isnan(ks_test([math.nan], stats.norm.cdf).pvalue)


def test_ks_p_values_are_uniform_under_the_law():
    x = np.random.default_rng(12).exponential(size=(400, 30))
    pvalues = [ks_test(row, stats.expon.cdf).pvalue for row in x]
    assert stats.kstest(pvalues, "uniform").pvalue > 0.001


@pytest.mark.parametrize("p", [0.02, 0.5, 0.93])
def test_proportion_intervals_cover(p):
    n, k = 40, np.arange(41)
    weight = stats.binom.pmf(k, n, p)

    def covered(method):
        ends = [proportion_interval(int(i), n, method=method) for i in k]
        return sum(w for w, est in zip(weight, ends, strict=True) if est.low <= p <= est.high)

    assert covered("exact") >= 0.95  # an exact sum, not a simulation
    assert 0.92 <= covered("wilson") <= covered("exact")


def test_proportion_of_nothing_says_nothing():
    est = proportion_interval(0, 0)
    assert math.isnan(est.value)
    assert est.interval == (0.0, 1.0)


@pytest.mark.parametrize(("mean_first", "mean_last"), [(3.0, 6.0), (8.0, 1.0)])
def test_exponent_intervals_cover(mean_first, mean_last):
    truth, covered = math.log2(mean_last / mean_first), 0.0
    for first in range(30):
        for last in range(30):
            low, high = exponent_interval(first, last, 2.0).interval
            if low <= truth <= high:
                covered += stats.poisson.pmf(first, mean_first) * stats.poisson.pmf(last, mean_last)
    assert covered >= 0.95  # an exact sum, up to counts that never come


def test_a_power_is_the_slope_of_logarithms():
    x = np.array([1.0, 10.0, 100.0])
    power = fit_power(x, 3 * x[:, None] ** -0.5 * np.array([0.9, 1.0, 1.1]))
    assert power.value == pytest.approx(-0.5)
    assert power.low < -0.5 < power.high


def test_exponents_of_nothing():
    assert exponent_interval(4, 16, 2.0).value == pytest.approx(2)
    assert exponent_interval(0, 0, 2.0).interval == (-math.inf, math.inf)
    assert math.isnan(exponent_interval(0, 0, 2.0).value)
    assert exponent_interval(0, 5, 2.0).value == exponent_interval(0, 5, 2.0).high == math.inf
    assert exponent_interval(5, 0, 2.0).value == exponent_interval(5, 0, 2.0).low == -math.inf


@pytest.mark.parametrize("p", [0.5, 0.9, 0.02])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_mann_whitney_interval_covers(p, scale):
    rng = np.random.default_rng(16)
    shift = stats.norm.ppf(p) * math.hypot(1, scale)  # P(X > Y) = p
    found = stack(
        [
            mann_whitney_interval(rng.normal(shift, 1, 60), rng.normal(0, scale, 40), level=0.9, comparisons=2)
            for _ in range(1000)
        ]
    )
    low, high = binomial_band(0.95, 1000)
    assert coverage(found.low, found.high, p) >= low
    if p == 0.5:  # elsewhere it is conservative
        assert coverage(found.low, found.high, p) <= high + 0.02
    assert np.mean(found.value) == pytest.approx(p, abs=4 * np.std(found.value) / math.sqrt(1000))


def test_mann_whitney_is_scipys_u_and_says_what_no_pair_shows():
    rng = np.random.default_rng(17)
    x, y = rng.integers(0, 6, 30).astype(float), rng.integers(0, 9, 21).astype(float)
    x[4] = np.nan
    u = stats.mannwhitneyu(x[~np.isnan(x)], y).statistic
    found, reverse = mann_whitney_interval(x, y), mann_whitney_interval(y, x)
    assert found.value == pytest.approx(u / (29 * 21), rel=1e-12)
    assert found.n == 21
    assert found.interval == pytest.approx([1 - end for end in reversed(reverse.interval)])
    apart = mann_whitney_interval([1.0, 2.0, 3.0], [4.0, 5.0])
    assert (apart.value, *apart.interval) == pytest.approx((0.0, *proportion_interval(0, 2).interval))
    assert mann_whitney_interval([np.nan], [1.0]).interval == (0.0, 1.0)
    assert mann_whitney_interval([1.0] * 20, [1.0] * 20).value == 0.5


@pytest.mark.parametrize("n", [1, 6])
def test_rate_interval_has_exactly_its_level(n):
    totals = np.random.default_rng(14).exponential(1 / 2.5, (4000, n)).sum(axis=1)
    rates = stack([rate_interval(n, total, level=0.9, comparisons=2) for total in totals])
    low, high = binomial_band(0.95, 4000)
    assert low <= coverage(rates.low, rates.high, 2.5) <= high
    np.testing.assert_allclose(rates.value, n / totals)


def test_rate_of_nothing_says_nothing():
    assert math.isnan(rate_interval(0, 0.0).value)
    assert rate_interval(0, 0.0).interval == (-math.inf, math.inf)


def test_the_spread_of_a_family_is_bounded_by_its_intervals():
    rng = np.random.default_rng(15)
    means = np.array([1.0, 1.5, 3.0])
    found = []
    for _ in range(300):
        each = mean_interval(rng.normal(means[:, None], 1.0, (3, 12)), level=0.8, comparisons=3)
        found.append(spread(each[i] for i in range(3)))
    assert np.mean([est.low <= 2.0 <= est.high for est in found]) >= 0.8
    assert spread([Estimate(2.0, 1.0, 4.0, 5), Estimate(-1.0, -2.0, 0.0, 7)]) == Estimate(3.0, 1.0, 6.0, 5)


def test_fits_without_a_number_are_counted():
    assert left_out([1.0, 2.0]) == ""
    assert left_out([[1.0, math.nan], [math.nan, 2.0]]) == " 2 fits gave no number and are left out."


def family(*intervals) -> Estimate:
    return stack([Estimate(0.5, low, high, 9) for low, high in intervals])


@pytest.mark.parametrize(
    ("intervals", "claimed", "index"),
    [
        ([(0, 1), (-2, 1), (0, 3)], (-1, 1), 2),  # none outside: the one that reaches farthest out
        ([(0, 0.1), (-0.5, 0.1), (0, 0.2)], (-1, 1), 1),  # all inside: the one nearest to an end
        ([(-9, 9), (1.5, 2), (3, 4)], (-1, 1), 2),  # one that is certainly outside outweighs a vague one
        ([(-9, 9), (-math.inf, math.inf), (0, 0)], (-1, 1), 1),
        ([(-9, -8), (-math.inf, math.inf), (-7, -6)], (-math.inf, 0), 1),
        ([(0, 0), (math.nan, math.nan)], (-1, 1), 1),
    ],
)
def test_the_worst_of_a_family_decides_a_claim_about_all(intervals, claimed, index):
    i, est = worst(family(*intervals), claimed)
    assert i == index
    np.testing.assert_array_equal(est.interval, intervals[index])
    assert est.n == 9


def test_map_carries_the_interval_along():
    est = mean_interval(np.log10([[1.0, 10.0, 100.0]])).map(lambda y: 10**y)[0]
    assert est.value == pytest.approx(10.0)
    np.testing.assert_allclose(np.log10(est.interval), mean_interval([0.0, 1.0, 2.0]).interval)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([1.0, 2.0], level=95), "95 % is 0.95"),
        (lambda: median_interval([1.0, 2.0], comparisons=0), "at least 1, got 0"),
        (lambda: fit_line([1.0, 2.0], [1.0, 2.0]), r"shapes \(n_x,\) and \(n_x, n_trials\), got \(2,\) and \(2,\)"),
        (lambda: bootstrap_interval(np.mean), "needs 1-D samples"),
        (lambda: bootstrap_interval(np.mean, [1.0], [1.0, 2.0], paired=True), "of one length"),
        (lambda: proportion_interval(3, 2), "got 3 of 2"),
        (lambda: exponent_interval(3, -1, 2.0), "got 3, -1 and 2"),
        (lambda: rate_interval(-1, 2.0), "needs n >= 0, got -1"),
    ],
)
def test_wrong_calls_say_what_was_got(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("n", [60, 70])  # all pairs at once, and by sorting
@pytest.mark.parametrize(
    ("method", "published"), [("spearman", stats.spearmanr), ("kendall", stats.kendalltau)], ids=["spearman", "kendall"]
)
def test_a_rank_correlation_is_scipys_and_its_interval_that_of_the_bootstrap(method, published, n):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 8, n).astype(float)
    y = x + 4 * rng.normal(size=n)
    y[3] = np.nan
    seen = ~np.isnan(y)
    found = rank_correlation(x, y, method=method)
    assert found.value == pytest.approx(published(x[seen], y[seen])[0], rel=1e-12)
    assert found.n == n - 1
    assert -1 < found.low < found.value < found.high < 1
    assert rank_correlation(x, np.exp(y), method=method) == found


@pytest.mark.slow
def test_the_ratio_of_worst_errors_covers():
    rng = np.random.default_rng(18)
    scale = np.array([[0.5], [2.0], [0.3]]), np.array([[1.6], [0.2], [0.1]])
    found = []
    for _ in range(200):
        common = rng.normal(size=(3, 80))
        first, second = (c * (common + rng.normal(size=(3, 80))) for c in scale)
        first[:, :5] = np.nan
        found.append(worst_rms_ratio(first, second, level=0.8, comparisons=2))
    low, high = binomial_band(0.9, 200)
    assert low <= coverage(*stack(found).interval, 2.0 / 1.6) <= high
    assert found[0].n == 80
    both = np.where(np.isnan(first), np.nan, second)
    assert found[-1].value == pytest.approx(
        np.sqrt(np.nanmean(first**2, axis=1).max() / np.nanmean(both**2, axis=1).max()), rel=1e-12
    )
    assert worst_rms_ratio(first, second, fewest=76).interval == (-math.inf, math.inf)
    with pytest.raises(ValueError, match=r"got \(3, 80\) and \(3, 2\)"):
        worst_rms_ratio(first, second[:, :2])


def test_holm_by_hand():
    """Holm's own rule: 4 x 0.01, then 3 x 0.015, 2 x 0.03, and never less than one before."""
    adjusted = holm([0.03, 0.01, np.nan, 0.04, 0.015])
    assert adjusted == pytest.approx([0.06, 0.04, np.nan, 0.06, 0.045], nan_ok=True)
    assert holm([[0.6, 0.9]]).tolist() == [[1.0, 1.0]]
