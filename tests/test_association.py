"""Intervals of tau, R^2 and RMSE hold what they should at the sizes of a group of models, 6, 12 and 24, and over groups."""

import math

import numpy as np
import pytest
from scipy import stats

from rmt.association import (
    INTERVALS,
    average_interval,
    average_tau_gain,
    kendall_interval,
    pooled_interval,
    r2_interval,
    rmse_interval,
)


def samples(seed: int, n: int, rho: float, trials: int = 400):
    rng = np.random.default_rng([seed, n])
    x = rng.standard_normal((trials, n))
    return x, rho * x + math.sqrt(1 - rho * rho) * rng.standard_normal((trials, n))


@pytest.mark.parametrize("n", [6, 12, 24])
def test_intervals_cover(n):
    for seed, rho in enumerate((0.0, 0.5, -0.8, 0.97)):
        x, y = samples(seed, n, rho)
        taus = [kendall_interval(np.exp(3 * a), b**3) for a, b in zip(x, y, strict=True)]  # the copula is what counts
        squares = [r2_interval(a, b) for a, b in zip(x, y, strict=True)]
        errors = [rmse_interval(a, b) for a, b in zip(x, y, strict=True)]
        truths = 2 / math.pi * math.asin(rho), rho * rho, math.sqrt(1 - rho * rho)
        for estimates, truth in zip((taus, squares, errors), truths, strict=True):
            held = np.mean([e.low <= truth <= e.high for e in estimates])
            assert held > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400), (rho, held)
        assert np.mean([e.high - e.low for e in taus]) < (1.6, 1.0, 0.65)[(6, 12, 24).index(n)]  # and say something


def test_a_family_has_wider_intervals_and_signs_are_mirrored():
    (x,), (y,) = samples(0, 12, 0.6, 1)
    one, many, turned = (kendall_interval(x, s * y, comparisons=m) for s, m in ((1, 1), (1, 20), (-1, 1)))
    assert many.low < one.low < one.value < one.high < many.high
    assert (turned.low, turned.value, turned.high) == pytest.approx((-one.high, -one.value, -one.low))
    assert one.value == pytest.approx(stats.kendalltau(x, y)[0])
    assert r2_interval(x, -y).value == pytest.approx(stats.pearsonr(x, y)[0] ** 2)
    assert r2_interval(x, y, comparisons=20).low < r2_interval(x, y).low


def test_simulation_and_formula_meet():
    x, y = samples(3, 60, 0.5, 1)
    few, many = kendall_interval(x[0, :40], y[0, :40]), kendall_interval(x[0, :41], y[0, :41])
    assert (few.low, few.high) == pytest.approx((many.low, many.high), abs=0.06)


def test_what_says_nothing_has_the_whole_range():
    assert kendall_interval([1.0, 2, 3, 4], [1.0, 2, 3, 4]).interval == (-1, 1)
    assert r2_interval([1.0, 2, 3], [1.0, 2, 4]).interval == (0, 1)
    constant = kendall_interval(np.ones(8), np.arange(8.0)), r2_interval(np.ones(8), np.arange(8.0))
    assert all(math.isnan(e.value) for e in constant)
    assert [e.interval for e in constant] == [(-1, 1), (0, 1)]
    assert kendall_interval([1.0, 2, 3, 4, 5, 6, np.nan], range(7)).n == 6
    perfect = kendall_interval(np.arange(6.0), np.arange(6.0))
    assert perfect.value == pytest.approx(1) == perfect.high
    assert 0.3 < perfect.low < 0.9
    with pytest.raises(ValueError, match="two columns of one length"):
        kendall_interval([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="level must lie"):
        r2_interval([1, 2], [1, 2], level=95)


@pytest.mark.parametrize("sizes", [(6, 6, 6, 6), (18, 19, 6, 11)])  # the second are the contest's
def test_intervals_of_averages_cover(sizes):
    trials, held = 40, dict.fromkeys(INTERVALS, 0)
    group = np.repeat(np.arange(4), sizes)
    patterns = (0, 0, 0, 0), (0.5, 0.5, 0.5, 0.5), (-0.8, -0.8, -0.8, -0.8), (0, 0.3, -0.3, 0.95)
    for seed, pattern in enumerate(patterns):
        rho = np.array(pattern, float)
        truth = {"tau": 2 / math.pi * np.arcsin(rho), "r2": rho**2, "rmse": np.sqrt(1 - rho**2)}
        rng = np.random.default_rng([seed, *sizes])
        for x, noise in rng.standard_normal((trials, 2, len(group))):
            y = rho[group] * x + np.sqrt(1 - rho[group] ** 2) * noise
            for name in INTERVALS:
                found = average_interval(name, x, y, group)
                held[name] += found.low <= np.mean(truth[name]) <= found.high
    n = trials * len(patterns)
    assert min(held.values()) / n > 0.95 - 3 * math.sqrt(0.95 * 0.05 / n), held


@pytest.mark.parametrize(("sizes", "least"), [((6, 6, 6, 6), 0.88), ((18, 19, 6, 11), 0.92)])
def test_intervals_over_all_rows_cover_for_these_groups(sizes, least):
    trials, held = 100, dict.fromkeys(INTERVALS, 0)
    group = np.repeat(np.arange(4), sizes)
    slopes = (-1, 1), (0, 0), (1, -0.2)
    for seed, (within, between) in enumerate(slopes):
        rng = np.random.default_rng([seed, *sizes])
        centre = np.linspace(-3, 3, 4)[group]

        def draw(n, rng=rng, centre=centre, within=within, between=between):
            x, noise = rng.standard_normal((2, n, len(group)))
            return x + centre, within * x + between * centre + 0.85 * noise

        many = draw(60)
        truth = {name: of(*map(np.ravel, many)).value for name, of in INTERVALS.items()}
        for x, y in zip(*draw(trials), strict=True):
            for name in INTERVALS:
                found = pooled_interval(name, x, y, group)
                held[name] += found.low <= truth[name] <= found.high
    n = trials * len(slopes)
    assert min(held.values()) / n > least - 3 * math.sqrt(least * (1 - least) / n), held


def test_an_average_is_that_of_the_groups_and_one_group_is_its_own():
    (x,), (y,) = samples(0, 24, 0.6, 1)
    group = np.repeat(["a", "b", "c"], [12, 8, 4])
    parts = [(x[group == name], y[group == name]) for name in "abc"]
    for name, of in INTERVALS.items():
        found = average_interval(name, x, y, group)
        assert found.value == pytest.approx(np.mean([of(*part).value for part in parts]))
        assert found.n == 3
        alone = average_interval(name, *parts[0], ["a"] * 12)
        assert alone.interval == pytest.approx(of(*parts[0]).interval)
        assert average_interval(name, x, y, group, comparisons=9).high > found.high
        assert pooled_interval(name, x, y, group).value == of(x, y).value
        assert pooled_interval(name, *parts[0], ["a"] * 12) == of(*parts[0])


def test_groups_that_say_nothing_widen_the_average_or_are_left_out():
    (x,), (y,) = samples(0, 12, 0.6, 1)
    three = [*x, 1.0, 2.0, 3.0], [*y, 1.0, 2.0, 3.0], ["a"] * 12 + ["b"] * 3
    alone, with_three = average_interval("tau", x, y, ["a"] * 12), average_interval("tau", *three)
    assert with_three.interval == pytest.approx(((alone.low - 1) / 2, (alone.high + 1) / 2))
    few = [*x, 1.0, 2.0, np.nan], [*y, 1.0, 2.0, 1.0], ["a"] * 12 + ["b", "b", "c"]
    assert average_interval("tau", *few) == alone
    assert average_interval("r2", [1.0, 2], [1.0, 2], ["a", "b"]).interval == (0, 1)
    assert pooled_interval("tau", [1.0, 2, 3], [1.0, 2, 3], "aab").interval == (-1, 1)
    assert pooled_interval("tau", x, y, range(12)) == pooled_interval("tau", x, y, ["a"] * 12)
    constant = pooled_interval("r2", np.ones(8), np.arange(8.0), ["a"] * 8)
    assert math.isnan(constant.value)
    assert pooled_interval("rmse", x, x, ["a"] * 12).value == pytest.approx(0, abs=1e-12)
    perfect = pooled_interval("tau", x, x, ["a"] * 12)
    assert perfect.low < perfect.value == pytest.approx(1)
    with pytest.raises(ValueError, match="three columns of one length"):
        average_interval("tau", [1.0, 2], [1.0, 2], ["a"])


@pytest.mark.parametrize(("groups", "n"), [(3, 8), (6, 16), (3, 24)])
def test_the_gain_of_one_predictor_over_another_is_covered(groups, n):
    """Of predictors that share half of their noise; the levels of the groups differ, which no tau within them sees."""
    rng, group = np.random.default_rng([groups, n]), np.repeat(np.arange(groups), n)
    for one, two in ((0.0, 0.0), (0.5, 0.5), (0.8, 0.3), (0.9, 0.9)):
        truth, held, wide = 2 / math.pi * (math.asin(one) - math.asin(two)), 0, []
        for _ in range(200):
            y, shared = rng.standard_normal((2, groups * n))
            x, other = (
                rho * y + math.sqrt((1 - rho * rho) / 2) * (shared + rng.standard_normal(groups * n))
                for rho in (one, two)
            )
            gain = average_tau_gain(np.exp(x), other - 9 * group, y + 10 * group, group)
            held += gain.low <= truth <= gain.high
            wide.append(gain.high - gain.low)
        assert held / 200 > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 200), (one, two)
        assert np.mean(wide) < (1.4 if n == 8 else 0.6)


def test_the_gain_is_the_difference_of_the_averages():
    rng = np.random.default_rng(5)
    x, other, y = rng.standard_normal((3, 40))
    x[3], group = np.nan, np.repeat(["a", "b"], 20)
    there = np.isfinite(x)
    taus = [average_interval("tau", of[there], y[there], group[there]).value for of in (x, other)]
    gain, back = average_tau_gain(x, other, y, group), average_tau_gain(other, x, y, group)
    assert gain.value == pytest.approx(taus[0] - taus[1])
    assert gain.n == 2
    assert back.interval == pytest.approx((-gain.high, -gain.low))
    assert average_tau_gain(x, other, y, group, comparisons=20).low < gain.low
    assert average_tau_gain(x, x, y, group).interval == (-2, 2)
    assert math.isnan(average_tau_gain(x[:4], other[:4], y[:4], group[:4]).value)
    with pytest.raises(ValueError, match="columns of one length"):
        average_tau_gain(x, other[:9], y, group)
