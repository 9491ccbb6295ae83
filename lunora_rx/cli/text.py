"""Text on its way to a terminal or a pipe."""

from __future__ import annotations

import json
import sys
from typing import Any

from lunora_rx.errors import CodecError
from lunora_rx.protocol.text import serialize
from lunora_rx.protocol.wire import encode_wire


def printable(text: str) -> str:
    """Return a text with nothing in it that steers a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def json_text(value: object) -> str:
    """Return a value in wire form, as JSON in one line: plain where JSON has it, tagged where it does not.

    Source: ``docs/protocol.md``, section "Value codec".
    """
    tree = encode_wire(value)
    try:
        return serialize(tree).decode()
    except CodecError:  # a lone surrogate, which only escaped text can hold
        return json.dumps(tree, separators=(",", ":"))


def write_line(value: Any) -> None:
    """Write a value to the standard output, as one line of JSON, and flush it."""
    sys.stdout.write(f"{json_text(value)}\n")
    sys.stdout.flush()


def write_pretty(value: Any) -> None:
    """Write a value to a terminal as indented JSON, in colour."""
    from rich.console import Console

    Console().print_json(json_text(value))


def complain(command: str, text: str) -> None:
    """Write what went wrong to the standard error; lines stay lines, anything else that steers is spelled out."""
    lines = [printable(line) for line in text.splitlines()]
    encoding = sys.stderr.encoding or "utf-8"
    message = f"lunora-rx {command}: " + "\n".join(lines)
    print(message.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr, flush=True)
