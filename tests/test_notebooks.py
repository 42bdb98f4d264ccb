"""Every notebook runs from top to bottom, and is committed without outputs."""

import nbformat
import pytest
from conftest import ROOT, slow
from nbclient import NotebookClient

from realnets import zoo

NOTEBOOKS = {
    "quickstart": "mu/2 + 1 = 1.75",
    "laws": "Student t, mu = 3: tail index 3, variance 3",
    "universality": "mu = 4, large N: lambda_max is at the edge with probability 0.7788 = exp(-1/4)",
    "pl_norm": "largest gap 0.1716 at mu = 1.172; 3 - 2 sqrt(2) = 0.1716",
    "real_vs_synthetic": "spikes: correlated",
    "calibration": "Gaussian noise: at least",
    "contest": "depth moves both: strong reversal",
}
"""Notebook -> what it must have printed."""

LONG = ("laws", "universality", "pl_norm", "real_vs_synthetic", "calibration", "contest")
"""Left to the slow suite: a program for each law, many sizes, or many nulls."""


def printed_by(name: str) -> str:
    path = ROOT / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": path.parent}}).execute()
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    assert not any("Warning" in o.text for o in outputs if o.get("name") == "stderr")
    return "".join(o.text for o in outputs if o.get("name") == "stdout")


# nbclient's own event-loop plumbing warns on some platforms; the notebook's warnings are its own business.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", [slow(name) if name in LONG else name for name in NOTEBOOKS])
def test_notebook_runs(name, tmp_path, monkeypatch):
    monkeypatch.setenv("REALNETS_CACHE", str(tmp_path))  # no network here, and none to fetch
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert NOTEBOOKS[name] in printed_by(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_network_of_the_zoo_is_used_where_there_is_one():
    if zoo.cached(zoo.ZOO["g2p"]) is None:
        pytest.skip("tests fetch nothing, and g2p is not cached; `realnets zoo g2p` fetches it")
    assert "A trained network, zoo:g2p" in printed_by("real_vs_synthetic")


def test_every_notebook_is_run():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(NOTEBOOKS)
