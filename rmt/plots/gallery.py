"""A law and samples of it on one picture: the density where most values are, and the tail as far as they reach."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from rmt.plots.densities import DRAWN, bars, density_of, dots, values_of
from rmt.plots.figures import LabFigure, figure, legend, log_axes, styled
from rmt.plots.series import curve

_MIDDLE = (0.01, 0.25, 0.5, 0.75, 0.99)  # the density is drawn between the outer two of these quantiles
_REACH = 4.0  # and no farther from the median than this many distances between the quartiles
_ORDERS = 10.0  # the ratio of positive quartiles above which the density is that of log x
_POINTS = 60


def beside_law(samples: ArrayLike, law: Any, name: str = "", absolute: bool = False) -> LabFigure:
    """Two panels: the histogram of the samples under the law's density, and P(x > t) of both.

    Args:
        samples: values of any shape, pooled; non-finite ones are left out.
        law: an `rmt.Law`, or anything with `pdf`, `sf` and `tail_index`; with `abs_sf` if `absolute`.
        name: title of the first panel.
        absolute: the tail is that of |w|, for entries of either sign.

    Raises:
        ValueError: there is no finite sample.
    """
    fig, [[left, right]] = figure(1, 2, titles=(name, "tail"))
    x = values_of(samples)
    middle_density(left, x, law)
    upper_tail(right, np.sort(np.abs(x)) if absolute else x, law, absolute)
    legend(fig)
    return fig


@styled
def middle_density(ax: Axes, samples: ArrayLike, law: Any) -> Axes:
    """Histogram of the middle of the samples, 98 % of them unless tails are heavy, under the density of the law.

    Of log x where the quartiles of positive samples are orders apart: on an axis of x most would be in the first bar.
    """
    x = values_of(samples)
    low, first, median, third, high = np.quantile(x, _MIDDLE)
    of_log = bool(low > 0 and third > _ORDERS * first)
    if not of_log:
        reach = _REACH * (third - first)
        low, high = max(low, median - reach), min(high, median + reach)
    inside, bins = x[(x >= low) & (x <= high)], int(np.clip(2 * np.cbrt(x.size), 10, 80))
    spaced = np.geomspace if of_log else np.linspace
    count, edges = np.histogram(inside, bins=spaced(inside.min(), inside.max(), bins + 1))
    density = count / (x.size * np.diff(np.log(edges) if of_log else edges))
    bars(ax, density, edges, "samples")
    top = density_of(ax, law, spaced(edges[0], edges[-1], DRAWN), float(density.max()), of_log)
    if of_log:
        log_axes(ax, "x")
    ax.set(xlabel="x", ylabel="density of log x" if of_log else "density", ylim=(0, 1.06 * top))
    return ax


@styled
def upper_tail(ax: Axes, samples: ArrayLike, law: Any, absolute: bool = False) -> Axes:
    """Share of the samples above t, at ranks that fall by equal ratios, and that of the law; both axes log for a power law."""
    x = values_of(samples)[::-1]
    rank = np.unique(np.geomspace(1, x.size, _POINTS).round().astype(int))
    power = bool(np.isfinite(law.tail_index)) and x[rank[-1] - 1] >= 0
    if power:
        rank = rank[x[rank - 1] > 0]
    log_axes(ax, "xy" if power else "y")
    # The k-th largest of n stands for the quantile k/(n + 1).
    ax.plot(x[rank - 1], rank / (x.size + 1), **dots(ax), label="samples")
    ends = x[rank[-1] - 1], x[0]
    grid = np.geomspace(*ends, DRAWN) if power else np.linspace(*ends, DRAWN)
    sf = np.asarray((law.abs_sf if absolute else law.sf)(grid), float)
    curve(ax, grid, np.where(sf > 0, sf, np.nan), "law")
    ax.set(xlabel="t", ylabel="P(|x| > t)" if absolute else "P(x > t)", ylim=(0.3 / x.size, 1.5))
    return ax
