"""A fitted tail beside its data."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from rmt.plots.densities import DRAWN, bars, dots, values_of
from rmt.plots.figures import GREY, framed, log_axes, log_ticks, styled
from rmt.plots.series import curve
from rmt.spectra import Spectrum

if TYPE_CHECKING:
    from rmt.tails import TailFit

_BINS = 100  # at most, on either side of xmin
_FENCE = 3.0  # interquartile ranges above the upper quartile: Tukey's bound for what is far out
_BELOW = 30.0  # times below the median and xmin a log axis begins
AT_XMIN: dict[str, Any] = {"color": GREY, "linewidth": 1.1, "linestyle": ":", "zorder": 1}


@styled
def tail_fit(ax: Axes, spectrum: Spectrum | ArrayLike, fit: "TailFit", label: str | None = "eigenvalues") -> Axes:
    """Share of values >= x on two log axes, and that of the fitted law, (n_tail / n) sf(x), from xmin to xmax.

    There are no bins: every value stands where it is. A power law's slope is 1 - alpha here. Where the fit left out values
    above its xmax, the law's share is raised by theirs. The axis begins no lower than 1/30 of the median and of xmin: tiny
    eigenvalues have a share of 1 and say nothing of the tail. They are counted in the title.

    Args:
        ax: where to draw.
        spectrum: the fitted Spectrum or 1-D array; zeros count but cannot be drawn.
        fit: what `rmt.fit_tail` made of it. If that failed, the data are drawn alone and the legend says so.
        label: name of the data in the legend.

    Raises:
        ValueError: there is no positive value.
    """
    x, n = values_of(spectrum, positive=True), values_of(spectrum).size
    distinct, first = np.unique(x, return_index=True)
    share = (x.size - first) / n
    drawn = distinct.size - np.unique(np.geomspace(1, distinct.size, DRAWN).round().astype(int))  # dense at the largest
    log_axes(ax)
    ax.plot(distinct[drawn], share[drawn], **dots(ax), label=label)
    if fit.ok:
        n_tail = int(fit.n_tail)
        grid = np.geomspace(float(fit.xmin), float(fit.xmax), DRAWN)
        fitted = np.sum(x > float(fit.xmax)) / n + n_tail / n * np.asarray(fit.law.sf(grid), float)
        curve(ax, grid, np.where(fitted > 0, fitted, np.nan), _name(fit))
        ax.axvline(float(fit.xmin), label=f"xmin, {n_tail} of {n} in the tail", **AT_XMIN)
    else:
        ax.plot([], [], linestyle="none", label="no tail could be fitted")
    start = _start(x, fit)
    _count_outside(ax, int(np.sum(x < start)), n)
    ax.set(xlabel="eigenvalue λ", ylabel="share of eigenvalues ≥ λ")
    ax.set(xlim=framed(start, x[-1]), ylim=(0.6 * share[-1], 1.6 * share[0]))
    return log_ticks(ax)


@styled
def tail_density(
    ax: Axes, data: Spectrum | ArrayLike, fit: "TailFit", log: bool = False, label: str | None = "eigenvalues"
) -> Axes:
    """Histogram of the values as a density, and that of the fitted law, (n_tail / n) pdf(x), from xmin to xmax.

    A linear axis ends three interquartile ranges above the upper quartile, or at 2 xmin where that is more: a heavy tail has
    no end that a bulk could be seen beside. A logarithmic one begins as that of `tail_fit`. The values beyond are counted in
    the title. No bin straddles xmin, unless that is in the first.

    Args:
        ax: where to draw.
        data: the fitted Spectrum or 1-D array.
        fit: what `rmt.fit_tail` made of it. If that failed, the data are drawn alone.
        log: a logarithmic x axis, bins of equal log width, and the density per decade: equal areas are equal shares.
        label: name of the histogram in the legend.

    Raises:
        ValueError: there is no finite value, or no positive one on a log axis.
    """
    n, ok = values_of(data).size, bool(fit.ok)
    x = values_of(data, positive=log)
    start, end = (_start(x, fit), x[-1]) if log else (x[0], _end(x, fit))
    shown = x[(x >= start) & (x <= end)]
    scale = np.log10 if log else np.asarray
    edges = _edges(scale(shown), float(scale(float(fit.xmin))))
    density = np.histogram(scale(shown), edges)[0] / np.diff(edges) / n
    bars(ax, density, 10**edges if log else edges, label)
    top = float(density.max())
    if ok:
        last = min(float(fit.xmax), end)
        grid = (np.geomspace if log else np.linspace)(float(fit.xmin), last, DRAWN)
        fitted = int(fit.n_tail) / n * np.asarray(fit.law.pdf(grid), float) * (grid * np.log(10) if log else 1)
        fitted = np.where(np.isfinite(fitted), fitted, np.nan)
        curve(ax, grid, fitted, _name(fit))
        ax.axvline(float(fit.xmin), label=f"xmin, {int(fit.n_tail)} of {n} in the tail", **AT_XMIN)
        top = max(top, min(float(np.nanmax(fitted, initial=0.0)), 1.5 * top))
    _count_outside(ax, x.size - shown.size, n)
    ax.set(xlabel="eigenvalue λ", ylabel="share per decade" if log else "density", ylim=(0, 1.06 * top))
    return log_ticks(log_axes(ax, "x"), "x") if log else ax


def _start(x: np.ndarray, fit: "TailFit") -> float:
    """Where a log axis begins for ascending positive x."""
    return max(x[0], min(np.median(x), float(fit.xmin) if fit.ok else np.inf) / _BELOW)


def _end(x: np.ndarray, fit: "TailFit") -> float:
    """Where a linear axis ends for ascending x."""
    low, high = np.quantile(x, [0.25, 0.75])
    return min(x[-1], max(high + _FENCE * (high - low), 2 * float(fit.xmin) if fit.ok else -np.inf))


def _count_outside(ax: Axes, count: int, n: int) -> None:
    if count:
        ax.set_title(f"{ax.get_title(loc='left')}, {count} of {n} outside the frame")


def _edges(x: np.ndarray, xmin: float) -> np.ndarray:
    """Edges of bins for ascending values. xmin is one, unless it is in the first bin; above it they are finer, for a
    density as steep as a tail's.

    Among repeated values the edges are moved up to values, so that rounding does not make combs: a bin is then as wide as the
    steps of what is in it.
    """
    distinct = np.unique(x)
    if distinct.size == 1:
        return x[0] + np.array([-0.5, 0.5]) * (abs(x[0]) or 1.0)
    start = np.searchsorted(x, xmin) if np.isfinite(xmin) else x.size
    middle, width = x[min(start, x.size - 1)], _width(x)
    if middle - x[0] < width:
        start, middle = 0, x[0]  # what is left of xmin is no bin of its own
    fine = min(width, _width(x[start:]) / 2) if start < x.size else width
    edges = np.concatenate([_evenly(x[0], middle, width), _evenly(middle, x[-1], fine)])
    if distinct.size < x.size / 2:
        edges = distinct[np.searchsorted(distinct, edges)]
    return np.unique(edges)


def _width(x: np.ndarray) -> float:
    """Freedman and Diaconis's width of bins, or Sturges's where ties leave none."""
    spread = float(np.subtract(*np.quantile(x, [0.75, 0.25])))
    return 2 * spread / np.cbrt(x.size) or float(np.ptp(x)) / (1 + np.log2(x.size))


def _evenly(low: float, high: float, width: float) -> np.ndarray:
    count = np.ceil((high - low) / width - 1e-9) if width > 0 else 1
    return np.linspace(low, high, int(np.clip(count, 1, _BINS)) + 1)


def alpha_of(fit: "TailFit") -> str:
    """alpha +- stderr, written to the digits that the error leaves, and two at least."""
    digits = decimals(float(fit.stderr))
    return f"α = {float(fit.alpha):{digits}} ± {float(fit.stderr):{digits}}"


def decimals(error: float) -> str:
    """How to write numbers that have this error."""
    if not 0 < error < 100:
        return ".3g"
    return f".{int(np.clip(-np.floor(np.log10(error)), 2, 9))}f"


def _name(fit: "TailFit") -> str:
    """The law in the legend: its alpha if it has one."""
    if np.isfinite(fit.alpha):
        return "fit: " + alpha_of(fit)
    law = getattr(fit.law, "law", fit.law)  # of a law given x >= xmin, the law
    return "fit: " + re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(law).__name__).lower()
