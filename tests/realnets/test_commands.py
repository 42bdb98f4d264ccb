"""The command line: tables at 80 columns, JSON and CSV, exit codes, one line for every mistake."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torchfiles as tf
import xarray as xr
from safetensors.numpy import save_file
from typer.testing import CliRunner

import realnets.gallery as gallery_module
import rmt
from realnets import cli, zoo


@pytest.fixture(autouse=True)
def _no_compile_cache(monkeypatch):
    monkeypatch.setattr(cli, "keep_compiled_programs", lambda: None)


@pytest.fixture
def model(tmp_path):
    """A small network: noise, correlations, a NaN, things to leave out."""
    bad = tf.random(60, 52, seed=3)
    bad[0, 0] = np.nan
    path = tmp_path / "model.safetensors"
    arrays = {
        "encoder.layer.0.attention.output.dense.weight": tf.random(60, 52),
        "encoder.layer.1.attention.output.dense.weight": tf.random(60, 52, seed=1)
        * np.linspace(0.2, 2, 52, dtype=np.float32),
        "encoder.layer.2.weight": bad,
        "encoder.layer.2.bias": tf.random(52),
    }
    save_file(arrays, path)
    return path


def run(*arguments: object, width: int = 80):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments], env={"COLUMNS": str(width)})


def error_line(result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("command", [["analyze"], ["compare", "--nulls", 5]])
@pytest.mark.parametrize("width", [60, 80, 160])
def test_tables_fit_the_terminal(model, command, width):
    result = run(*command, model, width=width)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= width
    table = result.stdout.split("α < 8")[0].splitlines()
    assert not any("…" in line[30:] for line in table)  # names are cut, numbers never
    for text in ("dense", "average", "α < 8", "Left out: bias, scalar or other vector 1", "non_finite"):
        assert text in result.stdout
    assert ("correlated" in result.stdout) == (command[0] == "compare")


def test_json_and_csv_on_stdout_are_nothing_else(model):
    tree = json.loads(run("compare", model, "--nulls", 5, "--seed", 3, "--json").stdout)
    assert tree["settings"] | {"seed": 3, "n_nulls": 5} == tree["settings"]
    assert [row["verdict"] for row in tree["layers"]] == ["near-random", "correlated", "not tested"]
    rows = list(csv.DictReader(io.StringIO(run("analyze", model, "--csv").stdout)))
    assert [row["alpha"] for row in rows][:2] == [repr(row["alpha"]) for row in tree["layers"]][:2]


def test_out_writes_by_suffix_or_flag(model, tmp_path):
    result = run("analyze", model, "--out", tmp_path / "new" / "a.json")
    assert result.exit_code == 0, result.output
    assert "average" in result.stdout  # the table is still shown
    assert len(json.loads((tmp_path / "new" / "a.json").read_text())["layers"]) == 3
    assert run("analyze", model, "--csv", "--out", tmp_path / "b.txt").exit_code == 0
    assert (tmp_path / "b.txt").read_text().startswith("name,tensor,kind")


@pytest.mark.parametrize("command", [["analyze"], ["compare", "--nulls", 5], ["diff"]])
def test_out_writes_netcdf(model, tmp_path, command):
    files = [model] * (2 if command == ["diff"] else 1)
    assert run(*command, *files, "--out", tmp_path / "a.nc").exit_code == 0
    tree = json.loads(run(*command, *files, "--json").stdout)
    with xr.open_dataset(tmp_path / "a.nc") as ds:
        for name, of in tree["layers"][1].items():
            found = ds.layer[1] if name == "name" else ds[name].isel(layer=1)
            assert found.item() == of or (of is None and np.isnan(found)), name
        assert set(tree["settings"].items()) <= set(ds.attrs.items())
        assert ds.attrs["rmt"] == tree["versions"]["rmt"]


def test_verbose_lists_what_was_left_out(model):
    assert "encoder.layer.2.bias (52): bias" in run("analyze", model, "--verbose").stdout


def test_hostile_and_broken_files_are_one_line(tmp_path):
    canary = tmp_path / "canary"
    hostile = tf.write_legacy(tmp_path / "evil.pt", {"x": tf.Call("os", "system", (f"touch {canary}",))}, {})
    assert "evil.pt" in (line := error_line(run("analyze", hostile)))
    assert "os.system" in line
    assert not canary.exists()
    (tmp_path / "cut.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{" + b" " * 20)
    assert "cut.safetensors" in error_line(run("compare", tmp_path / "cut.safetensors"))
    (tmp_path / "text.pt").write_text("hello\n")
    assert "text" in error_line(run("analyze", tmp_path / "text.pt"))


def test_files_without_matrices_say_what_they_hold(tmp_path):
    save_file({"a.bias": tf.random(9), "b.weight": tf.random(60, 40, 3)}, tmp_path / "w")
    assert "none of its 2 tensors can be analysed" in error_line(run("analyze", tmp_path / "w"))
    np.savez(tmp_path / "e.npz", fc=np.array([[{}] * 60] * 60, object))
    assert "not floating point" in error_line(run("analyze", tmp_path / "e.npz"))


def test_wrong_paths_and_options(model, tmp_path):
    assert "no such file" in error_line(run("analyze", tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    assert "folder" in error_line(run("analyze", tmp_path / "empty"))
    assert "FILE is empty" in error_line(run("analyze", ""))
    assert "neither a file nor a folder" in error_line(run("analyze", "/dev/zero"))
    assert "no such network" in error_line(run("analyze", "zoo:nessie"))
    assert "--json and --csv" in error_line(run("analyze", model, "--json", "--csv"))
    assert ".json, .csv, .nc or .html" in error_line(run("analyze", model, "--out", tmp_path / "x.xls"))
    assert "cannot be written" in error_line(run("analyze", model, "--out", model / "x.json"))
    assert "cannot be written" in error_line(run("analyze", model, "--csv", "--out", tmp_path))
    assert run("compare", model, "--nulls", 2).exit_code == 2
    assert run("analyze").exit_code == 2


def test_without_a_network_the_exit_code_is_three(monkeypatch, tmp_path):
    def unreachable(network, folder):
        raise zoo.Unreachable("zoo:g2p: could not be downloaded")

    monkeypatch.setenv("REALNETS_CACHE", str(tmp_path))
    monkeypatch.setattr(zoo, "_download", unreachable)
    result = run("compare", "zoo:g2p")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == "error: zoo:g2p: could not be downloaded"
    table = tmp_path / "table.csv"
    table.write_text("model,file,test_accuracy\na,zoo:g2p,1\nb,zoo:minilm,2\n")
    assert run("corpus", table).exit_code == 3
    table.write_text("model,file,test_accuracy\na,zoo:g2p,1\nb,missing.npz,2\n")  # which no network mends
    assert run("corpus", table).exit_code == 2


def test_the_zoo_lists_its_networks():
    result = run("zoo")
    assert result.exit_code == 0
    for network in zoo.ZOO.values():
        assert network.package in result.stdout


def test_the_installed_program_has_no_traceback(tmp_path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "realnets", "analyze", "no.such.file"], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: no.such.file: no such file\n")


@pytest.mark.parametrize("command", [[], ["analyze"], ["compare"], ["zoo"]])
def test_help_teaches(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout
    assert ("zoo:NAME" in result.stdout) == (command != ["zoo"])


def test_compare_hands_its_table_to_the_report_page(model, tmp_path):
    from rmt.report import write_report

    result = run("compare", "--nulls", 5, "--report", tmp_path / "results", model)
    assert result.exit_code == 0, result.output
    page = write_report(tmp_path / "results").read_text()
    assert "beside its matched nulls" in page
    assert "encoder.layer.1.attention.output.dense.weight" in page
    assert "1 not tested" in page  # the layer with the NaN is there, and says so


def test_the_gallery_has_the_pages_of_what_can_be_read(model, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery_module, "synthetic", dict)
    for says in ("no such file", "reused"):
        result = run("gallery", model, tmp_path / "none.pt", "--nulls", 5, "--out", tmp_path / "out")
        assert result.exit_code == 0, result.output
        assert says in result.stderr
    (page,) = (tmp_path / "out").glob("*-model-safetensors.html")
    assert page.read_text().count('aria-label="spectrum of layer') == 2
    index = (tmp_path / "out" / "index.html").read_text()
    assert page.name in index
    assert "none.pt: no such file" in index


def test_convolutions_and_methods_are_chosen(tmp_path):
    kernel = tf.random(60, 55, 2, 2)
    save_file({"conv.weight": kernel}, tmp_path / "w")
    rows = {
        conv: json.loads(run("analyze", tmp_path / "w", "--conv", conv, "--method", "weightwatcher", "--json").stdout)[
            "layers"
        ]
        for conv in ("slices", "pooled", "reshaped")
    }
    assert {conv: len(found) for conv, found in rows.items()} == {"slices": 4, "pooled": 1, "reshaped": 1}
    squares = np.concatenate([np.linalg.svd(kernel[:, :, *at].astype(float))[1] ** 2 for at in np.ndindex(2, 2)])
    fit = rmt.fit_tail(np.sort(squares), rmt.WeightWatcher())
    assert rows["pooled"][0]["alpha"] == pytest.approx(float(fit.alpha), rel=1e-9)
    assert (rows["reshaped"][0]["N"], rows["reshaped"][0]["M"]) == (220, 60)
    assert "--conv pooled has no nulls" in error_line(run("compare", tmp_path / "w", "--conv", "pooled"))
