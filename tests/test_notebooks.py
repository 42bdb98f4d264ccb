"""Every notebook runs from top to bottom, and is committed without outputs."""

import nbformat
import pytest
from conftest import ROOT, slow
from nbclient import NotebookClient

NOTEBOOKS = {"quickstart": "mu/2 + 1 = 1.75", "laws": "Student t, mu = 3: tail index 3, variance 3"}
"""Notebook -> what it must have printed. The gallery of laws compiles a program for each, and is a slow test."""


# nbclient's own event-loop plumbing warns on some platforms; the notebook's warnings are its own business.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", [name if name != "laws" else slow(name) for name in NOTEBOOKS])
def test_notebook_runs(name):
    path = ROOT / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": path.parent}}).execute()
    printed = [
        o.text for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs if o.get("name") == "stdout"
    ]
    assert any(NOTEBOOKS[name] in text for text in printed)


def test_every_notebook_is_run():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(NOTEBOOKS)
