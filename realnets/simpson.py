"""Simpson's paradox: a trend within the groups of a corpus that its models, pooled, turn round."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from jaxtyping import ArrayLike

from rmt.inference import Estimate

NONE, ATTENUATION, REVERSAL, STRONG, UNTESTED = "none", "attenuation", "reversal", "strong reversal", "not tested"
VERDICTS = (NONE, ATTENUATION, REVERSAL, STRONG, UNTESTED)


@dataclass(frozen=True)
class Simpson:
    """What `simpson` finds.

    Attributes:
        verdict: one of `VERDICTS`.
        p: p-value of the verdict; where it is "none", that of an attenuation.
        p_every: p-value of the strict reading, that each group by itself has a trend opposite to the pooled one: the largest of
            the groups' and the pooled one's. Groups of six models rarely have the power for it.
        within: slope of y on x that the groups share.
        between: slope of the groups' means, weighted by the groups' sizes; its interval takes the groups as drawn at random.
        pooled: slope over all models.
        eta2: SS_within(x) / SS_total(x), so that pooled = eta2 within + (1 - eta2) between.
        slopes: group -> slope in it.
        sizes: group -> its number of models.
        tau_within, tau_between, tau_pooled: concordant pairs less discordant ones, over their number, of the pairs of models
            in one group, in two, and of all.
        dropped: models left out, since their x, y or group is missing.
        remark: why there is no test, or what it did not use.
    """

    verdict: str
    p: float
    p_every: float
    within: Estimate
    between: Estimate
    pooled: Estimate
    eta2: float
    slopes: dict[str, Estimate]
    sizes: dict[str, int]
    tau_within: float
    tau_between: float
    tau_pooled: float
    dropped: int
    remark: str


def simpson(x: ArrayLike, y: ArrayLike, group: Sequence[object] | np.ndarray, level: float = 0.05) -> Simpson:
    """Whether y falls with x where it rises within the groups, or the other way round.

    With y_gi = a_g + b x_gi + e_gi, e normal of one variance, the slope within is b, and the pooled slope of these very groups is
    c = eta2 b + (1 - eta2) b_between. Verdicts, each by one-sided t-tests of which the largest p-value counts (intersection-union):

        reversal         b and c have unlike signs
        strong reversal  the same, and the slope in every group has the sign of b
        attenuation      b has a sign, and c is nearer to zero or beyond it
        none             neither is shown

    At most `level` of the corpora without a reversal are said to have one; of those with b = c at most `level` are said to have
    an attenuation. The groups are the corpus': with other groups the pooled slope would be another. Whether groups drawn
    from a population would have such means is asked by the interval of `between`, of G - 2 degrees of freedom.

    Args:
        x: the metric of each model.
        y: its quality, such as the test accuracy.
        group: the group of each model, such as its depth; anything that can be turned into a string.
        level: of the tests; intervals have level 1 - level.

    Returns:
        Simpson. A group of one model, or of one x, has no slope, and counts between groups only.

    Raises:
        ValueError: the three are not of one length, or `level` is out of range.

    Source: Simpson, J. R. Stat. Soc. B 13 (1951) 238; Berger, Technometrics 24 (1982) 295 for intersection-union tests.
    Accuracy: rates of each verdict on planted corpora are simulated in `tests/realnets/test_simpson.py`.
    """
    if not 0 < level < 1:
        raise ValueError(f"simpson(level) must lie strictly between 0 and 1, got {level}")
    x, y = np.asarray(x, float), np.asarray(y, float)
    names = np.array(["" if _missing(g) else str(g) for g in group])
    if x.ndim != 1 or not x.shape == y.shape == names.shape:
        raise ValueError(
            f"simpson(x, y, group) needs three columns of one length, got {x.shape}, {y.shape}, {names.shape}"
        )
    there = np.isfinite(x) & np.isfinite(y) & (names != "")
    return _of_whole(x[there], y[there], names[there], level, int((~there).sum()))


def simpson_each(
    metrics: Mapping[str, ArrayLike], y: ArrayLike, group: Sequence[object] | np.ndarray, level: float = 0.05
) -> dict[str, Simpson]:
    """`simpson` of each of several metrics, so that at most `level` of such families have a wrong verdict or more: Holm's rule.

    The level of a step is `level` over the number of metrics that have no verdict yet; a metric keeps the first that it gets. So
    `rmt.inference.holm` of their p is at most `level` where there is one, and above it where the verdict is none. The intervals hold
    together over the metrics.

    Args:
        metrics: name -> the metric of each model.
        y, group: as of `simpson`.
        level: of the family.

    Raises:
        ValueError: as of `simpson`.
    """
    found = {name: simpson(x, y, group, level / max(len(metrics), 1)) for name, x in metrics.items()}
    waiting = [name for name, of in found.items() if of.verdict != UNTESTED]
    while waiting:
        step = {name: simpson(metrics[name], y, group, level / len(waiting)) for name in waiting}
        shown = [name for name, of in step.items() if of.verdict != NONE]
        for name in shown or waiting:
            found[name] = replace(found[name], verdict=step[name].verdict, p=step[name].p)
        waiting = [name for name in waiting if name not in shown] if shown else []
    return found


def _missing(g: object) -> bool:
    return g is None or (isinstance(g, float) and math.isnan(g))


def _of_whole(x: np.ndarray, y: np.ndarray, names: np.ndarray, level: float, dropped: int) -> Simpson:
    found, of = np.unique(names, return_inverse=True)
    sizes = np.bincount(of, minlength=len(found))
    mean_x, mean_y = (np.bincount(of, v, len(found)) / np.maximum(sizes, 1) for v in (x, y))
    scale = float(np.max(np.abs(x), initial=0))
    inner = _Moments(x - mean_x[of], y - mean_y[of], scale)
    outer, whole = _centred(mean_x[of], mean_y[of], scale), _centred(x, y, scale)
    parts = {str(name): _centred(x[of == g], y[of == g], scale) for g, name in enumerate(found)}
    # What scatters is what the groups and the slope within leave; of it too come the errors of the pooled slope.
    df = len(x) - len(found) - 1
    sigma = inner.residual(df)
    within, pooled = inner.slope(sigma, df, level), whole.slope(sigma, df, level)
    slopes = {name: part.slope(part.residual(part.n - 2), part.n - 2, level) for name, part in parts.items()}
    between = outer.slope(outer.residual(len(found) - 2), len(found) - 2, level)
    eta2 = inner.xx / whole.xx if whole.xx > 0 else math.nan
    sloped = [part for part in parts.values() if part.xx > 0]
    p, p_every, verdict = math.nan, math.nan, UNTESTED
    remark = _why_not(len(found), len(sloped), df, sigma, outer.xx)
    if not remark:
        sign = 1.0 if within.value >= 0 else -1.0
        p_within, p_pooled = _p(sign * inner.t(sigma), df), _p(-sign * whole.t(sigma), df)
        gap = sign * (inner.b - outer.b) / (sigma * math.sqrt(1 / inner.xx + 1 / outer.xx))
        nearer = abs(whole.b) < abs(inner.b) or whole.b * sign < 0
        reversal, attenuation = max(p_within, p_pooled), max(p_within, _p(gap, df)) if nearer else 1.0
        each = [_p(sign * part.t(part.residual(part.n - 2)), part.n - 2) if part.n > 2 else 1.0 for part in sloped]
        p_every = max(*each, p_pooled)
        if reversal <= level:
            verdict = STRONG if all(sign * part.b > 0 for part in sloped) else REVERSAL
        else:
            verdict = ATTENUATION if attenuation <= level else NONE
        p = reversal if reversal <= level else attenuation
        if lone := len(parts) - len(sloped):
            remark = f"{lone} of {len(parts)} groups have one model or one x, and no slope"
    concordance = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
    same, others = of[:, None] == of, ~np.eye(len(x), dtype=bool)
    return Simpson(
        verdict=verdict,
        p=p,
        p_every=p_every,
        within=within,
        between=between,
        pooled=pooled,
        eta2=eta2,
        slopes=slopes,
        sizes={str(name): int(size) for name, size in zip(found, sizes, strict=True)},
        tau_within=_mean(concordance[same & others]),
        tau_between=_mean(concordance[~same]),
        tau_pooled=_mean(concordance[others]),
        dropped=dropped,
        remark=remark,
    )


@dataclass(frozen=True)
class _Moments:
    """Sums of squares and products of two centred columns; the scale is that of x before."""

    x: np.ndarray
    y: np.ndarray
    scale: float

    @property
    def n(self) -> int:
        return len(self.x)

    @property
    def xx(self) -> float:
        total = float(self.x @ self.x)
        # What rounding leaves of a column that is the same throughout its groups is no spread.
        return total if total > (1e-13 * self.n * self.scale) ** 2 else 0.0

    @property
    def b(self) -> float:
        return float(self.x @ self.y) / self.xx if self.xx > 0 else math.nan

    def residual(self, df: int) -> float:
        """Standard deviation of what the slope leaves."""
        if df < 1 or not self.xx > 0:
            return math.nan
        return math.sqrt(float(np.sum((self.y - self.b * self.x) ** 2)) / df)

    def t(self, sigma: float) -> float:
        return self.b * math.sqrt(self.xx) / sigma if sigma > 0 else math.copysign(math.inf, self.b)

    def slope(self, sigma: float, df: int, level: float) -> Estimate:
        if not math.isfinite(sigma) or df < 1 or not self.xx > 0:
            return Estimate(self.b, -math.inf, math.inf, self.n)
        off = float(scipy.stats.t.isf(level / 2, df)) * sigma / math.sqrt(self.xx)
        return Estimate(self.b, self.b - off, self.b + off, self.n)


def _centred(x: np.ndarray, y: np.ndarray, scale: float) -> _Moments:
    return _Moments(x - np.mean(x), y - np.mean(y), scale) if len(x) else _Moments(x, y, scale)


def _p(t: float, df: int) -> float:
    return float(scipy.stats.t.sf(t, df)) if df > 0 and not math.isnan(t) else 1.0


def _why_not(groups: int, sloped: int, df: int, sigma: float, between: float) -> str:
    if groups < 2:
        return f"{groups} group{'s' * (groups != 1)} of models; the pooled trend needs two to differ from that within"
    if not sloped:
        return "no group has two models of unlike x"
    if df < 1:
        return f"too few models for {groups} groups and a slope"
    if not sigma > 0:
        return "no scatter within the groups"
    return "" if between > 0 else "all groups have the same mean of x"


def _mean(x: np.ndarray) -> float:
    return float(np.mean(x)) if x.size else math.nan
