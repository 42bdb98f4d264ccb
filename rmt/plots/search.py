"""The search over xmin: D and alpha at every candidate."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from rmt.plots.densities import DRAWN
from rmt.plots.figures import COLOURS, INK, MARKERS, framed, log_axes, log_ticks, styled
from rmt.plots.series import band
from rmt.plots.tails import AT_XMIN, decimals
from rmt.tails.diagnose import AS_GOOD, minima

if TYPE_CHECKING:
    from rmt.tails import Diagnosis

_STEADY = 10  # values in a tail from which on its alpha is more than noise


@styled
def scan_distance(ax: Axes, d: "Diagnosis") -> Axes:
    """D at every candidate for xmin, on two log axes, with the fit's xmin and the two best other minima marked.

    The shaded band holds the D that `rmt.diagnose` takes for as good as the lowest.
    """
    at = np.flatnonzero(d.scan.candidate)
    xmin, ks = np.asarray(d.scan.xmin, float), np.asarray(d.scan.ks, float)
    seen = at[_outline(np.log(xmin[at]), ks[at])]
    log_axes(ax)
    ax.plot(xmin[seen], ks[seen], color=COLOURS[0], linewidth=1.3, zorder=2)
    band(ax, float(d.fit.ks), AS_GOOD * float(d.fit.ks), "D at most 10 % above the fit's")
    ax.margins(y=0.12)
    ax.axvline(float(d.fit.xmin), **AT_XMIN)
    for name, look, values in _marked(d):
        label = f"{name}: xmin = {values[0]:.3g}, α = {values[1]:{decimals(float(d.fit.stderr))}}, D = {values[2]:.3g}"
        ax.plot(values[0], values[2], **look, label=label)
    ax.set(xlabel="xmin", ylabel="D(xmin)", xlim=_range(d))
    return log_ticks(ax)


@styled
def scan_alpha(ax: Axes, d: "Diagnosis") -> Axes:
    """alpha at every candidate for xmin, the marks of `scan_distance` on it, and a band of alpha +- stderr of the fit.

    The axis holds the tails of ten values and more, in shorter ones alpha is mostly noise, and no alpha - 1 that is more than
    three times the fit's.
    """
    at = np.flatnonzero(d.scan.candidate)
    xmin, alpha = np.asarray(d.scan.xmin, float), np.asarray(d.scan.alpha, float)
    seen = at[_outline(np.log(xmin[at]), alpha[at])]
    log_axes(ax, "x")
    ax.plot(xmin[seen], alpha[seen], color=COLOURS[0], linewidth=1.3, zorder=2)
    center, error = float(d.fit.alpha), float(d.fit.stderr)
    band(ax, center - error, center + error, "α ± standard error of the fit")
    ax.axvline(float(d.fit.xmin), **AT_XMIN)
    marks = _marked(d)
    for _, look, values in marks:
        ax.plot(values[0], values[1], **look)
    left, right = _range(d)
    steady = at[(xmin[at] >= left) & (np.asarray(d.scan.n_tail)[at] >= _STEADY)]
    reach = np.clip(alpha[steady], center - 2 * abs(center - 1), center + 2 * abs(center - 1))
    reach = [*reach, center - error, center + error, *(values[1] for _, _, values in marks)]
    margin = 0.08 * (max(reach) - min(reach)) or 0.1
    ax.set(xlabel="xmin", ylabel="α(xmin)", xlim=(left, right), ylim=(min(reach) - margin, max(reach) + margin))
    return log_ticks(ax, "x")


def _marked(d: "Diagnosis") -> list[tuple[str, dict[str, Any], tuple[float, float, float]]]:
    """Name, look and (xmin, alpha, D) of the fit and of the two lowest minima that are another xmin."""
    fit, scan = d.fit, d.scan
    marks = [(float(fit.xmin), float(fit.alpha), float(fit.ks))]
    for i in minima(scan) if d.searched else []:
        if scan.xmin[i] != fit.xmin and len(marks) < 3:
            marks.append((float(scan.xmin[i]), float(scan.alpha[i]), float(scan.ks[i])))
    names = ("chosen", "second best", "runner-up")
    looks = [_mark(series, size) for series, size in ((0, 9.0), (1, 8.0), (2, 8.5))]
    return list(zip(names, looks, marks, strict=False))


def _mark(series: int, size: float) -> dict[str, Any]:
    return {
        "marker": MARKERS[series],
        "color": COLOURS[series],
        "markersize": size,
        "markeredgecolor": INK,
        "markeredgewidth": 0.9,
        "linestyle": "none",
        "zorder": 4 - 0.1 * series,
    }


def _range(d: "Diagnosis") -> tuple[float, float]:
    """The candidates above the lowest quarter of them, and every mark: a tail is not most of the values."""
    xmin = np.asarray(d.scan.xmin, float)[np.asarray(d.scan.candidate)]
    marks = [values[0] for _, _, values in _marked(d)]
    low, high = min(np.quantile(xmin, 0.25), *marks), max(xmin[-1], *marks)
    return framed(low, high)


def _outline(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices that draw the same line: for ascending x, the lowest and the highest y in every pixel."""
    if x.size <= 2 * DRAWN:
        return np.arange(x.size)
    pixels = np.searchsorted(x, np.linspace(x[0], x[-1], DRAWN + 1)[1:-1])
    runs = [run for run in np.split(np.arange(x.size), pixels) if run.size]
    return np.unique([run[pick(y[run])] for run in runs for pick in (np.argmin, np.argmax)])
