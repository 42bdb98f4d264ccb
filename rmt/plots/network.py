"""A network at a glance: its layers against depth, their alphas, the spectrum of each, and many networks on one plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from numpy.typing import ArrayLike
from scipy.stats import gaussian_kde

from rmt.plots.figures import (
    COLOURS,
    GREY,
    INK,
    PUBLISHED,
    LabFigure,
    dress,
    figure,
    framed,
    legend,
    log_axes,
    log_ticks,
    nothing,
    series_look,
    styled,
    ticks_at,
)

if TYPE_CHECKING:
    from rmt.calibration.ranks import Ranks

_WARNED = (2.0, 6.0)  # C. H. Martin's tool WeightWatcher warns of alpha below and above
_CUT = 8.0  # and C. H. Martin, M. W. Mahoney, arXiv:2106.00734, footnote 10, do not average alpha from here on

_ALPHAS = (1, 1.5, 2, 3, 4, 6, 8, 12, 20, 30, 50, 100)  # ticks
_WIDE = 9.6  # inches: across a desktop page; a phone scrolls it
_MOST_ALPHA = 100.0  # what is above stands at the frame
_PANEL = (3.3, 2.2)  # inches: three across a desktop page, one on a phone
_MARGINS = {"left": 0.2, "right": 0.975, "bottom": 0.215, "top": 0.96}
_BELOW = 1 / 30  # of its mean eigenvalue: where the picture of a spectrum begins
_MARKED = 8  # of the largest eigenvalues
_BANDS = {"gaussian": GREY, "shuffled": COLOURS[3]}
_LEVEL, _CELLS = 0.9, 90
_LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1.5)))


@dataclass(frozen=True)
class Depth:
    """The layers of a network in their order, NaN where one has no such number.

    Attributes:
        alpha: fitted exponents.
        low, high: their intervals.
        threshold: below which alpha is not noise of the layer's shape; None if that is not known.
        log_spectral_norm: log10 ||W||_2^2.
        groups: a name for each layer, by which it is coloured.
    """

    alpha: Float[np.ndarray, " L"]
    low: Float[np.ndarray, " L"]
    high: Float[np.ndarray, " L"]
    threshold: Float[np.ndarray, " L"] | None
    log_spectral_norm: Float[np.ndarray, " L"]
    groups: Sequence[str]


@styled
def depth(layers: Depth, looks: Mapping[str, tuple[str, str]]) -> LabFigure:
    """alpha with its interval and the threshold of noise, and below it the log spectral norm, against the number of the layer.

    Args:
        layers: what is drawn; an alpha above 100 stands at the frame.
        looks: group -> colour and marker, in the order of the legend.
    """
    fig, [[top], [bottom]] = figure(2, 1, panel=(_WIDE, 2.7), sharex=True)
    place = np.arange(1, len(layers.alpha) + 1)
    size = 5.5 if len(place) <= 60 else 3.6 if len(place) <= 300 else 2.4
    alpha = np.minimum(layers.alpha, _MOST_ALPHA)
    for name, (colour, marker) in looks.items():
        mine = np.array([group == name for group in layers.groups], bool)
        look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": size, "linestyle": "none", "zorder": 3}
        seen = mine & np.isfinite(alpha)
        if np.any(seen):
            top.vlines(place[seen], layers.low[seen], layers.high[seen], color=colour, linewidth=1.1, alpha=0.6)
            top.plot(place[seen], alpha[seen], **look, label=name or "layers, 95 % given xmin")
        seen = mine & np.isfinite(layers.log_spectral_norm)
        bottom.plot(place[seen], layers.log_spectral_norm[seen], **look)
    ends = [alpha, layers.low, layers.high]
    if layers.threshold is not None and np.any(np.isfinite(layers.threshold)):
        edges = np.append(place - 0.5, place[-1] + 0.5)
        top.stairs(layers.threshold, edges, baseline=None, color=INK, linewidth=1.3, label="5 % of noise is below")
        ends.append(layers.threshold)
    _alpha_axis(top, np.concatenate(ends), "y")
    bottom.set(xlabel="layer, in order of depth", ylabel="log10 of the\nspectral norm²")
    bottom.set_xlim(0, len(place) + 1)
    bottom.xaxis.get_major_locator().set_params(integer=True)
    bottom.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    legend(fig)
    return fig


@styled
def alpha_histogram(alpha: ArrayLike) -> LabFigure:
    """Histogram of the layers' alphas in bins of equal log width, with the published limits at 2, 6 and 8.

    Args:
        alpha: finite ones are drawn; those above 100 are in the last bin.
    """
    fig, [[ax]] = figure(panel=(_WIDE, 2.6))
    x = np.asarray(alpha, float)
    x = np.minimum(x[np.isfinite(x)], _MOST_ALPHA)
    if not x.size:
        nothing(ax, "no layer has an alpha")
        return fig
    low, high = framed(min(1.7, x.min()), max(10.0, x.max()))
    ax.hist(x, bins=list(np.geomspace(low, high, 41)), color=COLOURS[0], alpha=0.55, linewidth=0, label="layers")
    for limit in _WARNED:
        words = "2 and 6: WeightWatcher warns below and above" if limit == _WARNED[0] else None
        ax.axvline(limit, color=PUBLISHED, linestyle=(0, (5, 2.5)), label=words)
    ax.axvline(_CUT, color=PUBLISHED, linestyle=":", label="8: from here on left out of averages")
    _alpha_axis(ax, np.array([low, high]), "x")
    ax.set_ylabel("layers")
    ax.yaxis.get_major_locator().set_params(integer=True)
    legend(fig)
    return fig


def _alpha_axis(ax: Axes, values: np.ndarray, which: str) -> None:
    """A log axis that is the frame of these values, with ticks that are written out."""
    values = values[np.isfinite(values)]
    log_axes(ax, which)
    low, high = framed(max(values.min(), 1.05), min(values.max(), _MOST_ALPHA)) if values.size else (1.5, 10)
    getattr(ax, f"set_{which}lim")(low, high)
    getattr(ax, f"set_{which}label")("α")
    ticks_at(ax, [tick for tick in _ALPHAS if low <= tick <= high], which)


@dataclass(frozen=True)
class Frame:
    """The axes that the spectra of a network share: eigenvalue over the mean one, and share of eigenvalues that are as large."""

    x: tuple[float, float]
    y: tuple[float, float]

    @classmethod
    def around(cls, spectra: "Sequence[tuple[Ranks, float]]") -> "Frame":
        """As wide as the widest of the spectra, each with its mean eigenvalue; from 1/30 of the mean on."""
        known = [(ranks, mean) for ranks, mean in spectra if ranks.rank.size and mean > 0]
        largest = max((float(ranks.eigenvalues[0] / mean) for ranks, mean in known), default=10.0)
        M = max((ranks.M for ranks, _ in known), default=100)
        return cls(framed(_BELOW, max(largest, 2.0)), (0.6 / M, 1.5))


@styled
def rank_axes(frame: Frame) -> LabFigure:
    """The axes alone, on which `rank_plot` is laid: drawn once for all layers."""
    fig, ax = _panel(frame)
    ax.set_xlabel("eigenvalue / mean eigenvalue", fontsize=9, labelpad=0)
    ax.set_ylabel("share as large", fontsize=9, labelpad=7)
    ax.tick_params(which="both", labelsize=8.5, pad=2)
    log_ticks(ax)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_minor_formatter(NullFormatter())
    return fig


@styled
def rank_plot(
    frame: Frame,
    ranks: "Ranks",
    mean: float,
    tail: tuple[float, float, int] | None = None,
    colour: str = COLOURS[0],
    bands: Sequence[str] = (),
) -> LabFigure:
    """One spectrum without its axes: share of eigenvalues at least as large, its nulls behind it, the fitted tail over it.

    Args:
        frame: of all layers of the network.
        ranks: what is drawn.
        mean: mean eigenvalue.
        tail: alpha, xmin and n_tail of the fit: the share (n_tail / M) (x / xmin)^(1 - alpha) from xmin on.
        colour: of the eigenvalues.
        bands: those of the nulls' bands that are drawn.
    """
    fig, ax = _panel(frame)
    ax.set_axis_off()
    fig.patch.set_visible(False)
    for null in bands:
        low, high = ranks.bands[null] / mean
        ax.fill_betweenx(ranks.share, low, high, color=_BANDS[null], alpha=0.45, linewidth=1.6, zorder=1)
    if ranks.rank.size and mean > 0:
        x = ranks.eigenvalues / mean
        ax.plot(x, ranks.share, color=colour, linewidth=1.5, zorder=2)
        ax.plot(x[:_MARKED], ranks.share[:_MARKED], color=colour, marker="o", markersize=3, linestyle="none", zorder=2)
    if tail is not None:
        alpha, xmin, n_tail = tail
        ends = np.array([xmin, max(float(ranks.eigenvalues[0]), xmin)])
        ax.plot(ends / mean, n_tail / ranks.M * (ends / xmin) ** (1 - alpha), color=INK, linewidth=1.1, zorder=3)
        ax.plot([xmin / mean], [n_tail / ranks.M], color=INK, marker="|", markersize=9, zorder=3)
    return fig


def _panel(frame: Frame) -> tuple[LabFigure, Axes]:
    # Fixed margins: a layout that measures its text takes longer than all else here.
    fig = LabFigure(figsize=_PANEL)
    ax = dress(fig.add_subplot())
    fig.subplots_adjust(**_MARGINS)
    log_axes(ax)
    ax.set(xlim=frame.x, ylim=frame.y)
    return fig, ax


@styled
def alpha_plane(
    classes: Mapping[str, tuple[ArrayLike, ArrayLike]],
    networks: Mapping[str, tuple[ArrayLike, ArrayLike]],
    ylabel: str = "λ max / edge of noise",
) -> LabFigure:
    """Layers of networks on the plane of alpha and lambda_max, before regions of known matrices.

    A region holds 90 % of its matrices: the densest part, by a Gaussian kernel in log alpha and log y (D. W. Scott's width).

    Args:
        classes: name -> alpha and y of matrices whose law is known; finite ones count.
        networks: name -> alpha and y of each layer.
        ylabel: what y is.
    """
    fig, [[ax]] = figure(panel=(_WIDE, 5.4))
    log_axes(ax)
    every = [_finite(*pair) for pair in (*classes.values(), *networks.values())]
    alphas, ys = (np.concatenate([pair[axis] for pair in every]) for axis in (0, 1))
    alphas = np.minimum(alphas, _MOST_ALPHA)
    _alpha_axis(ax, alphas, "x")
    if ys.size:
        ax.set_ylim(*framed(float(ys.min()), 1.5 * float(ys.max())))  # a region reaches beyond its points
    for series, (name, pair) in enumerate(classes.items()):
        _region(ax, *_finite(*pair), _LINES[series % len(_LINES)], name)
    for series, (name, pair) in enumerate(networks.items()):
        alpha, y = _finite(*pair)
        look = series_look(series) | {"markeredgecolor": INK, "markeredgewidth": 0.5, "markersize": 5}
        ax.plot(np.minimum(alpha, _MOST_ALPHA), y, **look, linestyle="none", label=name, zorder=3)
    ax.set_ylabel(ylabel)
    log_ticks(ax, "y")
    legend(fig)
    return fig


def _region(ax: Axes, alpha: np.ndarray, y: np.ndarray, line: Any, name: str) -> None:
    points = np.log(np.stack([alpha, y]))
    density = gaussian_kde(points)
    margin = 0.15 * np.ptp(points, axis=1) + 0.02
    grid = [np.linspace(x.min() - m, x.max() + m, _CELLS) for x, m in zip(points, margin, strict=True)]
    height = density(np.stack(np.meshgrid(*grid)).reshape(2, -1)).reshape(_CELLS, _CELLS)
    level = float(np.quantile(density(points), 1 - _LEVEL))
    x, y = np.exp(grid[0]), np.exp(grid[1])
    ax.contourf(x, y, height, levels=[level, height.max() * 1.01], colors=[GREY], alpha=0.2, zorder=1)
    ax.contour(x, y, height, levels=[level], colors=[INK], linewidths=1.3, linestyles=[line], zorder=1)
    ax.fill([], [], facecolor=(GREY, 0.2), edgecolor=INK, linewidth=1.3, linestyle=line, label=name)


def _finite(alpha: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    alpha, y = np.asarray(alpha, float), np.asarray(y, float)
    kept = np.isfinite(alpha) & np.isfinite(y) & (y > 0)
    return alpha[kept], y[kept]
