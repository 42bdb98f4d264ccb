"""The style of the lab's figures: the figure itself, its axes and legends, and its SVG."""

import functools
import io
import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator, ScalarFormatter, StrMethodFormatter

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
_LINE = 0.2  # inches from one line of text to the next
_LETTERS = 12.5  # of text in an inch
_WIDE, _NARROW = 2.0, 0.4  # decades: powers of ten are ticks enough above, and 1, 2, 5 too few below


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


def series_look(series: int) -> dict[str, Any]:
    """Colour and marker of a series, by its number."""
    return {"color": COLOURS[series % len(COLOURS)], "marker": MARKERS[series % len(MARKERS)]}


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
        dress(ax)
    for ax, title in zip(axes.flat, titles, strict=False):
        ax.set_title(title)
    return fig, axes


def dress(ax: Axes) -> Axes:
    """Keep the look of the ticks in the axes: they are born late, when matplotlib's settings are back."""
    ax.tick_params(which="both", color="#444444", labelcolor=INK, labelsize=_STYLE["xtick.labelsize"])
    return ax


@styled
def stacked(ax: Axes, heights: tuple[float, float], sharex: bool = True) -> tuple[Axes, Axes]:
    """The place of one panel, for two, one above the other in a ratio of heights; the upper keeps the title.

    With `sharex` they touch, and the lower one alone has the ticks of x.
    """
    place, title, fig = ax.get_subplotspec(), ax.get_title(loc="left"), ax.figure
    assert place is not None  # it is one of subplots
    ax.remove()
    grid = place.subgridspec(2, 1, height_ratios=heights, hspace=0.02 if sharex else None)
    upper = dress(fig.add_subplot(grid[0]))
    lower = dress(fig.add_subplot(grid[1], sharex=upper if sharex else None))
    if sharex:
        upper.tick_params(which="both", labelbottom=False)
    upper.set_title(title)
    return upper, lower


def nothing(ax: Axes, why: str) -> None:
    """Say in a panel why it is empty."""
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center", color=GREY)
    ax.set_axis_off()


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
def log_ticks(ax: Axes, which: str = "xy") -> Axes:
    """Ticks that a log axis can be read by even if it spans less than two decades, for the limits that it has now."""
    for name in which:
        axis = getattr(ax, f"{name}axis")
        low, high = sorted(getattr(ax, f"get_{name}lim")())
        decades = math.log10(high) - math.log10(low)
        if decades >= _WIDE:
            continue
        axis.set_minor_locator(NullLocator())
        if decades < _NARROW:
            axis.set_major_locator(MaxNLocator(4))
            axis.set_major_formatter(ScalarFormatter())
        else:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades > 1 else (1, 2, 3, 5, 7)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    return ax


def framed(low: float, high: float) -> tuple[float, float]:
    """Limits of a log axis with a margin."""
    margin = np.exp(0.04 * (np.log(high) - np.log(low))) if high > low else 1.1
    return low / margin, high * margin


@styled
def headline(fig: Figure, title: str, notes: Sequence[str] = ()) -> None:
    """A bold line above all panels, and notes below it, each on lines of its own. The figure grows by their height.

    Last of all: it is placed for the figure's size.
    """
    letters = int(fig.get_figwidth() * _LETTERS)
    lines = [textwrap.wrap(title, int(0.9 * letters)), [row for note in notes for row in textwrap.wrap(note, letters)]]
    room = _LINE * (len(lines[0]) + len(lines[1])) + 0.12
    height = fig.get_figheight() + room
    fig.set_figheight(height)
    top = 1 - 0.06 / height
    left = 0.06 / fig.get_figwidth()
    for rows, weight in zip(lines, ("bold", "normal"), strict=True):
        fig.text(
            left,
            top,
            "\n".join(rows),
            weight=weight,
            size=_STYLE["font.size"],
            va="top",
            linespacing=1.3,
            in_layout=False,
        )
        top -= _LINE * len(rows) / height
    fig.set_layout_engine("constrained", rect=(0, 0, 1, 1 - room / height))


@styled
def legend(*targets: Figure | Axes, title: str | None = None) -> None:
    """A legend for each, outside of the axes, where it cannot cover data: below a figure, or above the axes of one panel.

    Args:
        targets: Figures, for one legend of everything in one, each label once; or Axes, for a legend of their own. The
            title of such axes moves into their legend.
        title: heading.
    """
    for target in targets:
        _legend(target, title)


def _legend(target: Figure | Axes, title: str | None) -> None:
    if isinstance(target, Axes):
        handles, labels = target.get_legend_handles_labels()
        heading = title or target.get_title(loc="left") or None
        target.set_title("", loc="left")
        options: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.3}
        width = _PANEL[0]
    else:
        entries: dict[str, Any] = {}
        for ax in target.axes:
            for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
                entries.setdefault(name, handle)
        handles, labels, heading = list(entries.values()), list(entries), title
        options = {"loc": "outside lower center"}
        width = target.get_figwidth()
        rows = math.ceil(len(labels) / legend_columns(labels, width)) if labels else 0
        target.set_figheight(target.get_figheight() + _LEGEND_ROW * rows)  # it comes below the panels, not out of them
    if not labels:
        return
    target.legend(
        handles,
        labels,
        ncols=legend_columns(labels, width),
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


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Columns of a legend that fit in a width in inches, evenly filled."""
    room = max(1, int(width * 11 // (7 + max(len(name) for name in labels))))  # 11 letters an inch, 7 a handle
    rows = math.ceil(len(labels) / room)
    return math.ceil(len(labels) / rows)
