"""Intervals of tau and R^2 hold what they should at the sizes of a group of models: 6, 12 and 24."""

import math

import numpy as np
import pytest
from scipy import stats

from rmt.association import kendall_interval, r2_interval


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
        for estimates, truth in ((taus, 2 / math.pi * math.asin(rho)), (squares, rho * rho)):
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
