"""The card of a matrix: what `rmt card` says of matrices that are known, what it refuses, and the picture of it."""

import importlib
import json
import os
import re
from dataclasses import replace

import jax
import numpy as np
import pytest
from conftest import ROOT, printed_quickly
from typer.testing import CliRunner

from rmt import plots
from rmt.calibration import ClassEstimate, MuEstimate, class_card
from rmt.calibration.nulls import NOT_TESTED
from rmt.cli import app
from rmt.cli.card_text import lines
from rmt.errors import InputError
from rmt.phases import Phase
from rmt.tails import Status

N, M = 100, 50


def made() -> dict[str, np.ndarray]:
    """Matrices whose card is known, of one shape but for the last."""
    rng = np.random.default_rng(3)
    left, right = (np.linalg.qr(rng.normal(size=(n, 2)))[0] for n in (N, M))
    return {
        "gaussian": rng.normal(size=(N, M)),
        "heavy": (rng.pareto(1.5, (N, M)) + 1) * rng.choice([-1, 1], (N, M)),
        "spiked": rng.normal(size=(N, M)) + left @ np.diag([25.0, 19.0]) @ right.T,
        "collapsed": rng.normal(size=(N, 10)) @ rng.normal(size=(10, M)),
        "tiny": rng.normal(size=(10, 10)),
    }


MADE = made()


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Pictures go to the current folder; the cache of compiled programs belongs to the process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.import_module("rmt.cli.card"), "keep_compiled_programs", lambda: None)


@pytest.fixture(scope="module")
def cards():
    return {name: class_card(W) for name, W in MADE.items()}


def invoke(*arguments, **options):
    return CliRunner().invoke(app, ["card", *map(str, arguments)], **options)


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def found(name, *options):
    """The JSON of the command for a matrix of these."""
    np.save(f"{name}.npy", MADE[name])
    result = invoke(f"{name}.npy", "--json", *options)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout, parse_constant=no_constant)


def said(card, asked=99) -> str:
    """The text of a card in one line, once it was seen to fit in 80 columns and to have no blanks at its ends."""
    text = [line for line, _ in lines("W.npy", card, asked)]
    assert max(map(len, text)) <= 80
    assert all(line == line.rstrip() for line in text)
    return re.sub(r"\s+", " ", " ".join(text))


# --- what it says


def test_gaussian_entries_are_near_random():
    row = found("gaussian")
    assert (row["verdict"], row["phase"], row["n_spikes"], row["n_outside"]) == ("near-random", "Random-like", 0, 0)
    assert (row["N"], row["M"], row["Q"], row["n_nulls"], row["picture"]) == (N, M, 2, 99, None)
    assert row["alpha_p"] > 0.05
    assert row["remarks"] == []
    assert row["mu_low"] > 2  # a bound, whose upper end is no number
    assert row["mu_high"] is None


def test_heavy_entries_are_told_from_correlated_ones():
    row = found("heavy")
    assert (row["verdict"], row["phase"]) == ("heavy entries", "Heavy-tailed")
    assert row["gaussian_lambda_max_beyond"]
    assert not row["shuffled_lambda_max_beyond"]
    assert row["alpha"] < row["alpha_threshold"]
    assert row["mu_low"] < 1.5 < row["mu_high"]


def test_planted_spikes_are_correlated_and_counted():
    row = found("spiked")
    assert (row["verdict"], row["phase"]) == ("correlated", "Bulk+Spikes")
    assert row["n_outside"] == row["n_spikes"] == 2
    assert row["shuffled_n_spikes"] == 0


def test_a_collapsed_rank_is_a_phase_without_class_and_mu(cards):
    row = found("collapsed")
    assert (row["phase"], row["class"], row["mu"], row["status"]) == ("Rank-collapse", "", None, "rank_collapse")
    for what in ("no class: ", "no mu: "):
        (reason,) = (remark for remark in row["remarks"] if remark.startswith(what))
        assert "40 of 50 eigenvalues are zero" in reason
    text = said(cards["collapsed"])
    assert "phase Rank-collapse: 40 of 50 eigenvalues are zero to within their error" in text
    assert "class none: see the remarks mu none: see the remarks" in text
    assert "e-3" not in text  # an edge of rounding errors


def test_ten_columns_have_a_card_with_remarks(cards):
    card = cards["tiny"]
    assert (card.phase, card.class_, card.mu) == (Phase.UNDEFINED, None, None)
    for what in ("no phase", "no threshold of alpha", "no class", "no mu"):
        assert any(remark.startswith(what) for remark in card.remarks), what
        assert f" {what}: " in said(card)
    assert "phase none: see the remarks" in said(card)
    assert card.fit.ok
    assert card.verdict == "near-random"


def test_the_text_says_what_json_says():
    for name in ("gaussian", "heavy", "spiked"):
        row = found(name)
        result = invoke(f"{name}.npy", "--no-picture")
        assert (result.exit_code, result.stderr) == (0, "")
        assert "\x1b" not in result.stdout
        assert max(map(len, result.stdout.splitlines())) <= 80
        text = re.sub(r"\s+", " ", result.stdout)
        for words in (
            f"{name}.npy: {N} x {M}, Q = 2",
            f"verdict {row['verdict']}: ",
            f"alpha {row['alpha']:.4g} +- ",
            f"5 % of noise of this shape is below {row['alpha_threshold']:.4g}",
            f"D {row['ks']:.3g} independent power-law values exceed {row['ks_threshold']:.3g} in 5 %",
            f"phase {row['phase']}: ",
            f"{row['n_outside']} of {M} eigenvalues",
            f"spikes {row['n_spikes']} above {row['spike_edge']:.4g}",
            f"class {row['class']}: ",
            "lambda_max " + f"{row['lambda_max']:.3g} {row['gaussian_lambda_max']:.3g}",
        ):
            assert words in text, (name, words)
        assert "p <= 0.001 against Gaussian" in text or f"p = {row['gaussian_p_adjusted']:.2g} against Gaussian" in text
        assert os.listdir() == [f"{name}.npy"]
        os.remove(f"{name}.npy")


def test_a_star_is_beyond_every_replicate(cards):
    text = said(cards["spiked"])
    test = cards["spiked"].tests["gaussian"]["lambda_max"]
    assert f"lambda_max {test.observed:.3g} {test.median:.3g} 0.02* " in text
    assert "*" not in said(cards["gaussian"]).replace("* beyond", "")


def alike(shown: str, printed: str) -> bool:
    """The same; distances to nulls to within one in the last place, since a law is fitted there and processors round differently."""
    if not shown.startswith("ESD to nulls"):
        return shown == printed
    number = re.compile(r"(\d+\.\d+)")
    words, others = number.split(shown), number.split(printed)
    return words[::2] == others[::2] and all(
        abs(float(a) - float(b)) < 1.5 * 10.0 ** -len(a.partition(".")[2])
        for a, b in zip(words[1::2], others[1::2], strict=True)
    )


def test_readme_shows_what_is_printed():
    (code, shown) = re.search(
        r"```python\n(import numpy[^`]*np.save\(\"weights.npy\"[^`]*)```[^`]*```\n([^`]*)```",
        (ROOT / "README.md").read_text(),
    ).groups()
    exec(code, {})
    printed = iter(invoke("weights.npy", "--no-picture").stdout.splitlines())
    assert all(any(alike(row, line) for line in printed) for row in shown.splitlines() if row != "...")


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("gaussian", {"class_shape": (80, 40)}, "each as likely before; of a random block of 80 x 40"),
        ("gaussian", {"mu_shape": (80, 40)}, "from lighter tails; of a random block of 80 x 40"),
        ("gaussian", {"alpha_p": 0.001}, "this small with p <= 0.001"),
        ("gaussian", {"alpha_p": 0.999}, "this small with p >= 0.999"),
        ("gaussian", {"ks_threshold": 0.01}, "exceed 0.01 in 5 %: no power law"),
        ("gaussian", {"verdict": "correlated"}, "class and mu describe the matrix of independent entries"),
        ("gaussian", {"localised": True}, "beside its shuffled entries only the ESD decides"),
        ("gaussian", {"n_nulls": 7}, "7 replicates instead of 99, since N M^2 is large"),
        ("gaussian", {"remarks": ("one", "two")}, "remarks one two"),
        (
            "gaussian",
            {"class_": ClassEstimate({"MP": 0.6, "WHT": 0.397, "VHT": 0.003}, 0.5)},
            "class undecided: MP or WHT, as no probability is 0.8 or more MP 0.60, WHT 0.40: probabilities",
        ),
        ("gaussian", {"class_": ClassEstimate({"MP": 0.9, "WHT": 0.1}, 0.5)}, "light-tailed MP 0.90, WHT 0.10: prob"),
        ("gaussian", {"class_": ClassEstimate({"MP": 0.9, "WHT": 0.1}, 1.7)}, "class none: its spectrum is 1.7 times"),
        ("heavy", {"mu": MuEstimate(1.5, (1.25, 1.75), ("Student t",))}, "mu 1.5 [1.25, 1.75] (95 %), if its entries"),
        ("heavy", {"mu": MuEstimate(1.5, (1.25, np.inf), ())}, "mu at least 1.25 (95 %)"),
        ("heavy", {"mu": MuEstimate(0.4, (0.0, 0.5), ())}, "mu at most 0.5 (95 %)"),
        (
            "heavy",
            {"mu": MuEstimate(np.nan, (0.0, np.inf), (), ("Student t",))},
            "no mu of independent entries of Stud",
        ),
        (
            "heavy",
            {"mu": MuEstimate(1.5, (1.2, 1.7), ("a",), ("b",), {"a": MuEstimate(1.5, (1.2, 1.7), ("a",))})},
            "by their law: a 1.5 [1.2, 1.7]; refused at 1 %: b",
        ),
        ("heavy", {"verdict": "not tested"}, "verdict not tested: its spectrum cannot be fitted"),
        ("heavy", {"phase": Phase.BULK_DECAY}, "phase Bulk-decay: no Marchenko-Pastur bulk"),
    ],
)
def test_each_finding_has_its_words(cards, name, change, words):
    assert words in said(replace(cards[name], **change))
    assert words not in said(cards[name])


def test_a_spectrum_that_cannot_be_fitted_has_a_card():
    card = class_card(np.eye(N, M))
    assert (card.verdict, Status(int(card.fit.status))) == ("not tested", Status.CONSTANT)
    text = said(card)
    assert "alpha none: all values are equal" in text
    assert "lambda_max - - - - - - -" in text
    assert card.tests["gaussian"] == NOT_TESTED
    plots.svg(plots.card(card))


def test_the_seed_decides_the_replicates():
    first, again, other = (found("gaussian", "--seed", seed) for seed in (1, 1, 2))
    assert first == again
    assert first["gaussian_lambda_max"] != other["gaussian_lambda_max"]
    assert first["alpha"] == other["alpha"]


def test_the_options_are_those_of_the_api(monkeypatch):
    def seen(W, key, n_nulls):
        assert (W.shape, n_nulls) == ((10, 10), 7)
        assert key == jax.random.key(5)
        raise InputError("seen")

    monkeypatch.setattr("rmt.calibration.class_card", seen)
    np.save("x.npy", MADE["tiny"])
    assert invoke("x.npy", "--nulls", 7, "--seed", 5).stderr == "error: x.npy: seen\n"


@pytest.mark.slow
def test_a_shape_beyond_the_tables_is_judged_by_a_block():
    W = np.random.default_rng(0).normal(size=(1000, M))
    card = class_card(W, n_nulls=9)
    for shape, found in ((card.class_shape, card.class_), (card.mu_shape, card.mu)):
        assert found is not None
        assert shape[0] < 1000
        assert shape[1] == M
    again = class_card(W, n_nulls=9)
    assert (card.class_, card.mu) == (again.class_, again.mu)
    assert card.class_ != class_card(W, jax.random.key(1), n_nulls=9).class_
    assert np.isnan(card.alpha_threshold)  # Q = 20
    assert card.verdict == "near-random"
    assert f"of a random block of {card.class_shape[0]} x {M}" in said(card, 9)


def test_every_format_can_be_read_and_a_matrix_stood_up(tmp_path):
    W = MADE["gaussian"]
    row = found("gaussian")
    np.savez("both.npz", fc1=W, fc2=np.ones(3))
    np.savetxt("W.csv", W.T, delimiter=",", fmt="%.17g")
    for arguments in (["both.npz", "--array", "fc1"], ["W.csv", "--transpose"]):
        result = invoke(*arguments, "--json")
        assert result.exit_code == 0, result.output
        other = json.loads(result.stdout)
        assert other.pop("file") == arguments[0]
        assert other == {name: value for name, value in row.items() if name != "file"}


# --- what it refuses


@pytest.mark.parametrize(
    ("W", "options", "message"),
    [
        (np.eye(5), [], "x.npy: .*at least 10 columns, got 5 x 5"),
        (np.ones((50, 100)), [], "got 50 x 100; pass --transpose"),
        (np.ones((100, 50)), ["--transpose"], "got 50 x 100; leave out --transpose"),
        (np.where(MADE["tiny"] > 1, np.nan, MADE["tiny"]), [], "x.npy: .*finite numbers"),
        (np.ones((100, 50)), [], "x.npy: .*constant"),
        (np.arange(30.0), [], r"x.npy: a card needs a 2-D array, this one has shape \(30,\)"),
        (None, [], "x.npy: no such file"),
        (MADE["tiny"], ["--nulls", 4], "--nulls needs at least 5, got 4"),
        (MADE["tiny"], ["--picture", "a.txt"], "--picture a.txt: end it in .svg, .png or .pdf"),
        (MADE["tiny"], ["--picture", "a.png", "--no-picture"], "exclude each other"),
        (MADE["tiny"], ["--array", "a"], "as only .npz files have; leave out --array"),
    ],
)
def test_what_cannot_be_read_is_one_line(W, options, message):
    if W is not None:
        np.save("x.npy", W)
    result = invoke("x.npy", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"error: .+\n", result.stderr)
    assert re.search(message, result.stderr)
    assert os.listdir() in ([], ["x.npy"])


def test_the_api_refuses_the_same():
    for W in (np.eye(5), np.ones((50, 100)), np.full((20, 10), np.nan), np.ones((100, 50)), np.arange(30.0)):
        with pytest.raises(InputError, match=r"class_card\(W\) needs"):
            class_card(W)
    with pytest.raises(InputError, match="at least 5 replicates"):
        class_card(MADE["tiny"], n_nulls=4)


def test_the_help_is_short_and_quick():
    shown = printed_quickly("-m", "rmt", "card", "--help")
    assert "rmt card weights.npz --array fc1 --picture fc1.png" in shown
    assert len(shown.splitlines()) < 50


# --- the picture


def test_the_picture_is_drawn_beside_you_unless_it_is_for_a_machine():
    found("gaussian")
    assert os.listdir() == ["gaussian.npy"]
    result = invoke("gaussian.npy")
    assert result.stdout.endswith("\n\npicture: gaussian-card.svg\n")
    with open("gaussian-card.svg") as file:
        assert file.read().rstrip().endswith("</svg>")
    assert found("gaussian", "--picture", "a.png")["picture"] == "a.png"
    with open("a.png", "rb") as file:
        assert file.read(4) == b"\x89PNG"


def test_a_picture_that_fails_leaves_no_half(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rmt.plots.svg", full)
    np.save("x.npy", MADE["gaussian"])
    unasked = invoke("x.npy")
    assert (unasked.exit_code, unasked.stderr) == (0, "no picture: x-card.svg: No space left on device\n")
    asked = invoke("x.npy", "--picture", "y.svg")
    assert (asked.exit_code, asked.stderr) == (2, "error: y.svg: No space left on device\n")
    assert os.listdir() == ["x.npy"]


def panel(fig, start):
    return next(ax for ax in fig.axes if ax.get_title(loc="left").startswith(start))


def line(ax, start):
    return next(artist for artist in ax.lines if str(artist.get_label()).startswith(start))


def written(fig) -> str:
    return " ".join(text.get_text().replace("\n", " ") for where in (fig, *fig.axes) for text in where.texts)


def test_the_picture_holds_the_numbers_of_the_card(cards):
    card = cards["spiked"]
    fig = plots.card(card)
    assert written(fig).startswith("100 x 50, correlated; phase Bulk+Spikes")
    ax = panel(fig, "eigenvalues")
    np.testing.assert_array_equal(line(ax, "edge").get_xdata(), card.edge)
    x, y = line(ax, "Marchenko").get_data()
    inside = np.asarray(card.s.eigenvalues)[np.asarray(card.s.eigenvalues) <= card.edge]
    below = np.trapezoid(np.nan_to_num(y[x <= np.median(inside)]), x[x <= np.median(inside)])
    assert below == pytest.approx(0.5, abs=0.01)  # the law has the median of the eigenvalues inside
    np.testing.assert_allclose(
        [bar.get_width() for bar in panel(fig, "class").patches], list(card.class_.probabilities.values())
    )
    ax = panel(fig, "distance")
    rows = ("alpha", "lambda_max", "mp_distance", "ks", "esd")
    for name, null in (("Gaussian", "gaussian"), ("its entries", "shuffled"), ("Student", "fitted")):
        t = np.array([card.tests[null][what].t for what in rows])
        np.testing.assert_array_equal(line(ax, name).get_xdata(), t[np.abs(t) <= 8])
    assert f"{card.tests['gaussian']['lambda_max'].t:.0f}" in [text.get_text() for text in ax.texts]


def test_intervals_of_mu_end_where_they_end_and_bounds_at_the_frame(cards):
    for name in ("gaussian", "heavy"):
        ax, mu = panel(plots.card(cards[name]), "μ"), cards[name].mu
        names = [label.get_text() for label in ax.get_yticklabels()]
        assert names == [*mu.by_entries, "any of them"]
        segments = [artist.get_xdata() for artist in ax.lines if len(artist.get_xdata()) == 2]
        for (low, high), each in zip(segments, (*mu.by_entries.values(), mu), strict=True):
            assert low == pytest.approx(each.interval[0])
            assert high == pytest.approx(min(each.interval[1], ax.get_xlim()[1]))
        bounds = [each for each in (*mu.by_entries.values(), mu) if each.interval[1] == np.inf]
        assert sum(artist.get_marker() == ">" for artist in ax.lines) == len(bounds)
    assert cards["gaussian"].mu.interval[1] == np.inf


def test_what_is_not_there_says_why_in_the_picture(cards):
    text = written(plots.card(cards["collapsed"]))
    assert "no class: classify(s) needs a matrix of full rank" in text
    assert "no mu: estimate_mu(s) needs a matrix of full rank" in text
    ax = panel(plots.card(cards["collapsed"]), "eigenvalues, without 40 that are zero")
    assert ax.patches[0].get_data().values.size
    assert not any(str(artist.get_label()).startswith("Marchenko") for artist in ax.lines)
    unlike = replace(cards["gaussian"], class_=ClassEstimate({"MP": 0.9, "WHT": 0.1}, 1.7), class_shape=(80, 40))
    panel(plots.card(unlike), "class: unlike any of the five, of a block of 80 x 40")


@pytest.mark.parametrize("cols", [1, 2])
def test_words_lie_outside_of_the_panels_and_inside_the_figure(cards, cols):
    for card in (cards["heavy"], cards["collapsed"]):
        fig = plots.card(card, cols)
        plots.svg(fig)
        frames = [ax.get_tightbbox() for ax in fig.axes]
        assert fig.legends[0].get_window_extent().y1 <= min(frame.y0 for frame in frames)
        for text in fig.texts:
            assert text.get_window_extent().y0 >= max(frame.y1 for frame in frames)
        for box in frames:
            assert box.x0 >= 0
            assert box.x1 <= fig.bbox.width + 1
        assert not any(a.overlaps(b) for i, a in enumerate(frames) for b in frames[:i])
    with pytest.raises(ValueError, match="needs 1 or 2, got 3"):
        plots.card(cards["gaussian"], 3)
