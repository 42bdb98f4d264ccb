"""A gallery has a page for each model and one for all; what cannot be read hides nothing, what is done is not done again."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torchfiles as tf
from safetensors.numpy import save_file
from test_commands import error_line, run
from test_page import Page, judged

import realnets.gallery as gallery_module
from realnets.analysis import Analysis, analyze
from realnets.gallery import INDEX, gallery
from realnets.kept import page_names
from rmt.calibration.card import LEVEL


@pytest.fixture(autouse=True)
def _few_synthetic(monkeypatch):
    monkeypatch.setattr(gallery_module, "synthetic", lambda: {"noise": np.random.default_rng(0).uniform(1, 9, (2, 50))})


@pytest.fixture(autouse=True)
def compared(monkeypatch):
    """Names of the sources that were compared, which takes no nulls here."""
    names = []

    def compare(layers, key, n_nulls, workers, on_row):
        names.append(os.path.basename(layers.source))
        result = judged(analyze(layers, workers, on_row), ["near-random"] * len(layers.planned))
        return replace(result, settings=result.settings | {"n_nulls": n_nulls, "level": LEVEL})

    monkeypatch.setattr(gallery_module, "compare", compare)
    return names


@pytest.fixture
def blank(monkeypatch):
    """Pages without their figures, which take the time."""
    monkeypatch.setattr(Analysis, "to_html", lambda self: self.source)
    monkeypatch.setattr(gallery_module, "index_page", lambda models: "")


@pytest.fixture
def sources(tmp_path):
    for i, name in enumerate("ab"):
        save_file(
            {f"{name}.weight": tf.random(60, 52, seed=i), "head.weight": tf.random(60, 52, seed=9)}, tmp_path / name
        )
    return [str(tmp_path / name) for name in "ab"]


def test_the_index_leads_to_every_page_and_names_what_cannot_be_read(sources, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "<i>").write_text("no weights\n")
    result = run("gallery", *sources, tmp_path / "none", tmp_path / "<i>", "--out", out, "--nulls", 5)
    assert result.exit_code == 0, result.output
    index = Page((out / "index.html").read_text())
    assert "2 models" in index.text
    pages = [link for link in index.links if link.endswith(".html")]
    assert len(pages) == 2
    assert all(Page((out / page).read_text()).ids.count("layer-2") == 1 for page in pages)
    assert "none: no such file" in index.text
    assert "&lt;i&gt;: a text file" in index.text
    assert not {"script", "i"} & set(index.tags)
    assert sorted(path.suffix for path in out.iterdir()) == [".html", ".html", ".html", ".json", ".json"]


def test_only_what_changed_is_compared_again(sources, tmp_path, compared, blank):
    said = []

    def again(**options):
        compared.clear()
        gallery(sources, tmp_path / "out", n_nulls=5, say=said.append, **options)
        return list(compared)

    assert again() == ["a", "b"]
    assert again() == []
    assert len([line for line in said if line.endswith("reused")]) == 2
    os.utime(tmp_path / "b", ns=(1, 1))
    assert again() == ["b"]
    next((tmp_path / "out").glob("*-a.html")).unlink()
    next((tmp_path / "out").glob("*-b.json")).write_text("{")
    assert again() == ["a", "b"]
    assert again(seed=1) == ["a", "b"]


def test_a_run_that_was_ended_goes_on_with_the_model_it_was_at(sources, tmp_path, compared, blank, monkeypatch):
    written = gallery_module.write_text

    def ended(path, text):
        if path.name.endswith("-b.json"):
            raise KeyboardInterrupt
        written(path, text)

    monkeypatch.setattr(gallery_module, "write_text", ended)
    with pytest.raises(KeyboardInterrupt):
        gallery(sources, tmp_path / "out", n_nulls=5)
    monkeypatch.setattr(gallery_module, "write_text", written)
    compared.clear()
    gallery(sources, tmp_path / "out", n_nulls=5)
    assert compared == ["b"]


def test_weights_in_other_files_count_for_a_change(tmp_path, compared, blank):
    save_file({"a.weight": tf.random(60, 52)}, tmp_path / "shard.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a.weight": "shard.safetensors"}}')
    for _ in range(2):
        gallery([str(tmp_path / "model.safetensors.index.json")], tmp_path / "out", n_nulls=5)
        assert len(compared) == 1
    save_file({"a.weight": tf.random(60, 52, seed=1)}, tmp_path / "shard.safetensors")
    gallery([str(tmp_path / "model.safetensors.index.json")], tmp_path / "out", n_nulls=5)
    assert len(compared) == 2


def test_nothing_to_read_is_an_error_that_the_index_explains(tmp_path):
    line = error_line_of_last(run("gallery", tmp_path / "x.pt", "--out", tmp_path / "out"))
    assert "none of 1 files could be read" in line
    assert "x.pt: no such file" in (tmp_path / "out" / "index.html").read_text()
    assert "--conv pooled" in error_line(run("gallery", "x", "--out", tmp_path / "out", "--conv", "pooled"))
    (tmp_path / "file").touch()
    assert "cannot be written" in error_line(run("gallery", "x", "--out", tmp_path / "file"))


def error_line_of_last(result) -> str:
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr.splitlines()[-1]


def test_pages_have_plain_names_of_their_own():
    names = page_names(["a/b.pt", "a-b.pt", "A_B.pt", "../../index", "index", "/", "ü" * 300, "a/b.pt"], [INDEX])
    assert len(names) == 7
    found = [name.casefold() for name in names.values()]
    assert len(set(found)) == 7
    assert page_names(["index"], [INDEX])["index"] != "index"  # that page is another
    assert all(name == os.path.basename(name) and 0 < len(name.encode()) < 240 for name in names.values())
    assert page_names(["a-b.pt", "a/b.pt"])["a/b.pt"] == names["a/b.pt"]


def test_the_synthetic_classes_are_where_theory_has_them(monkeypatch):
    monkeypatch.undo()
    two = dict(list(gallery_module.classes().items())[::4])
    for name, value in (("SHAPE", (100, 50)), ("classes", lambda: two)):
        monkeypatch.setattr(gallery_module, name, value)
    found = gallery_module.synthetic(20)
    noise, heavy = ([float(np.median(x)) for x in pair] for pair in found.values())
    assert 0.8 < noise[1] < 1.1
    assert 5 < heavy[1] < 50 / (1 + 0.5**0.5) ** 2  # where one eigenvalue is all of the mean square
    assert heavy[0] == pytest.approx(1.5, abs=0.25)  # mu/2 + 1
