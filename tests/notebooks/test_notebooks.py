"""Each notebook runs from top to bottom, leaves nothing behind, and is stored as its source says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

for each in ("jupytext", "nbclient", "ipykernel", "matplotlib", "pandas"):
    pytest.importorskip(each, reason="notebooks run in an environment of their own: tox run -e notebooks")

nbformat = pytest.importorskip("nbformat")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SPEC = importlib.util.spec_from_file_location("make_notebooks", NOTEBOOKS / "make.py")
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)

# What the kernel's libraries warn of when it starts is no fault of a notebook.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.mark.parametrize("source", make.SOURCES, ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(source):
    """No cell fails; the last one finds that no task died unseen and that none is left."""
    notebook = make.execute(make.read(source))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


@pytest.mark.parametrize("source", make.SOURCES, ids=lambda path: path.stem)
def test_stored_notebook_is_that_of_its_source(source):
    """Whoever changes the one makes the other: ``python notebooks/make.py``."""
    stored = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    made = make.read(source)
    assert [(cell.id, cell.cell_type, cell.source) for cell in stored.cells] == [
        (cell.id, cell.cell_type, cell.source) for cell in made.cells
    ]
    assert stored.metadata == made.metadata


@pytest.mark.parametrize("source", make.SOURCES, ids=lambda path: path.stem)
def test_stored_notebook_has_no_traces_of_its_run(source):
    """No widgets that nobody can draw, no paths of a machine, no failed cell."""
    text = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert make.WIDGET not in text
    assert '"output_type": "error"' not in text
    assert "/home/" not in text
    assert str(NOTEBOOKS.parent) not in text


@pytest.mark.parametrize("source", make.SOURCES, ids=lambda path: path.stem)
def test_notebook_ends_by_looking_for_what_is_left(source):
    """A background task that died does not fail a notebook by itself."""
    assert "asyncio.all_tasks() - before" in make.read(source).cells[-1].source
