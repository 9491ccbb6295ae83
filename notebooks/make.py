"""Makes the notebooks of their sources: ``python notebooks/make.py [NAME ...]`` runs each from top to bottom.

A notebook's source is the ``.py`` beside it (jupytext, percent format): change that. What is stored in the ``.ipynb``
is what reads well in a diff and on a web page: no execution times, no ids of widgets, cells numbered by their place.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent
SOURCES = sorted(HERE.glob("[0-9]*.py"))

WIDGET = "application/vnd.jupyter.widget-view+json"


def read(source: Path) -> NotebookNode:
    """Return the notebook that a source describes, with no outputs."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id, cell.metadata = f"cell-{number}", {}
    return notebook


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run a notebook in a kernel of its own, and return it with its outputs; raises what a cell raises."""
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    return notebook


def tidied(notebook: NotebookNode, metadata: NotebookNode) -> NotebookNode:
    """Return a notebook without what only a running kernel understands, and without what changes at each run."""
    notebook.metadata = metadata
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = _joined([_tidied(output) for output in cell.outputs])
    return notebook


def _tidied(output: NotebookNode) -> NotebookNode:
    if "data" in output:
        output.data.pop(WIDGET, None)
    return output


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return outputs with the texts that came one after the other as one."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def make(source: Path) -> None:
    """Run one source, and write its notebook."""
    notebook = tidied(execute(read(source)), read(source).metadata)
    nbformat.write(notebook, source.with_suffix(".ipynb"))


if __name__ == "__main__":
    for each in SOURCES:
        if len(sys.argv) == 1 or each.stem in sys.argv[1:]:
            print(each.stem)
            make(each)
