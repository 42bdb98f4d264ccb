"""How values are distributed, beside the law they should follow: histograms and the distribution function."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from rmt.plots.figures import COLOURS, MARKERS, log_axes, styled
from rmt.plots.series import curve
from rmt.spectra import Spectrum

_BINS = (24, 200)
DRAWN = 800  # points of a step curve that an eye can still use


@styled
def esd(ax: Axes, eigenvalues: Spectrum | ArrayLike, law: Any = None, label: str | None = "eigenvalues") -> Axes:
    """Histogram of eigenvalues as a density, with the density of `law` over it.

    Args:
        ax: where to draw.
        eigenvalues: a Spectrum or an array of any shape, pooled; non-finite ones are left out.
        law: anything with `pdf`, an `rmt.Law` for one.
        label: name of the histogram in the legend.

    Raises:
        ValueError: there is no finite eigenvalue.
    """
    x = values_of(eigenvalues)
    spread = float(np.subtract(*np.quantile(x, [0.75, 0.25])))
    width = 2 * spread / np.cbrt(x.size)  # Freedman-Diaconis, within bounds that one far outlier cannot break
    bins = _BINS[0] if width == 0 else int(np.clip(np.ptp(x) / width, *_BINS))
    density, edges = np.histogram(x, bins=bins, density=True)
    bars(ax, density, edges, label)
    top = float(density.max())
    if law is not None:
        top = density_of(ax, law, _support(law, edges[0], edges[-1]), top)
    ax.set(xlabel="eigenvalue λ", ylabel="density", ylim=(0, 1.06 * top))
    return ax


@styled
def loglog_esd(
    ax: Axes, eigenvalues: Spectrum | ArrayLike, law: Any = None, bins: int = 40, label: str | None = "eigenvalues"
) -> Axes:
    """Density of the positive eigenvalues in bins of equal log width, on two log axes, with the density of `law`.

    Args:
        ax: where to draw.
        eigenvalues: a Spectrum or an array of any shape, pooled; zeros have no place on a log axis.
        law: anything with `pdf`.
        bins: number of bins.
        label: name of the histogram in the legend.

    Raises:
        ValueError: there is no positive eigenvalue.
    """
    x = values_of(eigenvalues, positive=True)
    edges = np.geomspace(x[0], x[-1], bins + 1) if x[0] < x[-1] else x[0] * np.array([0.9, 1.1])
    edges[0], edges[-1] = min(edges[0], x[0]), max(edges[-1], x[-1])
    count, _ = np.histogram(x, bins=edges)
    density = count / (values_of(eigenvalues).size * np.diff(edges))
    seen = density > 0
    middle = np.sqrt(edges[:-1] * edges[1:])
    log_axes(ax)
    ax.plot(middle[seen], density[seen], **dots(ax), label=label)
    if law is not None:
        grid = np.geomspace(edges[0], edges[-1], DRAWN)
        pdf = np.asarray(law.pdf(grid), float)
        curve(ax, grid, np.where(np.isfinite(pdf) & (pdf > 0), pdf, np.nan), "law")
    ax.set(xlabel="eigenvalue λ", ylabel="density")
    return ax


@styled
def ecdf(
    ax: Axes, samples: ArrayLike, law: Any = None, label: str | None = "samples", series: int | None = None
) -> Axes:
    """Empirical distribution function F_n(x) = #{samples <= x} / n as steps, with the `cdf` of `law`.

    Above 800 samples, equally spaced order statistics stand for all of them.
    """
    x = values_of(samples)
    rank = np.unique(np.linspace(1, x.size, min(x.size, DRAWN)).round().astype(int))
    series = len(ax.lines) if series is None else series
    colour = COLOURS[series % len(COLOURS)]
    ax.plot(x[rank - 1], rank / x.size, drawstyle="steps-post", color=colour, label=label, zorder=1.5)
    if law is not None:
        grid = np.linspace(x[0], x[-1], DRAWN)
        curve(ax, grid, np.asarray(law.cdf(grid), float), "law")
    ax.set(ylabel="distribution function", ylim=(0, 1.02))
    return ax


def values_of(data: Spectrum | ArrayLike, positive: bool = False) -> np.ndarray:
    """Finite values in ascending order."""
    every = np.ravel(np.asarray(data.eigenvalues if isinstance(data, Spectrum) else data, float))
    x = np.sort(every[np.isfinite(every) & ((every > 0) if positive else True)])
    if x.size == 0:
        raise ValueError(f"there is no {'positive' if positive else 'finite'} value to draw among {every.size}")
    return x


def _support(law: Any, low: float, high: float) -> np.ndarray:
    """A grid over the data and, where the law has edges, the whole bulk between them."""
    ends = [float(law.ppf(q)) for q in (0.0, 1.0)] if hasattr(law, "ppf") else []
    inside = [end for end in ends if math.isfinite(end) and low - (high - low) <= end <= high + (high - low)]
    return np.unique(np.concatenate([np.linspace(min([low, *inside]), max([high, *inside]), DRAWN), inside]))


def density_of(ax: Axes, law: Any, grid: np.ndarray, top: float, of_log: bool = False) -> float:
    """The law's density on a grid, or that of log x.

    Returns what the picture must show beside bars as high as `top`: densities may diverge.
    """
    pdf = np.asarray(law.pdf(grid), float) * (grid if of_log else 1.0)
    curve(ax, grid, np.where(np.isfinite(pdf), pdf, np.nan), "law")
    return max(top, min(float(np.max(pdf, initial=0.0, where=np.isfinite(pdf))), 1.5 * top))


def bars(ax: Axes, density: np.ndarray, edges: np.ndarray, label: str | None) -> None:
    """A histogram that is already counted."""
    ax.stairs(density, edges, fill=True, color=COLOURS[0], alpha=0.35, linewidth=0, label=label, zorder=1)
    ax.stairs(density, edges, color=COLOURS[0], linewidth=0.9, zorder=1)


def dots(ax: Axes) -> dict[str, Any]:
    """The look of single values, in the next colour of these axes."""
    series = len(ax.lines)
    colour, marker = COLOURS[series % len(COLOURS)], MARKERS[series % len(MARKERS)]
    return {"color": colour, "marker": marker, "markersize": 3.8, "linestyle": "none", "zorder": 1.5}
