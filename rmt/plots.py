"""Figures from results and laws: the only matplotlib here. Nothing is shown, printed, or changed outside of the figure.

An experiment composes `figure` with primitives that each draw one thing and return the axes:

    fig, axes = figure()
    points(axes[0, 0], mu, ds.alpha.values, "signed Pareto")
    curve(axes[0, 0], mu, mu / 2 + 1, "theory: mu/2 + 1")
    legend(fig)
    path.write_text(svg(fig))

Measured points are coloured markers with error bars, theory is a solid dark line, a published line is dashed.
"""

import functools
import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter
from numpy.typing import ArrayLike

from rmt.inference import Estimate
from rmt.spectra import Spectrum

if TYPE_CHECKING:
    from rmt.tails import TailFit

P = ParamSpec("P")
R = TypeVar("R")

# Five colours of Okabe and Ito that print apart in grey and are told apart with any colour vision; black is theory's,
# vermilion the published line's. Markers have another period, so that 35 series differ.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK = "#1a1a1a"
PUBLISHED = "#D55E00"
GREY = "#777777"

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": "#444444",
    "axes.linewidth": 0.9,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "errorbar.capsize": 2.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: small, searchable, read aloud
    "svg.hashsalt": "rmt",  # the same figure has the same ids, so the same bytes
}
_PANEL = (5.4, 3.5)  # inches: half a desktop page, and still legible when a phone shrinks it to 340 pixels
_LEGEND_ROW = 0.23  # inches
_BINS = (24, 200)
_DRAWN = 800  # points of a step curve that an eye can still use


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function in the style of the lab, and leave matplotlib's settings as they were."""

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_STYLE)
            return function(*args, **kwargs)

    return inside


class LabFigure(Figure):
    """A figure without pyplot's global state, which a notebook shows as SVG; saved in the style it was drawn in."""

    @styled
    def savefig(self, fname: Any, **options: Any) -> None:
        """Like matplotlib's, with equal bytes for equal SVG figures if `metadata={"Date": None}`."""
        super().savefig(fname, **options)

    def _repr_svg_(self) -> str:
        return svg(self)


@styled
def figure(
    rows: int = 1,
    cols: int = 1,
    titles: Sequence[str] = (),
    panel: tuple[float, float] = _PANEL,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[LabFigure, np.ndarray]:
    """A figure and its (rows, cols) array of axes, always two-dimensional.

    Args:
        rows: panels down. On a phone a column of panels reads better than a row.
        cols: panels across.
        titles: titles of the panels, row by row.
        panel: width and height of one panel in inches.
        sharex: one x axis for each column.
        sharey: one y axis for each row.
    """
    fig = LabFigure(figsize=(panel[0] * cols, panel[1] * rows), layout="constrained")
    axes = fig.subplots(rows, cols, squeeze=False, sharex="col" if sharex else False, sharey="row" if sharey else False)
    for ax in axes.flat:
        # Ticks are born late, when matplotlib's settings are back: what they look like has to be kept by the axis.
        ax.tick_params(which="both", color="#444444", labelcolor=INK, labelsize=_STYLE["xtick.labelsize"])
    for ax, title in zip(axes.flat, titles, strict=False):
        ax.set_title(title)
    return fig, axes


@styled
def points(
    ax: Axes, x: ArrayLike, y: ArrayLike | Estimate, label: str | None = None, series: int | None = None
) -> Axes:
    """Means with error bars: one marker per x.

    Args:
        ax: where to draw.
        x: abscissae, shape (n_x,).
        y: trials of shape (n_x, n_trials), drawn as mean +- standard error, NaN trials left out; or an `Estimate` of
            arrays, drawn with its interval; or plain values of shape (n_x,), drawn without bars.
        label: name in the legend.
        series: number of the colour and marker; by default the next that these axes have not used.

    Raises:
        ValueError: the first axis of y is not that of x.
    """
    x = np.asarray(x, float)
    value, bars = _with_bars(y)
    if x.shape != value.shape:
        raise ValueError(f"points(ax, x, y) needs one row of y for each x, got shapes {x.shape} and {value.shape}")
    series = _next_series(ax) if series is None else series
    ax.errorbar(
        x,
        value,
        yerr=bars,
        fmt=MARKERS[series % len(MARKERS)],
        color=COLOURS[series % len(COLOURS)],
        markeredgecolor="white",
        markeredgewidth=0.6,
        elinewidth=1.4,
        label=label,
        zorder=3,
    )
    return ax


@styled
def curve(ax: Axes, x: ArrayLike, y: ArrayLike, label: str | None = None, series: int | None = None) -> Axes:
    """A theory curve: solid and dark, or in the colour of the points of the same `series`."""
    colour = INK if series is None else COLOURS[series % len(COLOURS)]
    ax.plot(np.asarray(x, float), np.asarray(y, float), color=colour, label=label, zorder=2)
    return ax


@styled
def published(ax: Axes, x: ArrayLike, y: ArrayLike, label: str | None = "published") -> Axes:
    """The line that the paper printed: dashed, in a colour that nothing else has."""
    ax.plot(np.asarray(x, float), np.asarray(y, float), color=PUBLISHED, linestyle=(0, (5, 2.5)), label=label, zorder=2)
    return ax


@styled
def band(ax: Axes, low: float, high: float, label: str | None = "criterion") -> Axes:
    """Shade low <= y <= high: the values that the criterion, fixed before the run, calls support."""
    ax.axhspan(low, high, color=INK, alpha=0.08, linewidth=0, label=label, zorder=0)
    return ax


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
    x = _values(eigenvalues)
    spread = float(np.subtract(*np.quantile(x, [0.75, 0.25])))
    width = 2 * spread / np.cbrt(x.size)  # Freedman-Diaconis, within bounds that one far outlier cannot break
    bins = _BINS[0] if width == 0 else int(np.clip(np.ptp(x) / width, *_BINS))
    density, edges = np.histogram(x, bins=bins, density=True)
    _bars(ax, density, edges, label)
    top = float(density.max())
    if law is not None:
        grid = _support(law, edges[0], edges[-1])
        pdf = np.asarray(law.pdf(grid), float)
        curve(ax, grid, np.where(np.isfinite(pdf), pdf, np.nan), "law")
        top = max(top, min(float(np.max(pdf, initial=0.0, where=np.isfinite(pdf))), 1.5 * top))  # densities may diverge
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
    x = _values(eigenvalues, positive=True)
    edges = np.geomspace(x[0], x[-1], bins + 1) if x[0] < x[-1] else x[0] * np.array([0.9, 1.1])
    edges[0], edges[-1] = min(edges[0], x[0]), max(edges[-1], x[-1])
    count, _ = np.histogram(x, bins=edges)
    density = count / (_values(eigenvalues).size * np.diff(edges))
    seen = density > 0
    middle = np.sqrt(edges[:-1] * edges[1:])
    log_axes(ax)
    ax.plot(middle[seen], density[seen], **_dots(ax), label=label)
    if law is not None:
        grid = np.geomspace(edges[0], edges[-1], _DRAWN)
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
    x = _values(samples)
    rank = np.unique(np.linspace(1, x.size, min(x.size, _DRAWN)).round().astype(int))
    series = len(ax.lines) if series is None else series
    colour = COLOURS[series % len(COLOURS)]
    ax.plot(x[rank - 1], rank / x.size, drawstyle="steps-post", color=colour, label=label, zorder=1.5)
    if law is not None:
        grid = np.linspace(x[0], x[-1], _DRAWN)
        curve(ax, grid, np.asarray(law.cdf(grid), float), "law")
    ax.set(ylabel="distribution function", ylim=(0, 1.02))
    return ax


@styled
def tail_fit(ax: Axes, spectrum: Spectrum | ArrayLike, fit: "TailFit", label: str | None = "eigenvalues") -> Axes:
    """Share of values >= x on two log axes, and the fitted tail (n_tail / n) (x / xmin)^(1 - alpha) from xmin on.

    Args:
        ax: where to draw.
        spectrum: the fitted Spectrum or 1-D array; zeros count but cannot be drawn.
        fit: what `rmt.fit_tail` made of it. If that failed, the data are drawn alone and the legend says so.
        label: name of the data in the legend.

    Raises:
        ValueError: there is no positive value.
    """
    x, n = _values(spectrum, positive=True), _values(spectrum).size
    if x.size <= _DRAWN:
        rank = np.arange(1, x.size + 1)
    else:
        rank = np.unique(np.geomspace(1, x.size, _DRAWN).round().astype(int))  # dense at the largest values
    log_axes(ax)
    ax.plot(x[-rank], rank / n, **_dots(ax), label=label)
    alpha, xmin, n_tail = float(fit.alpha), float(fit.xmin), int(fit.n_tail)
    if math.isfinite(alpha):
        grid = np.geomspace(xmin, float(fit.xmax), 2)
        name = f"fit: α = {alpha:.2f} ± {float(fit.stderr):.2f}"
        curve(ax, grid, n_tail / n * (grid / xmin) ** (1 - alpha), name)
        ax.axvline(xmin, color=GREY, linewidth=1.1, linestyle=":", label=f"xmin, {n_tail} of {n} in the tail", zorder=1)
    else:
        ax.plot([], [], linestyle="none", label="no tail could be fitted")
    ax.set(xlabel="eigenvalue λ", ylabel="share of eigenvalues ≥ λ")
    return ax


@styled
def log_axes(ax: Axes, which: str = "xy") -> Axes:
    """Make "x", "y" or both axes logarithmic; error bars that reach below zero are cut at the frame."""
    for name in which:
        getattr(ax, f"set_{name}scale")("log", nonpositive="clip")
    return ax


@styled
def ticks_at(ax: Axes, values: Sequence[float], which: str = "x") -> Axes:
    """Ticks at these values and no others, written out in full: right for matrix sizes on a log axis."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    return ax


@styled
def legend(target: Figure | Axes, title: str | None = None) -> None:
    """A legend outside of the axes, where it cannot cover data: below a figure, or above the axes of one panel.

    Args:
        target: a Figure, for one legend of everything in it, each label once; or Axes, for a legend of their own. The
            title of such axes moves into their legend.
        title: heading.
    """
    if isinstance(target, Axes):
        handles, labels = target.get_legend_handles_labels()
        heading = title or target.get_title(loc="left") or None
        target.set_title("", loc="left")
        options: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.3}
    else:
        entries: dict[str, Any] = {}
        for ax in target.axes:
            for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
                entries.setdefault(name, handle)
        handles, labels, heading = list(entries.values()), list(entries), title
        options = {"loc": "outside lower center"}
        rows = math.ceil(len(labels) / _columns(labels)) if labels else 0
        target.set_figheight(target.get_figheight() + _LEGEND_ROW * rows)  # it comes below the panels, not out of them
    if not labels:
        return
    target.legend(
        handles,
        labels,
        ncols=_columns(labels),
        title=heading,
        alignment="left",
        title_fontproperties={"weight": "bold", "size": _STYLE["axes.titlesize"]},
        handlelength=1.8,
        columnspacing=1.4,
        **options,
    )


@styled
def svg(fig: Figure) -> str:
    """The figure as SVG text; the same data give the same text under the same matplotlib."""
    text = io.StringIO()
    fig.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _columns(labels: Sequence[str]) -> int:
    """Columns of a legend that fit in the width of one panel, evenly filled."""
    room = max(1, int(_PANEL[0] * 11 // (7 + max(len(name) for name in labels))))  # 11 letters an inch, 7 a handle
    rows = math.ceil(len(labels) / room)
    return math.ceil(len(labels) / rows)


def _with_bars(y: ArrayLike | Estimate) -> tuple[np.ndarray, np.ndarray | None]:
    """Values and the lengths of their bars down and up; a bar without a finite length is not drawn."""
    if isinstance(y, Estimate):
        value = np.asarray(y.value, float)
        bars = np.stack([value - y.low, y.high - value])
        return value, np.where(np.isfinite(bars), np.maximum(bars, 0.0), 0.0)
    y = np.asarray(y, float)
    if y.ndim == 1:
        return y, None
    n = np.sum(~np.isnan(y), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(y, axis=1) / n
        stderr = np.sqrt(np.nansum((y - mean[:, None]) ** 2, axis=1) / (n - 1) / n)
    return mean, np.tile(np.where(np.isfinite(stderr), stderr, 0.0), (2, 1))


def _values(data: Spectrum | ArrayLike, positive: bool = False) -> np.ndarray:
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
    return np.unique(np.concatenate([np.linspace(min([low, *inside]), max([high, *inside]), _DRAWN), inside]))


def _bars(ax: Axes, density: np.ndarray, edges: np.ndarray, label: str | None) -> None:
    ax.stairs(density, edges, fill=True, color=COLOURS[0], alpha=0.35, linewidth=0, label=label, zorder=1)
    ax.stairs(density, edges, color=COLOURS[0], linewidth=0.9, zorder=1)


def _dots(ax: Axes) -> dict[str, Any]:
    series = len(ax.lines)
    colour, marker = COLOURS[series % len(COLOURS)], MARKERS[series % len(MARKERS)]
    return {"color": colour, "marker": marker, "markersize": 3.8, "linestyle": "none", "zorder": 1.5}


def _next_series(ax: Axes) -> int:
    return sum(isinstance(container, ErrorbarContainer) for container in ax.containers)
