"""docs/reference: every public name stands there, and what stands there needs no optional library."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
LIBRARIES = ("anywidget", "bokeh", "ipywidgets", "nicegui", "opentelemetry", "panel", "perspective", "streamlit")
MODULES = (
    "lunora_rx",
    "lunora_rx.adapters.bokeh",
    "lunora_rx.adapters.jupyter",
    "lunora_rx.adapters.nicegui",
    "lunora_rx.adapters.opentelemetry",
    "lunora_rx.adapters.panel",
    "lunora_rx.adapters.streamlit",
    "lunora_rx.blocking",
    "lunora_rx.codegen",
    "lunora_rx.devserver",
    "lunora_rx.operators",
    "lunora_rx.testing",
)
# What kernels and marimo call by themselves, and the number that stands on every page of the site.
ELSEWHERE = {f"lunora_rx.adapters.jupyter.{name}" for name in ("Shown", "mimebundle", "view")} | {
    "lunora_rx.__version__"
}
# The one object of a class is told of where the class is.
CLASSES = {"lunora_rx.api": "lunora_rx.functions.Api"}
_DIRECTIVE = re.compile(r"^\.\. auto(\w+):: (\S+)\n((?:   :.*\n)*)", re.MULTILINE)


def named(text: str) -> Iterator[str]:
    """Yield the full names of what the directives of a page document."""
    for kind, name, options in _DIRECTIVE.findall(text):
        if kind != "module":
            yield name
        elif ":no-members:" not in options:
            yield from members(name, options)


def members(name: str, options: str) -> Iterator[str]:
    """Yield the full names of what autodoc documents of a module."""
    module = import_module(name)
    excluded = re.findall(r":exclude-members: (.*)", options)
    for each in set(module.__all__) - {word.strip() for names in excluded for word in names.split(",")}:
        if ":imported-members:" in options or getattr(module, each).__module__ == name:
            yield f"{name}.{each}"


def thing(name: str) -> Any:
    """Return what a full name stands for."""
    module, _, attribute = CLASSES.get(name, name).rpartition(".")
    return getattr(import_module(module), attribute)


def documented() -> list[Any]:
    """Return what all pages document, under whatever name."""
    return [thing(name) for page in REFERENCE.glob("*.md") for name in named(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_in_the_reference(name):
    """What a module says is public can be looked up, under its name or that of where it is defined."""
    told = documented()
    public = {f"{name}.{each}" for each in import_module(name).__all__} - ELSEWHERE
    assert public
    assert sorted(each for each in public if not any(thing(each) is other for other in told)) == []


def test_directives_are_read_as_autodoc_reads_them():
    """A module stands for what it says is public, less what is left out, and for what it imports only if asked."""
    page = ".. automodule:: lunora_rx.operators\n   :imported-members:\n   :exclude-members: log, rate\n"
    assert "lunora_rx.operators.join" in set(named(page))
    assert not {"lunora_rx.operators.log", "lunora_rx.operators.rate"} & set(named(page))
    assert list(named(".. automodule:: lunora_rx.operators\n")) == []
    assert list(named(".. automodule:: lunora_rx.functions\n   :no-members:\n")) == []
    assert list(named(".. autoclass:: lunora_rx.Tap\n   :no-members:\n")) == ["lunora_rx.Tap"]


def test_every_page_is_in_the_table_of_contents():
    """A page that nobody finds is no reference."""
    listed = re.findall(r"^(\w+)$", (REFERENCE / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {path.stem for path in REFERENCE.glob("*.md")} == {*listed, "index"}


def test_reference_needs_no_optional_library():
    """The site is built where none of them is installed, as each is imported when it is used."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({LIBRARIES!r}))\n"
    modules = ", ".join(each for each in MODULES if ".adapters" in each)
    done = subprocess.run([sys.executable, "-c", f"{blocked}import {modules}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
