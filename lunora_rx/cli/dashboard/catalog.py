"""What can be picked: the functions of a deployment, from its OpenRPC document.

Source: ``docs/protocol.md``, section "OpenRPC document".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lunora_rx.codegen.document import FunctionKind, Method, read_title, split_methods

GROUPS: Final[Mapping[FunctionKind, str]] = {"query": "Queries", "mutation": "Mutations", "action": "Actions"}


@dataclass(frozen=True, slots=True)
class Listed:
    """A function that can be picked.

    Attributes:
        path: ``"file:function"``.
        kind: How it is called.
        text: What it does, in the words of the document.
        schema: JSON Schema of its arguments, which holds the schemas that it refers to; ``{}`` where nothing is known.
    """

    path: str
    kind: FunctionKind
    text: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The functions of a deployment.

    Attributes:
        title: The title of the document.
        functions: By path.
        problem: Why there are none, or not all; an empty text if there is nothing to say.
    """

    title: str = ""
    functions: Mapping[str, Listed] = field(default_factory=dict)
    problem: str = ""

    def groups(self) -> dict[str, list[str]]:
        """Return the paths under the names of their kinds; a kind without a function is left out."""
        found = {
            name: [path for path, each in self.functions.items() if each.kind == kind] for kind, name in GROUPS.items()
        }
        return {name: paths for name, paths in found.items() if paths}


def read_catalog(document: object) -> Catalog:
    """Return the functions of a document; one that cannot be read is named, and takes no other with it.

    Raises:
        DocumentError: It is no OpenRPC document.
    """
    methods, problems = split_methods(document)
    components = document.get("components", {}) if isinstance(document, Mapping) else {}
    functions = {method.path: _listed(method, components) for method in methods}
    return Catalog(read_title(document), functions, "\n".join(problems))


def _listed(method: Method, components: object) -> Listed:
    schema = dict(method.args) if isinstance(method.args, Mapping) else {}
    if isinstance(components, Mapping) and components:
        schema["components"] = components
    return Listed(method.path, method.kind, method.text, schema)
