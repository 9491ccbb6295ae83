"""The OpenRPC document of an app, for typed code generation.

Source: ``docs/protocol.md``, section "OpenRPC document".
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Final

from lunora_rx.devserver.functions import Function
from lunora_rx.devserver.kinds import Components

__all__ = ["openrpc_document"]

_MEMBERS: Final = {"stream": "x-lunora-streams", "shape": "x-lunora-shapes"}
_ERRORS: Final = (
    ("VALIDATION_ERROR", "The arguments are not what the function takes."),
    ("UNAUTHORIZED", "The credential is refused."),
    ("INTERNAL", "The function failed."),
)


def openrpc_document(functions: Iterable[Function], *, title: str, version: str) -> dict[str, Any]:
    """Return the document; the same functions give the same document.

    Streams and shapes are no methods: nobody can call them. They stand beside those, for whoever looks for them.
    """
    components = Components()
    listed: dict[str, list[dict[str, Any]]] = {"methods": [], "x-lunora-streams": [], "x-lunora-shapes": []}
    for each in sorted(functions, key=lambda function: function.path):
        listed[_MEMBERS.get(each.kind, "methods")].append(_method(each, components))
    info = {"title": title, "description": "Functions of a lunora_rx embedded server.", "version": version}
    document = {"openrpc": "1.3.2", "info": info, "methods": listed.pop("methods")}
    document |= {name: entries for name, entries in listed.items() if entries}
    return document | ({"components": {"schemas": components.schemas}} if components.schemas else {})


def _method(function: Function, components: Components) -> dict[str, Any]:
    namespace = function.path.partition(":")[0]
    return {
        "name": function.path,
        "x-lunora-function-kind": function.kind,
        "x-tags": [{"name": namespace}],
        **_documentation(function),
        "params": [_params(function, components)],
        "result": {"name": "result", "schema": _result(function, components)},
        "errors": [
            {"code": -32000 - index, "message": message, "data": {"code": code}}
            for index, (code, message) in enumerate(_ERRORS)
        ],
    }


def _documentation(function: Function) -> dict[str, str]:
    text = inspect.getdoc(function.handler)
    if not text:
        return {}
    return {"summary": text.partition("\n")[0], "description": text}


def _params(function: Function, components: Components) -> dict[str, Any]:
    required = [name for name, argument in function.arguments.items() if argument.is_required]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: argument.kind.schema(components) for name, argument in function.arguments.items()},
        "required": required,
    }
    if function.takes_more:
        schema["additionalProperties"] = True
    return {"name": "args", "required": bool(required), "schema": schema}


def _result(function: Function, components: Components) -> dict[str, Any]:
    schema = {} if function.result is None else function.result.schema(components)
    return schema or {"description": "No output declared."}
