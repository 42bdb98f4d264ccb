"""One thing on given axes: points with error bars, a theory curve, a published line, the band of a criterion, a table."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from numpy.typing import ArrayLike

from rmt.inference import Estimate
from rmt.plots.figures import COLOURS, INK, MARKERS, PUBLISHED, series_look, styled


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
def scatter(ax: Axes, x: ArrayLike, y: ArrayLike, label: str | None = None, series: int | None = None) -> Axes:
    """A dot for each pair of numbers of single draws, half transparent where many overlap, in the next colour of these axes."""
    series = len(ax.lines) if series is None else series
    look = series_look(series)
    ax.plot(np.ravel(x), np.ravel(y), **look, markersize=3, linestyle="none", alpha=0.7, label=label, zorder=1.5)
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
def heat_map(
    ax: Axes,
    table: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    top: float,
    texts: ArrayLike | None = None,
) -> Axes:
    """A table of numbers, a darker blue the farther from 0, each number written on its place; NaN and "" stay blank.

    Args:
        ax: where to draw.
        table: shape (n_rows, n_columns).
        rows: names of the rows, from above.
        columns: names of the columns.
        top: the size from which on it gets no darker.
        texts: what is written, of the same shape; by default the numbers, rounded to whole ones.

    Raises:
        ValueError: the table has not as many rows and columns as there are names.
    """
    table = np.asarray(table, float)
    if table.shape != (len(rows), len(columns)):
        raise ValueError(
            f"heat_map needs a table of shape {(len(rows), len(columns))}, as it has names, got {table.shape}"
        )
    if texts is None:
        texts = np.array([["" if np.isnan(value) else f"{value:.0f}" for value in row] for row in table])
    # dark ink reads on two thirds of the map
    ax.imshow(np.minimum(np.abs(table), top), cmap="Blues", vmin=0, vmax=1.5 * top, aspect="auto")
    for (row, column), text in np.ndenumerate(np.asarray(texts)):
        if text:
            ax.text(column, row, text, ha="center", va="center", fontsize=9)
    ax.set_xticks(range(len(columns)), columns, rotation=25, ha="right", fontsize=9)
    ax.set_yticks(range(len(rows)), rows, fontsize=9)
    ax.grid(False)
    return ax


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


def _next_series(ax: Axes) -> int:
    return sum(isinstance(container, ErrorbarContainer) for container in ax.containers)
