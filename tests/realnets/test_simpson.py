"""Simpson's paradox is found where it was planted, at the contest's sizes and scatter, and nowhere else."""

import math
from collections import Counter

import numpy as np
import pytest

from realnets.simpson import ATTENUATION, NONE, REVERSAL, STRONG, UNTESTED, simpson, simpson_each
from rmt.inference import holm

TASKS = {"Task1": (16,) * 6, "Task2": (18, 19, 6, 11)}  # the contest's groups
R2 = 0.58  # of alpha and the test accuracy within its groups, on average (Task2; 0.55 for Task1)


def corpus(rng, sizes, within, between=None):
    """Groups three standard deviations of x wide, the slope in them and that of their means: None leaves the pooled models level."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    centre = np.linspace(-3, 3, len(sizes))[group]
    x = centre + rng.standard_normal(len(group))
    if between is None:
        off = x - np.mean(x)
        between = -within * (off @ (x - centre)) / (off @ centre)
    scatter = math.sqrt(1 / R2 - 1)
    return x, within * (x - centre) + between * centre + scatter * rng.standard_normal(len(group)), group


def verdicts(sizes, within, between, n=500):
    rng = np.random.default_rng([len(sizes), n])
    return Counter(simpson(*corpus(rng, sizes, within, between)).verdict for _ in range(n))


@pytest.mark.parametrize("task", TASKS)
def test_planted_reversals_are_found_and_others_are_not(task):
    sizes = TASKS[task]
    most, few = 0.95 * 500, 0.05 * 500 + 3 * math.sqrt(500 * 0.05 * 0.95)
    assert verdicts(sizes, -1, 1)[STRONG] >= most
    assert verdicts(sizes, -1, 0)[ATTENUATION] >= most
    assert 500 - verdicts(sizes, -1, -1)[NONE] <= few
    # no trend within, or none in the pooled models, is no paradox, however strong the other one is
    for within, between in ((0, 1), (-1, None)):
        found = verdicts(sizes, within, between)
        assert found[STRONG] + found[REVERSAL] <= few, (within, between)


def test_slopes_and_ranks_are_made_of_those_within_and_between():
    x, y, group = corpus(np.random.default_rng(1), TASKS["Task2"], -1, 1)
    found = simpson(x, y, group)
    assert found.pooled.value == pytest.approx(found.eta2 * found.within.value + (1 - found.eta2) * found.between.value)
    assert found.pooled.value == pytest.approx(np.polyfit(x, y, 1)[0])
    assert found.slopes["2"].value == pytest.approx(np.polyfit(x[group == 2], y[group == 2], 1)[0])
    pairs = len(x) * (len(x) - 1) / 2
    inside = sum(n * (n - 1) / 2 for n in found.sizes.values())
    parts = found.tau_within * inside + found.tau_between * (pairs - inside)
    assert found.tau_pooled == pytest.approx(parts / pairs)
    assert found.verdict == STRONG
    assert found.p_every >= found.p
    scaled = simpson(100 * x - 7, -y, [f"group {g}" for g in group])
    assert (scaled.verdict, scaled.eta2) == (STRONG, pytest.approx(found.eta2))
    assert scaled.p == pytest.approx(found.p)


def test_a_group_against_the_others_takes_the_strength_off():
    x, y, group = corpus(np.random.default_rng(2), (30, 30, 30, 8), -1, 1)
    y = np.where(group == 3, 3 + 1.0 * (x - 3), y)
    assert simpson(x, y, group).verdict == REVERSAL


def test_what_cannot_be_tested_says_why():
    x, y = np.arange(8.0), np.arange(8.0) % 3
    one = simpson(x, y, ["a"] * 8)
    assert (one.verdict, one.remark) == (
        UNTESTED, "1 group of models; the pooled trend needs two to differ from that within"
    )  # fmt: skip
    assert "no group has two models of unlike x" in simpson(x, y, range(8)).remark
    assert "no group has two models of unlike x" in simpson([1.0] * 4 + [2.0] * 4, y, [0] * 4 + [1] * 4).remark
    assert "too few models for 2 groups and a slope" in simpson(x[:3], y[:3], [0, 0, 1]).remark
    assert "no scatter within the groups" in simpson(x, 2 * x, [0] * 4 + [1] * 4).remark
    assert "same mean of x" in simpson([-1.0, 1, -1, 1, 0], [1.0, 2, 3, 5, 1], [0, 0, 1, 1, 1]).remark
    lone = simpson([*x, 9.0, np.nan, 1.0], [*y, 1.0, 2.0, 3.0], [0] * 4 + [1] * 4 + ["x", 0, None])
    assert lone.dropped == 2
    assert lone.remark == "1 of 3 groups have one model or one x, and no slope"
    assert lone.slopes["x"].interval == (-math.inf, math.inf)
    nothing = simpson([], [], [])
    assert (nothing.verdict, nothing.sizes) == (UNTESTED, {})
    with pytest.raises(ValueError, match="three columns of one length"):
        simpson([1, 2], [1, 2], ["a"])


def test_of_several_metrics_few_families_have_a_wrong_verdict():
    """Five that go with the means of the groups and with nothing within; alone, about one family in five has one."""
    rng, sizes, n, wrong, alone = np.random.default_rng(3), TASKS["Task2"], 150, 0, 0
    for _ in range(n):
        y, group = corpus(rng, sizes, 0, 1)[1:]
        metrics = {str(i): corpus(rng, sizes, 0, 1)[0] for i in range(5)}
        found = simpson_each(metrics | {"constant in each": 0.1 * group}, y, group)
        assert found["constant in each"].verdict == UNTESTED
        wrong += any(found[name].verdict != NONE for name in metrics)
        alone += any(simpson(x, y, group).verdict != NONE for x in metrics.values())
    assert wrong / n <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / n)
    assert alone / n > 0.12


def test_verdicts_of_several_metrics_are_those_of_holm():
    rng = np.random.default_rng(4)
    seen = Counter()
    for _ in range(40):
        x, y, group = corpus(rng, TASKS["Task2"], -0.5, 0.3)
        metrics = {str(i): x + i * rng.standard_normal(len(x)) for i in range(4)}
        found = simpson_each(metrics, y, group)
        shown = {name: of.verdict != NONE for name, of in found.items()}
        assert [bool(p <= 0.05) for p in holm([of.p for of in found.values()])] == list(shown.values())
        seen.update(of.verdict for of in found.values())
        alone = simpson(metrics["0"], y, group)
        assert found["0"].within.low < alone.within.low < alone.within.value == found["0"].within.value
    assert len(seen) >= 3
    assert simpson_each({}, y, group) == {}
