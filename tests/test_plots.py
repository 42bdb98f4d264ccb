"""What is drawn is what was given: the artists are asked, not the pixels."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy import stats

import rmt
from rmt import plots
from rmt.inference import Estimate, mean_interval
from rmt.laws import MarchenkoPastur
from rmt.laws.power_law import PowerLaw
from rmt.spectra import Spectrum
from rmt.tails import Status, TailFit


@pytest.fixture
def ax():
    return plots.figure()[1][0, 0]


def line(ax, label):
    return next(artist for artist in ax.lines if artist.get_label() == label)


def bar_ends(ax):
    segments = ax.containers[0].lines[2][0].get_segments()
    return np.array([segment[:, 1] for segment in segments if len(segment)])


def a_fit(**fields) -> TailFit:
    values = {"alpha": 2.5, "stderr": 0.1, "xmin": 4.0, "xmax": 81.0, "ks": 0.03, "n_tail": 6, "status": Status.OK}
    values |= fields
    law = PowerLaw(values["alpha"], values["xmin"]) if np.isfinite(values["alpha"]) else PowerLaw(2.0)
    return TailFit(**{name: np.asarray(value) for name, value in values.items()}, law=law)  # pyright: ignore


def test_error_bars_are_standard_errors_of_the_trials_that_are_there(ax):
    y = np.random.default_rng(0).normal(size=(3, 8))
    y[1, :5] = np.nan
    plots.points(ax, [1, 2, 3], y, "trials")
    mean, stderr = np.nanmean(y, axis=1), stats.sem(y, axis=1, nan_policy="omit")
    np.testing.assert_allclose(ax.containers[0].lines[0].get_ydata(), mean)
    np.testing.assert_allclose(bar_ends(ax), np.column_stack([mean - stderr, mean + stderr]))


def test_an_estimate_is_drawn_with_its_interval_and_an_unbounded_one_without(ax):
    est = mean_interval(np.random.default_rng(1).normal(size=(4, 6)))
    low = np.where(np.arange(4) == 2, -np.inf, est.low)
    plots.points(ax, np.arange(4), Estimate(est.value, low, est.high, est.n))
    expected = np.column_stack([low, est.high])
    expected[2, 0] = est.value[2]
    np.testing.assert_allclose(bar_ends(ax), expected)


def test_a_single_trial_has_no_error_bar_and_a_missing_one_no_point(ax):
    plots.points(ax, [1.0, 2.0], [[5.0], [np.nan]])
    np.testing.assert_array_equal(ax.containers[0].lines[0].get_ydata(), [5.0, np.nan])
    np.testing.assert_array_equal(bar_ends(ax), [[5.0, 5.0]])


def test_points_that_do_not_match_say_so(ax):
    with pytest.raises(ValueError, match=r"one row of y for each x, got shapes \(3,\) and \(2,\)"):
        plots.points(ax, [1, 2, 3], np.ones((2, 5)))


def test_single_draws_are_dots_that_differ_from_class_to_class(ax):
    plots.scatter(ax, [[1, 2], [3, 4]], [[5, 6], [7, np.nan]], "first")
    plots.scatter(ax, [1], [1], "second")
    first, second = line(ax, "first"), line(ax, "second")
    np.testing.assert_array_equal(first.get_xydata(), [[1, 5], [2, 6], [3, 7], [4, np.nan]])
    assert first.get_linestyle() == "None"
    assert first.get_color() != second.get_color()
    assert first.get_marker() != second.get_marker()


def test_a_heat_map_writes_each_number_on_its_place_and_is_darker_the_farther_from_zero(ax):
    plots.heat_map(ax, [[1.2, np.nan, -60.0], [30.0, 60.0, 900.0]], ["a", "b"], ["x", "y", "z"], 60)
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written == {(0, 0): "1", (2, 0): "-60", (0, 1): "30", (1, 1): "60", (2, 1): "900"}
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]
    (image,) = ax.images
    colours = image.to_rgba(image.get_array())
    assert np.array_equal(colours[0, 2], colours[1, 1])
    assert np.array_equal(colours[1, 2], colours[1, 1])
    assert colours[0, 0].sum() > colours[1, 0].sum() > colours[1, 1].sum()
    own = plots.figure()[1][0, 0]
    plots.heat_map(own, [[1.0, 2.0]], ["a"], ["x", "y"], 2, [["", "two"]])
    assert [text.get_text() for text in own.texts] == ["two"]
    with pytest.raises(ValueError, match=r"shape \(1, 2\), as it has names, got \(2, 2\)"):
        plots.heat_map(ax, np.ones((2, 2)), ["a"], ["x", "y"], 1)


def test_series_differ_in_colour_and_marker_and_theory_in_both_from_the_published_line(ax):
    for i in range(10):
        plots.points(ax, [0, 1], [i, i])
    looks = {(to_hex(c.lines[0].get_color()), c.lines[0].get_marker()) for c in ax.containers}
    assert len(looks) == 10
    plots.curve(ax, [0, 1], [0, 1], "theory")
    plots.published(ax, [0, 1], [0, 1], "paper")
    theory, paper = line(ax, "theory"), line(ax, "paper")
    assert theory.get_linestyle() == "-"
    assert paper.get_linestyle() == "--"
    assert {theory.get_color(), paper.get_color()}.isdisjoint(plots.COLOURS)
    plots.curve(ax, [0, 1], [1, 2], "own", series=3)
    assert line(ax, "own").get_color() == ax.containers[3].lines[0].get_color()


def test_esd_is_a_density_under_the_density_of_the_law_over_its_whole_bulk(ax):
    law = MarchenkoPastur(Q=2.0)
    eigenvalues = np.asarray(law.ppf((np.arange(400) + 0.5) / 400))
    plots.esd(ax, Spectrum(eigenvalues, 800), law)  # pyright: ignore[reportArgumentType]
    steps = ax.patches[0].get_data()
    assert np.sum(steps.values * np.diff(steps.edges)) == pytest.approx(1.0)
    x, y = line(ax, "law").get_data()
    np.testing.assert_allclose(y, law.pdf(x), atol=1e-14)
    assert x[0] == pytest.approx((1 - 0.5**0.5) ** 2)
    assert x[-1] == pytest.approx((1 + 0.5**0.5) ** 2)
    inside = (steps.edges[:-1] > 0.3) & (steps.edges[1:] < 2.5)
    middle = (steps.edges[:-1] + steps.edges[1:]) / 2
    np.testing.assert_allclose(steps.values[inside], law.pdf(middle[inside]), rtol=0.15)


def test_a_diverging_density_and_a_far_outlier_do_not_break_the_histogram(ax):
    rng = np.random.default_rng(2)
    plots.esd(ax, rng.beta(0.5, 0.5, 500), stats.beta(0.5, 0.5))
    assert np.isfinite(ax.get_ylim()[1])
    far = plots.figure()[1][0, 0]
    plots.esd(far, np.append(rng.random(500), 1e25))
    assert far.patches[0].get_data().values.size <= 200


def test_loglog_esd_follows_a_power_law_and_leaves_zeros_out_of_the_picture(ax):
    law = stats.pareto(1.5)
    x = law.ppf((np.arange(20_000) + 0.5) / 20_000)
    plots.loglog_esd(ax, np.append(x, np.zeros(20_000)), law)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    centre, density = line(ax, "eigenvalues").get_data()
    well = (centre > 2) & (centre < 50)
    np.testing.assert_allclose(2 * density[well], law.pdf(centre[well]), rtol=0.1)  # half of the values are zeros
    at, pdf = line(ax, "law").get_data()
    np.testing.assert_allclose(pdf, law.pdf(at), rtol=1e-12)


@pytest.mark.parametrize("n", [50, 5000])
def test_ecdf_steps_through_the_samples_beside_the_cdf(ax, n):
    samples = np.random.default_rng(3).normal(size=n)
    plots.ecdf(ax, samples, stats.norm)
    x, F = line(ax, "samples").get_data()
    np.testing.assert_allclose(F, [np.mean(samples <= at) for at in x])
    assert (x[0], x[-1]) == (samples.min(), samples.max())
    assert x.size == min(n, 800)
    at, cdf = line(ax, "law").get_data()
    np.testing.assert_array_equal(cdf, stats.norm.cdf(at))


def test_tail_fit_draws_the_fitted_share_from_xmin_to_xmax(ax):
    x = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 16.0, 40.0, 81.0])
    plots.tail_fit(ax, x, a_fit())
    at, share = line(ax, "eigenvalues").get_data()
    np.testing.assert_allclose(share, [np.mean(x >= value) for value in at])
    assert set(at) == set(x[1:])
    ends, height = line(ax, "fit: α = 2.50 ± 0.10").get_data()
    np.testing.assert_allclose([ends[0], ends[-1]], [4.0, 81.0])
    np.testing.assert_allclose(height, 0.6 * (ends / 4) ** -1.5)


def test_tail_fit_counts_ties_once_and_what_lies_above_xmax(ax):
    x = np.array([1.0, 2.0, 2.0, 2.0, 5.0, 5.0, 9.0, 100.0])
    plots.tail_fit(ax, x, a_fit(xmin=2.0, xmax=9.0, n_tail=6))
    at, share = line(ax, "eigenvalues").get_data()
    np.testing.assert_allclose(share, [np.mean(x >= value) for value in at])
    assert sorted(at) == [1.0, 2.0, 5.0, 9.0, 100.0]
    ends, height = line(ax, "fit: α = 2.50 ± 0.10").get_data()
    np.testing.assert_allclose(height, 1 / 8 + 6 / 8 * (ends / 2) ** -1.5)


def test_a_failed_fit_is_named_in_the_legend(ax):
    nan = float("nan")
    plots.tail_fit(
        ax, [1.0, 2.0, 3.0], a_fit(alpha=nan, stderr=nan, xmin=nan, xmax=nan, n_tail=0, status=Status.TOO_FEW)
    )
    assert ax.get_legend_handles_labels()[1] == ["eigenvalues", "no tail could be fitted"]


@pytest.mark.parametrize("draw", [plots.esd, plots.ecdf, plots.loglog_esd])
def test_nothing_to_draw_is_said(ax, draw):
    with pytest.raises(ValueError, match="value to draw among 1"):
        draw(ax, [np.nan])


def test_band_and_ticks(ax):
    plots.band(ax, 0.4, 0.6)
    shaded = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert shaded.intervaly.tolist() == pytest.approx([0.4, 0.6])
    plots.log_axes(ax, "x")
    plots.ticks_at(ax, [100, 250, 1000])
    ax.set_xlim(50, 2000)
    plots.svg(ax.figure)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["100", "250", "1000"]
    assert [tick.get_text() for tick in ax.get_xticklabels(minor=True)] == []


def some_figure():
    fig, axes = plots.figure(1, 2, titles=["a panel", "another"])
    plots.points(axes[0, 0], [1, 2], np.random.default_rng(4).normal(size=(2, 5)), "measured")
    plots.curve(axes[0, 0], [1, 2], [0, 0], "theory")
    plots.esd(axes[0, 1], np.linspace(0, 1, 50))
    plots.legend(fig)
    return fig


def test_equal_figures_have_equal_bytes_with_text_as_text_whatever_the_users_settings():
    first = plots.svg(some_figure())
    with mpl.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path"}):
        second = plots.svg(some_figure())
    assert first == second
    assert ">measured</text>" in first
    assert "<dc:date>" not in first


def test_drawing_leaves_matplotlib_and_pyplot_alone():
    before = dict(mpl.rcParams)
    plots.svg(some_figure())
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_legends_lie_outside_of_the_axes():
    fig, axes = plots.figure(2, 1, titles=["upper", "lower"])
    for ax in axes.flat:
        plots.curve(ax, [0, 1], [0, 1], "theory")
    plots.legend(axes[0, 0], fig)
    plots.svg(fig)
    own, shared = axes[0, 0].get_legend(), fig.legends[0]
    assert own.get_title().get_text() == "upper"
    assert own.get_window_extent().y0 >= axes[0, 0].get_window_extent().y1
    assert shared.get_window_extent().y1 <= axes[1, 0].get_window_extent().y0
    assert [text.get_text() for text in shared.get_texts()] == ["theory"]


def test_a_notebook_shows_the_figure_as_svg():
    assert "<svg" in some_figure()._repr_svg_()


def test_a_figure_is_saved_in_the_style_it_was_drawn_in(tmp_path):
    some_figure().savefig(tmp_path / "figure.svg", format="svg", metadata={"Date": None, "Creator": None})
    assert (tmp_path / "figure.svg").read_text(encoding="utf-8") == plots.svg(some_figure())


def test_a_law_stands_beside_its_samples_in_the_middle_and_in_the_tail():
    """The bars hold the share of the samples they cover; the tail's points lie on the law; heavy tails do not stretch the middle."""
    law = rmt.Pareto(0.5, signed=False)
    n = 1000
    x = np.asarray(law.isf((np.arange(n) + 1) / (n + 1)))
    fig = plots.beside_law(x, law, "Pareto")
    middle, tail = fig.axes
    assert middle.get_title(loc="left") == "Pareto"
    assert middle.get_xlim()[1] < 200 < x.max()
    (bars, *_), points = middle.patches, tail.lines[0]
    values, edges, _ = bars.get_data()
    assert (values * np.diff(edges)).sum() == pytest.approx(np.mean((x >= edges[0]) & (x <= edges[-1])))
    np.testing.assert_allclose(points.get_ydata(), law.sf(points.get_xdata()), rtol=1e-9)
    assert tail.get_xscale() == tail.get_yscale() == "log"
    wide = plots.beside_law(x**2, rmt.Pareto(0.25, signed=False)).axes[0]
    values, edges, _ = wide.patches[0].get_data()
    assert wide.get_xscale() == "log"
    assert (values * np.diff(np.log(edges))).sum() == pytest.approx(0.98, abs=0.003)
    curve = wide.lines[0]
    np.testing.assert_allclose(curve.get_ydata(), 0.25 * curve.get_xdata() ** -0.25, rtol=1e-9)
    signed = plots.beside_law(-x, rmt.Pareto(0.5), absolute=True).axes[1].lines[0]
    np.testing.assert_allclose(signed.get_xdata(), points.get_xdata())
    with pytest.raises(ValueError, match="no finite value"):
        plots.beside_law([np.nan], law)
