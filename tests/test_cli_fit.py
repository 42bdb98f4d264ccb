"""`rmt fit`: the numbers it prints are the API's, what it refuses, and the picture it leaves."""

import dataclasses
import json
import os
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from conftest import printed_quickly
from typer.testing import CliRunner

import rmt
from rmt.cli import analysis, app
from rmt.cli.findings import Findings
from rmt.cli.findings_text import lines

QUICK = ("--resamples", "0", "--no-compare", "--no-picture")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Pictures go to the current folder; the cache of compiled programs belongs to the process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rmt.cli.fitting.keep_compiled_programs", lambda: None)


@pytest.fixture(scope="module")
def pareto():
    return np.random.default_rng(0).pareto(1.5, 300) + 1


@pytest.fixture(scope="module")
def W():
    return np.random.default_rng(1).standard_t(2, (40, 30))


@pytest.fixture
def file(tmp_path, pareto):
    np.save(tmp_path / "x.npy", pareto)
    return "x.npy"


@pytest.fixture
def matrix(tmp_path, W):
    np.save(tmp_path / "W.npy", W)
    return "W.npy"


def invoke(*arguments, **options):
    return CliRunner().invoke(app, ["fit", *map(str, arguments)], **options)


def found(*arguments, **options):
    """The JSON of a command that says nothing else."""
    result = invoke(*arguments, "--json", **options)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def one_error(result):
    """The one line on stderr of a command that refused its input."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert re.fullmatch(r"error: .+\n", result.stderr)
    return result.stderr


def equal(row, fit):
    """A row of JSON and a fit, to the last bit."""
    for name in ("alpha", "stderr", "xmin", "xmax", "ks"):
        assert row[name] == float(getattr(fit, name)), name
    assert (row["n_tail"], row["status"]) == (int(fit.n_tail), rmt.Status(int(fit.status)).name)


# --- numbers


@pytest.mark.slow  # compiles all that the command computes; its parts are tested above and below
def test_json_holds_the_numbers_of_the_api(file, pareto):
    row = found(file, "--resamples", 60, "--p-value", "--seed", 3)
    fit = rmt.fit_tail(pareto)
    equal(row, fit)
    assert (row["file"], row["n"], row["N"], row["M"], row["method"]) == ("x.npy", 300, None, None, "clauset")
    assert row["decades"] == pytest.approx(float(np.log10(fit.xmax / fit.xmin)), rel=1e-12)
    assert row["clear_minimum"] == bool(rmt.diagnose(pareto).clear)
    assert (row["lambda_plus"], row["bulk_share"], row["in_bulk"], row["remedy"], row["picture"]) == (None,) * 5

    b = rmt.bootstrap(jax.random.key(3), pareto, n_resamples=60)
    numbers = [*b.interval(), *b.xmin_interval(), b.p_value, b.p_stderr, b.p_scaled]
    names = ("alpha_low", "alpha_high", "xmin_low", "xmin_high", "p_value", "p_stderr", "p_scaled")
    np.testing.assert_allclose([row[name] for name in names], np.array(numbers, float), rtol=1e-12)
    assert (row["interval"], row["n_resamples"], row["n_matrices"], row["n_failed"]) == ("bootstrap", 60, 0, 0)

    expected = rmt.compare(pareto).rows()
    assert [r["law"] for r in row["comparison"]] == [r["law"] for r in expected]
    for ours, theirs in zip(row["comparison"], expected, strict=True):
        for name, value in theirs.items():
            assert ours[name] == (None if isinstance(value, float) and np.isnan(value) else value), name
    assert row["comparison"][0]["values"] == {"alpha": row["alpha"]}
    assert set(row["comparison"][-1]["values"]) == {"rate"}


def test_json_has_the_documented_keys_in_their_order(file):
    names = [field.name for field in dataclasses.fields(Findings)]
    assert list(found(file, *QUICK)) == names
    assert re.findall(r"^ +(\w+): ", Findings.__doc__, re.M) == names


def test_the_seed_decides_the_resamples(file):
    options = ("--resamples", 50, "--no-compare")
    first, again, other = (found(file, *options, "--seed", seed) for seed in (0, 0, 1))
    assert first == again
    assert first["alpha_low"] != other["alpha_low"]
    assert first["alpha"] == other["alpha"]


def test_without_resamples_the_interval_is_the_one_given_xmin(file, pareto):
    row = found(file, *QUICK)
    assert row["interval"] == "given-xmin"
    assert [row["alpha_low"], row["alpha_high"]] == pytest.approx([float(x) for x in rmt.fit_tail(pareto).interval()])
    assert (row["n_resamples"], row["xmin_low"], row["p_value"], row["comparison"]) == (0, None, None, None)
    assert re.search(r"given xmin; where xmin was chosen\s+from", invoke(file, *QUICK).stdout)


@pytest.mark.slow
def test_a_matrix_is_fitted_by_its_spectrum_with_the_interval_of_matrices(tmp_path, matrix, W):
    np.save(tmp_path / "WT.npy", W.T)
    row = found(matrix, "--matrix", "--resamples", 20, "--no-compare")
    s = rmt.spectrum(W)
    d = rmt.diagnose(s)
    equal(row, d.fit)
    assert (row["n"], row["N"], row["M"]) == (30, 40, 30)
    assert (row["lambda_plus"], row["bulk_share"]) == (float(d.lambda_plus), float(d.bulk_share))
    assert row["in_bulk"] == bool(d.in_bulk)
    m = rmt.bootstrap_matrix(jax.random.key(0), W, n_resamples=20)
    ends = [row[name] for name in ("alpha_low", "alpha_high", "xmin_low", "xmin_high")]
    assert ends == pytest.approx([*map(float, m.interval()), *map(float, m.xmin_interval())])
    assert (row["interval"], row["n_resamples"], row["n_matrices"]) == ("matrix-bootstrap", 0, 20)
    transposed = found("WT.npy", "--matrix", "--transpose", *QUICK)
    assert transposed["alpha"] == pytest.approx(row["alpha"], rel=1e-9)
    assert transposed["interval"] == "given-xmin"
    assert "which they are not" in re.sub(r"\s+", " ", invoke(matrix, "--matrix", *QUICK).stdout)


def test_a_large_matrix_draws_no_matrices_unless_asked():
    from rmt.cli.fitting import _n_matrices

    assert _n_matrices(np.broadcast_to(0.0, (2000, 1000))) == 200
    assert _n_matrices(np.broadcast_to(0.0, (4096, 4096))) == 0


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ("--ks two-sided", rmt.Clauset(ks="two-sided")),
        ("--xmin 2", rmt.Clauset(xmin=2.0)),
        ("--xmin 1.5:3", rmt.Clauset(xmin=(1.5, 3.0))),
        ("--xmax 10", rmt.Clauset(xmax=10.0)),
        ("--xmax max", rmt.Clauset(xmax="max")),
        ("--min-tail 290", rmt.Clauset(min_tail=290)),
        ("--method truncated", rmt.TruncatedPareto()),
        ("--method truncated --xmax 10", rmt.TruncatedPareto(xmax=10.0)),
        ("--method hill", rmt.Hill()),
        ("--method hill --k 50", rmt.Hill(k=50)),
        ("--method hill --k 0.2", rmt.Hill(fraction=0.2)),
        ("--method hill --xmin median", rmt.Hill(xmin="median")),
        ("--method weightwatcher", rmt.WeightWatcher()),
    ],
)
def test_options_choose_the_method_of_the_api(file, pareto, options, method):
    row = found(file, *options.split(), *QUICK)
    equal(row, rmt.fit_tail(pareto, method))
    assert (row["clear_minimum"] is None) == (options == "--xmin 2" or "hill" in options)


def test_every_format_gives_the_same_fit(tmp_path, pareto):
    np.save(tmp_path / "x.npy", pareto[:, None])
    np.savetxt(tmp_path / "x.txt", pareto, fmt="%.17g", header="comment")
    (tmp_path / "x.csv").write_text("n,lambda\n" + "".join(f"{i},{x!r}\n" for i, x in enumerate(pareto.tolist())))
    (tmp_path / "semicolons.csv").write_text("".join(f"{x!r};{i}\n" for i, x in enumerate(pareto.tolist())))
    np.savez_compressed(tmp_path / "x.npz", x=pareto, W=np.ones((2, 2)))
    for arguments in (
        ["x.npy"],
        ["x.txt"],
        ["x.csv", "--column", "lambda"],
        ["x.csv", "--column", "1"],
        ["semicolons.csv", "--column", "0"],
        ["x.npz", "--array", "x"],
    ):
        equal(found(*arguments, *QUICK), rmt.fit_tail(pareto))


def test_numbers_can_be_piped_in(tmp_path, pareto):
    text = "".join(f"{x!r}\n" for x in pareto.tolist())
    row = found("-", "--resamples", 0, "--no-compare", input=text)
    equal(row, rmt.fit_tail(pareto))
    assert row["file"] == "<stdin>"
    assert one_error(invoke("-", input="1\n2\n")).startswith("error: <stdin>: fewer than")
    result = invoke("-", "--resamples", 0, "--no-compare", input=text)
    assert result.stdout.endswith("\npicture: stdin-fit.svg\n")
    assert (tmp_path / "stdin-fit.svg").exists()


# --- text


def test_the_text_says_what_json_says(file):
    row = found(file, "--resamples", 60, "--p-value")
    result = invoke(file, "--resamples", 60, "--p-value", "--no-picture")
    assert result.exit_code == 0
    assert result.stderr == ""
    text = result.stdout
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    said = re.sub(r"\s+", " ", text)
    for words in (
        "x.npy: 300 values",
        f"alpha {row['alpha']:.4g} 95 % interval {row['alpha_low']:.4g} to {row['alpha_high']:.4g}",
        "from 60 resamples of independent values",
        f"tail {row['n_tail']} of 300 values, {row['decades']:.1f} decades up to xmax = {row['xmax']:.4g}",
        f"D {row['ks']:.3g} one-sided",
        f"p {row['p_value']:.2g} +- {row['p_stderr']:.1g}",
        f"{row['p_scaled']:.2g} of sqrt(n_tail) D",
        "status OK",
        "D has a clear minimum" if row["clear_minimum"] else "D has no clear minimum",
        f"power law alpha {row['alpha']:.3g}",
    ):
        assert words in said
    rate = row["comparison"][-1]
    assert re.search(rf"exponential +rate {rate['values']['rate']:.3g} +{rate['R']:.2f} +{rate['p_vuong']:.2g} ", text)


PLAIN = Findings(
    file="f", n=200, N=None, M=None, method="clauset", sides="one-sided", alpha=2.5, alpha_low=2.0, alpha_high=3.0,
    interval="bootstrap", stderr=0.1, xmin=1.0, xmin_low=0.0, xmin_high=2.0, xmax=9.0, decades=0.95, ks=0.02, n_tail=100,
    status="OK", remedy=None, clear_minimum=True, lambda_plus=None, bulk_share=None, in_bulk=None, p_value=None,
    p_stderr=None, p_scaled=None, n_resamples=50, n_matrices=0, n_failed=0, seed=0, comparison=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words", "flagged"),
    [
        ({}, "95 % interval anything up to 2", False),
        ({"clear_minimum": False}, "D has no clear minimum", True),
        ({"clear_minimum": None, "n": 10**6}, "drawn with --picture PATH only", False),
        ({"p_value": 0.05, "p_stderr": 0.01, "p_scaled": 0.04}, "a power law is rejected", True),
        ({"p_value": 0.5, "p_stderr": 0.01, "p_scaled": None}, "a power law is not rejected", False),
        ({"status": "TIES_AT_XMIN", "remedy": "several"}, "TIES_AT_XMIN: several", True),
        ({"n_failed": 7}, "7 of 50 could not be fitted", True),
        ({"N": 400, "lambda_plus": 2.0, "bulk_share": 0.9, "in_bulk": True}, "90 % of the tail lies inside", True),
        ({"N": 400, "lambda_plus": 2.0, "bulk_share": 0.1, "in_bulk": False}, "10 % of the tail lies inside", False),
        ({"N": 400, "interval": "matrix-bootstrap", "n_matrices": 9}, "from 9 matrices of entries drawn", False),
    ],
)
def test_each_flag_has_its_words(change, words, flagged):
    said = list(lines(dataclasses.replace(PLAIN, **change)))
    assert words in re.sub(r"\s+", " ", " ".join(line for line, _ in said))
    assert any(warning for _, warning in said) == flagged
    assert max(len(line) for line, _ in said) <= 80


def test_a_law_at_its_limit_shows_no_parameters():
    row = {"law": "LogNormal", "status": "BOUND_REACHED", "values": {"log_mean": -6500.0, "log_sd": 65.0}}
    row |= {"nested": True, "R": -1e-12, "p_nested": 1.0, "p_vuong": 0.3, "favoured": "the data cannot tell"}
    last = list(lines(dataclasses.replace(PLAIN, comparison=[row])))[-1][0]
    assert re.fullmatch(r"log-normal +at its limit, the power law +0\.00 +1  neither", last)


def test_the_help_is_short_and_quick():
    shown = printed_quickly("-m", "rmt", "fit", "--help")
    assert "rmt fit weights.npz --array fc1 --matrix" in shown
    assert len(shown.splitlines()) < 60


# --- progress


class Bar:
    """Stands for Progress and counts."""

    def __init__(self, label, total, done, cost, items):
        Bar.last, self.label, self.total, self.done = self, label, total, done

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def advance(self, cost):
        self.done += cost


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_counts_every_batch_on_a_terminal_only(monkeypatch, pareto, terminal):
    monkeypatch.setattr(analysis, "Progress", Bar)
    monkeypatch.setattr(analysis, "_PATIENCE", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    b = analysis.resampled(jax.random.key(0), pareto, rmt.Clauset(), 130)
    assert b.refits.alpha.shape == b.second.ks.shape == (130,)
    assert (Bar.last.label, Bar.last.total, Bar.last.done) == ("bootstrap" if terminal else False, 3, 3)


# --- the picture


def test_the_picture_is_drawn_beside_you_unless_it_is_for_a_machine(tmp_path, file, pareto):
    os.mkdir("data")
    np.savez("data/both.npz", fc1=pareto, fc2=pareto)
    options = ("--resamples", 0, "--no-compare")
    for arguments, picture in ((["x.npy"], "x-fit.svg"), (["data/both.npz", "--array", "fc1"], "both-fc1-fit.svg")):
        result = invoke(*arguments, *options)
        assert result.stdout.endswith(f"\n\npicture: {picture}\n")
        text = (tmp_path / picture).read_text()
        assert text.rstrip().endswith("</svg>")
        assert "α" in text
    (tmp_path / "x-fit.svg").unlink()
    invoke(file, *options, "--no-picture")
    assert found(file, *options)["picture"] is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["both-fc1-fit.svg", "data", "x.npy"]


@pytest.mark.parametrize(("name", "start"), [("a/fit.png", b"\x89PNG"), ("fit.pdf", b"%PDF"), ("fit.svg", b"<?xml")])
def test_a_picture_can_be_asked_for(tmp_path, file, name, start):
    assert found(file, "--resamples", 0, "--no-compare", "--picture", name)["picture"] == name
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [p.name for p in (tmp_path / name).parent.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("options", ["--method hill", "--xmin 2", "--xmax 10", "--method weightwatcher"])
def test_every_method_can_be_drawn(tmp_path, file, options):
    result = invoke(file, *options.split(), "--resamples", 0, "--no-compare")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x-fit.svg").exists()


def test_a_picture_that_cannot_be_written_fails_only_if_asked_for(tmp_path, monkeypatch, file):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rmt.plots.svg", full)
    options = ("--resamples", 0, "--no-compare")
    unasked = invoke(file, *options)
    assert (unasked.exit_code, unasked.stderr) == (0, "no picture: x-fit.svg: No space left on device\n")
    assert "picture:" not in unasked.stdout
    asked = invoke(file, *options, "--picture", "y.svg")
    assert (asked.exit_code, asked.stderr) == (2, "error: y.svg: No space left on device\n")
    assert asked.stdout.startswith("x.npy: 300 values")
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


# --- what it refuses


def saved(array):
    return lambda file: np.save(file, array)


def text(content):
    return lambda file: file.write_text(content)


NOISE = np.random.default_rng(2).normal(size=(30, 20))


@pytest.mark.parametrize(
    ("name", "write", "options", "message"),
    [
        ("x.npy", lambda file: None, [], "no such file"),
        ("x.csv", text(""), [], "is empty"),
        ("x.npy", saved(np.ones(0)), [], "holds no numbers"),
        ("x.csv", text("x\n1.0\nabc\n"), [], "line 3: 'abc' is not a number"),
        ("x.csv", text("a,b\n1,2\n3,4\n"), ["--column", "c"], "no column 'c'; there are a, b, or 0 to 1"),
        ("x.npy", saved(np.ones(30)), ["--array", "a"], "as only .npz files have; leave out --array"),
        ("x.npy", saved(np.r_[np.arange(1.0, 30.0), np.nan]), [], "NaN or infinite"),
        ("x.npy", saved(np.r_[np.arange(1.0, 30.0), np.inf]), [], "NaN or infinite"),
        ("x.npy", saved(np.arange(30.0)), [], "zeros or negative"),
        ("x.npy", saved(np.arange(-30.0, 30.0)), [], "zeros or negative"),
        ("x.npy", saved(np.arange(1.0, 6.0)), [], "fewer than 10"),
        ("x.npy", saved(np.ones(50)), [], "all values are equal"),
        ("x.npy", saved(np.arange(1.0, 30.0)), ["--xmin", "1000"], "or a smaller xmin"),
        ("x.npy", saved(np.ones((3, 3, 3))), [], r"shape \(3, 3, 3\); give a 1-D array"),
        ("x.npy", saved(np.ones((30, 20))), [], "--matrix"),
        ("x.npy", saved(np.ones((20, 30))), ["--matrix"], "20 x 30; pass --transpose"),
        ("x.npy", saved(np.ones((30, 20))), ["--matrix", "--transpose"], "20 x 30; leave out --transpose"),
        ("x.npy", saved(np.ones(30)), ["--matrix"], "--matrix needs a 2-D array"),
        ("x.npy", saved(np.where(NOISE[3, 4] == NOISE, np.nan, NOISE)), ["--matrix"], "NaN or infinite"),
        ("x.npy", saved(np.zeros((30, 20))), ["--matrix"], "no tail|zeros|fewer"),
        ("x.npy", saved(np.eye(30, 20)), ["--matrix"], "all values are equal"),
        ("x.npy", saved(np.ones(30)), ["--transpose"], "--transpose goes with --matrix"),
    ],
)
def test_bad_data_are_one_line(tmp_path, name, write, options, message):
    write(tmp_path / name)
    assert re.search(message, one_error(invoke(name, *options)))
    assert [p.name for p in tmp_path.iterdir()] in ([], [name])  # no picture


def test_a_note_is_printed_with_the_numbers(tmp_path, pareto):
    np.save(tmp_path / "ties.npy", np.repeat(np.arange(1.0, 31), 10))
    np.save(tmp_path / "low.npy", NOISE @ np.diag([0.0] * 5 + [1.0] * 15))
    np.save(tmp_path / "x.npy", pareto)
    low, high = np.sort(pareto)[200:202].tolist()  # one of two is the first or the last
    for arguments, name in (
        (["ties.npy", "--xmin", "5"], "TIES_AT_XMIN"),
        (["low.npy", "--matrix"], "RANK_COLLAPSE"),
        (["x.npy", "--xmin", f"{low}:{high}"], "XMIN_AT_EDGE"),
    ):
        row = found(*arguments, *QUICK)
        assert (row["status"], row["remedy"]) == (name, rmt.Status[name].remedy)
        shown = invoke(*arguments, *QUICK)
        assert shown.exit_code == 0
        assert f"{name}: {rmt.Status[name].remedy}" in re.sub(r"\s+", " ", shown.stdout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--xmin abc", "--xmin needs a positive number or LO:HI, got 'abc'"),
        ("--xmin -3", "got '-3'"),
        ("--xmin nan", "got 'nan'"),
        ("--xmin median", "got 'median'"),
        ("--xmin 1:2:3", "got '2:3'"),
        ("--xmin 3:2", "--xmin 3:2: LO is above HI"),
        ("--xmax 0", "--xmax needs a positive number or max, got '0'"),
        ("--xmax 2 --xmin 3", "--xmax 2 is not above --xmin 3"),
        ("--method hill --xmin 3", "--xmin 3 does not go with --method hill"),
        ("--method hill --ks two-sided", "--ks two-sided does not go with --method hill"),
        ("--method weightwatcher --min-tail 5", "--min-tail 5 does not go with --method weightwatcher"),
        ("--k 5", "--k 5 does not go with --method clauset"),
        ("--method hill --k 1.5", "--k needs a whole number from 2, or a share below 1, got '1.5'"),
        ("--method hill --k 5 --xmin median", "exclude each other"),
        ("--p-value --resamples 0", "leave out --resamples 0"),
        ("--picture a.png --no-picture", "exclude each other"),
        ("--picture a.txt", "--picture a.txt: end it in .svg, .png or .pdf"),
    ],
)
def test_wrong_options_are_one_line(file, options, message):
    assert message in one_error(invoke(file, *options.split()))


@pytest.mark.parametrize("options", ["--method clausett", "--ks both", "--min-tail 1", "--resamples -1", "--seed x"])
def test_wrong_choices_are_refused(file, options):
    result = invoke(file, *options.split())
    assert result.exit_code == 2
    assert options.split()[0] in result.stderr


def test_an_output_that_is_full_is_one_line(file):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "rmt", "fit", file, *QUICK]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (2, "error: No space left on device\n")
