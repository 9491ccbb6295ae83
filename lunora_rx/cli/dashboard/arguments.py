"""Arguments as they are written: JSON text, checked against the function's schema before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from lunora_rx.errors import CodecError
from lunora_rx.protocol.tags import TAG
from lunora_rx.protocol.text import parse
from lunora_rx.protocol.wire import decode_wire

_SHOWN: Final = 5


class ArgumentsError(ValueError):
    """Arguments that cannot be sent; the message says which, and what was expected, a line for each."""


def parse_args(text: str) -> dict[str, Any]:
    """Return the wire tree of arguments that were written as JSON; nothing written is no arguments.

    Raises:
        ArgumentsError: The text is no JSON object.
    """
    try:
        tree = parse(text.strip() or "{}")
    except CodecError as error:
        raise ArgumentsError(error.message.removeprefix("text: ")) from None
    if not isinstance(tree, dict):
        raise ArgumentsError('arguments are a JSON object such as {"limit": 10}')
    return tree


def check_args(tree: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that a wire tree stands for, if the schema allows them.

    Raises:
        ArgumentsError: It does not, or the tree is no wire value. A schema that is itself broken allows everything.
    """
    problems = _problems(tree, schema)
    if problems:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise ArgumentsError("\n".join([*problems[:_SHOWN], *more]))
    try:
        args: dict[str, Any] = decode_wire(tree, root="args")
    except CodecError as error:
        raise ArgumentsError(error.message) from None
    return args


def _problems(tree: object, schema: Mapping[str, Any]) -> list[str]:
    exceptions, validators = import_module("jsonschema.exceptions"), import_module("jsonschema.validators")
    draft = validators.Draft202012Validator
    plain = draft.VALIDATORS["type"]

    def type_or_tag(validator: Any, types: Any, instance: Any, within: Any) -> Any:
        # Documents describe bigints and bytes as strings; on the wire they are tags.
        is_tag = isinstance(instance, list) and instance[:1] == [TAG]
        return () if is_tag else plain(validator, types, instance, within)

    checker = validators.extend(draft, {"type": type_or_tag})
    try:
        checker.check_schema(dict(schema))
        found = sorted(checker(dict(schema)).iter_errors(tree), key=lambda error: str(error.json_path))
    except (exceptions.SchemaError, import_module("referencing.exceptions").Unresolvable):
        return []
    return [_told(exceptions.best_match([each])) for each in found]


def _told(error: Any) -> str:
    place = error.json_path.removeprefix("$").removeprefix(".")
    return f"{place}: {error.message}" if place else str(error.message)
