"""What can be picked: the functions of a deployment, from its OpenRPC document.

Source: ``docs/protocol.md``, section "OpenRPC document".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from lunora_rx.codegen.document import Method, read_title, split_methods

ListedKind: TypeAlias = Literal["query", "shape", "stream", "mutation", "action"]

GROUPS: Final[Mapping[ListedKind, str]] = {
    "query": "Queries",
    "shape": "Shapes",
    "stream": "Streams",
    "mutation": "Mutations",
    "action": "Actions",
}
# Nobody calls these, so they stand beside the methods, where the server tells of them at all.
_BESIDE: Final[Mapping[str, ListedKind]] = {"x-lunora-shapes": "shape", "x-lunora-streams": "stream"}


@dataclass(frozen=True, slots=True)
class Listed:
    """A function that can be picked.

    Attributes:
        path: ``"file:function"``.
        kind: How it is called or watched.
        text: What it does, in the words of the document.
        schema: JSON Schema of its arguments, which holds the schemas that it refers to; ``{}`` where nothing is known.
    """

    path: str
    kind: ListedKind
    text: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The functions of a deployment.

    Attributes:
        title: The title of the document.
        functions: By what they are offered as: the path, and what a shape is where a function has its name.
        problem: Why there are none, or not all; an empty text if there is nothing to say.
    """

    title: str = ""
    functions: Mapping[str, Listed] = field(default_factory=dict)
    problem: str = ""

    def groups(self) -> dict[str, list[str]]:
        """Return what they are offered as under the names of their kinds; a kind without any is left out."""
        found = {
            name: [label for label, each in self.functions.items() if each.kind == kind]
            for kind, name in GROUPS.items()
        }
        return {name: labels for name, labels in found.items() if labels}


def read_catalog(document: object) -> Catalog:
    """Return the functions of a document; one that cannot be read is named, and takes no other with it.

    Raises:
        DocumentError: It is no OpenRPC document.
    """
    methods, problems = split_methods(document)
    components = document.get("components", {}) if isinstance(document, Mapping) else {}
    functions = {method.path: _of_method(method, components) for method in methods}
    for listed in _beside(document, components):
        functions[listed.path if listed.path not in functions else f"{listed.path} ({listed.kind})"] = listed
    return Catalog(read_title(document), functions, "\n".join(problems))


def _of_method(method: Method, components: object) -> Listed:
    return Listed(method.path, method.kind, method.text, _schema(method.args, components))


def _beside(document: object, components: object) -> Iterator[Listed]:
    for member, kind in _BESIDE.items():
        entries = document.get(member) if isinstance(document, Mapping) else None
        for each in entries if isinstance(entries, list) else ():
            if isinstance(each, Mapping) and isinstance(each.get("name"), str):
                text, params = each.get("description"), each.get("params")
                first = params[0] if isinstance(params, list) and params and isinstance(params[0], Mapping) else {}
                told = text if isinstance(text, str) else ""
                yield Listed(each["name"], kind, told, _schema(first.get("schema"), components))


def _schema(args: object, components: object) -> dict[str, Any]:
    schema = dict(args) if isinstance(args, Mapping) else {}
    if isinstance(components, Mapping) and components:
        schema["components"] = components
    return schema
