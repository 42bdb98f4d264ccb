"""A corpus: metrics of weights as by hand, tables whose intervals hold, paradoxes found, broken tables told in a line."""

import csv
import io
import json
import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torchfiles as tf
import xarray as xr
from conftest import ROOT
from safetensors.numpy import save_file
from test_commands import error_line, run
from test_page import Page

import realnets.corpus.measured as measured_module
from realnets.analysis import analyze
from realnets.corpus import METRICS, RULES, Columns, examine, read_table
from realnets.corpus.metrics import OF_WEIGHTS, of_layers, with_noise
from realnets.cutting import Conv
from realnets.simpson import NONE, REVERSAL, STRONG
from realnets.sources import read_layers
from rmt.association import average_interval, kendall_interval, pooled_interval
from rmt.calibration.card import LEVEL

SIZES = (18, 18, 6, 12)  # the contest's second task


README = (ROOT / "README.md").read_text()


def planted(path: Path, rng: np.random.Generator, sizes=SIZES, metrics=("alpha", "log_spectral_norm", "ks")) -> Path:
    """The first metric falls with quality in every group and rises over them, the second falls in both, the third does neither."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["model", "group", "batch_size", "train_accuracy", "test_accuracy", *metrics])
        for g, n in enumerate(sizes):
            for i, (x, *noise) in enumerate(rng.standard_normal((n, 5))):
                first, second, third = x + 3 * g, x - 3 * g, noise[0]
                quality = -x + 3 * g + 0.5 * noise[1]
                table.writerow([f"{g}-{i}", f"{g}xx", 2**i, noise[2], quality, first, second, third])
    return path


def weights(folder: Path, names: str = "abcd") -> Path:
    """Small models of two layers, their weights before the training, and a table of both."""
    lines = ["model;file;initial;group;optimiser;train_accuracy;test_accuracy"]
    for i, name in enumerate(names):
        before = {f"fc{k}.weight": tf.random(60, 52, seed=10 * i + k) for k in range(2)}
        after = {key: w + 0.1 * (k + 1) * tf.random(60, 52, seed=99) for k, (key, w) in enumerate(before.items())}
        save_file(before, folder / f"{name}0.safetensors")
        save_file(after, folder / f"{name}.safetensors")
        lines.append(f"{name};{name}.safetensors;{name}0.safetensors;{'xy'[i % 2]};adam;0.9;0.{i + 5}")
    (folder / "table.csv").write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder / "table.csv"


@pytest.fixture
def table(tmp_path):
    return planted(tmp_path / "table.csv", np.random.default_rng(0))


def test_the_paradox_is_found_where_it_was_planted_and_everything_is_written(table, tmp_path):
    result = run("corpus", table, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("Alpha ") and "against" not in line]
    assert line.rstrip().endswith("strong reversal")
    tree = json.loads((tmp_path / "out" / "corpus.json").read_text())
    assert [of["verdict"] for of in tree["simpson"].values()] == [STRONG, NONE, NONE]
    assert set(tree["simpson"]["alpha"]["slopes"]) == {"0xx", "1xx", "2xx", "3xx"}
    assert {name: of["x"] for name, of in tree["metrics_against_quality"].items()} == {
        name: name for name in ("alpha", "log_spectral_norm", "ks")
    }
    with xr.open_dataset(tmp_path / "out" / "corpus.nc") as ds:
        tau = tree["metrics_against_quality"]["alpha"]["parts"]["AVG"]["tau"]
        found = ds.sel(metric="alpha", part="AVG")
        assert [found.tau, found.tau_low, found.tau_high] == pytest.approx([tau["value"], *tau["interval"]])
        assert ds.sel(metric="alpha").simpson_verdict.item() == STRONG
        assert ds.alpha.attrs["kind"] == "shape"
        pair = tree["alpha_and_log_spectral_norm"]["parts"]["1xx"]["rmse"]
        assert ds.alpha_norm_rmse_high.sel(part="1xx").item() == pytest.approx(pair["interval"][1])
        assert ds.baseline_r2.sel(part="pooled") == pytest.approx(tree["baseline"]["parts"]["pooled"]["r2"]["value"])
        assert ds.sel(model="1-3").batch_size == 8
    texts = {path.stem: path.read_text() for path in (tmp_path / "out" / "tables").iterdir()}
    tables = {name: list(csv.DictReader(io.StringIO(text))) for name, text in texts.items()}
    assert set(tables) == {"metrics", "alpha-log-spectral-norm", "train-test", "simpson"}
    assert [row["group"] for row in tables["train-test"]] == ["0xx", "1xx", "2xx", "3xx", "AVG", "pooled"]
    assert float(tables["metrics"][4]["tau"]) == pytest.approx(tau["value"])
    figures = {path.stem for path in (tmp_path / "out" / "figures").iterdir()}
    assert figures == {"alpha", "log-spectral-norm", "ks", "alpha-log-spectral-norm", "train-test", "taus", "legend"}


def test_what_was_written_is_a_table_that_gives_the_same(table, tmp_path):
    first = examine(read_table(table))
    (tmp_path / "models.csv").write_text(first.to_csv())
    again = examine(read_table(tmp_path / "models.csv"))
    assert again.table == first.table
    assert again.to_html() == first.to_html().replace(str(table), str(tmp_path / "models.csv"))


def test_alphas_of_noise_are_counted_without_the_weights_too(tmp_path):
    first = examine(read_table(weights(tmp_path)))
    (tmp_path / "models.csv").write_text(first.to_csv())
    again = examine(read_table(tmp_path / "models.csv"))
    assert [remark for remark in first.remarks if "that of noise" in remark] == again.remarks[-1:]


def test_intervals_of_the_tables_hold_together(tmp_path):
    """Over the metrics of a table, and over the groups of a metric: the truth is in all of them in 95 % of corpora."""
    n, held = 30, Counter()
    rho = {"alpha": -1 / math.sqrt(1.25), "log_spectral_norm": -1 / math.sqrt(1.25), "ks": 0.0}
    truths = {"tau": {x: 2 / math.pi * math.asin(r) for x, r in rho.items()}, "r2": {x: r * r for x, r in rho.items()}}
    rng = np.random.default_rng(5)
    for _ in range(n):
        corpus = examine(read_table(planted(tmp_path / "table.csv", rng)))
        for what, truth in truths.items():
            parts = {x: {part: of[what] for part, of in corpus.table[x].parts.items()} for x in truth}
            inside = {(x, part): of.low <= truth[x] <= of.high for x in truth for part, of in parts[x].items()}
            held[what, "averages"] += all(inside[x, "AVG"] for x in truth)
            held[what, "groups"] += all(inside["ks", f"{g}xx"] for g in range(4))
        held["none"] += corpus.paradoxes["ks"].verdict == corpus.paradoxes["log_spectral_norm"].verdict == NONE
        assert corpus.paradoxes["alpha"].verdict in (STRONG, REVERSAL)
    assert min(held.values()) / n > 0.95 - 3 * math.sqrt(0.95 * 0.05 / n), held
    found, columns = corpus.table["ks"], (corpus.column("ks"), corpus.column("test_accuracy"))
    assert found.comparisons == {"groups": 4, "AVG": 3, "pooled": 3}
    assert found.parts["AVG"]["tau"] == average_interval("tau", *columns, corpus.groups, comparisons=3)
    assert found.parts["pooled"]["r2"] == pooled_interval("r2", *columns, corpus.groups, comparisons=3)
    first = slice(SIZES[0])
    assert found.parts["0xx"]["tau"] == kendall_interval(*(of[first] for of in columns), comparisons=4)


def test_metrics_of_weights_are_those_by_hand(tmp_path):
    corpus = examine(read_table(weights(tmp_path)), workers=2)
    assert corpus.unread == []
    row = corpus.rows[1]
    fits = {of["name"]: of for of in analyze(read_layers(str(tmp_path / "b.safetensors"))).rows}
    by_hand = {name: [] for name in (*OF_WEIGHTS, "distance_from_init")}
    for k in range(2):
        before, after = (
            tf.random(60, 52, seed=10 + k) + step * 0.1 * (k + 1) * tf.random(60, 52, seed=99) for step in (0, 1)
        )
        s2, fit = np.linalg.svd(after.astype(float), compute_uv=False) ** 2, fits[f"fc{k}.weight"]
        alpha = fit["alpha"]
        by_hand["alpha"].append(alpha)
        by_hand["ks"].append(fit["ks"])
        by_hand["log_spectral_norm"].append(math.log10(s2[0]))
        by_hand["log_norm"].append(math.log10(np.sum(after.astype(float) ** 2)))
        by_hand["alpha_weighted"].append(alpha * math.log10(s2[0]))
        by_hand["log_alpha_schatten_norm"].append(math.log10(np.sum(s2**alpha)))
        by_hand["log10_stable_rank"].append(math.log10(np.sum(s2) / s2[0]))
        by_hand["distance_from_init"].append(np.linalg.norm((after - before).astype(float)))
    assert row["distance_from_init"] == pytest.approx(np.mean(by_hand.pop("distance_from_init")), rel=1e-6)
    assert {name: row[f"{name}_all"] for name in by_hand} == pytest.approx({k: np.mean(v) for k, v in by_hand.items()})
    kept = np.array(by_hand["alpha"]) < 8
    assert row["n_averaged"] == kept.sum()
    assert row["alpha"] == pytest.approx(np.mean(np.array(by_hand["alpha"])[kept]), nan_ok=True)
    assert row["optimiser"] == "adam"
    ds = corpus.to_dataset()
    assert ds.layer_model.values.tolist() == [name for name in "abcd" for _ in range(2)]
    assert ds.alpha_signal.attrs["layers"] == RULES["_signal"]
    assert set(METRICS) - {metric.name for metric in corpus.metrics} == {"alpha_hat", "sharpness"}
    assert "Which layers count" in corpus.to_html()


def test_alphas_of_noise_are_counted_and_left_out_of_the_means_of_signal():
    def layer(alpha, p, fitted=True):
        numbers = dict.fromkeys(("ks", "log_spectral_norm", "log_norm", "alpha_hat", "log_alpha_norm"), 1.0)
        return {"N": 100, "M": 80, "alpha": alpha, "alpha_p": p, "fitted": fitted, **numbers}

    found = of_layers([layer(2, 0.001), layer(4, 0.5), layer(6, math.nan), layer(12, 0.9), layer(math.nan, 1, False)])
    counts = {"n_layers": 5, "n_fitted": 4, "n_averaged": 3, "n_noise": 1, "n_untold": 1}
    assert {name: found[name] for name in counts} == counts
    assert [found[f"alpha{rule}"] for rule in RULES] == [4, 6, 2]
    assert found["alpha_weighted"] == 1 + 4 * 2
    noise, wide = {"N": 100, "M": 80, "alpha": 7.9, "fitted": True}, {"N": 5000, "M": 80, "alpha": 2.0, "fitted": True}
    assert with_noise(noise)["alpha_p"] > LEVEL > with_noise(noise | {"alpha": 2.0})["alpha_p"]
    assert all(math.isnan(row["alpha_p"]) for row in (with_noise(wide), with_noise(noise, known=False)))
    assert math.isnan(of_layers([])["alpha"])


def test_a_run_that_was_ended_loses_only_the_model_it_was_at(tmp_path, monkeypatch):
    table, out, seen = weights(tmp_path), tmp_path / "out", []
    measure, write = measured_module.analyze, measured_module.write_text
    monkeypatch.setattr(
        measured_module,
        "analyze",
        lambda layers, **options: (seen.append(layers.source[-13:-12]), measure(layers, **options))[1],
    )

    def ended(path, text):
        if path.stem == "c":
            raise KeyboardInterrupt
        write(path, text)

    def examined():
        seen.clear()
        return examine(read_table(table), out)

    monkeypatch.setattr(measured_module, "write_text", ended)
    with pytest.raises(KeyboardInterrupt):
        examined()
    monkeypatch.setattr(measured_module, "write_text", write)
    first = examined()
    assert seen == ["c", "d"]
    assert examined().rows == first.rows
    assert seen == []
    os.utime(tmp_path / "b.safetensors", ns=(1, 1))
    os.utime(tmp_path / "d0.safetensors", ns=(1, 1))
    assert examined().rows == first.rows
    assert seen == ["b", "d"]
    examine(read_table(table), out, conv=Conv.RESHAPED)
    assert seen == ["b", "d", "a", "b", "c", "d"]


def test_files_that_cannot_be_read_are_named_and_hide_nothing(tmp_path):
    table = weights(tmp_path)
    (tmp_path / "a.safetensors").unlink()
    (tmp_path / "b0.safetensors").write_text("no weights\n")
    save_file({"fc1.weight": tf.random(60, 52)}, tmp_path / "c0.safetensors")
    result = run("corpus", table, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    for said in (
        "a.safetensors: no such file",
        "b0.safetensors: a text file",
        "c0.safetensors: has 1 of the 2 matrices",
    ):
        assert said in result.stderr
        assert said in (tmp_path / "out" / "index.html").read_text()
    tree = json.loads((tmp_path / "out" / "corpus.json").read_text())
    known = [[row[name] is not None for row in tree["models"]] for name in ("alpha_all", "distance_from_init")]
    assert known == [[False, True, True, True], [False, False, True, True]]
    for name in "bcd":
        (tmp_path / f"{name}.safetensors").unlink()
    result = run("corpus", table)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no model has a metric; " in result.stderr.splitlines()[-1]


def test_diverged_networks_are_named_and_enter_no_mean(tmp_path):
    table = weights(tmp_path)
    nan = np.full((60, 52), np.nan, np.float32)
    save_file({"fc0.weight": tf.random(60, 52), "fc1.weight": nan}, tmp_path / "b.safetensors")
    save_file({"fc0.weight": nan, "fc1.weight": nan + 1}, tmp_path / "c.safetensors")
    result = run("corpus", table, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    said = (
        "Layers left out of the means, NaN or infinite values in the data: b (1 of 2), c (1 of 1)."  # of equal ones one
    )
    assert said in " ".join(result.stdout.split())
    rows = json.loads((tmp_path / "out" / "corpus.json").read_text())["models"]
    assert [(row["n_fitted"], row["alpha_all"] is not None) for row in rows[1:3]] == [(1, True), (0, False)]


HEAD = "model,group,test_accuracy,alpha\n"
BROKEN = {
    "no such column": (
        HEAD + "a,x,1,2\n",
        ["--quality", "nessie"],
        "no column 'nessie'; there are model, group, test_accuracy, alpha",
    ),
    "no quality": (
        "model,group,alpha\na,x,2\n",
        [],
        "no column 'test_accuracy'; there are model, group, alpha; name another",
    ),
    "no model": (
        "name,test_accuracy\na,1\n",
        [],
        "no column 'model'; there are name, test_accuracy; name another with --model",
    ),
    "no metric": ("model,test_accuracy\na,1\n", [], "has neither weight files in column file nor metrics"),
    "no such metric": (HEAD + "a,x,1,2\n", ["--metric", "mu"], "no column 'mu'"),
    "no accuracy": (HEAD + "a,x,,2\nb,x,nan,2\n", [], "column test_accuracy is empty"),
    "text": (HEAD + "a,x,1,2\nb,x,good,3\n", [], "line 3, column test_accuracy: 'good' is not a number"),
    "decimal comma": (HEAD.replace(",", ";") + "a;x;0,9;2\n", [], "'0,9' is not a number; write it like 1234.5"),
    "twice": (HEAD + "a,x,1,2\n\nb,x,1,2\na,y,1,2\n", [], "line 5: model 'a' is in line 2 too"),
    "no name": (HEAD + ",x,1,2\n", [], "line 2: has no name in column model"),
    "average": (HEAD + "a,x,1,2\nb,AVG,1,2\n", [], "line 3: group 'AVG' is what a row of all groups is called"),
    "two columns": ("model,alpha,alpha,test_accuracy\na,1,2,3\n", [], "2 columns are called 'alpha'"),
    "one metric twice": (
        "model,Alpha,alpha,test_accuracy\na,1,2,3\n",
        [],
        "columns 'Alpha' and 'alpha' are both Alpha",
    ),
    "short row": (HEAD + "a,x,1\n", [], "line 2: has 3 columns, the first row has 4"),
    "empty": ("", [], "is empty"),
    "head alone": (HEAD, [], "has column names but no rows"),
    "prose": ("Call me Ishmael.\nSome years ago\n", [], "no column 'model'; there are Call me Ishmael."),
    "binary": ("PK\x03\x04\0\0", [], "neither .npy, .npz nor UTF-8 text"),
    "huge field": (HEAD + "a" * 200_000 + ",x,1,2\n", [], "line 2: field larger than field limit"),
    "no such rows": (HEAD + "a,x,1,2\n", ["--where", "group=y"], "no row has group=y"),
    "no condition": (HEAD + "a,x,1,2\n", ["--where", "group"], "--where group: is not COLUMN=VALUE"),
}


@pytest.mark.parametrize(("text", "options", "said"), BROKEN.values(), ids=BROKEN)
def test_broken_tables_are_one_line(tmp_path, text, options, said):
    (tmp_path / "t.csv").write_text(text)
    line = error_line(run("corpus", tmp_path / "t.csv", *options))
    assert said in line
    assert len(line) < 400


def test_no_table_and_no_place_are_one_line(table, tmp_path):
    assert "no such file" in error_line(run("corpus", tmp_path / "none.csv"))
    assert "is a folder; give a .csv file" in error_line(run("corpus", tmp_path))
    assert "cannot be written there" in error_line(run("corpus", table, "--out", table))


def test_poor_tables_are_survived_and_said(tmp_path):
    rows = [
        "a;x;1;2;5",
        "b;x;2;2;5",
        "c;x;;2;5",
        "d;y;1;2;5",
        "e;z;3;2;5",
        "f;z;4;3;5",
        "g;;5;2;5",
        "h;x;3;3;5",
        "i;x;4;9;5",
    ]
    text = "\ufeff# ours\nmodel;group;test_accuracy;alpha;ks;\n" + "".join(f"{row};\n" for row in rows)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    result = run("corpus", tmp_path / "t.csv", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    for words in (
        "Groups of one or two models, which have no statistics of their own: y (1), z (2).",
        "Models without a group, which count in no table: 1.",
        "Models without test_accuracy, which count in no table of it: 1.",
        "QualityOfAlphaFit is the same in all models that have it: it goes with nothing.",
        "Alpha is equal in some models; τ is tau-b",
    ):
        assert words in said
    parts = json.loads((tmp_path / "out" / "corpus.json").read_text())["metrics_against_quality"]["alpha"]["parts"]
    assert parts["z"]["tau"] == {"value": None, "interval": [-1, 1], "n": 2}
    assert parts["x"]["tau"]["n"] == 4
    assert parts["pooled"]["tau"]["n"] == 7
    assert (
        "All models are one group: no paradox can be tested."
        in run("corpus", tmp_path / "t.csv", "--where", "group=x").stdout
    )
    bare = "model,test_accuracy,mine\na,1,3\nb,2,2\nc,3,1\n"
    (tmp_path / "bare.csv").write_text(bare)
    result = run("corpus", tmp_path / "bare.csv", "--metric", "mine")
    assert "all models are one group" in result.stdout
    assert "mine" in result.stdout


def test_metrics_of_one_model_are_one_remark(tmp_path):
    (tmp_path / "t.csv").write_text("model,group,test_accuracy,alpha,ks\na,x,1,2,0.1\nb,x,2,,\n")
    said = run("corpus", tmp_path / "t.csv").stdout
    assert said.count("Known of 1 of 2 models: Alpha, QualityOfAlphaFit.") == 1
    assert "is the same in all models" not in said


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_summary_fits_the_terminal(table, width):
    result = run("corpus", table, width=width)
    assert max(map(len, result.stdout.splitlines())) <= width
    assert "strong reversal" in result.stdout
    assert ("R² average" in result.stdout) == (width == 140)


def test_the_page_is_safe_whatever_the_names_are(tmp_path):
    names = ["<script>alert(1)</script>", "$\\alpha", "_a$b$", "ü" * 300]
    rows = [f'"{name}{i}","{name}",{i % 5},{i * i % 7}' for name in names for i in range(4)]
    (tmp_path / "t.csv").write_text("model,group,test_accuracy,<b>m\n" + "\n".join(rows) + "\n", encoding="utf-8")
    corpus = examine(read_table(tmp_path / "t.csv", Columns(metrics=("<b>m",))))
    page = Page(corpus.to_html())
    assert not {"script", "b"} & set(page.tags)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "ü" * 200 not in page.text
    assert len(page.ids) == len(set(page.ids))
    assert set(page.links) <= {f"#{name}" for name in page.ids}
    corpus.write(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "figures").iterdir()) == [
        "b-m.svg",
        "legend.svg",
        "taus.svg",
    ]


def test_columns_are_known_by_the_names_of_the_papers_too(tmp_path):
    head = "model,test_accuracy,Alpha,LogSpectralNorm,AlphaHat,alpha_hat,Sharpness,SVDSmoothing10,svd_smoothing_tail,epochs\n"
    (tmp_path / "t.csv").write_text(head + "a,1,2,3,4,5,6,7,8,9\nb,2,2,3,4,5,6,7,8,9\n")
    corpus = examine(read_table(tmp_path / "t.csv"))
    names = [
        "alpha",
        "log_spectral_norm",
        "alpha_weighted",
        "alpha_hat",
        "sharpness",
        "svd_smoothing_10",
        "svd_smoothing_tail",
    ]
    assert [metric.name for metric in corpus.metrics] == names
    assert [corpus.rows[0][name] for name in names] == list(range(2, 9))
    assert [metric.kind for metric in corpus.metrics] == ["shape", "scale", "both", "both", "scale", "shape", "shape"]
    assert corpus.rows[0]["epochs"] == 9


def test_readme_shows_what_the_published_series_give(reference):
    series = reference / "contest" / "series_tables.csv"
    result = run("corpus", series, "--quality", "top1_accuracy", "--group", "source")
    shown = README.split("```text\nmetric")[1].split("```")[0].splitlines()[1]
    assert shown in [line.rstrip() for line in result.stdout.splitlines()]


def test_columns_may_be_called_like_dimensions_and_statistics(tmp_path):
    head = "name,model,metric,part,layer,tau,simpson_p,lr/wd,test_accuracy,alpha\n"
    (tmp_path / "t.csv").write_text(head + "a,m,n,p,l,1,2,9,3,4\nb,m,n,p,l,1,2,9,4,5\n")
    examine(read_table(tmp_path / "t.csv", Columns(model="name"))).write(tmp_path / "out")
    ds = xr.load_dataset(tmp_path / "out" / "corpus.nc")
    assert ds["lr|wd"].values.tolist() == [9, 9]
    assert ds.model.values.tolist() == ["a", "b"]
    assert ds.table_model.values.tolist() == ["m", "m"]
    assert ds.table_tau.values.tolist() == [1, 1]
    assert ds.tau.dims == ("metric", "part")


def test_csv_of_models_is_plain(table):
    rows = list(csv.DictReader(io.StringIO(examine(read_table(table)).to_csv())))
    assert rows[0]["model"] == "0-0"
    assert len(rows) == sum(SIZES)
