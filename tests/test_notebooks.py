"""Every notebook runs from top to bottom, and is committed without outputs."""

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


# nbclient's own event-loop plumbing warns on some platforms; the notebook's warnings are its own business.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path):
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": path.parent}}).execute()
    printed = [
        o.text for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs if o.get("name") == "stdout"
    ]
    assert any("mu/2 + 1 = 1.75" in text for text in printed)
