"""Figures from results and laws: the only matplotlib here. Nothing is shown, printed, or changed outside of the figure.

An experiment composes `figure` with primitives that each draw one thing and return the axes:

    fig, axes = figure()
    points(axes[0, 0], mu, ds.alpha.values, "signed Pareto")
    curve(axes[0, 0], mu, mu / 2 + 1, "theory: mu/2 + 1")
    legend(fig)
    path.write_text(svg(fig))

`diagnosis`, `decades`, `card`, `depth`, `alpha_plane` and `by_group` are whole figures: of a fit, of many, of a matrix, of a
network, of several, of a corpus. Measured points are coloured markers with error bars, theory is a solid dark line, a
published line is dashed.
"""

from rmt.plots.card import card as card
from rmt.plots.decades import decades as decades
from rmt.plots.densities import ecdf as ecdf
from rmt.plots.densities import esd as esd
from rmt.plots.densities import loglog_esd as loglog_esd
from rmt.plots.diagnosis import diagnosis as diagnosis
from rmt.plots.figures import COLOURS as COLOURS
from rmt.plots.figures import GREY as GREY
from rmt.plots.figures import INK as INK
from rmt.plots.figures import MARKERS as MARKERS
from rmt.plots.figures import PUBLISHED as PUBLISHED
from rmt.plots.figures import LabFigure as LabFigure
from rmt.plots.figures import figure as figure
from rmt.plots.figures import legend as legend
from rmt.plots.figures import log_axes as log_axes
from rmt.plots.figures import log_ticks as log_ticks
from rmt.plots.figures import styled as styled
from rmt.plots.figures import svg as svg
from rmt.plots.figures import ticks_at as ticks_at
from rmt.plots.gallery import beside_law as beside_law
from rmt.plots.groups import by_group as by_group
from rmt.plots.groups import group_legend as group_legend
from rmt.plots.groups import interval_rows as interval_rows
from rmt.plots.network import Depth as Depth
from rmt.plots.network import Frame as Frame
from rmt.plots.network import alpha_histogram as alpha_histogram
from rmt.plots.network import alpha_plane as alpha_plane
from rmt.plots.network import depth as depth
from rmt.plots.network import rank_axes as rank_axes
from rmt.plots.network import rank_plot as rank_plot
from rmt.plots.search import scan_alpha as scan_alpha
from rmt.plots.search import scan_distance as scan_distance
from rmt.plots.series import band as band
from rmt.plots.series import curve as curve
from rmt.plots.series import heat_map as heat_map
from rmt.plots.series import points as points
from rmt.plots.series import published as published
from rmt.plots.series import scatter as scatter
from rmt.plots.tails import tail_density as tail_density
from rmt.plots.tails import tail_fit as tail_fit
