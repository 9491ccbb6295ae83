"""Figures that are drawn from the tables in the code, so that they cannot be wrong about it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.ext.graphviz import graphviz

from lunora_rx.core.connection import TRANSITIONS

ROOT = Path(__file__).parents[2]
LOOK = 'node [shape=box, style=rounded, fontname="sans-serif", fontsize=11]; edge [fontname="sans-serif", fontsize=10];'

_TRANSITION = re.compile(r"(\S+) --> ([^\s:]+)(?:: *(.*))?")

# Drawn outermost first. What is named together may import each other, and is drawn as one.
TOOLS, FACE = "blocking, recording, testing, codegen", "rx, operators"
RANKS = (
    ("cli",),
    (TOOLS, "adapters"),
    ("client", "devserver"),
    ("driver", "transport", "storage", FACE),
    ("core",),
    ("protocol",),
    ("errors",),
)


def connection_states() -> str:
    """Return the life of a socket as a graph, from the transition table of the core."""
    edges = "".join(
        f'"{before.__name__}" -> "{after.__name__}" [label="{trigger.value}"];'
        for (before, trigger), after in TRANSITIONS.items()
    )
    return f'digraph {{ rankdir=LR; bgcolor="transparent"; {LOOK} "Closed" [peripheries=2]; {edges} }}'


def rings() -> str:
    """Return who may import whom as a graph, from the table that the tests enforce."""
    ranks = "".join(f"{{ rank=same; {'; '.join(map(_quoted, rank))}; }}" for rank in RANKS)
    edges = "".join(f'"{name}" -> "{other}";' for name, other in _edges(_architecture().RINGS))
    return f'digraph {{ bgcolor="transparent"; {LOOK} {ranks} {edges} }}'


def _quoted(name: str) -> str:
    return f'"{name}"'


def _edges(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    groups = {part: name for rank in RANKS for name in rank for part in name.split(", ")}
    reach: dict[str, set[str]] = {name: set() for name in groups.values()}
    for part, name in groups.items():
        # A part of a ring, such as the merge that the embedded server shares with the core, is no arrow to all of it.
        ours = table[part].ours
        reach[name] |= {groups[each] for each in (groups if ours is None else ours & groups.keys())} - {name}
    for name, others in reach.items():
        # What is reached through another ring needs no arrow of its own.
        through = {far for near in others for far in reach[near]}
        yield from ((name, other) for other in sorted(others - through))


def _architecture() -> ModuleType:
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "tests" / "test_architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Mermaid(Directive):
    """A state diagram as forges draw it from a fence of that name: only its transitions are read."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the figure."""
        edges = "".join(map(_edge, filter(None, map(_TRANSITION.search, self.content))))
        return [_figure(self, f'digraph {{ rankdir=LR; bgcolor="transparent"; {LOOK} {edges} }}', "states")]


class Drawn(Directive):
    """``{drawn} connection-states`` or ``{drawn} rings``."""

    required_arguments = 1
    figures: ClassVar = {"connection-states": connection_states, "rings": rings}

    def run(self) -> list[nodes.Node]:
        """Return the figure."""
        name = self.arguments[0]
        return [_figure(self, self.figures[name](), name.replace("-", " "))]


def _figure(directive: Directive, code: str, alt: str) -> nodes.Node:
    node = graphviz(code=code, alt=alt, align="default")
    node["options"] = {"docname": directive.state.document.settings.env.docname}
    return node


def _edge(found: re.Match[str]) -> str:
    before, after, label = (each.replace("[*]", "*").strip() for each in found.groups(""))
    return f'"{before}" -> "{after}" [label="{label}"];'


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("drawn", Drawn)
    app.add_directive("mermaid", Mermaid)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
