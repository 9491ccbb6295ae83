"""ARGS: the arguments of a function, as JSON on the command line."""

from __future__ import annotations

import json
from typing import Any

from lunora_rx.cli.ending import CommandError, ExitCode
from lunora_rx.errors import CodecError
from lunora_rx.protocol.text import loads

_SHOWN = 60


def parse_args(text: str, *, name: str = "ARGS") -> dict[str, Any]:
    """Return the arguments by name; tagged values are decoded, as on the wire.

    Raises:
        CommandError: They are no JSON object; the message points to where it is wrong.
    """
    try:
        value = loads(text)
    except CodecError as error:
        raise CommandError(_located(text, error, name), ExitCode.USAGE) from None
    if not isinstance(value, dict):
        raise CommandError(
            f"{name} is a JSON object of arguments by name, such as '{{\"limit\": 5}}', not {_kind(value)}",
            ExitCode.USAGE,
        )
    return value


def _located(text: str, refused: CodecError, name: str) -> str:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        line = error.doc.splitlines()[error.lineno - 1] if error.doc.splitlines() else ""
        start = max(0, error.colno - 1 - _SHOWN // 2)
        reason = error.msg[0].lower() + error.msg[1:]
        return (
            f"{name} is no JSON: {reason} at line {error.lineno}, column {error.colno}\n"
            f"  {line[start : start + _SHOWN]}\n"
            f"  {' ' * (error.colno - 1 - start)}^\n"
            f"{name} is a JSON object in quotes of the shell, such as '{{\"limit\": 5}}'"
        )
    except (ValueError, RecursionError):
        pass  # JSON that has no place to point to: the codec has said what is wrong
    return f"{name} cannot be used: {refused.message}"


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
